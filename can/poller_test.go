package can_test

import (
	"context"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"obu/can"
	"obu/can/isotp"
	"obu/can/link"
	"obu/can/obd"
	"obu/internal/clock"
	"obu/telemetry"
)

// speedOnly asks for the vehicle speed once a second.
func speedOnly() *can.OBDConfig {
	return &can.OBDConfig{Polls: []can.Poll{{PID: 0x0D, Every: time.Second}}, SkipVIN: true}
}

const speed = "Vehicle.Speed"

// TestAllowList tries every identifier of the diagnostic range and every
// service against the list of DESIGN: what reads passes, nothing else does.
func TestAllowList(t *testing.T) {
	reading := map[byte]bool{1: true, 2: true, 3: true, 7: true, 9: true, 0xA: true}
	enhanced := map[byte]bool{0x19: true, 0x22: true}
	ids := []can.Frame{{ID: 0x18DB33F1, Extended: true}, {ID: 0x18DA10F1, Extended: true}, {ID: 0x18DAFFF1, Extended: true},
		{ID: 0x18DA10F2, Extended: true}, {ID: 0x18DAF110, Extended: true}, {ID: 0x7DF, Extended: true}, {ID: 0x18DB33F2, Extended: true}}
	for id := range uint32(0x800) {
		ids = append(ids, can.Frame{ID: id})
	}
	for _, f := range ids {
		obdID := f.Extended && (f.ID == 0x18DB33F1 || f.ID&0x1FFF00FF == 0x18DA00F1) ||
			!f.Extended && (f.ID == 0x7DF || f.ID >= 0x7E0 && f.ID <= 0x7E7)
		physical := !f.Extended && f.ID >= 0x700 && (f.ID < 0x7E8 || f.ID > 0x7EF) // those are answers
		f.Len = 8
		for service := range 256 {
			f.Data[0], f.Data[1] = 2, byte(service)
			want := obdID && (reading[byte(service)] || enhanced[byte(service)]) || physical && enhanced[byte(service)]
			if can.AllowedRequest(&f) != want {
				t.Fatalf("%v: allowed %v", f, !want)
			}
		}
		f.Data[0] = 0x30
		flowID := obdID && f.ID != 0x7DF && f.ID != 0x18DB33F1
		if can.AllowedFlow(&f) != flowID {
			t.Fatalf("flow control %v: allowed %v", f, !flowID)
		}
	}
	for _, f := range []can.Frame{
		{ID: 0x7DF, Len: 8, Remote: true, Data: [64]byte{2, 1}}, {ID: 0x7DF, Len: 8, FD: true, Data: [64]byte{2, 1}},
		{ID: 0x7DF, Len: 8, Error: true, Data: [64]byte{2, 1}}, {ID: 0x7DF, Len: 1, Data: [64]byte{2, 1}},
		{ID: 0x7DF, Len: 8, Data: [64]byte{0x10, 1}}, {ID: 0x7DF, Len: 8, Data: [64]byte{0, 1}}, {ID: 0x7DF, Len: 3, Data: [64]byte{7, 1}},
	} {
		if can.AllowedRequest(&f) {
			t.Errorf("%+v passes the allow-list", f)
		}
	}
}

