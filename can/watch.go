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

	frames, bytes uint64 // that the interface had received
	faults        uint64 // frames of errors, which some drivers count among them
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
	if errors.Is(err, link.ErrNotCAN) {
		w.ask = nil
	}
	if err != nil {
		return
	}
	w.count(&s)
	if v := w.r.n.controller.observe(&s, now); v.trouble {
		w.r.gate.errorSeen(v.bad)
	}
}

// errorFrame takes a report of the controller.
func (r *session) errorFrame(f *Frame) {
	r.n.errorFrames.Add(1)
	v := r.n.controller.report(f)
	if v.lost != "" {
		n := int64(1)
		if v.uncounted {
			n = telemetry.CountUnknown
		}
		r.losses.add(lossKey{v.lost, telemetry.Source{Bus: r.cfg.Name}}, f.At, n)
	}
	if v.off {
		r.off = true
		r.gate.off(true)
		r.listOff(f.At, f.At)
		r.log.Error("controller went bus-off and hears nothing until it is restarted; check bit rate and wiring, and have it restart by itself: ip link set DEVICE type can restart-ms 1000")
	}
	if v.back {
		r.recovered(v.since, f.At)
	}
	if v.trouble {
		r.gate.errorSeen(v.bad)
	}
}

// recovered ends a bus-off.
func (r *session) recovered(since, now telemetry.At) {
	r.off = false
	r.listOff(since, now)
	r.gate.off(false)
	r.log.Info("controller is back from bus-off", "after", now.Sub(since))
}

// listOff lists what passed on the bus while the controller was off it.
func (r *session) listOff(from, to telemetry.At) {
	r.losses.span(lossKey{telemetry.ReasonBusError, telemetry.Source{Bus: r.cfg.Name}}, from, to, telemetry.CountUnknown)
}

// count adds what the kernel's filters held back to what the session has heard:
// the load of the bus, and that it speaks at all.
func (w *watch) count(s *link.State) {
	frames, bytes, faults := s.Frames-w.frames, s.Bytes-w.bytes, w.r.n.errorFrames.Load()
	if w.frames > 0 && s.Frames > w.frames && s.Bytes >= w.bytes {
		bits := 47*frames + 8*bytes
		w.r.bits.Store(max(w.r.bits.Load(), bits+bits/10))
		if faults == w.faults {
			w.r.heard.Add(1)
		}
	}
	w.frames, w.bytes, w.faults = s.Frames, s.Bytes, faults
}
