package can_test

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"obu/can"
	"obu/can/uds"
	"obu/internal/clock"
	"obu/telemetry"
)

// battery is a control unit that is asked by UDS at 7E4: what it answers to
// each request, by its hexadecimal digits.
type battery struct {
	mu      sync.Mutex
	answers map[string][]string // "" is silence; several are sent one after the other
	asked   []string
	times   []time.Time
}

func (b *battery) answer(request []byte) (out [][]byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	q := fmt.Sprintf("%X", request)
	b.asked, b.times = append(b.asked, q), append(b.times, time.Now())
	list, ok := b.answers[q]
	if !ok {
		return [][]byte{{0x7F, request[0], 0x31}}
	}
	for _, a := range list {
		out = append(out, unhexed(a))
	}
	return out
}

func (b *battery) set(request string, answers ...string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.answers[request] = answers
}

func (b *battery) count(request string) (n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, q := range b.asked {
		if q == request {
			n++
		}
	}
	return n
}

// soc is 0101, six bytes: state of charge, a signed current, flags, text.
func soc(every time.Duration) can.DIDPoll {
	return can.DIDPoll{Every: every, DID: uds.DID{ID: 0x0101, Length: 6, Signals: []uds.Signal{
		{Name: "Battery.SoC", Unit: "percent", Bits: 8, Bit: 7, Scale: "0.5"},
		{Name: "Battery.Current", Unit: "A", Byte: 1, Bit: 7, Bits: 16, Signed: true, Scale: "0.1"},
		{Name: "Battery.Relay", Byte: 3, Bit: 0, Bits: 1},
		{Name: "Battery.Cell", Kind: uds.Text, Byte: 4},
	}}}
}

// temperature is 0102, one byte.
func temperature(every time.Duration) can.DIDPoll {
	return can.DIDPoll{Every: every, DID: uds.DID{ID: 0x0102, Length: 1, Signals: []uds.Signal{{Name: "Battery.Temperature", Unit: "Celsius", Bits: 8, Bit: 7, Offset: "-40"}}}}
}

func newBattery() *battery {
	return &battery{answers: map[string][]string{
		"220101": {"620101" + "64FFF6014C47"}, "220102": {"62010241"},
		"2201010102": {"620101" + "64FFF6014C47" + "010241"},
		"190209":     {"59022F"},
	}}
}

// bms asks the battery for DIDs.
func bms(dids ...can.DIDPoll) can.ECU {
	return can.ECU{Name: "bms", Request: 0x7E4, Response: 0x7EC, DIDs: dids, PerRequest: 3}
}

// car is an engine that speaks OBD beside a battery that does not.
func car(b *battery) *ecu {
	e := engine()
	e.more = &ecu{response: 0x7EC, request: 0x7E4, uds: b.answer}
	return e
}

// driveUDS is drive with ECUs that are asked by UDS.
func driveUDS(t *testing.T, e *ecu, o *can.OBDConfig, ecus []can.ECU, d time.Duration, during func(*can.Source)) (*sink, can.Stats, string) {
	t.Helper()
	clk := clock.Virtual()
	agent, their := can.Pair(clk)
	e.bus = their
	e.run()
	out, said := &sink{}, &logText{}
	cfg := out.config(clk, agent, o)
	cfg.UDS, cfg.Log = ecus, slog.New(slog.NewTextHandler(said, nil))
	src, err := can.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), d)
	defer cancel()
	var watching sync.WaitGroup
	if during != nil {
		watching.Go(func() { during(src) })
	}
	if err := src.Run(ctx); err != nil {
		t.Errorf("Run: %v", err)
	}
	watching.Wait()
	e.wg.Wait()
	if e.more != nil {
		e.more.wg.Wait()
	}
	return out, src.Stats(), said.String()
}

// told lists what a source said by UDS, in order and once each.
func toldUDS(samples []telemetry.Sample) (list []string) {
	for _, s := range samples {
		text := fmt.Sprintf("%s %s=%s", s.Source.Address, strings.TrimPrefix(s.Signal.Name, "Vehicle.Obu.UDS."), s.Value)
		if s.Quality != telemetry.QualityLive {
			text += " " + s.Quality.String()
		}
		if (s.Source.Method == can.MethodUDS || s.Source.Method == can.MethodFreeze) && !slices.Contains(list, text) {
			list = append(list, text)
		}
	}
	return list
}

