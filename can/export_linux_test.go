package can

import "obu/internal/clock"

// NewFDBus is a Bus over any packet socket that carries struct can_frame.
func NewFDBus(dev device, clk *clock.Clock, ends bool) (Bus, error) {
	return newFDBus(dev, clk, ends)
}
