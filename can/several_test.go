package can_test

import (
	"testing"
	"testing/synctest"
	"time"

	"obu/can"
	"obu/can/obd"
	"obu/telemetry"
)

// classic are PIDs an engine has; each answers with its own number as data.
var classic = []byte{0x04, 0x05, 0x0B, 0x0C, 0x0D, 0x0F, 0x11}

func classicEngine() *ecu {
	e := &ecu{response: 0x7E8, answers: map[[2]byte][]byte{}}
	for _, pid := range classic {
		e.answers[[2]byte{1, pid}] = make([]byte, obd.Size(pid))
		e.answers[[2]byte{1, pid}][0] = pid
	}
	return e
}

func classicPolls() *can.OBDConfig {
	o := &can.OBDConfig{SkipVIN: true, Several: 6}
	for _, pid := range classic {
		o.Polls = append(o.Polls, can.Poll{PID: pid, Every: time.Second})
	}
	return o
}

// TestSeveralPIDsInOneRequest: an ECU that takes several PIDs gets them in two
// requests a second instead of seven, to itself, and every value arrives; one
// that refuses, tells the first alone or is silent is soon asked for one at a
// time, and no value is missing either.
func TestSeveralPIDsInOneRequest(t *testing.T) {
	for name, c := range map[string]struct {
		several func(e *ecu, request []byte) [][]byte
		most    uint64 // requests in a minute, the search included
		batches int    // at least, at most twice as many
	}{
		"takes them": {func(e *ecu, request []byte) [][]byte {
			p := []byte{0x41}
			for _, pid := range request[1:] {
				p = append(append(p, pid), e.answers[[2]byte{1, pid}]...)
			}
			return [][]byte{p}
		}, 130, 59},
		"refuses":            {func(*ecu, []byte) [][]byte { return [][]byte{obd.EncodeNegative(1, obd.NRCNotSupported)} }, 440, 1},
		"answers first only": {func(e *ecu, request []byte) [][]byte { return e.reply(1, request[1]) }, 440, 1},
		"is silent":          {func(*ecu, []byte) [][]byte { return nil }, 440, 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e := classicEngine()
				e.several = func(request []byte) [][]byte { return c.several(e, request) }
				out, st := drive(t, e, classicPolls(), time.Minute, nil)
				batches := 0
				for _, f := range e.transmitted() {
					if can.AllowedRequest(&f) && f.Data[0] > 2 {
						batches++
						if f.ID != 0x7E0 || f.Data[0] > 7 {
							t.Fatalf("several PIDs asked for with %v", f)
						}
					}
				}
				if batches < c.batches || batches > 2*c.batches || st.Requests > c.most {
					t.Errorf("%d requests, %d of them for several PIDs", st.Requests, batches)
				}
				for _, pid := range classic {
					n := 0
					for _, s := range out.samples {
						if s.Signal == obd.Signals(pid)[0] && s.Quality == telemetry.QualityLive {
							n++
						}
					}
					if n < 57 || n > 61 {
						t.Errorf("PID %02X: %d values in a minute", pid, n)
					}
				}
			})
		})
	}
}