func wantTold(t *testing.T, what string, got []telemetry.Sample, want ...string) {
	t.Helper()
	if list := toldUDS(got); !slices.Equal(list, want) {
		t.Errorf("%s:\n%s\nwant:\n%s", what, strings.Join(list, "\n"), strings.Join(want, "\n"))
	}
}

// TestDIDsAreAskedFor: each with its period, several in a request, beside OBD;
// nothing but services 22 and 19 to the ECU's own identifier, and flow control.
func TestDIDsAreAskedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBattery()
		e := car(b)
		out, st, _ := driveUDS(t, e, speedOnly(), []can.ECU{bms(soc(time.Second), temperature(2*time.Second))}, time.Minute+1500*time.Millisecond, nil)
		wantTold(t, "samples", out.samples, "7EC Battery.SoC=50", "7EC Battery.Current=-1", "7EC Battery.Relay=1", "7EC Battery.Cell=LG", "7EC Battery.Temperature=25")
		if one, two := b.count("220101"), b.count("2201010102"); one < 29 || one > 31 || two < 29 || two > 31 {
			t.Errorf("0101 was asked for %d times alone and %d times with 0102", one, two)
		}
		if n := out.count("Battery.Temperature", telemetry.QualityLive); n < 29 || n > 31 {
			t.Errorf("%d temperatures in a minute", n)
		}
		if n := out.count(speed, telemetry.QualityLive); n < 59 {
			t.Errorf("%d speeds in a minute", n)
		}
		for _, f := range e.transmitted() {
			uds := f.ID == 0x7E4 && (f.Data[0] == 3 || f.Data[0] == 5) && f.Data[1] == 0x22
			flow := f.ID == 0x7E4 && f.Data[0] == 0x30
			if !uds && !flow && f.ID != 0x7DF {
				t.Fatalf("transmitted %v", f)
			}
		}
		if s := st.UDS[0]; st.Forbidden != 0 || s.Requests != s.Answers || s.Requests < 59 || s.Name != "bms" || s.Request != "7E4" || s.Response != "7EC" {
			t.Errorf("%+v", st)
		}
	})
}

// TestBatteryAlone: a car that does not speak OBD is asked by UDS all the same.
func TestBatteryAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBattery()
		e := &ecu{answer: func(byte, byte) [][]byte { return nil }, more: &ecu{response: 0x7BB, request: 0x7B3, uds: b.answer}}
		c := bms(soc(time.Second))
		c.Request, c.Response = 0x7B3, 0x7BB
		out, st, _ := driveUDS(t, e, speedOnly(), []can.ECU{c}, 30*time.Second, nil)
		if n := out.count("Battery.SoC", telemetry.QualityLive); n < 24 || st.FlowControls < 24 || st.Forbidden != 0 {
			t.Errorf("%d values, %+v", n, st)
		}
		flows := 0
		for _, f := range e.transmitted() {
			if can.AllowedLongUDS(&f) && f.ID == 0x7B3 {
				flows++
			}
		}
		if flows != int(st.FlowControls) {
			t.Errorf("%d flow controls seen, %d counted", flows, st.FlowControls)
		}
	})
}

// TestRefusedDIDsAreLeft: what the ECU refuses for good is asked for once a
// drive, told as unsupported, and the status says what the ECU said and what to
// do; the others go on.
func TestRefusedDIDsAreLeft(t *testing.T) {
	for code, next := range map[string]string{"31": "correct the DID", "33": "unlocked first", "7F": "session", "11": "does not have this service", "14": "longer"} {
		synctest.Test(t, func(t *testing.T) {
			b := newBattery()
			b.set("2201010102", "7F2231")
			b.set("220102", "7F22"+code)
			out, st, said := driveUDS(t, car(b), speedOnly(), []can.ECU{bms(soc(time.Second), temperature(time.Second))}, 5*time.Minute, nil)
			if n := b.count("220102"); n != 1 {
				t.Errorf("%s: asked for %d times", code, n)
			}
			if n := b.count("2201010102"); n != 1 {
				t.Errorf("%s: both were asked for %d times in one request", code, n)
			}
			if n := out.count("Battery.SoC", telemetry.QualityLive); n < 290 {
				t.Errorf("%s: %d of the other", code, n)
			}
			s := st.UDS[0]
			if out.count("Battery.Temperature", telemetry.QualityUnsupported) != 1 || len(s.Left) != 1 || s.Left[0].What != "DID 0102" ||
				!strings.Contains(s.Left[0].Next, next) || s.Refused != 2 || strings.Count(said, "is not asked for this again") != 1 {
				t.Errorf("%s: %+v\n%s", code, s, said)
			}
		})
	}
}

