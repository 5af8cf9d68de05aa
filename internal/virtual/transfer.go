package virtual

import (
	"context"
	"time"

	"obu/can"
)

// transfer is an ISO 15765-2 message on its way out of an ECU. It is cut here and
// not by isotp.Sender: what both ends of a test have in common cannot be found
// wrong by it, and an ECU has to break off and to misbehave, which no Sender does.
type transfer struct {
	rest   []byte // not sent yet
	seq    byte   // sequence number of the next consecutive frame
	values []said // journalled when the last frame is out
}

// begin sends reply as one frame, or its first frame; the rest follows the
// tester's flow control. A transfer that was waiting is given up.
func (c *Car) begin(bus can.Bus, e *ecu, reply []byte, values []said, o ECUOptions) error {
	e.out = transfer{}
	if len(reply) <= 7 {
		err := bus.Send(e.frame(append([]byte{byte(len(reply))}, reply...), o))
		if err == nil {
			c.said(e, values)
		}
		return err
	}
	first := append([]byte{0x10 | byte(len(reply)>>8), byte(len(reply))}, reply[:6]...)
	if e.out = (transfer{rest: reply[6:], seq: 1, values: values}); o.UDS.Fault == UDSBreaksOff && reply[0] == serviceData+positive {
		e.out = transfer{}
	}
	return bus.Send(e.frame(first, o))
}

// proceed obeys a flow control frame: continue, wait or give up.
func (c *Car) proceed(ctx context.Context, bus can.Bus, e *ecu, f *can.Frame, o ECUOptions) error {
	if len(e.out.rest) == 0 || f.Len < 3 {
		return nil
	}
	switch f.Data[0] & 15 {
	case 0: // continue to send
	case 1: // wait
		return nil
	default: // overflow
		e.out = transfer{}
		return nil
	}
	block, gap := int(f.Data[1]), separation(f.Data[2])
	for sent := 0; len(e.out.rest) > 0 && (block == 0 || sent < block); sent++ {
		if gap > 0 && !pause(ctx, gap) {
			return nil
		}
		n := min(7, len(e.out.rest))
		frame := append([]byte{0x20 | e.out.seq}, e.out.rest[:n]...)
		if err := bus.Send(e.frame(frame, o)); err != nil {
			return err
		}
		e.out.rest, e.out.seq = e.out.rest[n:], (e.out.seq+1)&15
	}
	if len(e.out.rest) == 0 {
		c.said(e, e.out.values)
		e.out = transfer{}
	}
	return nil
}

// separation reads STmin (ISO 15765-2, 9.6.5.4).
func separation(b byte) time.Duration {
	switch {
	case b <= 0x7F:
		return time.Duration(b) * time.Millisecond
	case b >= 0xF1 && b <= 0xF9:
		return time.Duration(b-0xF0) * 100 * time.Microsecond
	}
	return 127 * time.Millisecond // reserved values mean the longest
}

// frame pads data to eight bytes, as ISO 15765-4 demands.
func (e *ecu) frame(data []byte, o ECUOptions) can.Frame {
	f := can.Frame{ID: e.response, Extended: o.Extended, Len: 8}
	for i := copy(f.Data[:8], data); i < 8; i++ {
		f.Data[i] = 0xAA
	}
	return f
}

// said journals what an answer carried.
func (c *Car) said(e *ecu, values []said) {
	at := c.clk.Now()
	for _, v := range values {
		key := SeriesKey{v.signal, e.address + v.of}
		if v.frozen {
			key.Address += "/freeze"
		}
		c.journal.Read(key, at, v.value)
	}
}
