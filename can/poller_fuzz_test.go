package can_test

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"obu/can"
	"obu/can/obd"
	"obu/telemetry"
)

// fuzzedECUs answer requests with what the fuzzer wants, and keep what was
// asked, and when.
type fuzzedECUs struct {
	bus      can.Bus
	in       []byte
	requests []can.Frame
	flows    []can.Frame
	replies  []telemetry.At
	firsts   int // first frames sent
	now      func() telemetry.At
}

func (e *fuzzedECUs) next() (b byte) {
	if len(e.in) > 0 {
		b, e.in = e.in[0], e.in[1:]
	}
	return b
}

func (e *fuzzedECUs) run() {
	for {
		f, err := e.bus.Receive()
		if err != nil {
			return
		}
		if f.Data[0]>>4 == 3 {
			e.flows = append(e.flows, f)
			continue
		}
		e.requests = append(e.requests, f)
		if len(e.in) == 0 {
			continue
		}
		how := e.next()
		for range how & 3 {
			time.Sleep(time.Duration(how>>4) * 25 * time.Millisecond)
			e.answer(f)
		}
	}
}

// answer sends one frame, or a transfer without waiting for flow control.
func (e *fuzzedECUs) answer(q can.Frame) {
	service := q.Data[1]
	pids := q.Data[2 : 1+min(max(q.Data[0], 1), 7)]
	payload := []byte{service + obd.PositiveOffset}
	what := e.next()
	switch what & 7 {
	case 0, 1: // one that fits, of every PID or of all but the last
		for i, pid := range pids {
			payload = append(payload, pid)
			if i < len(pids)-int(what&1) {
				for range 1 + what>>3&3 {
					payload = append(payload, e.next())
				}
			}
		}
	case 2: // everything is supported
		payload = append(append(payload, pids...), 0xFF, 0xFF, 0xFF, 0xFF)
	case 3:
		payload = []byte{0x7F, service, e.next()}
	case 4:
		payload = []byte{0x7F, service, byte(obd.NRCPending)}
	case 5: // a long answer
		payload = append(payload, pids...)
		for range e.next() {
			payload = append(payload, e.next())
		}
	case 6: // of somebody else, to something else
		payload = []byte{e.next(), e.next(), e.next(), e.next()}
	default: // no transfer at all
		f := e.from(what)
		for i := range 8 {
			f.Data[i] = e.next()
		}
		e.send(f)
		return
	}
	e.transfer(e.from(what), payload)
}

// from is an empty frame of one of eight ECUs.
func (e *fuzzedECUs) from(what byte) can.Frame {
	if what&0x80 != 0 {
		return can.Frame{ID: 0x18DAF110 + uint32(what>>5&3), Extended: true, Len: 8}
	}
	return can.Frame{ID: 0x7E8 + uint32(what>>5&3), Len: 8}
}

func (e *fuzzedECUs) transfer(f can.Frame, payload []byte) {
	if len(payload) <= 7 {
		f.Data[0] = byte(len(payload))
		copy(f.Data[1:8], payload)
		e.send(f)
		return
	}
	f.Data[0], f.Data[1] = 0x10|byte(len(payload)>>8), byte(len(payload))
	rest := payload[copy(f.Data[2:8], payload):]
	e.send(f)
	for n := byte(1); len(rest) > 0; n++ {
		f.Data[0] = 0x20 | n&0xF
		rest = rest[copy(f.Data[1:8], rest):]
		e.send(f)
	}
}

func (e *fuzzedECUs) send(f can.Frame) {
	if f.Data[0]>>4 == 1 {
		e.firsts++
	}
	e.replies = append(e.replies, e.now())
	_ = e.bus.Send(f) // the unit may have hung up
	time.Sleep(250 * time.Microsecond)
}

// FuzzPoller: whatever ECUs answer, one request at a time is outstanding (the
// next one follows an answer, or 250 ms), no faster than MaxRequestRate, each
// on the allow-list and for six PIDs at most, none twice; flow control answers
// first frames alone; what is told stays within what was said.
func FuzzPoller(f *testing.F) {
	f.Add([]byte{}, byte(0))
	f.Fuzz(func(t *testing.T, in []byte, options byte) {
		if len(in) > 4096 {
			return
		}
		synctest.Test(t, func(t *testing.T) {
			e := &fuzzedECUs{in: in}
			out, st := e.drive(t, options)
			if st.Forbidden != 0 || st.Requests != uint64(len(e.requests)) || st.FlowControls != uint64(len(e.flows)) || len(e.flows) > e.firsts {
				t.Errorf("%d requests, %d flow controls for %d first frames; %+v", len(e.requests), len(e.flows), e.firsts, st)
			}
			for _, q := range e.flows {
				if !can.AllowedFlow(&q) {
					t.Errorf("transmitted %v", q)
				}
			}
			for i := range e.requests {
				e.check(t, i)
			}
			if most := 64*len(e.replies) + 256; len(out.samples)+len(out.events) > most {
				t.Errorf("%d samples and %d events of %d frames", len(out.samples), len(out.events), len(e.replies))
			}
		})
	})
}

// drive lets a Source ask for half a minute.
func (e *fuzzedECUs) drive(t *testing.T, options byte) (*sink, can.Stats) {
	o := &can.OBDConfig{Several: int(options & 7), Codes: options&8 != 0, Freeze: options&16 != 0, Info: options&32 != 0, Addressing: can.Addressing(options >> 6 % 3)}
	return driveOn(t, o, 30*time.Second, func(car can.Bus, now func() telemetry.At) {
		e.bus, e.now = car, now
		e.run()
	})
}

// check holds the laws of one request.
func (e *fuzzedECUs) check(t *testing.T, i int) {
	q := e.requests[i]
	pids := q.Data[2 : 1+q.Data[0]]
	if !can.AllowedRequest(&q) || len(pids) > 6 {
		t.Errorf("transmitted %v", q)
	}
	if slices.Sort(pids); q.Data[1] == obd.ServiceCurrent && len(slices.Compact(pids)) != int(q.Data[0])-1 {
		t.Errorf("%v asks for a PID twice", q)
	}
	if i == 0 {
		return
	}
	before := e.requests[i-1].At
	apart := time.Duration(q.At - before)
	answered := slices.ContainsFunc(e.replies, func(at telemetry.At) bool { return at >= before && at <= q.At })
	if apart < time.Second/can.MaxRequestRate || !answered && apart < 250*time.Millisecond {
		t.Errorf("request %v follows %v after %v, answered: %v", q, e.requests[i-1], apart, answered)
	}
}
