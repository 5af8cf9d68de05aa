package agent

import (
	"slices"
	"sync"

	"obu/telemetry"
)

// maxHeld bounds the values waiting in memory for the next commit. At the
// city load of 235 values a second it is a minute and a half of a disk that
// does not answer; at 100 bytes a value it is about 2 MB.
const maxHeld = 20000

// maxLost bounds the Gaps waiting for the next commit. Past it a loss widens
// the row of its class and reason, for which there is room for maxKinds more,
// several times the kinds there are; past that one of its class. Nothing goes
// unlisted, or listed as what it was not.
const (
	maxLost  = 256
	maxKinds = 64
)

// maxAhead bounds the room that is made for samples before they come: a burst
// must not keep its memory. It is about 100 kB.
const maxAhead = 1024

// batcher is the first owner of every datum: it collects what the sources
// emit until the flush takes it. It belongs to all sources and the flush, so
// its fields are under one mutex. When it is full the newest value is dropped,
// counted and listed as one Gap per class and flush.
type batcher struct {
	now  func() telemetry.At
	boot telemetry.BootID

	mu        sync.Mutex
	telemetry telemetry.Content
	event     telemetry.Content
	health    telemetry.Content
	held      int
	lost      []telemetry.Gap                   // reported by sources, handed on as they are
	over      map[telemetry.Class]telemetry.Gap // what did not fit since the last take
	drops     uint64
	values    uint64
}

// room reports whether n more values fit; if not they are lost. b.mu is held.
func (b *batcher) room(class telemetry.Class, n int) bool {
	if b.held+n > maxHeld {
		b.drops += uint64(n)
		g, ok := b.over[class]
		if !ok {
			g = telemetry.Gap{Class: class, Boot: b.boot, From: b.now(), Reason: telemetry.ReasonBatcherFull}
		}
		g.Count += int64(n)
		g.To = b.now()
		if b.over == nil {
			b.over = make(map[telemetry.Class]telemetry.Gap)
		}
		b.over[class] = g
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
	if b.room(telemetry.ClassTelemetry, len(s)) {
		b.telemetry.Samples = append(b.telemetry.Samples, s...)
	}
}

// fix takes a position into the telemetry class.
func (b *batcher) fix(f telemetry.Fix) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.room(telemetry.ClassTelemetry, 1) {
		f.Detail = nil // it does not travel, and is larger than the fix
		b.telemetry.Fixes = append(b.telemetry.Fixes, f)
	}
}

// events takes rare facts (a VIN, trouble codes) into the event class.
func (b *batcher) events(s []telemetry.Sample) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.room(telemetry.ClassEvent, len(s)) {
		b.event.Samples = append(b.event.Samples, s...)
	}
}

// statistics takes the unit's own figures into the health class.
func (b *batcher) statistics(s []telemetry.Sample) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.room(telemetry.ClassHealth, len(s)) {
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
	i := -1
	if len(b.lost) >= maxLost {
		i = slices.IndexFunc(b.lost, func(l telemetry.Gap) bool { return l.Class == g.Class && l.Reason == g.Reason && l.Boot == g.Boot })
	}
	if i < 0 && len(b.lost) >= maxLost+maxKinds {
		if i = slices.IndexFunc(b.lost, func(l telemetry.Gap) bool { return l.Class == g.Class && l.Boot == g.Boot }); i >= 0 {
			g.Count = telemetry.CountUnknown // of its reason
		}
	}
	if i < 0 { // a boot has a handful of classes
		b.lost = append(b.lost, g)
		return
	}
	b.lost[i] = widened(b.lost[i], g)
}

// widened returns a grown over b, which is of the same boot.
func widened(a, b telemetry.Gap) telemetry.Gap {
	if a.Source != b.Source {
		a.Source = ""
	}
	a.From, a.To = min(a.From, b.From), max(a.To, b.To)
	if a.Count == telemetry.CountUnknown || b.Count == telemetry.CountUnknown {
		a.Count = telemetry.CountUnknown
	} else {
		a.Count += b.Count
	}
	return a
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
	for _, class := range telemetry.Classes {
		if g, ok := b.over[class]; ok {
			t.lost = append(t.lost, g)
		}
	}
	b.telemetry, b.event, b.health = telemetry.Content{}, telemetry.Content{}, telemetry.Content{}
	if n := len(t.telemetry.Samples); n > 0 { // the next second is much like this one
		b.telemetry.Samples = make([]telemetry.Sample, 0, min(n+n/8, maxAhead)) // a little more: growing copies all
	}
	b.lost, b.over, b.held = nil, nil, 0
	return t
}

func (b *batcher) counts() (held int, values, drops uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.held, b.values, b.drops
}
