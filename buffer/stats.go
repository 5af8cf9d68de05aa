package buffer

import "time"

type counters struct {
	commits uint64
	last    time.Duration
	slowest time.Duration
}

func (b *Buffer) committed(d time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.stats.commits++
	b.stats.last = d
	b.stats.slowest = max(b.stats.slowest, d)
}
