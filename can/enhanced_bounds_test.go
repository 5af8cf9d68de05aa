package can_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"obu/can"
	"obu/can/isotp"
	"obu/can/obd"
	"obu/can/uds"
	"obu/internal/clock"
	"obu/telemetry"
)

// TestUDSKeepsTheBounds counts what the bus saw: the rate, silence beside
// another tester (also one that asks this ECU alone), nothing but the look for
// life in a car that rests.
func TestUDSKeepsTheBounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBattery()
		e := &ecu{answer: func(byte, byte) [][]byte { return nil }, more: &ecu{response: 0x7BB, request: 0x7B3, uds: b.answer}}
		c := bms(soc(20*time.Millisecond), temperature(20*time.Millisecond))
		c.Request, c.Response, c.PerRequest = 0x7B3, 0x7BB, 1
		o := speedOnly()
		o.MaxRate = 10
		var tester time.Time
		out, _, _ := driveUDS(t, e, o, []can.ECU{c}, 2*time.Minute, func(*can.Source) {
			time.Sleep(time.Minute)
			tester = time.Now()
			e.bus.Send(can.Frame{ID: 0x7B3, Len: 8, Data: [64]byte{3, 0x22, 0xF1, 0x90}})
			e.more.SendFrame(append([]byte{4}, unhexed("62010251")...))
		})
		if n := e.transmittedBetween(tester, tester.Add(can.TesterSilence)); n != 0 {
			t.Errorf("%d frames beside another tester", n)
		}
		if n := e.transmittedBetween(tester.Add(can.TesterSilence), tester.Add(2*can.TesterSilence)); n < 20 {
			t.Errorf("%d frames after it had stopped", n)
		}
		if !slices.Contains(toldUDS(out.samples), "7BB Battery.Temperature=41") {
			t.Errorf("the answer to the other tester was not read: %v", toldUDS(out.samples))
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
	})
	for _, engine := range []bool{true, false} { // with one, values of UDS that move say nothing
		synctest.Test(t, func(t *testing.T) {
			b := newBattery()
			n := 0
			e := &ecu{}
			e.answer = func(service, pid byte) [][]byte {
				switch {
				case !engine || service != obd.ServiceCurrent:
				case pid == 0:
					return [][]byte{{0x41, 0, 0, 0x10, 0, 0}}
				case pid == 0x0C:
					return [][]byte{{0x41, 0x0C, 0, 0}}
				}
				return nil
			}
			e.response = 0x7E8
			var stopped time.Time
			e.more = &ecu{response: 0x7EC, request: 0x7E4, uds: func(q []byte) [][]byte {
				b.answer(q)
				if n++; n > 60 && !engine {
					return [][]byte{unhexed("6201010000000000" + "00")}
				}
				return [][]byte{unhexed("6201010000000000" + fmt.Sprintf("%02X", n%256))}
			}}
			driveUDS(t, e, &can.OBDConfig{SkipVIN: true}, []can.ECU{bms(soc(time.Second))}, time.Hour, func(*can.Source) {
				time.Sleep(8 * time.Minute)
				stopped = time.Now()
			})
			if n := e.transmittedBetween(stopped, stopped.Add(50*time.Minute)); n == 0 || n > 250 {
				t.Errorf("engine known %v: %d frames in 50 minutes of rest", engine, n)
			}
		})
	}
}

