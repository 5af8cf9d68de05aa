package virtual

import (
	"context"
	"io"
	"sync"
	"time"
)

// GPSOptions says how the receiver behaves, and misbehaves. What it says of the
// time adds up: each setting is one fault of real receivers.
type GPSOptions struct {
	Latency    time.Duration              // from the epoch to its first sentence
	LatencyMax time.Duration              // the latency is drawn anew up to here; 0: it is always Latency
	Drift      time.Duration              // the receiver's clock error: added to the UTC it writes
	Phase      time.Duration              // shifts the moment of the epochs within the second; the UTC written stays whole
	Visible    func(s time.Duration) bool // whether the sky is visible at a time since the start; nil: always

	ColdSecond  time.Duration // added to the UTC of the first epoch with a fix, each time after none
	Leaps       time.Duration // added until the leap seconds are learnt,
	LeapsAfter  time.Duration // so long after the first fix
	LeapSecond  time.Time     // a leap second is inserted before this UTC; zero: none
	WeeksBehind int           // the date is behind by so many weeks, as after a rollover: 1024
}

// sky is what a receiver remembers from epoch to epoch.
type sky struct {
	o       GPSOptions
	r       rng
	valid   bool // the last epoch had a fix
	fixedAt time.Time
}

// late is from an epoch to its first sentence.
func (k *sky) late() time.Duration {
	if k.o.LatencyMax <= k.o.Latency {
		return k.o.Latency
	}
	return k.o.Latency + time.Duration(k.r.float()*float64(k.o.LatencyMax-k.o.Latency))
}

// says returns the UTC that the receiver writes for an epoch, and whether that
// is the leap second itself, which is written as the 60th of its minute.
func (k *sky) says(epoch time.Time, valid bool) (utc time.Time, leap bool) {
	utc = epoch.Add(k.o.Drift)
	if !k.o.LeapSecond.IsZero() && !utc.Before(k.o.LeapSecond) {
		leap = utc.Before(k.o.LeapSecond.Add(time.Second))
		utc = utc.Add(-time.Second)
	}
	if valid {
		if k.fixedAt.IsZero() {
			k.fixedAt = epoch
		}
		if !k.valid {
			utc = utc.Add(k.o.ColdSecond)
		}
		if epoch.Sub(k.fixedAt) < k.o.LeapsAfter {
			utc = utc.Add(k.o.Leaps)
		}
	}
	k.valid = valid
	return utc.AddDate(0, 0, -7*k.o.WeeksBehind), leap
}

// WriteGPS writes the sentences of one epoch a second to w and journals each
// epoch that was written completely. It returns nil after ctx ends. A writer
// that fails (nobody has the device open) loses that epoch, as a wire does:
// it is not journalled.
func (c *Car) WriteGPS(ctx context.Context, w io.Writer, o GPSOptions) error {
	next := c.UTC(c.clk.Now()).Truncate(time.Second).Add(time.Second)
	k := sky{o: o, r: rng(c.seed ^ 0x736b79)}
	for {
		at := c.origin.Add(next.Sub(c.start) + o.Phase + k.late())
		if !pause(ctx, at.Sub(c.clk.Now())) {
			return nil
		}
		state := c.stateAt(c.origin.Add(next.Sub(c.start)))
		valid := o.Visible == nil || o.Visible(next.Sub(c.start))
		utc, leap := k.says(next, valid)
		text, p := epoch(utc, leap, &state, valid)
		if _, err := io.WriteString(w, text); err == nil {
			p.At = c.clk.Now()
			c.journal.Locate(p)
		}
		next = next.Add(time.Second)
		if late := c.UTC(c.clk.Now()).Sub(next); late > 2*time.Second {
			next = next.Add(late.Truncate(time.Second)) // the machine was asleep: no receiver catches up
		}
	}
}

// lineBuffer is what a Line holds for a reader that is slow: 16 s at 4 kB/s.
const lineBuffer = 64 << 10

// Line is a serial line inside one process. Written bytes wait for the
// reader, up to a bound; a line nobody has open takes nothing.
type Line struct {
	mu     sync.Mutex
	wake   *sync.Cond
	open   *lineReader // under mu; nil: nobody listens
	closed bool        // under mu
}

// NewLine returns a line nobody has open yet.
func NewLine() *Line {
	l := &Line{}
	l.wake = sync.NewCond(&l.mu)
	return l
}

// Open returns the reading end. Opening it again closes the earlier one.
func (l *Line) Open(context.Context) (io.ReadCloser, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil, io.ErrClosedPipe
	}
	l.open = &lineReader{line: l}
	l.wake.Broadcast()
	return l.open, nil
}

// Write hands all of p to the reader or fails with io.ErrClosedPipe (nobody
// listens) or io.ErrShortBuffer (the reader is stuck).
func (l *Line) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.open == nil || l.closed:
		return 0, io.ErrClosedPipe
	case len(l.open.held)+len(p) > lineBuffer:
		return 0, io.ErrShortBuffer
	}
	l.open.held = append(l.open.held, p...)
	l.wake.Broadcast()
	return len(p), nil
}

// Close ends the line: the reader gets io.EOF after what is held.
func (l *Line) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	l.wake.Broadcast()
	return nil
}

type lineReader struct {
	line *Line
	held []byte // under line.mu
}

// Read blocks for bytes.
func (r *lineReader) Read(p []byte) (int, error) {
	l := r.line
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(r.held) == 0 {
		if l.open != r || l.closed {
			return 0, io.EOF
		}
		l.wake.Wait()
	}
	n := copy(p, r.held)
	r.held = append(r.held[:0], r.held[n:]...)
	return n, nil
}

// Close hangs up.
func (r *lineReader) Close() error {
	l := r.line
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open == r {
		l.open = nil
	}
	l.wake.Broadcast()
	return nil
}
