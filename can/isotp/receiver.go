package isotp

import (
	"encoding/binary"
	"time"

	"obu/telemetry"
)

// Message is one reassembled message.
type Message struct {
	Address
	At      telemetry.At // of its single or first frame
	Frames  int
	Payload []byte // valid during the call of Deliver only
}

// Fault is one transfer that broke.
type Fault struct {
	Address
	At     telemetry.At // of its first frame, or of the frame that could not be read
	Reason Reason
	Got    int // payload bytes received
	Want   int // payload bytes announced
}

// ReceiverConfig says what a Receiver does with what it hears. Deliver is
// required; the functions are called from within Feed, Expire and Flush.
type ReceiverConfig struct {
	// Addressing of every frame that is fed; senders that differ take a
	// Receiver each.
	Addressing Addressing
	Deliver    func(Message)
	Damaged    func(Fault)
	// Permit reports whether a first frame, received at the given time, answers
	// our own outstanding request, so that Reply may send flow control. Nil:
	// never (passive).
	Permit func(from Address, at telemetry.At, first []byte) bool
	// Reply sends flow control to a sender. An error ends the transfer.
	Reply func(to Address, fc FlowControl) error
	// BlockSize and STmin are what flow control asks for.
	BlockSize uint8
	STmin     time.Duration
}

// Receiver reassembles the messages of many senders. Its memory is bounded by
// MaxTransfers messages of 4,095 bytes and MaxLong of MaxLength. It is used by
// one goroutine at a time.
type Receiver struct {
	cfg  ReceiverConfig
	head int // data bytes in front of the PCI
	open map[uint64]*transfer
	long int         // open ones above maxShort
	free []*transfer // spent ones, kept for their buffers
}

// transfer is one multi-frame message under way.
type transfer struct {
	from     Address
	at, last telemetry.At
	want     int
	frames   int
	dl       int   // bytes of each frame but the last: RX_DL
	block    uint8 // frames left until flow control is due; 0: none due
	next     uint8 // expected sequence number
	ours     bool  // we answer with flow control
	cleared  bool  // and it was the last that happened
	buf      []byte
}

// NewReceiver returns a Receiver without transfers.
func NewReceiver(cfg ReceiverConfig) *Receiver {
	return &Receiver{cfg: cfg, head: cfg.Addressing.head(), open: make(map[uint64]*transfer)}
}

// key makes one word of an Address: a faster map.
func (a Address) key() uint64 { return uint64(a.ID)<<8 | uint64(a.Ext) }

// Open returns the number of transfers under way.
func (r *Receiver) Open() int { return len(r.open) }

// Feed takes the data bytes of one frame. Frames of one identifier come in
// the order of the bus.
func (r *Receiver) Feed(at telemetry.At, id uint32, data []byte) {
	from := Address{ID: id}
	ext, pdu, ok := r.cfg.Addressing.Split(data)
	if !ok {
		r.fault(Fault{At: at, Address: from, Reason: ReasonMalformed, Got: len(data)})
		return
	}
	from.Ext = ext
	switch pdu[0] >> 4 {
	case pciSingle:
		r.single(at, from, pdu)
	case pciFirst:
		r.first(at, from, pdu)
	case pciConsecutive:
		r.consecutive(at, from, pdu)
	case pciFlow: // between others, or to a Sender
	default:
		r.fault(Fault{At: at, Address: from, Reason: ReasonMalformed})
	}
}

func (r *Receiver) single(at telemetry.At, from Address, pdu []byte) {
	n, head := int(pdu[0]&0xF), 1
	fd := r.head+len(pdu) > 8
	if fd && n == 0 { // the length is the second byte
		n, head = int(pdu[1]), 2
	}
	if n == 0 || head+n > len(pdu) || fd && head == 1 {
		r.fault(Fault{At: at, Address: from, Reason: ReasonLength, Want: n, Got: len(pdu) - head})
		return
	}
	if len(r.open) > 0 {
		r.abandon(from, ReasonAborted)
	}
	r.cfg.Deliver(Message{At: at, Address: from, Frames: 1, Payload: pdu[head : head+n]})
}

