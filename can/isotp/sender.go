package isotp

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"
)

// Errors of a Sender; each ends the transfer.
var (
	// ErrTooLong: the message is longer than MaxLength.
	ErrTooLong = errors.New("message is too long for ISO-TP")
	// ErrOverflow: the receiver has no room for the message.
	ErrOverflow = errors.New("receiver reports overflow")
	// ErrTimeout: no flow control came within TimeoutBs.
	ErrTimeout = errors.New("no flow control in time")
	// ErrWaits: the receiver asked to wait more than MaxWaits times.
	ErrWaits = errors.New("receiver keeps asking to wait")
)

// Conn is what a Sender needs of the world: frames out, flow control in, time.
type Conn interface {
	// SendFrame puts the bytes of one frame on the bus.
	SendFrame(data []byte) error
	// FlowControl returns the next flow control of the receiver, or
	// ErrTimeout after d.
	FlowControl(d time.Duration) (FlowControl, error)
	// Pause waits for the separation time between frames.
	Pause(d time.Duration) error
}

// Sender cuts messages into classic 8-byte frames.
type Sender struct {
	Conn    Conn
	Padding byte // fills frames to 8 bytes; ISO 15765-4 recommends CC, many ECUs use 00, 55 or AA
	NoPad   bool // send short frames as they are
}

// Send transmits one message and returns when its last frame is on the bus.
func (s *Sender) Send(payload []byte) error {
	if len(payload) == 0 || len(payload) > MaxLength {
		return fmt.Errorf("send %d bytes: %w", len(payload), ErrTooLong)
	}
	var frame [8]byte
	if len(payload) <= 7 {
		frame[0] = byte(len(payload))
		return s.put(&frame, 1, payload)
	}
	binary.BigEndian.PutUint16(frame[:], pciFirst<<12|uint16(len(payload)))
	if err := s.put(&frame, 2, payload[:6]); err != nil {
		return err
	}
	payload = payload[6:]
	for seq := byte(1); len(payload) > 0; {
		fc, err := s.clearance()
		if err != nil {
			return err
		}
		for sent := 0; len(payload) > 0 && (fc.BlockSize == 0 || sent < int(fc.BlockSize)); sent++ {
			if err := s.pause(fc.STmin, sent); err != nil {
				return err
			}
			frame[0] = pciConsecutive<<4 | seq
			n := min(len(payload), 7)
			if err := s.put(&frame, 1, payload[:n]); err != nil {
				return err
			}
			payload, seq = payload[n:], (seq+1)&0xF
		}
	}
	return nil
}

func (s *Sender) pause(d time.Duration, sent int) error {
	if d == 0 || sent == 0 {
		return nil
	}
	return s.Conn.Pause(d)
}

// clearance waits for "continue to send".
func (s *Sender) clearance() (FlowControl, error) {
	for range MaxWaits + 1 {
		fc, err := s.Conn.FlowControl(TimeoutBs)
		if err != nil {
			return fc, fmt.Errorf("wait for flow control: %w", err)
		}
		switch fc.Status {
		case ContinueToSend:
			return fc, nil
		case Overflow:
			return fc, ErrOverflow
		}
	}
	return FlowControl{}, ErrWaits
}

// put sends head bytes already in frame followed by data.
func (s *Sender) put(frame *[8]byte, head int, data []byte) error {
	n := head + copy(frame[head:], data)
	if !s.NoPad {
		for i := n; i < 8; i++ {
			frame[i] = s.Padding
		}
		n = 8
	}
	return s.Conn.SendFrame(frame[:n])
}
