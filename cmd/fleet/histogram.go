package main

import (
	"math"
	"time"
)

// histogram counts durations in buckets 2 % wide, from 10 µs to 11 days, so
// that the latencies of millions of values take 10 kB.
type histogram struct {
	bucket [1280]int64
	n      int64
}

const (
	histogramFirst = 10e-6 // seconds
	histogramStep  = 1.02
)

func (h *histogram) observe(d time.Duration) {
	i := 0
	if s := d.Seconds(); s > histogramFirst {
		i = min(int(math.Log(s/histogramFirst)/math.Log(histogramStep)), len(h.bucket)-1)
	}
	h.bucket[i]++
	h.n++
}

func (h *histogram) add(g *histogram) {
	for i, n := range g.bucket {
		h.bucket[i] += n
	}
	h.n += g.n
}

// quantile returns the duration in seconds below which a share q lies, NaN of
// nothing.
func (h *histogram) quantile(q float64) float64 {
	if h.n == 0 {
		return math.NaN()
	}
	rank := int64(math.Ceil(q * float64(h.n)))
	for i, n := range h.bucket {
		if rank -= n; rank <= 0 {
			return histogramFirst * math.Pow(histogramStep, float64(i)+0.5)
		}
	}
	return histogramFirst * math.Pow(histogramStep, float64(len(h.bucket)))
}