// TestOnlyAllowedFramesAreTransmitted counts everything the bus saw in ten
// minutes beside hostile ECUs: requests and the flow control of our own VIN
// request, none for transfers nobody asked for.
func TestOnlyAllowedFramesAreTransmitted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := engine()
		out, st := drive(t, e, nil0(), 10*time.Minute, func(*can.Source) {
			for range 100 {
				time.Sleep(5 * time.Second)
				e.SendFrame([]byte{0x10, 0x14, 0x62, 0xF1, 0x90, 1, 2, 3})
				e.SendFrame([]byte{0x10, 0x14, 0x49, 0x02, 0x01, 1, 2, 3})
				e.SendFrame([]byte{0x30, 0, 0, 0, 0, 0, 0, 0})
			}
		})
		flows := 0
		for _, f := range e.transmitted() {
			if can.AllowedFlow(&f) {
				flows++
			} else if !can.AllowedRequest(&f) {
				t.Fatalf("transmitted %v", f)
			}
		}
		if flows != 1 || st.FlowControls != 1 || st.Forbidden != 0 {
			t.Errorf("%d flow controls, stats %+v", flows, st)
		}
		if st.Requests != uint64(len(e.transmitted())-flows) {
			t.Errorf("%d requests counted, %d seen", st.Requests, len(e.transmitted())-flows)
		}
		lost := int64(0)
		for _, g := range out.gaps {
			lost += g.Count
		}
		if broken := st.Transfers["aborted"] + st.Transfers["timeout"] + st.Transfers["unfinished"]; uint64(lost) != broken || broken < 100 {
			t.Errorf("%d broken transfers, %d listed", broken, lost)
		}
	})
}

// nil0 asks for everything the car supports.
func nil0() *can.OBDConfig { return &can.OBDConfig{} }

func TestDefaultPollsAreWhatTheCarSupports(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out, _ := drive(t, engine(), nil0(), 32*time.Second, nil)
		got := map[string]int{}
		for _, s := range out.samples {
			got[s.Signal.Name]++
		}
		if len(got) != 3 || got[speed] < 30 || got["Vehicle.OBD.ControlModuleVoltage"] != 4 {
			t.Errorf("samples %v", got)
		}
	})
}

// TestEverySlowsTheDefaultPolls: it is no promise to ask more often.
func TestEverySlowsTheDefaultPolls(t *testing.T) {
	for every, want := range map[time.Duration]int{100 * time.Millisecond: 60, 5 * time.Second: 12} {
		synctest.Test(t, func(t *testing.T) {
			out, _ := drive(t, engine(), &can.OBDConfig{Every: every}, 61*time.Second, nil)
			if n := out.count(speed, telemetry.QualityLive); n != want {
				t.Errorf("every %v: %d speeds in a minute, want %d", every, n, want)
			}
		})
	}
}

func TestExtendedAddressing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := engine()
		e.response, e.extended = 0x18DAF110, true
		out, st := drive(t, e, nil0(), 10*time.Second, nil)
		if out.count(speed, telemetry.QualityLive) < 7 || out.samples[0].Source.Address != "18DAF110" || len(out.events) != 1 || st.FlowControls != 1 {
			t.Errorf("%+v, %+v, events %v", out.samples, st, out.events)
		}
	})
}

// TestTwoECUs answer one functional request; both are heard, each under its
// own address, and the poller waits for both.
func TestTwoECUs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		clk := clock.Virtual()
		agent, car := can.Pair(clk)
		// Both ECUs behind one bus end: the gearbox answers a little later.
		e := engine()
		e.bus = car
		gearbox := ecu{bus: car, response: 0x7E9}
		e.answer = func(service, pid byte) [][]byte {
			if service == 1 && (pid == 0 || pid == 0x0D) {
				go func() {
					time.Sleep(20 * time.Millisecond)
					if pid == 0 {
						gearbox.SendFrame([]byte{6, 0x41, 0, 0, 0x08, 0, 0})
					} else {
						gearbox.SendFrame([]byte{3, 0x41, 0x0D, 0x49})
					}
				}()
				if pid == 0 {
					return [][]byte{{0x41, 0, 0, 0x08, 0, 0}}
				}
				return [][]byte{{0x41, 0x0D, 0x4A}}
			}
			return nil
		}
		e.run()
		out := &sink{}
		src, err := can.New(out.config(clk, agent, speedOnly()))
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(context.Background(), 11500*time.Millisecond)
		defer cancel()
		if err := src.Run(ctx); err != nil {
			t.Fatal(err)
		}
		e.wg.Wait()
		by := map[string]float64{}
		n := 0
		for _, s := range out.samples {
			by[s.Source.Address] = s.Value.Float()
			n++
		}
		if by["7E8"] != 74 || by["7E9"] != 73 || n < 20 || src.Stats().Timeouts != 0 {
			t.Errorf("%v, %d samples, %+v", by, n, src.Stats())
		}
	})
}

