//go:build !linux

package clock

import (
	"errors"
	"time"
)

// System is the clock of a unit, and units run Linux.
func System(...Option) (*Clock, error) {
	return nil, errors.New("read CLOCK_BOOTTIME: the agent's own clock needs Linux; use --replay here")
}

// SetSystem needs Linux, as System does.
func SetSystem(time.Time) error { return errors.New("set the system clock: needs Linux") }
