package agent

import (
	"context"
	"errors"
	"fmt"
	"time"

	"obu/buffer"
	"obu/dashcam"
	"obu/telemetry"
)

func (a *Agent) addDashcam(d DashcamDevice) error {
	settle := time.Duration(0)
	for _, c := range a.cfg.Dashcam {
		if c.Camera == d.Camera {
			settle = time.Duration(c.Settle)
		}
	}
	src, err := dashcam.New(dashcam.Config{Camera: d.Camera, Dir: d.Dir, Clock: a.clock, Custody: clips{a},
		Lost: a.batch.gap, Log: a.log, Settle: settle, AppearWhole: d.Drip != nil})
	if err != nil {
		return fmt.Errorf("dashcam %s: %w", d.Camera, err)
	}
	run := src.Run
	if d.Drip != nil {
		run = func(ctx context.Context) error { return dripInto(ctx, src, d.Drip) }
	}
	a.add("dashcam", d.Camera, run, func() any { return src.Stats() }, d.Drip != nil).forget = src.Forget
	return nil
}

// dripInto runs a camera's source until a recorded folder has been dripped into
// its own and every segment is in custody.
func dripInto(ctx context.Context, src *dashcam.Source, drip Drip) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- src.Run(ctx) }()
	err := drip(ctx, func(ctx context.Context, _ string) error { return src.Drain(ctx) })
	stop()
	return errors.Join(err, <-ended)
}

// errNotOpen is what a camera hears in the moment before the store is open.
var errNotOpen = errors.New("store is not open")

// clips gives a camera's segments into the buffer's custody.
type clips struct{ a *Agent }

func (c clips) store() *buffer.Buffer {
	c.a.mu.Lock()
	defer c.a.mu.Unlock()
	return c.a.buffer
}

func (c clips) Progress(key string) (stored int64, done, ok bool) {
	if b := c.store(); b != nil {
		return b.ClipProgress(key)
	}
	return 0, false, false
}

func (c clips) StoreChunk(_ context.Context, key string, chunk telemetry.Chunk) error {
	b := c.store()
	if b == nil {
		return errNotOpen
	}
	_, err := b.CommitChunk(key, chunk)
	c.notify()
	return err
}

func (c clips) Finish(_ context.Context, key string, clip telemetry.Clip) error {
	b := c.store()
	if b == nil {
		return errNotOpen
	}
	err := b.FinishClip(key, clip)
	c.notify()
	return err
}

func (c clips) notify() {
	c.a.mu.Lock()
	up := c.a.uplink
	c.a.mu.Unlock()
	up.Notify()
}
