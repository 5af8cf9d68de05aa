package can

import "time"

const (
	// rxBuffer is the receive buffer asked for; the kernel doubles it. That is
	// backlogGoal of a full bus of 1 Mbit/s.
	rxBuffer = 8 << 20
	// frameBytes is what the kernel accounts for a frame that waits.
	frameBytes = 800
	// backlogGoal is how long the agent may stand still on a full bus, be it
	// for a slow disk, before frames are lost.
	backlogGoal = 2 * time.Second
	// fullFrameBits is a standard frame with 8 bytes, without stuff bits.
	fullFrameBits = 111
)

// backlog returns how long a receive buffer holds what a full bus brings.
func backlog(buffer, bitrate int) time.Duration {
	frames := int64(buffer / frameBytes)
	return time.Duration(frames * fullFrameBits * int64(time.Second) / int64(bitrate))
}

// judgeBacklog notes what the kernel gave, and says what to do where it is too
// little.
func (r *session) judgeBacklog() {
	b, ok := r.bus.(interface{ ReceiveBuffer() int })
	if !ok || b.ReceiveBuffer() == 0 {
		return
	}
	holds := backlog(b.ReceiveBuffer(), r.rate)
	r.n.backlog.Store(int64(holds))
	if holds < backlogGoal {
		r.log.Warn("the kernel's receive buffer is small: frames are lost when the unit stands still for longer; allow more: sysctl -w net.core.rmem_max=8388608, and for ever: echo net.core.rmem_max=8388608 > /etc/sysctl.d/60-obu.conf",
			"full_bus", holds.Round(time.Millisecond), "wanted", backlogGoal)
	}
}