// TestSilentBesideAnotherTester: nothing is asked while somebody else asks and
// for ten seconds after; what the other one gets is still read.
func TestSilentBesideAnotherTester(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := engine()
		var quietFrom, quietTo time.Time
		out, st := drive(t, e, speedOnly(), time.Minute, func(*can.Source) {
			time.Sleep(10 * time.Second)
			quietFrom = time.Now()
			for range 5 {
				e.bus.Send(can.Frame{ID: 0x7E0, Len: 8, Data: [64]byte{2, 1, 0x0D}})
				e.SendFrame([]byte{3, 0x41, 0x0D, 0x63})
				time.Sleep(time.Second)
			}
			quietTo = time.Now().Add(can.TesterSilence - time.Second)
		})
		asked := e.transmittedBetween(quietFrom, quietTo)
		if asked != 0 || st.Withheld == 0 {
			t.Errorf("asked %d times beside another tester; %+v", asked, st)
		}
		overheard := 0
		for _, s := range out.samples {
			if s.Value.Float() == 99 {
				overheard++
			}
		}
		if overheard != 5 {
			t.Errorf("%d of 5 overheard answers", overheard)
		}
		if n := e.transmittedBetween(quietTo.Add(time.Second), quietTo.Add(time.Minute)); n < 25 {
			t.Errorf("%d requests after the other tester left", n)
		}
	})
}

// TestRetreatOnErrorFrames: three error frames within a second end polling for
// a while, and longer the next time; each is counted and listed.
func TestRetreatOnErrorFrames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := engine()
		var start time.Time
		out, st := drive(t, e, speedOnly(), 2*time.Minute, func(*can.Source) {
			time.Sleep(10500 * time.Millisecond)
			start = time.Now()
			for range 2 {
				for range 3 {
					e.bus.Send(can.Frame{ID: 0x08, Error: true, Len: 8})
				}
				time.Sleep(12 * time.Second)
			}
			e.bus.Send(can.Frame{ID: 0x04, Error: true, Len: 8, Data: [64]byte{0, 1}})
		})
		if n := e.transmittedBetween(start, start.Add(10*time.Second)); n != 0 {
			t.Errorf("%d requests after errors", n)
		}
		if n := e.transmittedBetween(start.Add(10*time.Second), start.Add(12*time.Second)); n == 0 {
			t.Error("polling did not come back")
		}
		if n := e.transmittedBetween(start.Add(12*time.Second), start.Add(32*time.Second)); n != 0 {
			t.Errorf("%d requests after errors came again", n)
		}
		counts := map[telemetry.Reason]int64{}
		for _, g := range out.gaps {
			counts[g.Reason] += g.Count
		}
		if counts[telemetry.ReasonBusError] != 6 || counts[telemetry.ReasonRXOverflow] != telemetry.CountUnknown || st.ErrorFrames != 7 {
			t.Errorf("gaps %v, %+v", counts, st)
		}
	})
}

// TestWrongBitRate: one error frame before any ECU has answered is enough.
func TestWrongBitRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &ecu{response: 0x7E8}
		e.answer = func(byte, byte) [][]byte {
			e.bus.Send(can.Frame{ID: 0x08, Error: true, Len: 8})
			return nil
		}
		_, st := drive(t, e, speedOnly(), time.Minute, nil)
		if st.Requests > 3 {
			t.Errorf("%d requests in a minute on a bus that answers with errors: %v", st.Requests, e.times)
		}
	})
}