// TestECUsThatCannotBe are refused before anything is opened.
func TestECUsThatCannotBe(t *testing.T) {
	for name, change := range map[string]func(*can.ECU){
		"functional": func(e *can.ECU) { e.Request = 0x7DF }, "an answer": func(e *can.ECU) { e.Request = 0x7E9 }, "low": func(e *can.ECU) { e.Request = 0x6F1 },
		"29 bits": func(e *can.ECU) { e.Extended = true }, "other tester": func(e *can.ECU) { e.Extended, e.Request, e.Response = true, 0x18DA10F2, 0x18DAF210 },
		"same": func(e *can.ECU) { e.Response = e.Request }, "fast": func(e *can.ECU) { e.DIDs[0].Every = time.Millisecond },
		"beyond": func(e *can.ECU) { e.DIDs[0].Length = 3 }, "twice": func(e *can.ECU) { e.DIDs = append(e.DIDs, e.DIDs[0]) },
	} {
		e := bms(soc(time.Second))
		change(&e)
		if err := can.CheckECUs([]can.ECU{e}); err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
	if err := can.CheckECUs([]can.ECU{bms(soc(time.Second)), {Name: "other", Request: 0x18DA10F1, Response: 0x18DAF110, Extended: true}}); err != nil {
		t.Error(err)
	}
	if err := can.CheckECUs([]can.ECU{bms(), bms()}); err == nil {
		t.Error("two ECUs with one response are accepted")
	}
	behind := can.ECU{Name: "behind", Request: 0x7B3, Response: 0x7BB, Addressing: isotp.Mixed, Address: 3}
	straight := bms(soc(time.Second))
	straight.Request, straight.Response = 0x7B3, 0x7BB
	if err := can.CheckECUs([]can.ECU{behind, straight}); err == nil {
		t.Error("frames with an address in front and without, of one identifier, are accepted")
	}
	for _, other := range []can.ECU{{Name: "other", Request: 0x7FC, Response: 0x7E4}, {Name: "other", Request: 0x710, Response: 0x700}} {
		e := bms(soc(time.Second))
		e.Request, e.Response = 0x7E4, 0x710 // which the second one is asked with
		if err := can.CheckECUs([]can.ECU{e, other}); err == nil {
			t.Errorf("what an ECU answers with asks another: %X, %X", other.Request, other.Response)
		}
	}
}

// TestECUBehindAnAddress: with extended and mixed addressing the first byte of
// every frame is the address; a frame with another one is not the ECU's.
func TestECUBehindAnAddress(t *testing.T) {
	for addressing, back := range map[isotp.Addressing]byte{isotp.Extended: 0xF1, isotp.Mixed: 0x12} {
		synctest.Test(t, func(t *testing.T) {
			clk := clock.Virtual()
			agent, their := can.Pair(clk)
			out := &sink{}
			cfg := out.config(clk, agent, speedOnly())
			c := bms(temperature(time.Second), soc(time.Second))
			c.Request, c.Response, c.Addressing, c.Address = 0x7B3, 0x7BB, addressing, 0x12
			cfg.UDS = []can.ECU{c}
			var wrong []can.Frame
			send := func(data ...byte) {
				f := can.Frame{ID: 0x7BB, Len: uint8(len(data))}
				copy(f.Data[:], data)
				their.Send(f)
			}
			go func() {
				for {
					f, err := their.Receive()
					if err != nil {
						return
					}
					switch d := f.Data; {
					case f.ID == 0x7DF || f.ID == 0x18DB33F1:
					case f.ID == 0x7B3 && d[0] == 0x12 && d[1] == 3 && d[2] == 0x22: // the search
						send(back, 4, 0x62, 1, 2, 0x41)
					case f.ID == 0x7B3 && d[0] == 0x12 && d[1] == 5 && d[2] == 0x22:
						send(back, 0x10, 12, 0x62, 1, 2, 0x41, 1) // both, in three frames
					case f.ID == 0x7B3 && d[0] == 0x12 && d[1] == 0x30:
						send(back+1, 0x21, 9, 9, 9, 9, 9, 9)
						send(back, 0x21, 1, 0x64, 0xFF, 0xF6, 1, 0x4C)
						send(back, 0x22, 0x47)
					default:
						wrong = append(wrong, f)
					}
				}
			}()
			src, err := can.New(cfg)
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			defer cancel()
			if err := src.Run(ctx); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			if n := out.count("Battery.Temperature", telemetry.QualityLive); n < 24 || len(wrong) > 0 || src.Stats().Forbidden != 0 {
				t.Errorf("%d values, sent %v, %+v", n, wrong, src.Stats())
			}
			wantTold(t, "samples", out.samples, fmt.Sprintf("7BB/%02X Battery.Temperature=25", back), fmt.Sprintf("7BB/%02X Battery.SoC=50", back),
				fmt.Sprintf("7BB/%02X Battery.Current=-1", back), fmt.Sprintf("7BB/%02X Battery.Relay=1", back), fmt.Sprintf("7BB/%02X Battery.Cell=LG", back))
		})
	}
}

// TestAllowListBehindAnAddress: nothing but 19 and 22, to 700-7FF alone, and
// never a length that an ECU without addresses would take for service 04.
func TestAllowListBehindAnAddress(t *testing.T) {
	for id := range uint32(0x800) {
		for n := range 16 {
			for service := range 256 {
				f := can.Frame{ID: id, Len: 8, Data: [64]byte{0x12, byte(n), byte(service)}}
				want := id >= 0x700 && id != 0x7DF && (id < 0x7E8 || id > 0x7EF) && (service == 0x19 || service == 0x22) && (n == 3 || n == 5 || n == 6)
				if can.AllowedAddress(&f) != want {
					t.Fatalf("%v: allowed %v", f, !want)
				}
			}
		}
	}
}

// TestDBCExplainsTheAnswers: a DID without signals is asked for, and a DBC file
// of the bus says what comes; its bytes are not told besides.
func TestDBCExplainsTheAnswers(t *testing.T) {
	for _, with := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			b := newBattery()
			e := car(b)
			clk := clock.Virtual()
			agent, their := can.Pair(clk)
			e.bus = their
			e.run()
			out := &sink{}
			cfg := out.config(clk, agent, speedOnly())
			cfg.UDS = []can.ECU{bms(can.DIDPoll{DID: uds.DID{ID: 0x0101}, Every: time.Second})}
			if with { // byte 0 is the length of the transfer
				cfg.Databases = databases(t, "BO_ 2028 Battery: 10 X\n SG_ SoC : 32|8@1+ (0.5,0) [0|0] \"%\" X\n")
			}
			src, err := can.New(cfg)
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			if err := src.Run(ctx); err != nil {
				t.Fatal(err)
			}
			e.wg.Wait()
			e.more.wg.Wait()
			got := []int{out.count("Battery.SoC", telemetry.QualityLive), out.count("Vehicle.Obu.UDS.DID0101", telemetry.QualityLive)}
			if with && (got[0] == 0 || got[1] != 0) || !with && (got[0] != 0 || got[1] < 8) {
				t.Errorf("with a DBC file %v: %v", with, got)
			}
		})
	}
}

