package can_test

import (
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"obu/can"
	"obu/can/obd"
	"obu/telemetry"
)

// sick is an ECU with a self-test: trouble codes, a freeze frame, a name.
type sick struct {
	mu     sync.Mutex
	stored string // hexadecimal digits of the codes
	count  map[byte]int
	refuse map[byte]bool // services answered by 7F xx 11
}

func (s *sick) set(codes string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stored = codes
}

func (s *sick) asked(service byte) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.count[service]
}

func (s *sick) answer(service, pid byte) [][]byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.count == nil {
		s.count = make(map[byte]int)
	}
	s.count[service]++
	n := byte(len(s.stored) / 4)
	if s.refuse[service] {
		return [][]byte{obd.EncodeNegative(service, obd.NRCServiceNotSupported)}
	}
	switch service {
	case 0x01:
		switch pid {
		case 0x00:
			return [][]byte{{0x41, 0, 0x80, 0x18, 0, 0}} // 01, 0C, 0D
		case 0x01:
			mil := n
			if n > 0 {
				mil |= 0x80
			}
			return [][]byte{{0x41, 1, mil, 0x07, 0xE5, 0}}
		case 0x0C:
			return [][]byte{{0x41, 0x0C, 0x1A, 0xF8}}
		case 0x0D:
			return [][]byte{{0x41, 0x0D, 0x4A}}
		}
	case 0x02:
		if n == 0 {
			return [][]byte{obd.EncodeNegative(service, obd.NRCOutOfRange)}
		}
		switch pid {
		case 0x00:
			return [][]byte{{0x42, 0, 0, 0x40, 0x08, 0, 0}} // 02, 0D
		case 0x02:
			return [][]byte{unhexed("420200" + s.stored[:4])}
		case 0x0D:
			return [][]byte{{0x42, 0x0D, 0, 0x30}}
		}
	case 0x03:
		return [][]byte{append([]byte{0x43, n}, unhexed(s.stored)...)}
	case 0x07, 0x0A:
		return [][]byte{{service + 0x40, 0}}
	case 0x09:
		switch pid {
		case 0x00:
			return [][]byte{{0x49, 0, 0x55, 0x40, 0, 0}} // 02, 04, 06, 08, 0A
		case 0x02:
			return [][]byte{obd.EncodeVIN("WVWZZZ1JZXW000001")}
		case 0x04:
			return [][]byte{append([]byte{0x49, 4, 1}, "3G5906012AB\x00\x00\x00\x00\x00"...)}
		case 0x06:
			return [][]byte{{0x49, 6, 1, 0x17, 0x91, 0xBC, 0x82}}
		case 0x08:
			return [][]byte{{0x49, 8, 2, 4, 0, 0x0E, 0x10}}
		case 0x0A:
			return [][]byte{append([]byte{0x49, 0x0A, 1}, "ECM\x00-EngineControl\x00\x00"...)}
		}
	}
	return nil
}

func unhexed(s string) []byte {
	out := make([]byte, len(s)/2)
	for i := range out {

		for _, c := range s[2*i : 2*i+2] {
			out[i] = out[i]<<4 | byte(strings.IndexRune("0123456789ABCDEF", c))
		}
	}
	return out
}

// everything asks for all there is, beside the speed.
func everything() *can.OBDConfig {
	return &can.OBDConfig{Polls: []can.Poll{{PID: 0x0D, Every: time.Second}}, Codes: true, Freeze: true, Info: true}
}

// events returns what was told as events: "name=value" or "freeze name=value".
func events(out *sink) (list []string) {
	for _, s := range out.events {
		name := s.Signal.Name[strings.LastIndexByte(s.Signal.Name[:strings.LastIndexByte(s.Signal.Name, '.')], '.')+1:]
		if s.Source.Method == can.MethodFreeze {
			name = "freeze " + name
		}
		list = append(list, name+"="+s.Value.String())
	}
	return list
}

