package isotp

import (
	"encoding/binary"
	"time"

	"obu/telemetry"
)

// Message is one reassembled message.
type Message struct {
	At      telemetry.At // of its single or first frame
	ID      uint32
	Frames  int
	Payload []byte // valid during the call of Deliver only
}

// Fault is one transfer that broke.
type Fault struct {
	At     telemetry.At // of its first frame, or of the frame that could not be read
	ID     uint32
	Reason Reason
	Got    int // payload bytes received
	Want   int // payload bytes announced
}

// ReceiverConfig says what a Receiver does with what it hears. Deliver is
// required; the functions are called from within Feed, Expire and Flush.
type ReceiverConfig struct {
	Deliver func(Message)
	Damaged func(Fault)
	// Permit reports whether a first frame answers our own outstanding
	// request, so that Reply may send flow control. Nil: never (passive).
	Permit func(id uint32, first []byte) bool
	// Reply sends flow control to the sender of id.
	Reply func(id uint32, fc FlowControl)
	// BlockSize and STmin are what flow control asks for.
	BlockSize uint8
	STmin     time.Duration
}

// Receiver reassembles the messages of many senders. Its memory is bounded by
// MaxTransfers times MaxLength. It is used by one goroutine at a time.
type Receiver struct {
	cfg  ReceiverConfig
	open map[uint32]*transfer
	free []*transfer // spent ones, kept for their buffers
}

// transfer is one multi-frame message under way.
type transfer struct {
	at, last telemetry.At
	want     int
	frames   int
	block    uint8 // frames left until flow control is due; 0: none due
	next     uint8 // expected sequence number
	ours     bool  // we answer with flow control
	buf      []byte
}

// NewReceiver returns a Receiver without transfers.
func NewReceiver(cfg ReceiverConfig) *Receiver {
	return &Receiver{cfg: cfg, open: make(map[uint32]*transfer)}
}

// Open returns the number of transfers under way.
func (r *Receiver) Open() int { return len(r.open) }

// Feed takes the data bytes of one frame. Frames of one identifier come in
// the order of the bus.
func (r *Receiver) Feed(at telemetry.At, id uint32, data []byte) {
	if len(data) == 0 {
		r.fault(Fault{At: at, ID: id, Reason: ReasonMalformed})
		return
	}
	switch data[0] >> 4 {
	case pciSingle:
		r.single(at, id, data)
	case pciFirst:
		r.first(at, id, data)
	case pciConsecutive:
		r.consecutive(at, id, data)
	case pciFlow: // between others, or to a Sender
	default:
		r.fault(Fault{At: at, ID: id, Reason: ReasonMalformed})
	}
}

func (r *Receiver) single(at telemetry.At, id uint32, data []byte) {
	n, head := int(data[0]&0xF), 1
	if n == 0 && len(data) > 8 { // CAN FD: the length is the second byte
		n, head = int(data[1]), 2
	}
	if n == 0 || head+n > len(data) || head == 1 && n > 7 {
		r.fault(Fault{At: at, ID: id, Reason: ReasonLength, Want: n, Got: len(data) - head})
		return
	}
	if len(r.open) > 0 {
		r.abandon(id, ReasonAborted)
	}
	r.cfg.Deliver(Message{At: at, ID: id, Frames: 1, Payload: data[head : head+n]})
}

