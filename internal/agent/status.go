package agent

import (
	"time"

	"obu/buffer"
	"obu/telemetry"
	"obu/uplink"
	"obu/uplink/budget"
)

// Status is what a running agent says of itself: `obu status`, or the question
// "status" on the unix socket. Durations are in seconds, sizes in bytes.
type Status struct {
	Version    string         `json:"version"`
	Fleet      string         `json:"fleet"`
	Unit       string         `json:"unit"`
	Vehicle    string         `json:"vehicle,omitempty"`
	Simulated  bool           `json:"simulated"`
	Boot       string         `json:"boot"`
	UptimeS    float64        `json:"uptime_s"`
	Time       TimeStatus     `json:"time"`
	Private    *PrivateStatus `json:"private,omitempty"` // positions are not kept
	Sources    []SourceReport `json:"sources"`
	Batcher    BatcherStatus  `json:"batcher"`
	Flush      FlushStatus    `json:"flush"`
	Buffer     *buffer.Stats  `json:"buffer,omitempty"`
	Disk       *DiskStatus    `json:"disk,omitempty"`
	Streams    []StreamStatus `json:"streams"`
	Uplink     *UplinkStatus  `json:"uplink,omitempty"`
	Budget     budget.Report  `json:"budget"`
	Process    ProcessStatus  `json:"process"`
	Warnings   []string       `json:"warnings,omitempty"`
	ConfigHash string         `json:"config_hash"`
}

// TimeStatus is how sure the unit is of the wall time.
type TimeStatus struct {
	Wall         *time.Time `json:"wall"` // null: unknown
	UncertaintyS *float64   `json:"uncertainty_s"`
	By           string     `json:"by"`
	AnchorAgeS   *float64   `json:"anchor_age_s"` // how long ago By told it; null: unknown
	Trusted      bool       `json:"trusted"`
	// What is wrong with the time that the GPS receiver says: "repaired",
	// "refused" or "off" (from NTP), and by how much it is ahead.
	Receiver     string  `json:"receiver,omitempty"`
	ReceiverOffS float64 `json:"receiver_off_s,omitempty"`
}

// SourceReport is one source with its own counters.
type SourceReport struct {
	SourceStatus
	Kind  string `json:"kind"` // "can", "gps", "dashcam", "feed"
	Stats any    `json:"stats,omitempty"`
}

// BatcherStatus is what waits in memory.
type BatcherStatus struct {
	Held   int    `json:"held"`
	Values uint64 `json:"values"` // taken since start
	Drops  uint64 `json:"drops"`
}

// FlushStatus is how the commits go: together with flush_every the slowest one
// is the most a power cut can cost.
type FlushStatus struct {
	EveryS   float64 `json:"every_s"`
	Flushes  uint64  `json:"flushes"`
	Failed   uint64  `json:"failed"` // commits the disk did not take: kept in memory
	LastS    float64 `json:"last_s"`
	SlowestS float64 `json:"slowest_s"`
}

// StreamStatus is one (store, class) of the backlog.
type StreamStatus struct {
	Store    telemetry.StoreID `json:"store"`
	Class    telemetry.Class   `json:"class"`
	Floor    uint64            `json:"floor"` // lowest seq still held or owed
	Next     uint64            `json:"next"`  // seq the next batch gets
	Batches  int               `json:"batches"`
	Values   int64             `json:"values"`
	Bytes    int64             `json:"bytes"`
	Current  bool              `json:"current"`            // false: it only drains
	Volatile bool              `json:"volatile,omitempty"` // in memory only, because the disk fails
}

// StreamsStatus puts streams into the shape of the status.
func StreamsStatus(streams []telemetry.Stream) []StreamStatus {
	out := make([]StreamStatus, 0, len(streams))
	for _, s := range streams {
		out = append(out, StreamStatus{Store: s.Store, Class: s.Class, Floor: s.Floor, Next: s.Next,
			Batches: s.Batches, Values: s.Values, Bytes: s.Bytes, Current: s.Current, Volatile: s.Volatile})
	}
	return out
}