// longest returns what a single frame carries among frames of so many bytes.
func longest(dl, head int) int {
	if dl > 8 {
		head++ // the length has a byte of its own
	}
	return dl - head - 1
}

func (r *Receiver) first(at telemetry.At, from Address, pdu []byte) {
	dl := r.head + len(pdu)
	if dl < 8 {
		r.fault(Fault{At: at, Address: from, Reason: ReasonMalformed, Got: len(pdu)})
		return
	}
	want, head := int(pdu[0]&0xF)<<8|int(pdu[1]), 2
	if want == 0 { // escape: 32-bit length
		want, head = int(min(binary.BigEndian.Uint32(pdu[2:6]), 1<<30)), 6
	}
	if want <= longest(dl, r.head) || head == 6 && want <= maxShort {
		r.fault(Fault{At: at, Address: from, Reason: ReasonLength, Want: want})
		return
	}
	r.abandon(from, ReasonAborted)
	ours := r.cfg.Permit != nil && r.cfg.Permit(from, at, pdu[head:])
	if why := r.room(at, want); why != reasons {
		r.fault(Fault{At: at, Address: from, Reason: why, Want: want})
		if ours {
			_ = r.cfg.Reply(from, FlowControl{Status: Overflow}) // the transfer is refused already
		}
		return
	}
	t := r.take()
	*t = transfer{from: from, at: at, last: at, want: want, frames: 1, next: 1, dl: dl, ours: ours, buf: append(t.buf[:0], pdu[head:]...)}
	r.open[from.key()] = t
	if want > maxShort {
		r.long++
	}
	if ours {
		r.clear(t)
	}
}

// room reports why a message of so many bytes cannot begin; reasons: it can.
func (r *Receiver) room(at telemetry.At, want int) Reason {
	switch {
	case want > MaxLength:
		return ReasonLength
	case len(r.open) >= MaxTransfers && !r.evictStale(at, 0), want > maxShort && r.long >= MaxLong && !r.evictStale(at, maxShort):
		return ReasonCrowded
	}
	return reasons
}

func (r *Receiver) consecutive(at telemetry.At, from Address, pdu []byte) {
	t, ok := r.open[from.key()]
	if !ok {
		r.fault(Fault{At: at, Address: from, Reason: ReasonUnexpected})
		return
	}
	if t.late(at) {
		r.end(t, ReasonTimeout)
		return
	}
	if pdu[0]&0xF != t.next {
		r.end(t, ReasonSequence)
		return
	}
	dl := r.head + len(pdu)
	t.last, t.next, t.cleared = at, (t.next+1)&0xF, false
	t.frames++
	t.buf = append(t.buf, pdu[1:min(len(pdu), 1+t.want-len(t.buf))]...)
	if len(t.buf) < t.want {
		if dl != t.dl { // only the last frame may be short
			r.end(t, ReasonLength)
			return
		}
		r.flow(t)
		return
	}
	if dl > t.dl {
		r.end(t, ReasonLength)
		return
	}
	r.close(t)
	r.cfg.Deliver(Message{At: t.at, Address: from, Frames: t.frames, Payload: t.buf})
	r.keep(t)
}

// flow sends the flow control that a full block waits for.
func (r *Receiver) flow(t *transfer) {
	if !t.ours || r.cfg.BlockSize == 0 {
		return
	}
	if t.block--; t.block == 0 {
		r.clear(t)
	}
}

// clear asks for the next block.
func (r *Receiver) clear(t *transfer) {
	t.block, t.cleared = r.cfg.BlockSize, true
	if r.cfg.Reply(t.from, FlowControl{ContinueToSend, r.cfg.BlockSize, r.cfg.STmin}) != nil {
		r.end(t, ReasonUnsent)
	}
}

// Expire ends the transfers whose next frame is overdue at the given time.
func (r *Receiver) Expire(at telemetry.At) {
	for _, t := range r.open {
		if t.late(at) {
			r.end(t, ReasonTimeout)
		}
	}
}

// Flush ends every open transfer: the input is over.
func (r *Receiver) Flush() {
	for _, t := range r.open {
		r.end(t, ReasonUnfinished)
	}
}
