package isotp

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"
)

// Errors of a Sender; each ends the transfer.
var (
	// ErrTooLong: the message is empty or longer than MaxLength.
	ErrTooLong = errors.New("message is empty or too long for ISO-TP")
	// ErrFrameLength: TXDL is no length of a CAN FD frame.
	ErrFrameLength = errors.New("frames have 8, 12, 16, 20, 24, 32, 48 or 64 bytes")
	// ErrOverflow: the receiver has no room for the message.
	ErrOverflow = errors.New("receiver reports overflow")
	// ErrTimeout: no flow control came within TimeoutBs.
	ErrTimeout = errors.New("no flow control in time")
	// ErrWaits: the receiver asked to wait more than MaxWaits times.
	ErrWaits = errors.New("receiver keeps asking to wait")
	// ErrFlowStatus: the receiver answered with a reserved flow status.
	ErrFlowStatus = errors.New("flow control with a reserved status")
)

// Conn is what a Sender needs of the world: frames out, flow control in, time.
type Conn interface {
	// SendFrame puts the bytes of one frame on the bus, or returns an error
	// within TimeoutAs. More than 8 bytes are CAN FD.
	SendFrame(data []byte) error
	// FlowControl returns the next flow control of the receiver, or
	// ErrTimeout after d. With 0 it returns what has come already.
	FlowControl(d time.Duration) (FlowControl, error)
	// Pause waits for the separation time between frames.
	Pause(d time.Duration) error
}

// Sender cuts messages into frames.
type Sender struct {
	Conn       Conn
	Addressing Addressing
	Ext        uint8 // first data byte with extended and mixed addressing
	TXDL       int   // most bytes of a frame: 0 and 8 are classic, up to 64 CAN FD
	Padding    byte  // fills frames to 8 bytes, or the next length CAN FD has; ISO 15765-4 recommends CC, many ECUs use 00, 55 or AA
	NoPad      bool  // send frames below 8 bytes as they are
}

// cut is one message on its way.
type cut struct {
	*Sender
	frame [64]byte
	head  int // bytes in front of the PCI
	dl    int
	rest  []byte
}

// Send transmits one message and returns when its last frame is on the bus.
func (s *Sender) Send(payload []byte) error {
	c := &cut{Sender: s, head: s.Addressing.head(), dl: max(s.TXDL, 8), rest: payload}
	switch {
	case len(payload) == 0 || len(payload) > MaxLength:
		return fmt.Errorf("send %d bytes: %w", len(payload), ErrTooLong)
	case c.dl > 64 || frameLength(c.dl) != c.dl:
		return fmt.Errorf("send in frames of %d bytes: %w", s.TXDL, ErrFrameLength)
	}
	if c.head == 1 {
		c.frame[0] = s.Ext
	}
	pci := c.frame[c.head:]
	switch n := len(payload); {
	case n <= longest(8, c.head):
		pci[0] = byte(n)
		return c.put(1)
	case n <= longest(c.dl, c.head):
		pci[1] = byte(n)
		return c.put(2)
	case n <= maxShort:
		binary.BigEndian.PutUint16(pci, pciFirst<<12|uint16(n))
		return c.segmented(2)
	default:
		binary.BigEndian.PutUint16(pci, pciFirst<<12)
		binary.BigEndian.PutUint32(pci[2:], uint32(n))
		return c.segmented(6)
	}
}

// segmented sends a first frame with so many bytes of PCI, and the rest.
func (c *cut) segmented(pci int) error {
	c.forget()
	if err := c.put(pci); err != nil {
		return err
	}
	between := false // two consecutive frames
	for seq := byte(1); len(c.rest) > 0; {
		fc, err := c.clearance()
		if err != nil {
			return err
		}
		for sent := 1; len(c.rest) > 0; sent++ {
			if between && fc.STmin > 0 { // also when flow control came in between
				if err := c.Conn.Pause(fc.STmin); err != nil {
					return err
				}
			}
			full := sent == int(fc.BlockSize)
			if full {
				c.forget()
			}
			c.frame[c.head] = pciConsecutive<<4 | seq
			if err := c.put(1); err != nil {
				return err
			}
			between = true
			if seq = (seq + 1) & 0xF; full {
				break
			}
		}
	}
	return nil
}

// forget drops flow control that came before there was anything to answer,
// such as one that a bus doubled.
func (c *cut) forget() {
	for range MaxWaits {
		if _, err := c.Conn.FlowControl(0); err != nil {
			return
		}
	}
}

// clearance waits for "continue to send".
func (c *cut) clearance() (FlowControl, error) {
	for range MaxWaits + 1 {
		fc, err := c.Conn.FlowControl(TimeoutBs)
		if err != nil {
			return fc, fmt.Errorf("wait for flow control: %w", err)
		}
		switch fc.Status {
		case ContinueToSend:
			return fc, nil
		case Wait:
		case Overflow:
			return fc, ErrOverflow
		default:
			return fc, fmt.Errorf("%w: %d", ErrFlowStatus, fc.Status)
		}
	}
	return FlowControl{}, ErrWaits
}

// put sends the frame: address and PCI, which are in it, and as much of the
// rest as it takes.
func (c *cut) put(pci int) error {
	head := c.head + pci
	n := copy(c.frame[head:c.dl], c.rest)
	c.rest = c.rest[n:]
	n += head
	full := n
	if !c.NoPad || n > 8 {
		full = frameLength(n)
	}
	for i := n; i < full; i++ {
		c.frame[i] = c.Padding
	}
	return c.Conn.SendFrame(c.frame[:full])
}

// frameLength returns the shortest frame of at least 8 that holds n bytes.
func frameLength(n int) int {
	for _, l := range [...]int{8, 12, 16, 20, 24, 32, 48} {
		if n <= l {
			return l
		}
	}
	return 64
}