// TestTroubleCodesAreChangeEvents: a code that comes is told once, with the
// freeze frame of its moment, within seconds of the MIL; one that is cleared is
// told, too; what stays as it is is not.
func TestTroubleCodesAreChangeEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &sick{}
		e := &ecu{response: 0x7E8, answer: s.answer}
		o := everything()
		o.Info, o.SkipVIN = false, true
		var latency time.Duration
		out, st := drive(t, e, o, 10*time.Minute, func(*can.Source) {
			time.Sleep(2*time.Minute + 5*time.Second)
			s.set("0301C123")
			before, at := s.asked(2), time.Now()
			for s.asked(2) == before {
				time.Sleep(100 * time.Millisecond)
			}
			latency = time.Since(at)
			time.Sleep(2 * time.Minute)
			s.set("C123")
			time.Sleep(2 * time.Minute)
			s.set("")
		})
		want := []string{
			"Diagnostics.DTCList=", "Diagnostics.PendingDTCList=", "Diagnostics.PermanentDTCList=",
			"Diagnostics.DTCList=P0301,U0123", "Stored.Appeared=P0301,U0123", "freeze OBD.FreezeDTC=P0301", "freeze Vehicle.Speed=48",
			"Diagnostics.DTCList=U0123", "Stored.Cleared=P0301", "Diagnostics.DTCList=", "Stored.Cleared=U0123",
		}
		got := slices.DeleteFunc(events(out), func(s string) bool { return strings.Contains(s, "Readiness") })
		if !slices.Equal(got, want) {
			t.Errorf("events:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
		if latency > 11*time.Second {
			t.Errorf("the freeze frame was asked for %v after the code came", latency)
		}
		if n := s.asked(3); n < 10 || n > 14 {
			t.Errorf("stored codes were asked for %d times in 10 minutes", n)
		}
		if n := s.asked(2); n != 3 {
			t.Errorf("%d requests for the freeze frame, want 3", n)
		}
		if n := out.count(speed, telemetry.QualityLive); n < 595 || st.Late > 1 {
			t.Errorf("%d speeds in 10 minutes, %d polls late", n, st.Late)
		}
	})
}

// TestCodesThatStandAtTheStart are told as a list, not as new; their freeze
// frame is read once.
func TestCodesThatStandAtTheStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &sick{stored: "0420"}
		o := everything()
		o.Info, o.SkipVIN = false, true
		out, _ := drive(t, &ecu{response: 0x7E8, answer: s.answer}, o, 10*time.Minute, nil)
		got := events(out)
		if !slices.Contains(got, "Diagnostics.DTCList=P0420") || !slices.Contains(got, "freeze Vehicle.Speed=48") || slices.Contains(got, "Stored.Appeared=P0420") {
			t.Errorf("events %v", got)
		}
		if n := s.asked(2); n != 3 {
			t.Errorf("%d requests for the freeze frame, want 3", n)
		}
	})
}

// TestWhatECUsSayOfThemselves is told once, however often they are asked.
func TestWhatECUsSayOfThemselves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &sick{}
		o := everything()
		o.Codes = false
		out, st := drive(t, &ecu{response: 0x18DAF110, extended: true, answer: s.answer}, o, 3*time.Hour+time.Minute, nil)
		want := []string{
			"VehicleIdentification.VIN=WVWZZZ1JZXW000001", "ECU.Name=ECM-EngineControl",
			"ECU.CalibrationIDs=3G5906012AB", "ECU.CVNs=1791BC82", "OBD.InUseCounters=OBDCOND=1024,IGNCNTR=3600",
		}
		if got := events(out); !slices.Equal(got, want) {
			t.Errorf("events:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
		if n := s.asked(9); n != 4*6 {
			t.Errorf("%d requests of service 09 in 3 hours, want 24", n)
		}
		if st.FlowControls != 4*3 { // VIN, CALID and name take several frames
			t.Errorf("%d flow controls", st.FlowControls)
		}
	})
}

// TestRefusedServicesAreLeft: an ECU that refuses a service is not asked for
// ever, and its refusals are counted by name.
func TestRefusedServicesAreLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &sick{refuse: map[byte]bool{0x0A: true, 0x09: true}}
		o := everything()
		o.SkipVIN = true
		_, st := drive(t, &ecu{response: 0x7E8, answer: s.answer}, o, 5*time.Hour, nil)
		if s.asked(0x0A) != 3 || s.asked(9) != 3 || st.Negatives["service-not-supported"] != 6 {
			t.Errorf("0A asked %d times, 09 %d times, negatives %v", s.asked(0x0A), s.asked(9), st.Negatives)
		}
		if n := s.asked(7); n < 295 {
			t.Errorf("pending codes asked %d times", n)
		}
	})
}

