package can

import (
	"errors"

	"obu/can/link"
	"obu/telemetry"
)

// rateOf returns the bit rate of a bus: its own, or what the driver says, or
// the configured one, which is an estimate.
func (s *Source) rateOf(bus Bus) int {
	rate := 0
	if b, ok := bus.(interface{ Bitrate() int }); ok {
		rate = b.Bitrate()
	} else if b, ok := bus.(interface{ LinkState() (link.State, error) }); ok {
		state, _ := b.LinkState() // 0 where the driver does not tell
		rate = state.Bitrate
	}
	s.n.bitrate.Store(int64(rate))
	if rate > 0 {
		return rate
	}
	return s.cfg.Bitrate
}

// watch asks the driver of a controller now and then how it is: some send no
// error frame before a counter has reached 96, and few when all is well again.
type watch struct {
	r   *session
	ask func() (link.State, error) // nil: there is nobody to ask
}

func newWatch(r *session) *watch {
	w := &watch{r: r}
	if b, ok := r.bus.(interface{ LinkState() (link.State, error) }); ok {
		w.ask = b.LinkState
	}
	return w
}

// look asks once. What is no controller is not asked again.
func (w *watch) look(now telemetry.At) {
	if w.ask == nil {
		return
	}
	s, err := w.ask()
	if errors.Is(err, ErrNotCAN) {
		w.ask = nil
	}
	if err != nil {
		return
	}
	if v := w.r.n.controller.observe(&s, now); v.trouble {
		w.r.gate.errorSeen(v.bad)
	}
}
