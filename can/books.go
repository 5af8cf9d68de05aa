package can

import (
	"context"
	"time"

	"obu/telemetry"
)

// bookEvery is how long losses are summed up before they are listed.
const bookEvery = time.Second

// keepBooks lists losses each second and measures the bus.
func (r *session) keepBooks(ctx context.Context) {
	tick := time.NewTicker(bookEvery)
	defer tick.Stop()
	watch := newWatch(r)
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		now := r.cfg.Clock.Now()
		r.mu.Lock()
		r.dec.expire(now)
		r.books(now)
		r.mu.Unlock()
		watch.look(now)
		load := r.bits.Swap(0) * 1000 / uint64(r.rate)
		r.n.loadPermille.Store(load)
	}
}

// books lists what was lost since it was called last. r.mu is held.
func (r *session) books(now telemetry.At) {
	if d := r.bus.Drops(); d != r.drops {
		why := telemetry.ReasonRXOverflow
		if r.replay {
			why = telemetry.ReasonDecode // lines that could not be read
		}
		r.n.drops.Add(d - r.drops)
		r.losses.add(lossKey{why, telemetry.Source{Bus: r.cfg.Name}}, now, int64(d-r.drops))
		r.drops = d
	}
	if r.dbc != nil {
		r.dbc.books(now)
	}
	if r.j1939 != nil {
		r.j1939.books(now)
	}
	oldest := min(now, r.tell(now))
	if r.dbc != nil {
		oldest = min(oldest, r.dbc.changes.oldest)
	}
	if r.j1939 != nil {
		oldest = min(oldest, r.j1939.changes.oldest, r.j1939.facts.oldest)
	}
	r.since.Store(int64(oldest)) // what comes from now on is newer
	r.losses.flush()
}

// finish closes the books.
func (r *session) finish() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.n.setState("")
	r.n.setClaim("")
	r.quiet = r.gate.quiet
	if p := r.poller.Load(); p != nil {
		r.quiet = p.leftOff()
	}
	if c := r.n.controller.leave(); r.off {
		r.listOff(c.Since, r.cfg.Clock.Now())
	}
	r.dec.flush()
	if r.dbc != nil {
		r.dbc.finish()
	}
	if r.j1939 != nil {
		r.j1939.finish()
	}
	r.books(r.cfg.Clock.Now())
	r.tell(never)
	r.since.Store(int64(never))
}

// emit passes on what Rules leave of samples that ECUs were asked for.
func (r *session) emit(samples []telemetry.Sample) {
	r.emitMu.Lock()
	defer r.emitMu.Unlock()
	r.deliver(r.kept.take(samples), r.cfg.Emit)
}

// give passes on samples that were selected already.
func (r *session) give(samples []telemetry.Sample) {
	r.emitMu.Lock()
	defer r.emitMu.Unlock()
	r.deliver(samples, r.cfg.Emit)
}

// event passes on facts.
func (r *session) event(samples []telemetry.Sample) {
	r.emitMu.Lock()
	defer r.emitMu.Unlock()
	r.deliver(r.kept.facts(samples), r.cfg.Event)
}

// deliver counts samples on their way. r.emitMu is held.
func (r *session) deliver(samples []telemetry.Sample, to func([]telemetry.Sample)) {
	if len(samples) > 0 {
		r.n.samples.Add(uint64(len(samples)))
		to(samples)
	}
}

// tell passes on what waited for its turn, and returns when the oldest came that
// waits on.
func (r *session) tell(now telemetry.At) telemetry.At {
	r.emitMu.Lock()
	defer r.emitMu.Unlock()
	if r.kept == nil {
		return never
	}
	r.deliver(r.kept.tell(now), r.cfg.Emit)
	return r.kept.oldest
}