// TestManyCodes: a list as long as a transfer can be costs bounded text, and
// what is left out is counted.
func TestManyCodes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBattery()
		list := "59022F"
		for i := range 1000 {
			list += fmt.Sprintf("%06X%02X", 0x100+i, 0x09)
		}
		b.set("190209", list)
		c := bms()
		c.Codes = can.CodesPoll{Every: 10 * time.Second, Mask: 9, Snapshot: true}
		e := car(b)
		e.more.pace = 250 * time.Microsecond // a bus that is faster overruns the simulated one
		out, st, _ := driveUDS(t, e, speedOnly(), []can.ECU{c}, time.Minute, nil)
		records := 0
		for _, q := range b.asked {
			if q[:4] == "1904" {
				records++
			}
		}
		if st.UDS[0].Codes != 1000 || records == 0 || records > 8 {
			t.Errorf("%d requests for records, %+v", records, st)
		}
		n := 0
		for _, s := range out.events {
			if s.Source.Method != can.MethodUDS {
				continue
			}
			n++
			if text := s.Value.Text(); len(text) > 4096 || !slices.Contains([]string{",+872", ",+968"}, text[len(text)-5:]) {
				t.Errorf("%s: %d bytes, ends in %s", s.Signal.Name, len(text), text[max(0, len(text)-20):])
			}
		}
		if n != 2 {
			t.Errorf("%d events", n)
		}
	})
}
