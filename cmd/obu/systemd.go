package main

import (
	"context"
	"log/slog"
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

// extendStart asks systemd for more time while the agent opens its store: a
// large one that was not closed in order takes minutes to walk.
const extendStart = "EXTEND_TIMEOUT_USEC=60000000"

// watch speaks with systemd for a running agent: ready when its store is open
// and its sources start, alive while the flush moves. As a service it also
// keeps a copy of a configuration that has reached the broker. Without systemd
// only the latter happens.
type watch struct {
	agent   *agent.Agent
	cfg     *config.Config
	log     *slog.Logger
	started <-chan struct{}
	keep    bool

	flushes uint64
	moved   time.Time // when flushes was seen to rise last
}

// start begins to watch; the function it returns ends it.
func (w *watch) start(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() { defer close(done); w.run(ctx) }()
	return func() { cancel(); <-done }
}

func (w *watch) run(ctx context.Context) {
	every, err := daemon.SdWatchdogEnabled(false)
	if err != nil || every <= 0 {
		every = 2 * watchEvery
	}
	tick := time.NewTicker(min(every/2, watchEvery))
	defer tick.Stop()
	started := w.started
	for {
		select {
		case <-ctx.Done():
			w.tell(daemon.SdNotifyStopping)
			return
		case <-started:
			started = nil
			w.moved = time.Now()
			w.tell(daemon.SdNotifyReady)
			continue
		case <-tick.C:
		}
		if started != nil {
			w.tell(extendStart)
			continue
		}
		w.look(time.Now())
	}
}

// look tells that the agent is alive unless its flush, the one loop that must
// never stand still, does.
func (w *watch) look(now time.Time) {
	s := w.agent.Status()
	if s.Flush.Flushes != w.flushes {
		w.flushes, w.moved = s.Flush.Flushes, now
	}
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

// tell sends one word to systemd, if there is one.
func (w *watch) tell(word string) {
	if _, err := daemon.SdNotify(false, word); err != nil {
		w.log.Debug("systemd does not listen", "error", err)
	}
}
