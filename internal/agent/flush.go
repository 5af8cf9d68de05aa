package agent

import (
	"context"
	"time"

	"obu/buffer"
	"obu/telemetry"
	"obu/uplink"
)

// flushStats is what the flush knows of itself.
type flushStats struct {
	Flushes uint64        `json:"flushes"`
	Failed  uint64        `json:"failed"`
	Last    time.Duration `json:"-"`
	Slowest time.Duration `json:"-"`
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

// lastFlush stores what is still in memory; it runs after the sources ended.
func (a *Agent) lastFlush(buf *buffer.Buffer, up *uplink.Uplink) { a.flushOnce(buf, up) }

func (a *Agent) flushOnce(buf *buffer.Buffer, up *uplink.Uplink) {
	t := a.batch.take()
	t.event.Anchors = append(t.event.Anchors, a.clock.Anchors()...)
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

// commit hands entries and everything acknowledged since to the store. The
// store keeps the entries in memory when the disk fails, so nothing is retried
// here; the failure is said once per change and counted.
func (a *Agent) commit(buf *buffer.Buffer, entries []buffer.Entry) {
	began := time.Now()
	_, err := buf.Commit(entries)
	took := time.Since(began)
	a.mu.Lock()
	a.flush.Flushes++
	a.flush.Last = took
	a.flush.Slowest = max(a.flush.Slowest, took)
	first := err != nil && !a.flushFailing
	recovered := err == nil && a.flushFailing
	a.flushFailing = err != nil
	if err != nil {
		a.flush.Failed++
	}
	a.mu.Unlock()
	switch {
	case first:
		a.log.Error("store failed; data is kept in memory and still sent", "dir", a.cfg.Buffer.Dir, "error", err,
			"next", "check free space (df -h) and the card (dmesg | tail)")
	case recovered:
		a.log.Info("store works again", "dir", a.cfg.Buffer.Dir)
	}
}
