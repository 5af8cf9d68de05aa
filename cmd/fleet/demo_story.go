package main

import (
	"context"
	"fmt"
	"time"

	"obu/internal/agent"
)

// showEvery is how often the car's line is printed.
const showEvery = 2 * time.Second

// story is the drive: online, cut, online again.
func (d *demo) story(ctx context.Context, before, cut, after time.Duration) error {
	if err := d.watch(ctx, before, d.online); err != nil {
		return err
	}
	d.link.Cut()
	d.line(yellow, "- link cut: the car drives on, the agent stores")
	if err := d.watch(ctx, cut, d.offline); err != nil {
		return err
	}
	return d.reconnect(ctx, after)
}

// reconnect restores the link and shows what comes first.
func (d *demo) reconnect(ctx context.Context, after time.Duration) error {
	resumed := d.cloud.await()
	d.link.Restore()
	d.line(green, "+ link restored; the agent tries again within %v", reconnectMax)
	waiting, stop := context.WithTimeout(ctx, resumeLimit)
	defer stop()
	tick := time.NewTicker(showEvery)
	defer tick.Stop()
	for open := true; open; {
		select {
		case <-resumed:
			open = false
		case <-tick.C:
			d.offline()
		case <-d.obu.done:
			if d.recordingIsOver() {
				return nil
			}
			return d.obu.failure("ended")
		case <-waiting.Done():
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			return d.obu.failure("did not come back " + resumeLimit.String() + " after the link did")
		}
	}
	return d.watch(ctx, after, d.online)
}

// resumeLimit is how long the agent may take to come back: its back-off, a
// connect and the next live interval on a busy machine.
const resumeLimit = reconnectMax + 10*time.Second

// watch prints the line of the car for d.
func (d *demo) watch(ctx context.Context, long time.Duration, line func()) error {
	end := time.After(long)
	tick := time.NewTicker(showEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			line()
		case <-end:
			return nil
		case <-d.obu.done:
			if d.recordingIsOver() {
				return nil
			}
			return d.obu.failure("ended")
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// recordingIsOver reports whether the agent, which has ended, did so because
// it has read and delivered everything.
func (d *demo) recordingIsOver() bool { return d.Drive != "" && d.obu.err == nil }

func (d *demo) online() { d.line(plain, "  %s", d.cloud.state(monotonic())) }

// offline prints what the agent says of itself: the cloud hears nothing.
func (d *demo) offline() {
	h := d.held(context.Background())
	d.line(yellow, "  no link   stored: %s values in %d batches, %s bytes, oldest %.0f s", thousands(h.values), h.batches, thousands(h.bytes), h.oldest)
}

// held asks the agent what it holds; nothing when it does not answer.
func (d *demo) held(ctx context.Context) held {
	s, err := d.obu.status(ctx)
	if err != nil {
		return held{}
	}
	return heldBy(s)
}

// drain waits until the agent holds nothing of the car and ends it.
func (d *demo) drain(ctx context.Context) error {
	for quiet := 0; quiet < 3 && sleep(ctx, 300*time.Millisecond); {
		s, err := d.obu.status(ctx)
		if err == nil && heldBy(s).batches == 0 && d.clipsTaken(s) {
			quiet++
		} else {
			quiet = 0
		}
	}
	if ctx.Err() != nil {
		h := d.held(context.WithoutCancel(ctx))
		return fmt.Errorf("%w; the agent still stores %d values in %d batches", context.Cause(ctx), h.values, h.batches)
	}
	err := d.obu.stop()
	sleep(ctx, 500*time.Millisecond) // what is on its way from the broker
	return err
}

// clipsTaken reports whether the agent has taken every clip the car has
// finished: one that was finished last still settles when the car is parked.
func (d *demo) clipsTaken(s *agent.Status) bool {
	if d.car == nil {
		return true
	}
	taken := 0.0
	for _, src := range s.Sources {
		if stats, ok := src.Stats.(map[string]any); ok && src.Kind == "dashcam" {
			clips, _ := stats["clips"].(float64)
			lost, _ := stats["lost"].(float64)
			taken += clips + lost
		}
	}
	return taken >= float64(len(d.car.Journal().Recordings()))
}

// ledger prints the account and judges it.
func (d *demo) ledger() error {
	a := d.cloud.account(d.expect)
	d.text(bold, "\nThe ledger: what the car emitted against what the cloud has")
	row := func(name, value, note string) { d.text(plain, "  %-18s %12s   %s", name, value, d.paint(dim, note)) }
	row("values emitted", thousands(int64(a.Emitted)), "readings, fixes and clips, from the car's own journal")
	row("received", thousands(int64(a.Received)), "compared value by value, clips by SHA-256")
	row("missing", fmt.Sprint(a.Missing), "emitted, not received")
	row("holes", fmt.Sprint(a.Holes), "sequence numbers nobody accounts for")
	row("gaps", fmt.Sprint(a.Gaps), "losses the agent itself listed")
	row("copies", fmt.Sprint(a.Copies), "batches that came twice and were dropped by name")
	row("bytes on the wire", thousands(d.link.Bytes.Load()), "MQTT, both directions, clips included")
	for _, g := range a.listed.all() {
		d.text(dim, "  - %s", g)
	}
	for _, p := range a.problems.all() {
		d.text(red, "  ! %s", p)
	}
	if a.Emitted == 0 || a.Missing > 0 || !a.clean() {
		d.text(red, "\nNOT CLEAN")
		return errUnclean
	}
	d.text(green, "\nNothing is missing.")
	return nil
}
