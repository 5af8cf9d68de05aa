// Package link sets up the network interface of a CAN controller and asks its
// driver how it is, as `ip link` does, by rtnetlink (linux/can/netlink.h). Asking
// needs no privilege; setting up needs CAP_NET_ADMIN.
//
// It neither reads nor sends frames, decides nothing and starts no goroutine:
// when an interface is set up, and with which bit rate, is for package can. Bit
// rates are in bit/s.
package link

import (
	"errors"
	"time"
)

// Sentinels of finding an interface and of setting it up.
var (
	// ErrNoDevice: there is no network interface of that name. Plug the
	// controller in, or correct the name (ip link shows all).
	ErrNoDevice = errors.New("no such device")
	// ErrNotCAN: the interface is not a CAN controller.
	ErrNotCAN = errors.New("interface is not a CAN controller")
	// ErrPlatform: this operating system has no such interfaces.
	ErrPlatform = errors.New("CAN needs Linux")
	// ErrNotAdmin: setting an interface up needs CAP_NET_ADMIN. Give it to the
	// service (packaging/obu.service has the line), or set the interface up with
	// ip link and remove manage.
	ErrNotAdmin = errors.New("not allowed to set the interface up: CAP_NET_ADMIN is missing")
	// ErrMode: the controller, or its driver, cannot do what is asked of it:
	// listen without acknowledging, send without repeating. Write the bit rate
	// as a number.
	ErrMode = errors.New("controller or its driver does not have this mode or bit rate")
)

// RenamedError is ErrNoDevice where the interface is there, under another name.
// Write that name, or give it its old one back.
type RenamedError struct{ Old, New string }

// Error names both.
func (e *RenamedError) Error() string {
	return "interface " + e.Old + " is called " + e.New + " now"
}

// Unwrap returns ErrNoDevice: there is none of the old name.
func (e *RenamedError) Unwrap() error { return ErrNoDevice }

// Settings are what a controller is brought up with.
type Settings struct {
	Bitrate    int           // bit/s
	ListenOnly bool          // says nothing: neither acknowledges nor sends error flags
	OneShot    bool          // what nobody acknowledges is not repeated
	Restart    time.Duration // after bus-off; 0: not by itself
}

// States of a controller (ISO 11898-1).
const (
	Active  = "" // or nothing is known: not every driver tells
	Warning = "warning"
	Passive = "passive"
	BusOff  = "bus-off"
)

// State is what the driver of a controller tells.
type State struct {
	Settings
	Up       bool
	State    string // Active, Warning, Passive, BusOff
	Counts   bool   // the driver tells the error counters
	TXErrors uint8  // above 255 is bus-off
	RXErrors uint8

	Frames, Bytes uint64 // received, those included that a socket's filters hold back
}

// Rose reports whether an error counter stands higher than it did.
func (s *State) Rose(before *State) bool {
	return s.TXErrors > before.TXErrors || s.RXErrors > before.RXErrors
}

// Interface is that of a controller. Its methods are called by one goroutine at
// a time.
type Interface interface {
	// Set takes the interface down and brings it up with the settings.
	Set(Settings) error
	// State asks the driver.
	State() (State, error)
}
