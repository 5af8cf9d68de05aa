package can

import (
	"time"

	"obu/internal/clock"
)

// NewFDBus is a Bus over any packet socket that carries struct can_frame.
func NewFDBus(dev device, clk *clock.Clock, ends bool) (Bus, error) {
	return newFDBus(dev, clk, ends)
}

// ParseFrame reads what the kernel hands over.
func ParseFrame(p []byte) (Frame, bool) { return parseFrame(p) }

// FormatFrame writes what the kernel takes.
func FormatFrame(f *Frame) []byte {
	var p [sizeFrameFD]byte
	return p[:formatFrame(&p, f)]
}

// Pace is the clock by which buses are read.
func Pace() time.Duration { return pace() }

// GatherAfter is how often a bus is read, given how long ago something was sent.
func GatherAfter(silence time.Duration) time.Duration { return gatherAfter(silence) }

// The windows of a request.
const (
	AnswerWindow  = answerWindow
	PendingWindow = pendingWindow
)

// RawFilters is how many filters the kernel is given, and whether they pass
// every frame.
func RawFilters(filters []Filter) (n int, all bool) {
	out := rawFilters(filters)
	return len(out), len(out) == 1 && out[0].Id == 0 && out[0].Mask == 0
}
