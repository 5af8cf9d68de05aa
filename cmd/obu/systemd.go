package main

import (
	"context"
	"log/slog"
	"net"
	"os"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"

	"obu/internal/agent"
	"obu/internal/config"
)

// How often the watch looks at the agent when systemd does not say, and how
// much longer than two flushes the flush may stand still: a commit on a worn
// card takes seconds.
const (
	watchEvery = 10 * time.Second
	flushSlack = 10 * time.Second
)

// extend asks systemd for more time while the agent opens or closes its store:
// a large one that was not closed in order takes minutes to walk, and one that
// was deleted under the agent is copied back.
const extend = "EXTEND_TIMEOUT_USEC=60000000"

// watch speaks with systemd for a running agent: ready when its store is open
// and its sources start, alive while the flush moves or works through a whole
// file, and at the end in need of time while that goes on. As a service it also
// keeps a copy of a configuration that has reached the broker. Without systemd
// only the latter happens.
type watch struct {
	status  func() agent.Status
	tell    func(word string) // to systemd
	cfg     *config.Config
	log     *slog.Logger
	started <-chan struct{}
	keep    bool

	done  uint64    // flushes, and bytes of long work
	moved time.Time // when done was seen to rise last
}

// start begins to watch; the function it returns ends it.
func (w *watch) start(ctx context.Context) (stop func()) {
	end, done := make(chan struct{}), make(chan struct{})
	go func() { defer close(done); w.run(ctx, end) }()
	return func() { close(end); <-done }
}

// run watches until end, from when ctx ends on an agent that stops.
func (w *watch) run(ctx context.Context, end <-chan struct{}) {
	every, err := daemon.SdWatchdogEnabled(false)
	if err != nil || every <= 0 {
		every = 2 * watchEvery
	}
	tick := time.NewTicker(min(every/2, watchEvery))
	defer tick.Stop()
	started, stops := w.started, ctx.Done()
	for {
		select {
		case <-end:
			if stops != nil {
				w.tell(daemon.SdNotifyStopping)
			}
			return
		case <-stops:
			stops = nil
			w.tell(daemon.SdNotifyStopping)
			continue
		case <-started:
			started = nil
			w.moved = time.Now()
			w.tell(daemon.SdNotifyReady)
			continue
		case <-tick.C:
		}
		switch {
		case stops == nil:
			if w.moves(w.status(), time.Now()) { // a disk that hangs gets no more time
				w.tell(extend)
				w.tell(daemon.SdNotifyWatchdog)
			}
		case started != nil:
			w.tell(extend)
		default:
			w.look(time.Now())
		}
	}
}

// moves reports whether the agent has done something since it was asked last.
func (w *watch) moves(s agent.Status, now time.Time) bool {
	done := s.Flush.Flushes
	if s.Buffer != nil {
		done += s.Buffer.Progress
	}
	if done == w.done {
		return false
	}
	w.done, w.moved = done, now
	return true
}

// look tells that the agent is alive unless its flush, the one loop that must
// never stand still, does, and shows no progress either.
func (w *watch) look(now time.Time) {
	s := w.status()
	w.moves(s, now)
	if now.Sub(w.moved) < 2*w.cfg.Buffer.FlushEvery.Std()+flushSlack {
		w.tell(daemon.SdNotifyWatchdog)
	}
	if w.keep && s.Uplink != nil && s.Uplink.Connects > 0 {
		w.keep = false
		if err := config.SaveLastGood(stateDir(), w.cfg); err != nil {
			w.log.Warn("copy of the good configuration is not kept; a wrong edit would stop the service", "dir", stateDir(), "error", err, "next", "check the folder's permissions")
		}
	}
}

// tellSystemd sends a word to systemd, if there is one.
func tellSystemd(log *slog.Logger) func(word string) {
	return func(word string) {
		if err := notify(word); err != nil {
			log.Debug("systemd does not listen", "error", err)
		}
	}
}

// notifyWithin is how long systemd may take to make room for a word.
const notifyWithin = time.Second

// notify sends a word to systemd, if it started this process (sd_notify(3)).
// daemon.SdNotify does the same and waits for ever when nobody reads, which would
// hold up the end of the agent.
func notify(word string) error {
	path := os.Getenv("NOTIFY_SOCKET")
	if path == "" {
		return nil
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetWriteDeadline(time.Now().Add(notifyWithin)); err != nil {
		return err
	}
	_, err = conn.Write([]byte(word))
	return err
}
