//go:build !linux

package clock

import "errors"

// System is the clock of a unit, and units run Linux.
func System(...Option) (*Clock, error) {
	return nil, errors.New("read CLOCK_BOOTTIME: the agent's own clock needs Linux; use --replay here")
}
