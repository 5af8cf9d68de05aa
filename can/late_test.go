package can_test

import (
	"testing"
	"testing/synctest"
	"time"

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