// TestSleepingCar: when the ECUs fall silent the signals are marked asleep
// once, and the agent asks less and less, twice the wait each time; it is back
// by itself even where nothing shows that the car is.
func TestSleepingCar(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := engine()
		var asleep time.Time
		awake := true
		e.answer = func(service, pid byte) [][]byte {
			e.mu.Lock()
			defer e.mu.Unlock()
			if !awake {
				return nil
			}
			if pid == 0 {
				return [][]byte{{0x41, 0, 0, 0x08, 0, 0}}
			}
			return [][]byte{{0x41, 0x0D, 0x4A}}
		}
		out, st := drive(t, e, speedOnly(), 3*time.Hour, func(s *can.Source) {
			time.Sleep(30 * time.Second)
			e.mu.Lock()
			awake, asleep = false, time.Now()
			e.mu.Unlock()
			time.Sleep(time.Hour)
			if got := s.Stats().State; got != "asleep" {
				t.Errorf("state %q", got)
			}
			e.mu.Lock()
			awake = true
			e.mu.Unlock()
		})
		if n := out.count(speed, telemetry.QualityAsleep); n != 1 {
			t.Errorf("asleep was reported %d times", n)
		}
		if n := e.transmittedBetween(asleep.Add(time.Minute), asleep.Add(time.Hour)); n > 2*6 {
			t.Errorf("%d requests in the hour a car slept", n)
		}
		if n := out.count(speed, telemetry.QualityLive); n < 5600 {
			t.Errorf("%d speeds, want the car back after as long as it slept; %+v", n, st)
		}
	})
}

// TestEngineOff: with the engine off for five minutes the agent looks twice a
// minute only, and polls again when the engine runs.
func TestEngineOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := engine()
		rpm := byte(0)
		e.answer = func(service, pid byte) [][]byte {
			e.mu.Lock()
			defer e.mu.Unlock()
			switch pid {
			case 0:
				return [][]byte{{0x41, 0, 0, 0x18, 0, 0}}
			case 0x0C:
				return [][]byte{{0x41, 0x0C, rpm, 0}}
			}
			return [][]byte{{0x41, 0x0D, 0}}
		}
		o := &can.OBDConfig{SkipVIN: true, Polls: []can.Poll{{PID: 0x0C, Every: time.Second}, {PID: 0x0D, Every: time.Second}}}
		var off time.Time
		out, _ := drive(t, e, o, 20*time.Minute, func(s *can.Source) {
			off = time.Now()
			time.Sleep(10 * time.Minute)
			if got := s.Stats().State; got != "resting" {
				t.Errorf("state %q", got)
			}
			e.mu.Lock()
			rpm = 0x1A
			e.mu.Unlock()
		})
		if n := e.transmittedBetween(off.Add(6*time.Minute), off.Add(10*time.Minute)); n > 16 { // two PIDs each 30 s
			t.Errorf("%d requests in four minutes of rest", n)
		}
		if n := out.count(speed, telemetry.QualityAsleep); n != 1 {
			t.Errorf("asleep was reported %d times", n)
		}
		if n := e.transmittedBetween(off.Add(11*time.Minute), off.Add(19*time.Minute)); n < 760 {
			t.Errorf("%d requests in eight minutes with the engine running, which is noticed in two at most", n)
		}
	})
}

// TestHybridDoesNotRest: the engine is off, the car drives on its battery, and
// the speed is not even polled.
func TestHybridDoesNotRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := engine()
		e.answers[[2]byte{1, 0x0C}] = []byte{0, 0}
		e.answers[[2]byte{1, 0x42}] = []byte{0x2E, 0xE0}
		o := &can.OBDConfig{SkipVIN: true, Polls: []can.Poll{{PID: 0x0C, Every: time.Second}}}
		out, st := drive(t, e, o, 20*time.Minute, nil)
		const rpm = "Vehicle.Powertrain.CombustionEngine.Speed"
		if n := out.count(rpm, telemetry.QualityLive); n < 1190 || out.count(rpm, telemetry.QualityAsleep) != 0 || len(out.samples) != n {
			t.Errorf("%d engine speeds of %d samples; %+v", n, len(out.samples), st)
		}
	})
}

