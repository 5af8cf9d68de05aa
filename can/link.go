package can

import (
	"errors"
	"time"
)

// Sentinels of setting an interface up.
var (
	// ErrNotAdmin: setting an interface up needs CAP_NET_ADMIN. Give it to the
	// service (packaging/obu.service has the line), or set the interface up with
	// ip link and remove manage.
	ErrNotAdmin = errors.New("not allowed to set the interface up: CAP_NET_ADMIN is missing")
	// ErrLinkMode: the controller, or its driver, cannot do what is asked of it:
	// listen without acknowledging, send without repeating. Write the bit rate
	// as a number.
	ErrLinkMode = errors.New("controller or its driver does not have this mode or bit rate")
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

// LinkSettings are what a controller is brought up with.
type LinkSettings struct {
	Bitrate    int           // bit/s
	ListenOnly bool          // says nothing: neither acknowledges nor sends error flags
	OneShot    bool          // what nobody acknowledges is not repeated
	Restart    time.Duration // after bus-off; 0: not by itself
}

// LinkState is what the driver of a controller tells.
type LinkState struct {
	LinkSettings
	Up       bool
	State    string // as Controller.State
	Counts   bool   // the driver tells the error counters
	TXErrors uint8  // above 255 is bus-off
	RXErrors uint8
}

// rose reports whether an error counter stands higher than it did.
func (s *LinkState) rose(before *LinkState) bool {
	return s.TXErrors > before.TXErrors || s.RXErrors > before.RXErrors
}

// Link is the interface of a controller, as `ip link` sets it. Its methods are
// called by one goroutine at a time.
type Link interface {
	// Set takes the interface down and brings it up with the settings.
	Set(LinkSettings) error
	// State asks the driver.
	State() (LinkState, error)
}