// UplinkStatus is uplink.Stats with its times in seconds.
type UplinkStatus struct {
	Connected     bool             `json:"connected"`
	Session       string           `json:"session,omitempty"`
	SessionS      float64          `json:"session_s"` // how long it runs
	Connects      int64            `json:"connects"`
	Failures      map[string]int64 `json:"failures,omitempty"` // by reason
	LastError     string           `json:"last_error,omitempty"`
	LastHint      string           `json:"last_hint,omitempty"`
	LastErrorS    float64          `json:"last_error_s"`     // since when the reason is the same; 0: connected
	Echo          uplink.Echo      `json:"echo,omitempty"`   // whether the broker delivers on this unit's topics
	Denied        []string         `json:"denied,omitempty"` // classes on whose packets the broker ends the session
	DeniedS       float64          `json:"denied_s"`
	Rival         string           `json:"rival,omitempty"` // session of another device with this unit's client id, while there is one
	RivalS        float64          `json:"rival_s"`
	Published     int64            `json:"published"` // packets
	Acked         int64            `json:"acked"`     // PUBACKs
	AckedBatches  int64            `json:"acked_batches"`
	AckedBytes    int64            `json:"acked_bytes"`
	WireIn        int64            `json:"wire_in_bytes"` // TLS included
	WireOut       int64            `json:"wire_out_bytes"`
	WireHeaders   int64            `json:"wire_headers_bytes"` // TCP/IP below them, as far as known
	AckRate       float64          `json:"ack_rate"`           // bytes/s the link carries, as measured
	RTTS          float64          `json:"rtt_s"`              // smallest time to PUBACK lately
	InFlight      int              `json:"in_flight"`
	InFlightBytes int              `json:"in_flight_bytes"`
	LiveLagS      float64          `json:"live_lag_s"` // age of the newest live value when it was acknowledged
	LiveSkips     int64            `json:"live_skips"`
	Refused       int64            `json:"refused"` // batches set aside as Gap refused
	Commands      int64            `json:"commands"`
	BadCommands   int64            `json:"bad_commands"`
	Awaiting      int64            `json:"awaiting"`   // PUBACK seen, receipt not yet
	AwaitingS     float64          `json:"awaiting_s"` // since when no receipt moved any of it
	ReceiptsLate  bool             `json:"receipts_late"`
	Resent        int64            `json:"resent"`  // sent again because no receipt came
	History       int64            `json:"history"` // batches waiting behind live
}

func uplinkStatus(s uplink.Stats) *UplinkStatus {
	return &UplinkStatus{
		Connected: s.Connected, Session: s.Session, SessionS: s.SessionFor.Seconds(), Connects: s.Connects, Failures: s.Failures,
		LastError: s.LastError, LastHint: s.LastHint, LastErrorS: s.LastErrorFor.Seconds(), Echo: s.Echo,
		Denied: s.Denied, DeniedS: s.DeniedFor.Seconds(), Rival: s.Rival, RivalS: s.RivalFor.Seconds(),
		Published: s.Published, Acked: s.Acked, AckedBatches: s.AckedBatches, AckedBytes: s.AckedBytes,
		WireIn: s.WireIn, WireOut: s.WireOut, WireHeaders: s.WireHeaders, AckRate: s.AckRate, RTTS: s.RTT.Seconds(), InFlight: s.InFlight, InFlightBytes: s.InFlightB,
		LiveLagS: s.LiveLag.Seconds(), LiveSkips: s.LiveSkips, Refused: s.Refused, Commands: s.Commands, BadCommands: s.BadCommands,
		Awaiting: s.Awaiting, AwaitingS: s.AwaitingFor.Seconds(), ReceiptsLate: s.ReceiptsLate, Resent: s.Resent, History: s.History,
	}
}

// Status returns the present state; it may be called at any time.
func (a *Agent) Status() Status {
	a.mu.Lock()
	buf, up, fl := a.buffer, a.uplink, a.flush
	started, disk := a.start, a.disk
	warnings := append([]string(nil), a.warnings...)
	a.mu.Unlock()

	held, values, drops := a.batch.counts()
	s := Status{
		Version: a.deps.Version, Fleet: a.cfg.Fleet, Unit: a.cfg.Unit, Vehicle: a.cfg.Vehicle, Simulated: a.deps.Devices.Simulated,
		Boot: a.clock.Boot().String(), Time: a.timeStatus(), Process: processStatus(),
		Batcher: BatcherStatus{Held: held, Values: values, Drops: drops},
		Flush: FlushStatus{EveryS: time.Duration(a.cfg.Buffer.FlushEvery).Seconds(), Flushes: fl.Flushes,
			LastS: fl.Last.Seconds(), SlowestS: fl.Slowest.Seconds()},
		Warnings: warnings, Budget: a.budget.Report(), ConfigHash: a.cfgHash,
	}
	if !started.IsZero() {
		s.UptimeS = time.Since(started).Seconds()
	}
	s.Private = a.private.status()
	for _, src := range a.sources {
		s.Sources = append(s.Sources, src.report())
	}
	if buf != nil {
		st := buf.Stats()
		s.Buffer, s.Streams, s.Flush.Failed = &st, StreamsStatus(buf.Streams()), st.Failures
		up := time.Duration(s.UptimeS * float64(time.Second))
		s.Disk = disk.status(a.cfg.Buffer.Dir, up, st.DiskBytesTelemetry+st.DiskBytesMedia)
	}
	if up != nil {
		s.Uplink = uplinkStatus(up.Stats())
	}
	return s
}

func (a *Agent) timeStatus() TimeStatus {
	now := a.clock.Now()
	r := a.clock.WallAt(now)
	verdict, off := a.clock.Verdict()
	t := TimeStatus{By: string(r.By), Trusted: r.Trusted, Receiver: string(verdict), ReceiverOffS: off.Round(time.Millisecond).Seconds()}
	if !r.Time.IsZero() {
		wall, unc, age := r.Time.UTC(), r.Uncertainty.Seconds(), max(0, now.Sub(r.Anchored)).Seconds()
		t.Wall, t.UncertaintyS, t.AnchorAgeS = &wall, &unc, &age
	}
	return t
}
