package agent

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"syscall"
	"time"

	"obu/gps"
)

// Back-off of a lost device: the delay doubles from restartMin to restartMax,
// each wait is drawn from its upper half so that devices of one hub do not
// come back in step, and a device that was open for restartSettled starts over.
const (
	restartMin     = 500 * time.Millisecond
	restartMax     = 30 * time.Second
	restartSettled = 5 * time.Second
	// restartFlapping bounds the delay of a device that opens and is lost again
	// at once, as one with a loose plug: it is there, so it is not left for long.
	restartFlapping = 5 * time.Second
	// backAfter is how long a source has to be open before its outage is over:
	// a device that opens and fails at once is not back.
	backAfter = 2 * time.Second
	// remindEvery is how often a loss that lasts is logged again: a camera
	// without its card must not fill the journal of a unit.
	remindEvery = time.Hour
	// maxOutageLines is how many outages are logged per remindEvery; what flaps
	// more often is counted in Restarts.
	maxOutageLines = 20
)

// SourceStatus is what the supervisor knows of one source.
type SourceStatus struct {
	Name     string    `json:"name"`
	State    string    `json:"state"`           // "starting", "opening", "running", "waiting", "finished", "failed"
	Since    time.Time `json:"since"`           // system wall clock, for people only
	Restarts int       `json:"restarts"`        // outages since start; one that is there from the start counts
	Attempts int       `json:"attempts"`        // times it was opened again since start
	Error    string    `json:"error,omitempty"` // why it last stopped
	Next     string    `json:"next,omitempty"`  // what to do about it
}

// supervisor runs one source for ever: when it ends with an error it alone is
// started again, later and later. A finite one, of a replay, is not: half a
// recording must not pass for a whole one.
type supervisor struct {
	name   string
	run    func(context.Context) error
	log    *slog.Logger
	finite bool
	opens  bool // run calls opened once the device is open; until then it is not running
	hint   func(error) string

	mu     sync.Mutex // guards what follows
	status SourceStatus
	was    bool      // it has been open
	away   bool      // an outage lasts
	openAt time.Time // when this run opened the device; zero: it has not
	lostAt time.Time // it began
	saidAt time.Time // it was logged last
	back   *time.Timer

	window   time.Time // outages are counted for the log since then
	outages  int       // in it
	unlogged int       // outages the log does not have
}

func newSupervisor(name string, log *slog.Logger, run func(context.Context) error) *supervisor {
	return &supervisor{name: name, run: run, log: log, hint: func(error) string { return "" },
		status: SourceStatus{Name: name, State: "starting"}}
}

func (s *supervisor) set(state string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.status.State = state
	s.status.Since = time.Now()
	if err != nil {
		s.status.Error, s.status.Next = s.plain(err), s.hint(err)
	}
}

// plain is an error without what is said twice: each layer says what it opens,
// and the system repeats what a sentinel has said.
func (s *supervisor) plain(err error) string {
	text := err.Error()
	if inner, ok := strings.CutPrefix(text, "open "+s.name+": "); ok && strings.HasPrefix(inner, "open ") {
		text = inner
	}
	if errors.Is(err, gps.ErrNoDevice) {
		text = strings.TrimSuffix(text, ": "+syscall.ENOENT.Error())
	}
	return text
}

// lost notes that the source failed, and logs an outage when it begins and now
// and then while it lasts, whatever each try to open it says.
func (s *supervisor) lost(err error, wait time.Duration) {
	s.set("waiting", err)
	now := time.Now()
	s.mu.Lock()
	if s.back != nil {
		s.back.Stop()
	}
	begins := !s.away
	if begins {
		s.away, s.lostAt = true, now
		s.status.Restarts++
		s.countOutage(now)
	}
	say := begins && s.loud() || !begins && now.Sub(s.saidAt) >= remindEvery
	last := begins && s.outages == maxOutageLines
	missed := s.unlogged
	if say {
		s.saidAt, s.unlogged = now, 0
	}
	since, never := now.Sub(s.lostAt), s.opens && !s.was
	s.mu.Unlock()
	var more []any
	if last {
		more = append(more, "quiet", "it comes and goes: further outages of this hour are only counted")
	}
	if missed > 0 {
		more = append(more, "outages_not_logged", missed)
	}
	switch {
	case say && begins:
		what := "source lost"
		if never {
			what = "source is not there"
		}
		s.log.With(more...).Warn(what+"; it is opened again and again until it answers", "source", s.name, "error", s.plain(err),
			"next", s.hint(err), "first_retry_in", wait.Round(time.Millisecond))
	case say:
		s.log.Warn("source is still away; it is opened again and again until it answers", "source", s.name, "error", s.plain(err),
			"next", s.hint(err), "for", since.Round(time.Second))
	}
}

// countOutage counts one for the log, with mu held.
func (s *supervisor) countOutage(now time.Time) {
	if s.outages == 0 || now.Sub(s.window) >= remindEvery {
		s.window, s.outages = now, 0
	}
	if s.outages++; !s.loud() {
		s.unlogged++
	}
}

// loud reports whether the present outage belongs into the log, with mu held.
func (s *supervisor) loud() bool { return s.outages <= maxOutageLines }

// returned ends an outage, unless the source was lost again meanwhile.
func (s *supervisor) returned() {
	s.mu.Lock()
	is := s.away && s.status.State == "running"
	after, say := s.status.Since.Sub(s.lostAt), s.loud()
	if is {
		s.away = false
	}
	s.mu.Unlock()
	if is && say {
		s.log.Info("source is back", "source", s.name, "after", after.Round(100*time.Millisecond))
	}
}

// Status returns a copy of the present state.
func (s *supervisor) Status() SourceStatus {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.status
}

// opened says that the device is open. An outage is over when it stays so.
func (s *supervisor) opened() {
	s.set("running", nil)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.was, s.openAt = true, time.Now()
	if s.away {
		if s.back != nil {
			s.back.Stop()
		}
		s.back = time.AfterFunc(backAfter, s.returned)
	}
}

// Run blocks until ctx ends or the source finishes by itself with nil, as a
// recording does at its end. Only a finite source returns an error.
func (s *supervisor) Run(ctx context.Context) error {
	defer s.ended()
	delay := restartMin
	for {
		s.begin()
		err := s.run(ctx)
		if ctx.Err() != nil || err == nil {
			s.set("finished", nil)
			return nil
		}
		if s.finite {
			s.set("failed", err)
			return err
		}
		delay = s.relax(delay)
		wait := delay/2 + rand.N(delay/2+1)
		s.lost(err, wait)
		select {
		case <-ctx.Done():
			s.set("finished", nil)
			return nil
		case <-time.After(wait):
		}
		delay = min(2*delay, restartMax)
		s.mu.Lock()
		s.status.Attempts++
		s.mu.Unlock()
	}
}

// begin notes that the source is run.
func (s *supervisor) begin() {
	s.mu.Lock()
	s.openAt = time.Time{}
	s.mu.Unlock()
	if s.opens {
		s.set("opening", nil)
	} else {
		s.opened()
	}
}

// relax returns the delay after a run that failed: what was open for a while
// starts over, and what could be opened at all is not left for long. A source
// that does not say when it is open may have failed to.
func (s *supervisor) relax(delay time.Duration) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.openAt.IsZero():
	case time.Since(s.openAt) >= restartSettled:
		return restartMin
	case s.opens:
		return min(delay, restartFlapping)
	}
	return delay
}

// ended leaves no timer behind.
func (s *supervisor) ended() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.back != nil {
		s.back.Stop()
	}
}