// TestNegativeAnswers: "response pending" is waited for, a refusal is counted
// by name and, the third time, reported as unsupported and not asked again.
func TestNegativeAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := engine()
		e.answer = func(service, pid byte) [][]byte {
			switch pid {
			case 0:
				return [][]byte{{0x41, 0, 0x08, 0x08, 0, 0}} // 05 and 0D
			case 0x05:
				return [][]byte{obd.EncodeNegative(1, obd.NRCNotSupported)}
			}
			go func() {
				time.Sleep(2 * time.Second)
				e.SendFrame([]byte{3, 0x41, 0x0D, 0x4A})
			}()
			return [][]byte{obd.EncodeNegative(1, obd.NRCPending)}
		}
		o := &can.OBDConfig{SkipVIN: true, Polls: []can.Poll{{PID: 0x05, Every: 10 * time.Second}, {PID: 0x0D, Every: 10 * time.Second}}}
		out, st := drive(t, e, o, 5*time.Minute, nil)
		if st.Negatives["sub-function-not-supported"] != 3 || st.Negatives["response-pending"] < 25 || st.Timeouts != 0 {
			t.Errorf("%+v", st)
		}
		if n := out.count(speed, telemetry.QualityLive); n < 25 {
			t.Errorf("%d pending answers arrived", n)
		}
		if n := out.count("Vehicle.Powertrain.CombustionEngine.EngineCoolant.Temperature", telemetry.QualityUnsupported); n != 1 {
			t.Errorf("unsupported was reported %d times", n)
		}
	})
}

// TestVINAfterResponsePending: an ECU that puts the VIN off still gets the flow
// control that the rest of it needs.
func TestVINAfterResponsePending(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := engine()
		vin := e.answers[[2]byte{9, 2}]
		e.answer = func(service, pid byte) [][]byte {
			if service == 1 {
				return [][]byte{{0x41, pid, 0, 0x08, 0, 0}}
			}
			e.wg.Go(func() {
				time.Sleep(time.Second)
				(&isotp.Sender{Conn: e}).Send(append([]byte{0x49, 2}, vin...))
			})
			return [][]byte{obd.EncodeNegative(service, obd.NRCPending)}
		}
		out, st := drive(t, e, nil0(), 30*time.Second, nil)
		if len(out.events) != 1 || out.events[0].Value != telemetry.Text("WVWZZZ1JZXW000001") || st.FlowControls != 1 {
			t.Errorf("events %v, %+v", out.events, st)
		}
	})
}

// TestVINIsAskedAgain: a transfer that broke does not cost an hour, and a car
// without a VIN is not asked for ever.
func TestVINIsAskedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := engine()
		vin, asked := e.answers[[2]byte{9, 2}], 0
		e.answer = func(service, pid byte) [][]byte {
			if service == 1 {
				return [][]byte{{0x41, pid, 0, 0x08, 0, 0}}
			}
			if asked++; asked == 1 {
				return nil
			}
			return [][]byte{append([]byte{0x49, 2}, vin...)}
		}
		out, _ := drive(t, e, nil0(), 2*time.Minute, nil)
		if len(out.events) != 1 || asked != 2 {
			t.Errorf("%d VINs, asked %d times", len(out.events), asked)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		e, asked := engine(), 0
		e.answer = func(service, pid byte) [][]byte {
			if service == 1 && pid == 0x0D {
				return [][]byte{{0x41, pid, 0x4A}} // it travels
			}
			if service == 1 {
				return [][]byte{{0x41, pid, 0, 0x08, 0, 0}}
			}
			asked++
			return nil
		}
		drive(t, e, nil0(), 10*time.Hour, nil)
		if asked < 10 || asked > 20 {
			t.Errorf("a VIN that never comes was asked for %d times in 10 hours", asked)
		}
	})
}

