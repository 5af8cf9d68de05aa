package can_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"obu/can"
	"obu/internal/clock"
	"obu/telemetry"
)

// vinCar is an engine with a VIN, the 20 bytes of which take three frames.
func vinCar() *ecu {
	return &ecu{response: 0x7E8, answers: map[[2]byte][]byte{
		{1, 0x0D}: {0x4A}, {9, 2}: []byte("\x01WVWZZZ1KZ9W000001"),
	}}
}

// TestSlowAnswersAreWaitedFor: while an answer of several frames is under way
// nothing else is asked, however slow the ECU is: a new request would make it
// drop the rest.
func TestSlowAnswersAreWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := vinCar()
		e.pace = 150 * time.Millisecond // the answer is through 450 ms behind the request
		o := speedOnly()
		o.SkipVIN = false
		out, st := drive(t, e, o, time.Minute, nil)
		if len(out.gaps) != 0 || len(st.Transfers) != 0 {
			t.Errorf("gaps %v, broken transfers %v", out.gaps, st.Transfers)
		}
		if len(out.events) != 1 || out.events[0].Value.String() != "WVWZZZ1KZ9W000001" {
			t.Errorf("events %v", out.events)
		}
		var asked time.Time
		for i, f := range e.seen {
			switch {
			case f.Data[1] == 9:
				asked = e.times[i]
			case f.Data[0]>>4 == 0 && !asked.IsZero() && e.times[i].Sub(asked) < 450*time.Millisecond:
				t.Errorf("%v asked %v behind the request for the VIN", f, e.times[i].Sub(asked))
			}
		}
	})
}

// TestUnendingAnswerIsLeft: one that breaks off does not hold up the polls for
// longer than its next frame may take.
func TestUnendingAnswerIsLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := vinCar()
		e.answer = func(service, pid byte) [][]byte {
			if service == 9 {
				e.SendFrame([]byte{0x10, 20, 0x49, 2, 1, 'W', 'V', 'W'})
				return nil
			}
			return map[byte][][]byte{0: {{0x41, 0, 0, 8, 0, 0}}, 0x0D: {{0x41, 0x0D, 0x4A}}}[pid]
		}
		o := speedOnly()
		o.SkipVIN = false
		out, st := drive(t, e, o, time.Minute, nil)
		if n := out.count("Vehicle.Speed", telemetry.QualityLive); n < 45 {
			t.Errorf("%d speeds in a minute", n)
		}
		if len(out.gaps) == 0 || st.Transfers["timeout"] == 0 {
			t.Errorf("gaps %v, broken transfers %v: an answer that was given leave and broke off is a loss", out.gaps, st.Transfers)
		}
	})
}

// TestAnswerBegunTooOftenIsALoss: an ECU that begins its answer again and again
// is given leave three times; what breaks of the fourth and later ones did not
// come too late, and is listed as well.
func TestAnswerBegunTooOftenIsALoss(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := vinCar()
		e.answer = func(service, pid byte) [][]byte {
			if service == 9 {
				for range 6 {
					e.SendFrame([]byte{0x10, 20, 0x49, 2, 1, 'W', 'V', 'W'})
					time.Sleep(10 * time.Millisecond)
				}
				return nil
			}
			return map[byte][][]byte{0: {{0x41, 0, 0, 8, 0, 0}}, 0x0D: {{0x41, 0x0D, 0x4A}}}[pid]
		}
		o := speedOnly()
		o.SkipVIN = false
		out, st := drive(t, e, o, time.Minute, nil)
		broken, listed := uint64(0), int64(0)
		for _, n := range st.Transfers {
			broken += n
		}
		for _, g := range out.gaps {
			listed += g.Count
		}
		if broken < 6 || listed != int64(broken) {
			t.Errorf("%d transfers broke (%v), %d are listed: %v", broken, st.Transfers, listed, out.gaps)
		}
	})
}

// TestAnswerWithoutLeaveIsNoLoss: an answer that begins too late is given no
// leave to go on, so the ECU never sends the rest: nothing is lost, and it is
// counted all the same.
func TestAnswerWithoutLeaveIsNoLoss(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := vinCar()
		vin := e.answers[[2]byte{9, 2}]
		e.answer = func(service, pid byte) [][]byte {
			if service == 9 {
				time.Sleep(400 * time.Millisecond)
				return [][]byte{append([]byte{0x49, 2}, vin...)}
			}
			return map[byte][][]byte{0: {{0x41, 0, 0, 8, 0, 0}}, 0x0D: {{0x41, 0x0D, 0x4A}}}[pid]
		}
		o := speedOnly()
		o.SkipVIN = false
		out, st := drive(t, e, o, time.Minute, nil)
		if len(out.gaps) != 0 {
			t.Errorf("gaps %v", out.gaps)
		}
		if st.Transfers["aborted"]+st.Transfers["timeout"] == 0 {
			t.Errorf("broken transfers %v", st.Transfers)
		}
	})
}

// stalling is a bus whose reader was not run for a while when a first frame came.
type stalling struct {
	can.Bus
	stalls int
}

func (b *stalling) Receive() (can.Frame, error) {
	f, err := b.Bus.Receive()
	if err == nil && f.Data[0]>>4 == 1 && b.stalls > 0 {
		b.stalls--
		time.Sleep(300 * time.Millisecond)
	}
	return f, err
}

// TestFrameReadLateIsNoLoss: on a machine that is busy a first frame may be read
// when its request was given up and the same was asked again. It answers the old
// request, and nothing of the new answer is lost.
func TestFrameReadLateIsNoLoss(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		clk := clock.Virtual()
		agent, car := can.Pair(clk)
		e := engine()
		e.bus = car
		e.answers = map[[2]byte][]byte{{1, 0x0C}: {0x1A, 0xF8}, {1, 0x0D}: {0x4A}, {1, 0x2F}: {0x80}, {1, 0x05}: {0x50}}
		e.answer = nil
		e.several = func(req []byte) [][]byte {
			out := []byte{0x41}
			for _, pid := range req[1:] {
				out = append(append(out, pid), e.answers[[2]byte{1, pid}]...)
			}
			return [][]byte{out}
		}
		e.run()
		out := new(sink)
		o := &can.OBDConfig{SkipVIN: true, Several: 6}
		for pid := range e.answers {
			o.Polls = append(o.Polls, can.Poll{PID: pid[1], Every: time.Second})
		}
		src, err := can.New(out.config(clk, &stalling{agent, 3}, o))
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := src.Run(ctx); err != nil {
			t.Error(err)
		}
		e.wg.Wait()
		st := src.Stats()
		if len(out.gaps) != 0 || st.Transfers["aborted"] == 0 {
			t.Errorf("gaps %v, broken transfers %v", out.gaps, st.Transfers)
		}
		if n := out.count("Vehicle.Speed", telemetry.QualityLive); n < 50 {
			t.Errorf("%d speeds in a minute", n)
		}
	})
}
