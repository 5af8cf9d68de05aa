package can

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"obu/can/link"
	"obu/can/obd"
)

// Bounds of the search for a bit rate.
const (
	// listenEach is how long each bit rate is listened to: ten periods of what a
	// car that is awake sends most often.
	listenEach = time.Second
	// goodEnough frames without an error among them end it early, enoughFrames
	// are the least that count at all.
	goodEnough   = 16
	enoughFrames = 3
	// probeWindow is how long the answer to a probe may take.
	probeWindow = answerWindow
	// probeHold is how long no probe follows one that the bus took ill or left
	// unanswered; it doubles up to probeHoldMax.
	probeHold    = 10 * time.Second
	probeHoldMax = 5 * time.Minute
)

// listenRates are the bit rates that are listened to, in this order.
var listenRates = []int{500_000, 250_000, 125_000, 1_000_000}

// obdRates are those of ISO 15765-4, the usual one first.
var obdRates = [2]int{500_000, 250_000}

// isOBDRate reports whether ISO 15765-4 has a bit rate.
func isOBDRate(rate int) bool { return rate == obdRates[0] || rate == obdRates[1] }

// rateSearch finds the bit rate of a bus: by ear, in a mode in which the
// controller says nothing, and only where nothing at all is heard and the
// ignition is known to be on by asking, as ISO 15765-4 does: 01 00 in one shot,
// at 500, then at 250 kbit/s. The first rise of an error counter ends that, and
// the bus is left alone for a while.
type rateSearch struct {
	Managed
	rates    []int         // in the order of the next round; the last that was found is first
	probes   int           // rates that were asked since one was found: the next one's turn
	hold     time.Duration // between probes
	next     time.Time     // no probe before
	recalled bool
}

// recall goes on where the process before this one was.
func (s *rateSearch) recall() {
	if s.recalled || s.Was == nil {
		return
	}
	s.recalled = true
	w := s.Was().Probing
	s.probes, s.hold = max(w.Rates, 0), min(max(w.Pause, 0), probeHoldMax)
	s.next = time.Now().Add(min(w.Next, s.hold))
}

// keep tells what the next process has to know.
func (s *rateSearch) keep() {
	if s.Keep != nil {
		s.Keep(Probing{Rates: s.probes, Pause: s.hold, Next: time.Until(s.next)})
	}
}

// find is one round of the search.
func (s *rateSearch) find(ctx context.Context) (rate int, err error) {
	s.recall()
	errors := 0
	for _, rate := range s.rates {
		good, bad, err := s.listen(ctx, rate)
		if err != nil {
			return 0, err
		}
		if good >= enoughFrames && good > bad {
			s.found(rate, "listening")
			return rate, nil
		}
		errors += bad + good
	}
	switch {
	case errors > 0:
		return 0, fmt.Errorf("%w (%s)", ErrUnreadable, s.tried())
	case s.Passive || s.Ignition == nil || !s.Ignition() || time.Now().Before(s.next):
		return 0, fmt.Errorf("%w (%s)", ErrSilent, s.tried())
	}
	return s.ask(ctx)
}

// found keeps a rate: the next search begins with it.
func (s *rateSearch) found(rate int, by string) {
	s.rates = slices.Clone(s.rates)
	i := slices.Index(s.rates, rate)
	s.rates = slices.Insert(slices.Delete(s.rates, i, i+1), 0, rate)
	before := s.hold
	s.probes, s.hold, s.next = 0, 0, time.Time{}
	if rate == obdRates[1] { // a bus that falls silent is asked at its own rate first
		s.probes = 1
	}
	if before > 0 || s.probes > 0 {
		s.keep()
	}
	s.Log.Info("bit rate of the bus found", "bit/s", rate, "by", by)
}

func (s *rateSearch) tried() string {
	text := "tried:"
	for _, r := range s.rates {
		text += " " + strconv.Itoa(r)
	}
	return text
}

// listen counts what is heard at a rate, good frames and errors.
func (s *rateSearch) listen(ctx context.Context, rate int) (good, bad int, err error) {
	if err := s.Link.Set(link.Settings{Bitrate: rate, ListenOnly: true}); err != nil {
		return 0, 0, s.plain(ctx, err)
	}
	err = s.hear(ctx, listenEach, nil, func(f *Frame) bool {
		switch {
		case !f.Error:
			good++
		case f.ID&^(errLostArbitration|errRestarted) != 0:
			bad++
		}
		return good >= goodEnough && bad == 0
	})
	if err != nil {
		return 0, 0, err
	}
	state, err := s.Link.State() // not every driver sends error frames
	if err != nil {
		return 0, 0, err
	}
	if good == 0 && bad == 0 && (state.TXErrors > 0 || state.RXErrors > 0) {
		bad = 1
	}
	return good, bad, nil
}

// ask probes a silent bus. Rates take turns at being first: the first rise of
// an error counter ends a round, whichever rate it was at.
func (s *rateSearch) ask(ctx context.Context) (rate int, err error) {
	s.hold = min(max(2*s.hold, probeHold), probeHoldMax)
	for range obdRates {
		rate := obdRates[s.probes%2]
		s.probes++
		s.next = time.Now().Add(s.hold)
		s.keep()
		ok, err := s.probe(ctx, rate)
		if ok {
			s.found(rate, "asking")
			return rate, nil
		}
		// Whatever came of it: the controller is to say nothing more.
		if quiet := s.Link.Set(link.Settings{Bitrate: rate, ListenOnly: true}); err == nil {
			err = quiet
		}
		if err != nil {
			return 0, err
		}
	}
	return 0, fmt.Errorf("%w (no answer to a request at 500000 or 250000)", ErrSilent)
}

// probe asks 01 00 in one shot, with 11 and then with 29 bits, and reports
// whether an ECU has answered.
func (s *rateSearch) probe(ctx context.Context, rate int) (answered bool, err error) {
	if err := s.Link.Set(link.Settings{Bitrate: rate, OneShot: true}); err != nil {
		return false, err
	}
	before, err := s.Link.State()
	if err != nil {
		return false, err
	}
	for _, extended := range [...]bool{false, true} {
		q := request{service: obd.ServiceCurrent, pid: obd.PIDSupported, extended: extended}
		f, trouble, tester := q.frame(), false, false
		s.Log.Info("asking a silent bus whether this is its bit rate", "bit/s", rate, "frame", f.String())
		err := s.hear(ctx, probeWindow, &f, func(f *Frame) bool {
			if f.Error {
				trouble = f.ID&^(errLostArbitration|errRestarted) != 0
				return trouble
			}
			ecu, ok := responseKey(f)
			answered = ok && q.from(ecu)
			tester = isTester(f)
			return answered || tester
		})
		if answered || err != nil {
			return answered, err
		}
		after, err := s.Link.State()
		if err != nil {
			return false, err
		}
		if trouble || after.Rose(&before) || after.State != before.State {
			return false, fmt.Errorf("%w (at %d bit/s)", ErrProbeFailed, rate)
		}
		if tester { // it was not silent after all
			return false, fmt.Errorf("%w (another tester is asking)", ErrSilent)
		}
	}
	return false, nil
}