// TestOrdinaryErrorFramesAreNoTrouble: a lost arbitration is everyday life on a
// busy bus, and a controller that is well again is good news. Neither makes
// the agent fall silent, nor is anything lost with it.
func TestOrdinaryErrorFramesAreNoTrouble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := engine()
		out, st := drive(t, e, speedOnly(), time.Minute, func(*can.Source) {
			for range 50 {
				e.bus.Send(can.Frame{ID: 0x02, Error: true, Len: 8})                           // lost arbitration
				e.bus.Send(can.Frame{ID: 0x200, Error: true, Len: 8})                          // counters only
				e.bus.Send(can.Frame{ID: 0x100, Error: true, Len: 8})                          // restarted
				e.bus.Send(can.Frame{ID: 0x04, Error: true, Len: 8, Data: [64]byte{1: 0x40}})  // error-active again
				e.bus.Send(can.Frame{ID: 0x206, Error: true, Len: 8, Data: [64]byte{1: 0x40}}) // all of it
				time.Sleep(time.Second)
			}
		})
		if len(out.gaps) != 0 || st.ErrorFrames != 250 || out.count(speed, telemetry.QualityLive) < 57 {
			t.Errorf("gaps %v, %+v", out.gaps, st)
		}
	})
}

// TestBusOffNamesItsCure: a controller that has taken itself off the bus comes
// back only when it is told to.
func TestBusOffNamesItsCure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, log := engine(), &logText{}
		driveLogged(t, e, speedOnly(), 10*time.Second, log, func(*can.Source) {
			time.Sleep(5 * time.Second)
			e.bus.Send(can.Frame{ID: 0x40, Error: true, Len: 8})
		})
		if got := log.String(); strings.Count(got, "bus-off") != 1 || !strings.Contains(got, "restart-ms") {
			t.Errorf("said\n%s", got)
		}
	})
}

// TestUnansweredSearchIsSaid: a car that never answers is said once, with what
// to look at, not hidden in a counter.
func TestUnansweredSearchIsSaid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, log := engine(), &logText{}
		e.answer = func(byte, byte) [][]byte { return nil }
		driveLogged(t, e, speedOnly(), time.Hour, log, nil)
		if got := log.String(); strings.Count(got, "no ECU answers") != 1 || !strings.Contains(got, "ignition") {
			t.Errorf("said\n%s", got)
		}
	})
}

// TestAddressing: a technician who names the width of the identifiers gets no
// request of the other one.
func TestAddressing(t *testing.T) {
	for _, want := range []can.Addressing{can.Address11, can.Address29} {
		synctest.Test(t, func(t *testing.T) {
			e := &ecu{response: 0x7E8}
			drive(t, e, &can.OBDConfig{Addressing: want}, time.Minute, nil)
			for _, f := range e.transmitted() {
				if f.Extended != (want == can.Address29) {
					t.Errorf("addressing %d: transmitted %v", want, f)
				}
			}
			if len(e.transmitted()) == 0 {
				t.Error("nothing was asked")
			}
		})
	}
}

// TestRestsWithoutPollingTheEngine: the engine is off, and the technician's
// list has no engine speed that would tell.
func TestRestsWithoutPollingTheEngine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := engine()
		e.answers[[2]byte{1, 0x0C}] = []byte{0, 0}
		e.answers[[2]byte{1, 0x0D}] = []byte{0}
		e.answers[[2]byte{1, 0x42}] = []byte{0x2E, 0xE0}
		drive(t, e, speedOnly(), 10*time.Minute, func(s *can.Source) {
			time.Sleep(9 * time.Minute)
			if got := s.Stats().State; got != "resting" {
				t.Errorf("state %q", got)
			}
		})
	})
}

// TestSilentSecondECU: a gearbox that has gone to sleep does not hold up every
// request to the engine until its time is over.
func TestSilentSecondECU(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := engine()
		e.answer = func(service, pid byte) [][]byte {
			if pid == 0 {
				e.bus.Send(can.Frame{ID: 0x7E9, Len: 8, Data: [64]byte{6, 0x41, 0, 0, 0x08, 0, 0}})
				return [][]byte{{0x41, 0, 0, 0x08, 0, 0}}
			}
			return [][]byte{{0x41, 0x0D, 0x4A}}
		}
		o := &can.OBDConfig{SkipVIN: true, Polls: []can.Poll{{PID: 0x0D, Every: 50 * time.Millisecond}}}
		out, st := drive(t, e, o, 12*time.Second, nil)
		if n := out.count(speed, telemetry.QualityLive); n < 190 {
			t.Errorf("%d speeds in 10 s at 20 Hz; %+v", n, st)
		}
	})
}