// TestChoresKeepTheBounds counts what the bus saw with everything on: no more
// requests a second than configured, nothing beside another tester, nothing
// but the look for life while the engine is off.
func TestChoresKeepTheBounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &sick{stored: "0301"}
		e := &ecu{response: 0x7E8, answer: s.answer}
		o := everything()
		o.MaxRate, o.CodesEvery = 10, time.Second
		var tester time.Time
		_, st := drive(t, e, o, 2*time.Minute, func(*can.Source) {
			time.Sleep(time.Minute)
			tester = time.Now()
			e.bus.Send(can.Frame{ID: 0x7E0, Len: 8, Data: [64]byte{2, 0x10, 3}})
		})
		if n := e.transmittedBetween(tester, tester.Add(can.TesterSilence)); n != 0 {
			t.Errorf("%d frames beside another tester", n)
		}
		if n := e.transmittedBetween(tester.Add(can.TesterSilence), tester.Add(2*can.TesterSilence)); n < 20 {
			t.Errorf("%d frames after it had stopped", n)
		}
		for i := range e.times {
			n := 0
			for j := i; j < len(e.times) && e.times[j].Sub(e.times[i]) < time.Second; j++ {
				if can.AllowedRequest(&e.seen[j]) {
					n++
				}
			}
			if n > 10 {
				t.Fatalf("%d requests within a second", n)
			}
		}
		if st.Forbidden != 0 {
			t.Errorf("%d frames stopped by the allow-list", st.Forbidden)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		s := &sick{stored: "0301"}
		off := false
		e := &ecu{response: 0x7E8}
		e.answer = func(service, pid byte) [][]byte {
			s.mu.Lock()
			stands := off
			s.mu.Unlock()
			if stands && service == 1 && (pid == 0x0C || pid == 0x0D) {
				return [][]byte{[]byte{0x41, pid, 0, 0}[:3+int(0x0D-pid)]}
			}
			return s.answer(service, pid)
		}
		var rest time.Time
		drive(t, e, everything(), time.Hour, func(*can.Source) {
			time.Sleep(time.Minute)
			s.mu.Lock()
			off = true
			s.mu.Unlock()
			time.Sleep(6 * time.Minute)
			rest = time.Now()
		})
		for i, f := range e.transmitted() {
			if e.times[i].After(rest) && (f.Data[1] != 1 || f.Data[2] != 0x0C && f.Data[2] != 0x0D) {
				t.Fatalf("%v to a car that stands with its engine off", f)
			}
		}
		if n := e.transmittedBetween(rest, rest.Add(50*time.Minute)); n == 0 || n > 250 {
			t.Errorf("%d frames in 50 minutes of rest", n)
		}
	})
}

// TestRestlessECU: codes that come and go with every answer cost a bounded number
// of requests, and polling goes on beside them.
func TestRestlessECU(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &sick{}
		e := &ecu{response: 0x7E8}
		n := 0
		e.answer = func(service, pid byte) [][]byte {
			s.mu.Lock()
			n++
			s.stored = []string{"0301", "03020420", "", "C123"}[n%4]
			s.mu.Unlock()
			return s.answer(service, pid)
		}
		o := everything()
		o.Info, o.SkipVIN = false, true
		o.Polls = append(o.Polls, can.Poll{PID: 0x01, Every: 100 * time.Millisecond})
		out, _ := drive(t, e, o, 10*time.Minute, nil)
		if n := s.asked(3); n < 10 || n > 62 { // each 10 s at most
			t.Errorf("stored codes were asked for %d times in 10 minutes", n)
		}
		if n := s.asked(2); n == 0 || n > 33 { // a frame of three requests a minute
			t.Errorf("%d requests for freeze frames in 10 minutes", n)
		}
		if n := out.count(speed, telemetry.QualityLive); n < 590 {
			t.Errorf("%d speeds in 10 minutes", n)
		}
	})
}

// TestOnChange tells a value when it differs from the one before, and again
// after the car has slept.
func TestOnChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := engine()
		n := 0
		e.answer = func(service, pid byte) [][]byte {
			if pid == 0 {
				return [][]byte{{0x41, 0, 0, 0x08, 0, 0}}
			}
			n++
			return [][]byte{{0x41, 0x0D, byte(n / 10)}}
		}
		o := &can.OBDConfig{SkipVIN: true, Polls: []can.Poll{{PID: 0x0D, Every: time.Second, OnChange: true}}}
		out, _ := drive(t, e, o, 41500*time.Millisecond, nil)
		if got := out.count(speed, telemetry.QualityLive); got != 5 || n < 40 {
			t.Errorf("%d values told of %d", got, n)
		}
	})
}
