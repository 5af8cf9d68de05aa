package agent

import (
	"context"
	"time"

	"obu/buffer"
	"obu/telemetry"
	"obu/uplink"
)

// flushStats is what the flush knows of itself; whether the disk took a commit
// the buffer knows.
type flushStats struct {
	Flushes uint64
	Last    time.Duration
	Slowest time.Duration
}

// flushLoop moves what the sources emitted into the store, every flush_every
// of the car's time. A tick that comes late is not made up for: the batch is
// simply longer, and the loss a power cut can do is shown as slowest commit.
func (a *Agent) flushLoop(ctx context.Context, buf *buffer.Buffer, up *uplink.Uplink) {
	every := time.Duration(a.cfg.Buffer.FlushEvery)
	sleeper := a.clock.Follow()
	defer sleeper.Leave()
	next := a.clock.Now().Add(every)
	for sleeper.SleepUntil(ctx, next) == nil {
		a.flushOnce(buf, up)
		if next = next.Add(every); next < a.clock.Now() {
			next = a.clock.Now().Add(every)
		}
	}
}

// flushOnce moves what is in memory now, losses and anchors included.
func (a *Agent) flushOnce(buf *buffer.Buffer, up *uplink.Uplink) {
	a.trips.tick()
	buf.Holding(a.holding())
	t := a.batch.take()
	t.event.Anchors = append(t.event.Anchors, a.clock.Anchors()...)
	t.event.Anchors = append(t.event.Anchors, a.undated.anchors()...)
	for _, g := range t.lost {
		buf.Lost(g)
	}
	var entries []buffer.Entry
	for _, e := range [...]struct {
		class   telemetry.Class
		content *telemetry.Content
	}{
		{telemetry.ClassEvent, &t.event}, {telemetry.ClassTelemetry, &t.telemetry}, {telemetry.ClassHealth, &t.health},
	} {
		if e.content.Values() > 0 {
			entries = append(entries, buffer.Entry{Class: e.class, Content: *e.content})
		}
	}
	a.commit(buf, entries)
	up.Notify()
}

// handover is the longest time from the moment of a datum until the batcher has
// it: an epoch of a receiver, of which the first byte counts, may last a second,
// and ends with a pause of up to 0.8 s.
const handover = 2 * time.Second

// holding is the time since which values may not be in the batcher yet. Fixes
// leave first that wait for others which may not come: for so long as they may,
// or no longer when private mode has begun. It has to be asked before the batcher
// is: what leaves a source in between is in it.
func (a *Agent) holding() telemetry.At {
	now := a.clock.Now()
	at := a.track.settle(now, a.private.status() != nil)
	for _, s := range a.sources {
		if s.held != nil {
			at = min(at, s.held(now))
		}
	}
	return max(1, at.Add(-handover))
}

// commit hands entries and everything acknowledged since to the store. When the
// disk fails the store keeps them in memory, counts and says so itself; an
// error here is a mistake of the agent.
func (a *Agent) commit(buf *buffer.Buffer, entries []buffer.Entry) {
	began := time.Now()
	_, err := buf.Commit(entries)
	took := time.Since(began)
	a.mu.Lock()
	a.flush.Flushes++
	a.flush.Last = took
	a.flush.Slowest = max(a.flush.Slowest, took)
	a.mu.Unlock()
	if err != nil {
		a.log.Error("the store refused a batch; this is a mistake of the agent", "error", err,
			"next", "report it with this line and the version (obu version)")
	}
}