// TestSlowGateway: answers that come after the window are values all the same,
// and do not make the agent ask less often or think the car asleep.
func TestSlowGateway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := engine()
		e.answer = func(service, pid byte) [][]byte {
			if pid == 0 {
				return [][]byte{{0x41, 0, 0, 0x08, 0, 0}}
			}
			time.Sleep(400 * time.Millisecond)
			return [][]byte{{0x41, 0x0D, 0x4A}}
		}
		out, st := drive(t, e, speedOnly(), time.Minute, nil)
		if n := out.count(speed, telemetry.QualityLive); n < 57 || out.count(speed, telemetry.QualityAsleep) != 0 {
			t.Errorf("%d speeds in a minute; %+v", n, st)
		}
	})
}

// TestRequestRateIsBounded asks for 60 PIDs each 20 ms: the bus sees no more
// than MaxRequestRate requests in any second, and the rest is counted.
func TestRequestRateIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &ecu{response: 0x7E8, answers: map[[2]byte][]byte{}}
		o := &can.OBDConfig{SkipVIN: true, MaxRate: 1000}
		for pid := byte(1); pid < 0x20; pid++ {
			e.answers[[2]byte{1, pid}] = make([]byte, max(obd.Size(pid), 1))
			o.Polls = append(o.Polls, can.Poll{PID: pid, Every: can.MinPeriod})
		}
		_, st := drive(t, e, o, 11*time.Second, nil)
		if st.Requests > 10*can.MaxRequestRate+2 || st.Requests < 9*can.MaxRequestRate || st.Late == 0 {
			t.Errorf("%d requests in 10 s, %d late", st.Requests, st.Late)
		}
	})
}

// TestPassiveNeverTransmits.
func TestPassiveNeverTransmits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := engine()
		out, st := drive(t, e, &can.OBDConfig{Passive: true}, time.Minute, func(*can.Source) {
			e.SendFrame([]byte{3, 0x41, 0x0D, 0x4A})
			e.SendFrame([]byte{0x10, 0x14, 0x49, 0x02, 0x01, 1, 2, 3})
		})
		if len(e.transmitted()) != 0 || st.Requests+st.FlowControls != 0 || out.count(speed, telemetry.QualityLive) != 1 {
			t.Errorf("transmitted %v, %+v", e.transmitted(), st)
		}
	})
}

// TestFlood: a reader that is overrun loses frames, and every one is listed.
func TestFlood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := engine()
		out, st := drive(t, e, speedOnly(), 10*time.Second, func(*can.Source) {
			for range 50 {
				for range 1000 { // bursts the queue of a Pair cannot hold
					e.SendFrame([]byte{3, 0x41, 0x0D, 0x4A})
				}
				time.Sleep(100 * time.Millisecond)
			}
		})
		lost := int64(0)
		for _, g := range out.gaps {
			if g.Reason == telemetry.ReasonRXOverflow {
				lost += g.Count
			}
		}
		if lost != int64(st.Drops) || len(out.gaps) > 11 {
			t.Errorf("%d frames dropped, %d listed in %d gaps", st.Drops, lost, len(out.gaps))
		}
		if got := uint64(out.count(speed, telemetry.QualityLive)); got+st.Drops < 50_000 {
			t.Errorf("%d received and %d dropped of 50,000", got, st.Drops)
		}
	})
}