func (r *Receiver) first(at telemetry.At, id uint32, data []byte) {
	if len(data) < 8 {
		r.fault(Fault{At: at, ID: id, Reason: ReasonMalformed, Got: len(data)})
		return
	}
	r.abandon(id, ReasonAborted)
	want, head := int(data[0]&0xF)<<8|int(data[1]), 2
	if want == 0 { // escape: 32-bit length
		want, head = int(min(binary.BigEndian.Uint32(data[2:6]), 1<<30)), 6
	}
	switch {
	case want > MaxLength:
		r.fault(Fault{At: at, ID: id, Reason: ReasonLength, Want: want})
		if r.cfg.Permit != nil && r.cfg.Permit(id, data[head:]) {
			r.cfg.Reply(id, FlowControl{Status: Overflow})
		}
		return
	case want <= len(data)-head || want < 8: // would have been a single frame
		r.fault(Fault{At: at, ID: id, Reason: ReasonLength, Want: want})
		return
	case len(r.open) >= MaxTransfers && !r.evictStale(at):
		r.fault(Fault{At: at, ID: id, Reason: ReasonCrowded, Want: want})
		return
	}
	t := r.take()
	t.at, t.last, t.want, t.frames, t.next, t.block = at, at, want, 1, 1, 0
	t.buf = append(t.buf[:0], data[head:]...)
	t.ours = r.cfg.Permit != nil && r.cfg.Permit(id, data[head:])
	r.open[id] = t
	if t.ours {
		t.block = r.cfg.BlockSize
		r.cfg.Reply(id, FlowControl{ContinueToSend, r.cfg.BlockSize, r.cfg.STmin})
	}
}

func (r *Receiver) consecutive(at telemetry.At, id uint32, data []byte) {
	t, ok := r.open[id]
	if !ok {
		r.fault(Fault{At: at, ID: id, Reason: ReasonUnexpected})
		return
	}
	if at.Sub(t.last) > TimeoutCr {
		r.abandon(id, ReasonTimeout)
		return
	}
	if data[0]&0xF != t.next {
		r.abandon(id, ReasonSequence)
		return
	}
	t.last, t.next = at, (t.next+1)&0xF
	t.frames++
	t.buf = append(t.buf, data[1:min(len(data), 1+t.want-len(t.buf))]...)
	if len(t.buf) < t.want {
		if len(data) < 8 { // only the last frame may be short
			r.abandon(id, ReasonLength)
			return
		}
		r.flow(id, t)
		return
	}
	delete(r.open, id)
	r.cfg.Deliver(Message{At: t.at, ID: id, Frames: t.frames, Payload: t.buf})
	r.free = append(r.free, t)
}

// flow sends the flow control that a full block waits for.
func (r *Receiver) flow(id uint32, t *transfer) {
	if !t.ours || r.cfg.BlockSize == 0 {
		return
	}
	if t.block--; t.block == 0 {
		t.block = r.cfg.BlockSize
		r.cfg.Reply(id, FlowControl{ContinueToSend, r.cfg.BlockSize, r.cfg.STmin})
	}
}

// Expire ends the transfers whose next frame is overdue at the given time.
func (r *Receiver) Expire(at telemetry.At) {
	for id, t := range r.open {
		if at.Sub(t.last) > TimeoutCr {
			r.abandon(id, ReasonTimeout)
		}
	}
}

// Flush ends every open transfer: the input is over.
func (r *Receiver) Flush() {
	for id := range r.open {
		r.abandon(id, ReasonUnfinished)
	}
}

// evictStale makes room by ending one overdue transfer.
func (r *Receiver) evictStale(at telemetry.At) bool {
	for id, t := range r.open {
		if at.Sub(t.last) > TimeoutCr {
			r.abandon(id, ReasonTimeout)
			return true
		}
	}
	return false
}

func (r *Receiver) abandon(id uint32, why Reason) {
	t, ok := r.open[id]
	if !ok {
		return
	}
	delete(r.open, id)
	r.free = append(r.free, t)
	r.fault(Fault{At: t.at, ID: id, Reason: why, Got: len(t.buf), Want: t.want})
}

func (r *Receiver) fault(f Fault) {
	if r.cfg.Damaged != nil {
		r.cfg.Damaged(f)
	}
}

func (r *Receiver) take() *transfer {
	if n := len(r.free); n > 0 {
		t := r.free[n-1]
		r.free = r.free[:n-1]
		return t
	}
	return &transfer{}
}
