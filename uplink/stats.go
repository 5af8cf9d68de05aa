package uplink

import (
	"maps"
	"sync"
	"time"

	"obu/telemetry"
)

// Stats is what the uplink says of itself. Counters rise for its life; times
// are durations up to the moment of the call.
type Stats struct {
	Connected    bool             `json:"connected"`
	Session      string           `json:"session,omitempty"`  // id of the running session
	SessionFor   time.Duration    `json:"session_for"`        // how long it runs
	Connects     int64            `json:"connects"`           // CONNACKs
	Failures     map[string]int64 `json:"failures,omitempty"` // failed connects and lost sessions by reason
	LastError    string           `json:"last_error,omitempty"`
	LastHint     string           `json:"last_hint,omitempty"`
	LastErrorFor time.Duration    `json:"last_error_for"`  // since when the reason is the same; 0: connected
	Echo         Echo             `json:"echo,omitempty"`  // whether the broker delivers on this unit's topics; the last verdict while a new one is awaited
	Rival        string           `json:"rival,omitempty"` // session id of another device that speaks as this unit, while it does: see ErrTakenOver
	RivalFor     time.Duration    `json:"rival_for"`       // since when
	Published    int64            `json:"published"`       // packets handed to a session
	Acked        int64            `json:"acked"`           // PUBACKs
	AckedBatches int64            `json:"acked_batches"`
	AckedBytes   int64            `json:"acked_bytes"`
	WireIn       int64            `json:"wire_in"` // bytes, TLS included
	WireOut      int64            `json:"wire_out"`
	WireHeaders  int64            `json:"wire_headers"` // TCP/IP headers, what TCP sent again, and what connecting costs besides
	AckRate      float64          `json:"ack_rate"`     // bytes/s the link carries, as measured
	RTT          time.Duration    `json:"rtt"`          // smallest time to PUBACK lately
	InFlight     int              `json:"in_flight"`
	InFlightB    int              `json:"in_flight_bytes"`
	LiveLag      time.Duration    `json:"live_lag"` // age of the newest live value acknowledged, when it was acknowledged
	LiveSkips    int64            `json:"live_skips"`
	Refused      int64            `json:"refused"`          // batches set aside as Gap refused
	Denied       []string         `json:"denied,omitempty"` // classes on whose packets the broker ends the session: kept, tried now and then
	DeniedFor    time.Duration    `json:"denied_for"`       // since when the first of them is denied
	Commands     int64            `json:"commands"`
	BadCommands  int64            `json:"bad_commands"`  // malformed, expired, too many at once
	Awaiting     int64            `json:"awaiting"`      // PUBACK seen, receipt not yet (custody: receipt)
	AwaitingFor  time.Duration    `json:"awaiting_for"`  // since when no receipt moved what waits for one
	ReceiptsLate bool             `json:"receipts_late"` // that is longer than Config.ReceiptPatience, and so is this session: see ReceiptHint
	Resent       int64            `json:"resent"`        // batches sent again because no receipt came
	History      int64            `json:"history"`       // batches waiting below the live cursor
}

// counters is the shared, locked part of the statistics.
type counters struct {
	mu      sync.Mutex
	s       Stats
	since   time.Time // of the running session
	errWord string
	errAt   time.Time
	denied  time.Time // since when a class is; zero: none
	dry     time.Time // since when receipts are missing; zero: they are not
	rival   time.Time // since when there is one
	rivalAt time.Time // when it was last heard of

	saidWord string // in the log
	saidAt   time.Time
}

func (c *counters) update(f func(*Stats)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f(&c.s)
}

func (c *counters) connected(id string, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.s.Connected, c.s.Session, c.since = true, id, now
	c.s.Connects++
	c.s.LastError, c.s.LastHint, c.errWord = "", "", ""
	if c.s.Echo == "" {
		c.s.Echo = EchoPending
	}
}

func (c *counters) connects() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.s.Connects
}

// failed notes why there is no session, and reports whether that is news: a
// new reason, or one that was not said for a while.
func (c *counters) failed(err error, now time.Time) (news bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.s.Connected, c.s.Session = false, ""
	word := wordFor(err)
	if c.s.Failures == nil {
		c.s.Failures = make(map[string]int64)
	}
	c.s.Failures[word]++
	if word != c.errWord {
		c.errWord, c.errAt = word, now
	}
	c.s.LastError, c.s.LastHint = err.Error(), HintFor(err)
	if word == c.saidWord && now.Sub(c.saidAt) < sayAgain {
		return false
	}
	c.saidWord, c.saidAt = word, now
	return true
}

// sayAgain is how often the log repeats why there is no connection.
const sayAgain = 10 * time.Minute

// disconnected notes a wanted end.
func (c *counters) disconnected() {
	c.update(func(s *Stats) { s.Connected, s.Session = false, "" })
}

// Stats returns a copy of the statistics.
func (u *Uplink) Stats() Stats {
	u.stats.mu.Lock()
	defer u.stats.mu.Unlock()
	s := u.stats.s
	s.Failures = maps.Clone(s.Failures)
	if s.Connected {
		s.SessionFor = time.Since(u.stats.since)
	} else if s.LastError != "" {
		s.LastErrorFor = time.Since(u.stats.errAt)
	}
	if len(s.Denied) > 0 {
		s.DeniedFor = time.Since(u.stats.denied)
	}
	if s.Awaiting > 0 {
		s.AwaitingFor = time.Since(u.stats.dry)
		s.ReceiptsLate = s.Connected && min(s.AwaitingFor, s.SessionFor) > u.cfg.ReceiptPatience
	}
	if s.Rival != "" {
		s.RivalFor = time.Since(u.stats.rival)
	}
	s.WireIn, s.WireOut, s.WireHeaders = u.wire.In.Load(), u.wire.Out.Load(), u.wire.Headers.Load()
	return s
}

// publishGauges copies the pump's view into the statistics.
func (u *Uplink) publishGauges(flying int) {
	var history, awaiting int64
	var dry time.Time
	for _, l := range u.lanes.list {
		if l.class != telemetry.ClassMedia {
			history += l.waiting()
		}
		if len(l.awaiting.spans) > 0 && (dry.IsZero() || l.dry.Before(dry)) {
			dry = l.dry
		}
		for _, s := range l.awaiting.spans {
			awaiting += int64(s.hi - s.lo + 1)
		}
	}
	denied, since := u.poison.denials()
	u.stats.update(func(s *Stats) {
		s.Denied, u.stats.denied = denied, since
		s.AckRate, s.RTT = u.pacer.rate, u.pacer.rtt
		s.InFlight, s.InFlightB = flying, u.pacer.inflight
		s.History, s.Awaiting, u.stats.dry = history, awaiting, dry
		u.stats.forgetRival(time.Now())
	})
}

// waiting returns about how many held batches lie below the live cursor.
func (l *lane) waiting() int64 {
	ahead := int64(0)
	if l.live() && l.stream.Next > l.cursor {
		ahead = int64(l.stream.Next - l.cursor)
	}
	return max(int64(l.stream.Batches)-ahead, 0)
}
