package can

import (
	"sync"

	"obu/can/link"
	"obu/telemetry"
)

// Classes of error frames: bits of the identifier (linux/can/error.h).
const (
	errTXTimeout       = 0x01
	errLostArbitration = 0x02
	errController      = 0x04 // data[1] says what
	errProtocol        = 0x08
	errTransceiver     = 0x10
	errNoACK           = 0x20
	errBusOff          = 0x40
	errBus             = 0x80
	errRestarted       = 0x100
	errCounters        = 0x200 // data[6:8] hold the counters

	controllerRXOverflow = 0x01 // of data[1]
	controllerTXOverflow = 0x02
	controllerWarning    = 0x04 | 0x08 // receiving, sending
	controllerPassive    = 0x10 | 0x20
	controllerActive     = 0x40
)

// ErrorCounts counts the error frames of a controller by what they report; one
// frame may report several things.
type ErrorCounts struct {
	LostArbitrations uint64 `json:"lost_arbitrations"` // another sender went first: everyday life
	NoACKs           uint64 `json:"no_acks"`           // nobody acknowledged what was sent
	Protocol         uint64 `json:"protocol"`          // bits, stuffing, form or checksum of a frame were wrong
	Transceiver      uint64 `json:"transceiver"`       // wiring
	Overruns         uint64 `json:"overruns"`          // the controller lost received frames
	TXFailures       uint64 `json:"tx_failures"`       // time-outs and overflows of its transmit queue
	Warnings         uint64 `json:"warnings"`          // an error counter rose above 96
	Passives         uint64 `json:"passives"`          // above 127
	BusOffs          uint64 `json:"bus_offs"`          // above 255
	Restarts         uint64 `json:"restarts"`          // after bus-off
}

// States of a controller (ISO 11898-1) in Controller.
const (
	ControllerActive  = link.Active
	ControllerWarning = link.Warning
	ControllerPassive = link.Passive
	ControllerBusOff  = link.BusOff
)

// Controller is what error frames told of the controller of a bus.
type Controller struct {
	State    string       `json:"state,omitempty"`
	Since    telemetry.At `json:"since,omitempty"` // of State, after boot
	ForS     float64      `json:"for_s,omitempty"` // seconds that State has lasted
	TXErrors uint8        `json:"tx_errors"`       // the controller's own counters, where
	RXErrors uint8        `json:"rx_errors"`       // its driver tells
	Errors   ErrorCounts  `json:"errors"`
}

// verdict is what follows from one error frame.
type verdict struct {
	lost      telemetry.Reason // why frames were lost; "": none was
	uncounted bool             // and how many cannot be told
	trouble   bool             // the bus is not well: ask less
	bad       bool             // so bad that one such frame is enough
	off, back bool             // bus-off begins, ends
	since     telemetry.At     // of the bus-off that ended
}

// controller follows the state of a bus's controller through its error frames.
type controller struct {
	mu sync.Mutex // guards what follows
	Controller
}

func (c *controller) snapshot() Controller {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.Controller
}

// leave forgets the state, as the device is closed, and returns what it was.
func (c *controller) leave() Controller {
	c.mu.Lock()
	defer c.mu.Unlock()
	was := c.Controller
	c.State, c.Since, c.TXErrors, c.RXErrors = ControllerActive, 0, 0, 0
	return was
}

// enter changes the state.
func (c *controller) enter(state string, at telemetry.At, v *verdict) {
	if c.State == state {
		return
	}
	if c.State == ControllerBusOff {
		v.back, v.since = true, c.Since
	}
	v.off = state == ControllerBusOff
	c.State, c.Since = state, at
}

// heard notes that a frame came: a controller that is bus-off hears none.
func (c *controller) heard(at telemetry.At) (v verdict) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.State == ControllerBusOff {
		c.enter(ControllerActive, at, &v)
	}
	return v
}

// report takes an error frame.
func (c *controller) report(f *Frame) (v verdict) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.count(f, &v)
	detail := byte(0)
	if f.ID&errController != 0 {
		detail = f.Data[1]
	}
	switch {
	case f.ID&errBusOff != 0:
		c.enter(ControllerBusOff, f.At, &v)
		v.bad = true
	case detail&controllerPassive != 0:
		c.enter(ControllerPassive, f.At, &v)
		v.bad = true
	case detail&controllerWarning != 0:
		c.enter(ControllerWarning, f.At, &v)
		v.bad = true
	case f.ID&errRestarted != 0 || detail&controllerActive != 0:
		c.enter(ControllerActive, f.At, &v)
		c.TXErrors, c.RXErrors = 0, 0
	}
	if f.ID&errCounters != 0 {
		tx, rx := f.Data[6], f.Data[7]
		v.trouble = v.trouble || tx > c.TXErrors || rx > c.RXErrors
		c.TXErrors, c.RXErrors = tx, rx
	}
	v.trouble = v.trouble || v.bad
	return v
}

// observe takes what the driver says. Bus-off begins and ends with error
// frames, which say when.
func (c *controller) observe(s *link.State, at telemetry.At) (v verdict) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if s.State != ControllerBusOff && c.State != ControllerBusOff && s.State != c.State {
		v.bad = s.State != ControllerActive && c.State != ControllerPassive
		c.enter(s.State, at, &v)
	}
	if s.Counts {
		v.trouble = s.TXErrors > c.TXErrors || s.RXErrors > c.RXErrors
		c.TXErrors, c.RXErrors = s.TXErrors, s.RXErrors
	}
	v.trouble = v.trouble || v.bad
	return v
}

// count files what a frame reports.
func (c *controller) count(f *Frame, v *verdict) {
	n := &c.Errors
	add := func(class uint32, counter *uint64) bool {
		if f.ID&class == 0 {
			return false
		}
		*counter++
		return true
	}
	add(errLostArbitration, &n.LostArbitrations)
	add(errBusOff, &n.BusOffs)
	add(errRestarted, &n.Restarts)
	silent := add(errNoACK, &n.NoACKs)
	stuck := add(errTXTimeout, &n.TXFailures)
	broken := add(errTransceiver, &n.Transceiver)
	v.trouble = silent || stuck || broken
	if add(errProtocol|errBus, &n.Protocol) {
		v.trouble = true
		if !silent { // a frame of ours that nobody acknowledged is none we missed
			v.lost = telemetry.ReasonBusError
		}
	}
	if f.ID&errController == 0 {
		return
	}
	d := f.Data[1]
	if d&controllerRXOverflow != 0 {
		n.Overruns++
		v.lost, v.uncounted, v.trouble = telemetry.ReasonRXOverflow, true, true
	}
	if d&controllerTXOverflow != 0 {
		n.TXFailures++
		v.trouble = true
	}
	if d&controllerWarning != 0 {
		n.Warnings++
	}
	if d&controllerPassive != 0 {
		n.Passives++
	}
	if d&^(controllerRXOverflow|controllerTXOverflow|controllerWarning|controllerPassive|controllerActive) != 0 {
		v.trouble = true
	}
}