// TestLostDevice: Run ends with an error that the supervisor can tell from a
// cancellation, and can be called again.
func TestLostDevice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		clk := clock.Virtual()
		out := &sink{}
		dials := 0
		cfg := out.config(clk, nil, speedOnly())
		cfg.Dial = func(context.Context) (can.Bus, error) {
			if dials++; dials == 1 {
				return nil, link.ErrNoDevice
			}
			agent, car := can.Pair(clk)
			time.AfterFunc(5*time.Second, func() { car.Close() })
			return agent, nil
		}
		src, err := can.New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{"open can0: no such device", "read can0: bus is closed", "read can0: bus is closed"} {
			if err := src.Run(context.Background()); err == nil || err.Error() != want {
				t.Errorf("Run: %v, want %s", err, want)
			}
		}
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		if err := src.Run(ctx); err != nil {
			t.Errorf("cancelled Run: %v", err)
		}
	})
}

func TestConfigIsChecked(t *testing.T) {
	clk := clock.Virtual()
	good := (&sink{}).config(clk, nil, nil)
	for name, spoil := range map[string]func(*can.Config){
		"no name": func(c *can.Config) { c.Name = "" }, "no clock": func(c *can.Config) { c.Clock = nil },
		"no emit": func(c *can.Config) { c.Emit = nil }, "no dialer": func(c *can.Config) { c.Dial = nil },
		"bit rate":  func(c *can.Config) { c.Bitrate = -1 },
		"too often": func(c *can.Config) { c.OBD = &can.OBDConfig{Polls: []can.Poll{{PID: 0x0C, Every: time.Millisecond}}} },
		"twice": func(c *can.Config) {
			c.OBD = &can.OBDConfig{Polls: []can.Poll{{PID: 0x0C, Every: time.Second}, {PID: 0x0C, Every: time.Second}}}
		},
	} {
		cfg := good
		spoil(&cfg)
		if _, err := can.New(cfg); err == nil || !strings.HasPrefix(err.Error(), "wrong CAN configuration") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := can.New(good); err != nil {
		t.Error(err)
	}
}

// TestReadTimeIsSaid: a value whose frame could not be stamped by the kernel
// carries that in its quality.
func TestReadTimeIsSaid(t *testing.T) {
	var out sink
	bus := &countedBus{frame: can.Frame{ID: 0x7E8, Len: 8, ReadTime: true, Data: [64]byte{3, 0x41, 0x0D, 0x4A}}, left: 1}
	src, err := can.New(out.config(clock.Virtual(), bus, &can.OBDConfig{}))
	if err != nil {
		t.Fatal(err)
	}
	if err := src.Run(context.Background()); err != nil || out.count(speed, telemetry.QualityReadTime) != 1 {
		t.Errorf("%+v, %v", out.samples, err)
	}
}

// BenchmarkSource is a frame's way through a Source, from the bus to Emit.
func BenchmarkSource(b *testing.B) {
	clk := clock.Virtual()
	n := 0
	bus := &countedBus{frame: can.Frame{ID: 0x7E8, Len: 8, Data: [64]byte{4, 0x41, 0x0C, 0x1A, 0xF8}}, left: b.N}
	src, err := can.New(can.Config{
		Name: "can0", Clock: clk, OBD: &can.OBDConfig{}, Dial: func(context.Context) (can.Bus, error) { return bus, nil },
		Emit: func(s []telemetry.Sample) { n += len(s) },
	})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	b.ResetTimer()
	if err := src.Run(context.Background()); err != nil || n != b.N {
		b.Fatal(err, n)
	}
}

// countedBus is a recording of one frame, many times.
type countedBus struct {
	frame can.Frame
	left  int
}

func (c *countedBus) Receive() (can.Frame, error) {
	if c.left == 0 {
		return can.Frame{}, io.EOF
	}
	c.left--
	return c.frame, nil
}
func (c *countedBus) Send(can.Frame) error { return can.ErrReceiveOnly }
func (c *countedBus) ReceiveOnly() bool    { return true }
func (c *countedBus) Drops() uint64        { return 0 }
func (c *countedBus) Close() error         { return nil }
