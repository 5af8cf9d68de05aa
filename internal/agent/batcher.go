package agent

import (
	"sync"

	"obu/telemetry"
)

// maxHeld bounds the values waiting in memory for the next commit. At the
// city load of 235 values a second it is a minute and a half of a disk that
// does not answer; at 100 bytes a value it is about 2 MB.
const maxHeld = 20000

// batcher is the first owner of every datum: it collects what the sources
// emit until the flush takes it. It belongs to all sources and the flush, so
// its fields are under one mutex. When it is full the newest value is dropped,
// counted and listed as one Gap per flush.
type batcher struct {
	now  func() telemetry.At
	boot telemetry.BootID

	mu        sync.Mutex
	telemetry telemetry.Content
	event     telemetry.Content
	health    telemetry.Content
	held      int
	lost      []telemetry.Gap // reported by sources, handed on as they are
	over      telemetry.Gap   // what did not fit since the last take
	drops     uint64
	values    uint64
}

func (b *batcher) room(n int) bool {
	if b.held+n > maxHeld {
		b.drops += uint64(n)
		if b.over.Count == 0 {
			b.over = telemetry.Gap{Class: telemetry.ClassTelemetry, Boot: b.boot, From: b.now(), Reason: telemetry.ReasonBatcherFull}
		}
		b.over.Count += int64(n)
		b.over.To = b.now()
		return false
	}
	b.held += n
	b.values += uint64(n)
	return true
}

// samples takes readings into the telemetry class.
func (b *batcher) samples(s []telemetry.Sample) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.room(len(s)) {
		b.telemetry.Samples = append(b.telemetry.Samples, s...)
	}
}

// fix takes a position into the telemetry class.
func (b *batcher) fix(f telemetry.Fix) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.room(1) {
		b.telemetry.Fixes = append(b.telemetry.Fixes, f)
	}
}

// events takes rare facts (a VIN, trouble codes) into the event class.
func (b *batcher) events(s []telemetry.Sample) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.room(len(s)) {
		b.event.Samples = append(b.event.Samples, s...)
	}
}

// statistics takes the unit's own figures into the health class.
func (b *batcher) statistics(s []telemetry.Sample) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.room(len(s)) {
		b.health.Samples = append(b.health.Samples, s...)
	}
}

// gap takes a loss that a source reports.
func (b *batcher) gap(g telemetry.Gap) {
	if g.Boot.IsZero() {
		g.Boot = b.boot
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.lost = append(b.lost, g)
}

// taken is what one flush hands to the store.
type taken struct {
	telemetry, event, health telemetry.Content
	lost                     []telemetry.Gap
}

func (b *batcher) take() taken {
	b.mu.Lock()
	defer b.mu.Unlock()
	t := taken{telemetry: b.telemetry, event: b.event, health: b.health, lost: b.lost}
	if b.over.Count > 0 {
		t.lost = append(t.lost, b.over)
	}
	b.telemetry, b.event, b.health = telemetry.Content{}, telemetry.Content{}, telemetry.Content{}
	b.lost, b.over, b.held = nil, telemetry.Gap{}, 0
	return t
}

func (b *batcher) counts() (held int, values, drops uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.held, b.values, b.drops
}
