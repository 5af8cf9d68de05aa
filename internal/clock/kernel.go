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

// FromKernel is Look and its FromKernel, for one packet.
func (c *Clock) FromKernel(stamp time.Time) (at telemetry.At, ok bool) {
	return c.Look().FromKernel(stamp.UnixNano())
}

// Look is one look at the kernel's wall clock beside time since boot: it
// converts the receive stamps of the packets that were just read.
type Look struct {
	Now    telemetry.At // of the look
	offset int64        // wall clock minus time since boot, in ns
	width  time.Duration
	usable bool
	replay bool
}

// Look reads both clocks. Call it after each receive, before the next one: it
// holds for all that this receive returned. Reading them costs three system
// calls, more than all the rest a frame needs.
func (c *Clock) Look() Look {
	if c.replay != nil {
		base := c.wall.replayStart()
		l := Look{Now: c.Now(), replay: true, usable: !base.IsZero()}
		if l.usable {
			l.offset = base.UnixNano()
		}
		return l
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
	return Look{Now: now, offset: int64(offset), width: width, usable: k.refused == 0 || now >= k.refused}
}

// FromKernel converts the kernel's wall-clock receive stamp, in ns since 1970,
// into time since boot. With ok false the wall clock was stepped between this
// look and the one before (or up to a second ago), or the stamp lies in the
// future: at is then the time of the look, and the datum's quality has to say
// so. On a replay the stamp is the recording's, and ok is false before its
// start.
func (l Look) FromKernel(stamp int64) (at telemetry.At, ok bool) {
	at = telemetry.At(stamp - l.offset)
	switch {
	case !l.usable || at < 0:
		return l.Now, false
	case l.replay || at <= l.Now:
		return at, true
	case at.Sub(l.Now) > stepTolerance+l.width:
		return l.Now, false
	}
	return l.Now, true
}