// TestPendingAndBusyECU: an answer put off (78) is waited for; a busy one (21)
// is asked again in a second; conditions (22) less and less often; one that
// never finishes costs a bounded time.
func TestPendingAndBusyECU(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBattery()
		b.set("220102", "7F2278", "7F2278", "62010241")
		out, st, _ := driveUDS(t, car(b), speedOnly(), []can.ECU{bms(temperature(10 * time.Second))}, time.Minute, nil)
		if n := out.count("Battery.Temperature", telemetry.QualityLive); n != 6 {
			t.Errorf("%d values of an ECU that puts off", n)
		}
		if st.UDS[0].PutOff != 0 || st.UDS[0].PutOffS != 0 {
			t.Errorf("nothing is put off: %+v", st.UDS)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		b := newBattery()
		b.set("220102", "7F2221")
		_, st, _ := driveUDS(t, car(b), speedOnly(), []can.ECU{bms(temperature(10 * time.Second))}, 5*time.Minute, nil)
		if n := b.count("220102"); n < 8 || n > 30 || len(st.UDS[0].Left) != 0 {
			t.Errorf("a busy ECU was asked %d times in 5 minutes", n)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		b := newBattery()
		b.set("220102", "7F2222")
		_, st, _ := driveUDS(t, car(b), speedOnly(), []can.ECU{bms(temperature(time.Second))}, 5*time.Minute, nil)
		if n := b.count("220102"); n < 15 || n > 30 || len(st.UDS[0].Left) != 0 {
			t.Errorf("asked %d times in 5 minutes, %+v", n, st.UDS)
		}
		if st.UDS[0].PutOff != 1 || st.UDS[0].PutOffS < 10 || st.UDS[0].PutOffS > 30 {
			t.Errorf("put off: %+v", st.UDS)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		b := newBattery()
		b.set("220102", "7F2278")
		out, st, _ := driveUDS(t, car(b), speedOnly(), []can.ECU{bms(temperature(time.Second))}, 2*time.Minute, nil)
		if n := b.count("220102"); n < 2 || n > 3 || st.UDS[0].Timeouts == 0 {
			t.Errorf("asked %d times, %+v", n, st.UDS)
		}
		if n := out.count(speed, telemetry.QualityLive); n < 60 {
			t.Errorf("%d speeds beside it", n)
		}
	})
}

// TestWrongAnswers: of another DID, cut short, of a transfer that ends in the
// middle: no value, each counted, and the ECU is not asked more often for it.
func TestWrongAnswers(t *testing.T) {
	for name, answer := range map[string]string{"other DID": "6201FF41", "cut short": "62010164FF"} {
		synctest.Test(t, func(t *testing.T) {
			b := newBattery()
			b.set("220101", answer)
			out, st, _ := driveUDS(t, car(b), speedOnly(), []can.ECU{bms(soc(time.Second))}, time.Minute, nil)
			if n := b.count("220101"); n < 5 || n > 10 || out.count("Battery.SoC", telemetry.QualityLive) != 0 {
				t.Errorf("%s: asked %d times, %v", name, n, toldUDS(out.samples))
			}
			if name == "cut short" && (st.DecodeErrors == 0 || !strings.Contains(st.UDS[0].Trouble, "2 bytes of data, the configuration says 6")) {
				t.Errorf("%s: %+v", name, st)
			}
			if name == "other DID" && st.UDS[0].Timeouts == 0 {
				t.Errorf("%s: %+v", name, st)
			}
		})
	}
	synctest.Test(t, func(t *testing.T) {
		b := newBattery()
		e := car(b)
		e.more.uds = func(q []byte) [][]byte {
			b.answer(q)
			e.more.SendFrame([]byte{0x10, 9, 0x62, 1, 1, 0x64, 0xFF, 0xF6}) // and nothing more
			return nil
		}
		out, st, _ := driveUDS(t, e, speedOnly(), []can.ECU{bms(soc(time.Second))}, time.Minute, nil)
		if n := b.count("220101"); n < 5 || n > 10 || st.Transfers["timeout"] == 0 || len(out.gaps) == 0 || !strings.Contains(st.UDS[0].Trouble, "broke off") {
			t.Errorf("asked %d times, %+v", n, st)
		}
		if n := out.count(speed, telemetry.QualityLive); n < 45 {
			t.Errorf("%d speeds beside it", n)
		}
	})
}

// TestSeveralDIDsFallBack: an ECU that answers fewer, or not at all, is asked
// for one at a time.
func TestSeveralDIDsFallBack(t *testing.T) {
	for name, answer := range map[string][]string{"refuses": {"7F2213"}, "the first alone": {"62010164FFF6014C47"}, "silent": nil} {
		synctest.Test(t, func(t *testing.T) {
			b := newBattery()
			b.set("2201010102", answer...)
			out, _, _ := driveUDS(t, car(b), speedOnly(), []can.ECU{bms(soc(time.Second), temperature(time.Second))}, time.Minute, nil)
			if n := b.count("2201010102"); n < 1 || n > 2 {
				t.Errorf("%s: both were asked for %d times in one request", name, n)
			}
			if n := out.count("Battery.Temperature", telemetry.QualityLive); n < 50 {
				t.Errorf("%s: %d temperatures", name, n)
			}
		})
	}
}

// TestCodesByUDS: the first list is only a list; codes that come, change and go
// are events, with the snapshot of a new one, once.
func TestCodesByUDS(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBattery()
		b.set("1904030100FF", "59040301002F"+"0102"+"0101"+"64FFF6014C47"+"010241")
		b.set("1906030100FF", "59060301002F"+"01"+"05")
		b.set("1904C12387FF", "5904C1238708"+"0101"+"BEEF"+"112233")
		c := bms(soc(time.Minute), temperature(time.Minute))
		c.Codes = can.CodesPoll{Every: 10 * time.Second, Mask: 0x09, Snapshot: true, Extended: true}
		out, st, _ := driveUDS(t, car(b), speedOnly(), []can.ECU{c}, 5*time.Minute, func(*can.Source) {
			time.Sleep(time.Minute)
			b.set("190209", "59022F"+"0301002F")
			time.Sleep(time.Minute)
			b.set("190209", "59022F"+"0301002F"+"C1238708")
			time.Sleep(time.Minute)
			b.set("190209", "59022F"+"C1238708")
		})
		failed := "testFailed+testFailedThisOperationCycle+pendingDTC+confirmedDTC+testFailedSinceLastClear"
		wantTold(t, "events", slices.DeleteFunc(slices.Clone(out.events), func(s telemetry.Sample) bool { return s.Source.Method == "obd" }),
			"7EC DTCList=", "7EC DTCList=P0301-00", "7EC DTCStatus=P0301-00="+failed, "7EC DTCAppeared=P0301-00",
			"7EC/P0301-00/1 Battery.SoC=50", "7EC/P0301-00/1 Battery.Current=-1", "7EC/P0301-00/1 Battery.Relay=1", "7EC/P0301-00/1 Battery.Cell=LG",
			"7EC/P0301-00/1 Battery.Temperature=25", "7EC/P0301-00 ExtendedData=0105",
			"7EC DTCList=P0301-00,U0123-87", "7EC DTCStatus=U0123-87=confirmedDTC", "7EC DTCAppeared=U0123-87",
			"7EC/U0123-87 SnapshotRest=0101BEEF112233 doubtful",
			"7EC DTCList=U0123-87", "7EC DTCCleared=P0301-00")
		for _, q := range []string{"1904030100FF", "1906030100FF", "1904C12387FF", "1906C12387FF"} {
			if n := b.count(q); n != 1 {
				t.Errorf("%s was asked for %d times", q, n)
			}
		}
		if n := b.count("190209"); n < 29 || n > 31 || st.UDS[0].Codes != 1 {
			t.Errorf("codes were asked for %d times, %+v", n, st.UDS)
		}
	})
}
