package clock

import (
	"sync"
	"time"

	"obu/telemetry"
)

// stepTolerance is how far the wall clock may move against time since boot
// between two looks without counting as stepped: what reading two clocks one
// after the other costs, plus what a time daemon may slew.
const (
	stepTolerance = time.Millisecond
	slewPPM       = 500
)

// stepQuarantine is how long after a step kernel stamps are refused: frames
// stamped before it may still wait in a receive queue, and nothing tells them
// from later ones.
const stepQuarantine = time.Second

// kernelClock turns the kernel's receive stamps, which are wall clock, into
// time since boot.
type kernelClock struct {
	mu      sync.Mutex
	seen    bool
	looked  telemetry.At  // of the last look
	offset  time.Duration // wall clock (since 1970) minus time since boot
	refused telemetry.At  // stamps are refused until then
}

// FromKernel converts the kernel's wall-clock receive stamp of a packet that
// was just read into time since boot, by reading both clocks now. Call it
// after each receive. With ok false the wall clock was stepped between this
// call and the one before (or up to a second ago), or the stamp lies in the
// future: at is then the time of reading, and the datum's quality has to say
// so. On a replay the stamp is the recording's, and ok is false before its
// start.
func (c *Clock) FromKernel(stamp time.Time) (at telemetry.At, ok bool) {
	if c.replay != nil {
		base := c.wall.replayStart()
		if base.IsZero() || stamp.Before(base) {
			return c.Now(), false
		}
		return telemetry.At(stamp.Sub(base)), true
	}
	before := c.read()
	wall := c.opt.stamping()
	now := c.read()
	width := now.Sub(before)
	offset := time.Duration(wall.UnixNano()) - time.Duration(before) - width/2

	k := &c.kernel
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.seen {
		slack := stepTolerance + width + now.Sub(k.looked)/1e6*slewPPM
		if (offset - k.offset).Abs() > slack {
			k.refused = now.Add(stepQuarantine)
		}
	}
	k.seen, k.looked, k.offset = true, now, offset
	if k.refused != 0 && now < k.refused {
		return now, false
	}
	at = telemetry.At(time.Duration(stamp.UnixNano()) - offset)
	if at > now {
		if at.Sub(now) > stepTolerance+width {
			return now, false
		}
		at = now
	}
	if at < 0 {
		return now, false
	}
	return at, true
}
