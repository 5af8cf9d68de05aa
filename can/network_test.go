package can_test

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"obu/can"
	"obu/internal/clock"
	"obu/telemetry"
)

// hearNetwork replays a log through a Source that listens to J1939 and returns
// samples and events as "seconds sender signal value".
func hearNetwork(t *testing.T, log string, rules ...can.Rule) (told, events []string, out *sink, st can.Stats) {
	t.Helper()
	clk := clock.Replay(0, clock.Virtual().Wall().Time)
	clk.Start(1)
	out = new(sink)
	cfg := out.config(clk, nil, &can.OBDConfig{})
	cfg.J1939, cfg.Rules = &can.J1939Config{}, rules
	cfg.Dial = func(context.Context) (can.Bus, error) {
		return can.NewLogBus(io.NopCloser(strings.NewReader(log)), clk, can.LogOptions{}), nil
	}
	src, err := can.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := src.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	text := func(all []telemetry.Sample) (lines []string) {
		for _, s := range all {
			name := strings.TrimPrefix(strings.TrimPrefix(s.Signal.Name, "Vehicle."), "Obu.J1939.")
			lines = append(lines, strings.TrimSpace(fmt.Sprintf("%.2f %s %s %s", float64(s.At)/1e9, s.Source.Address, name, s.Value)))
			if s.Source.Method != "j1939" || s.Source.Bus != "can0" {
				t.Errorf("source %+v", s.Source)
			}
		}
		return lines
	}
	return text(out.samples), text(out.events), out, src.Stats()
}

func equal(t *testing.T, what string, got, want []string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s\n%s\nwant\n%s", what, strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// TestNetworkValues: a value each second and sender, whether it changed or
// not; what is not available is counted and is no value; a rule of VISS words
// takes precedence.
func TestNetworkValues(t *testing.T) {
	frames := ""
	for i := range 25 {
		frames += fmt.Sprintf("(%.2f) can0 0CF00400#FFFFFF00%02XFFFFFF\n", 100+float64(i)/10, 0x20+i)
		if i == 5 {
			frames += "(100.55) can0 0CF00401#FFFFFF0010FFFFFF\n(100.56) can0 18FEF100#FFFFFFFFFFFFFFFF\n"
		}
	}
	told, events, out, st := hearNetwork(t, frames)
	equal(t, "told", told, []string{
		"0.00 00 Powertrain.CombustionEngine.Speed 1024", "0.55 01 Powertrain.CombustionEngine.Speed 512",
		"1.00 00 Powertrain.CombustionEngine.Speed 1344", "2.00 00 Powertrain.CombustionEngine.Speed 1664",
	})
	if len(events) > 0 || len(out.gaps) > 0 || st.Groups != 26 || st.Unavailable != 26*4+9 {
		t.Errorf("events %q, gaps %+v, stats %+v", events, out.gaps, st)
	}
	told, _, _, _ = hearNetwork(t, frames, can.Rule{Path: "Vehicle.Powertrain.*", Timebased: 2 * time.Second, Low: 1000, High: 2000})
	equal(t, "told by rule", told, []string{"0.00 00 Powertrain.CombustionEngine.Speed 1024", "2.00 00 Powertrain.CombustionEngine.Speed 1664"})
}

// TestNetworkSenderOfThePeriod: a message each second, now and then a little
// early, is not halved.
func TestNetworkSenderOfThePeriod(t *testing.T) {
	frames := ""
	for i := range 10 {
		frames += fmt.Sprintf("(%.2f) can0 18FEFC21#FFC8FFFFFFFFFFFF\n", 100+float64(i)-0.02*float64(i%2))
	}
	if told, _, _, _ := hearNetwork(t, frames); len(told) != 10 {
		t.Errorf("told %q", told)
	}
}

// TestNetworkTroubleCodes: DM1 of two senders, in one frame and in a transfer,
// are events when they change; one that says the same is none. A transfer that
// broke is a Gap.
func TestNetworkTroubleCodes(t *testing.T) {
	dm := func(seconds float64, node, lamps, codes string) string {
		payload := lamps + "FF" + codes
		if len(payload) <= 16 {
			return fmt.Sprintf("(%.2f) can0 18FECA%s#%s\n", 100+seconds, node, payload+strings.Repeat("F", 16-len(payload)))
		}
		n := len(payload) / 2
		out := fmt.Sprintf("(%.2f) can0 1CECFF%s#20%02X00%02XFFCAFE00\n", 100+seconds, node, n, (n+6)/7)
		for i := 0; i*14 < len(payload); i++ {
			part := payload[i*14 : min(len(payload), i*14+14)]
			out += fmt.Sprintf("(%.2f) can0 1CEBFF%s#%02X%s\n", 100+seconds+0.05*float64(i+1), node, i+1, part+strings.Repeat("F", 14-len(part)))
		}
		return out
	}
	one, two := "BE000201", "6E000301"
	log := dm(0, "00", "00", "00000000") + dm(0.1, "0B", "04", one) +
		dm(1, "00", "00", "00000000") + dm(1.1, "0B", "04", one) +
		dm(2, "00", "44", one+two) + // appeared
		dm(3, "00", "44", one+two) +
		dm(4, "00", "04", two) + // one is gone
		"(105.00) can0 1CECFF00#200A0002FFCAFE00\n(105.10) can0 1CEBFF00#0200000000000000\n" +
		"(105.20) can0 18FECA00#01\n" // too short for a DM1
	_, events, out, st := hearNetwork(t, log)
	say := func(at, node, amber, mil, list string, more ...string) (lines []string) {
		for _, l := range append([]string{"ProtectLamp off", "AmberLamp " + amber, "RedStopLamp off", "MIL " + mil, "DTCList" + list}, more...) {
			lines = append(lines, at+" "+node+" DM1."+l)
		}
		return lines
	}
	const spn190, spn110 = "SPN 190 FMI 2 OC 1", "SPN 110 FMI 3 OC 1"
	want := slices.Concat(say("0.00", "00", "off", "off", ""), say("0.10", "0B", "on", "off", " "+spn190),
		say("2.00", "00", "on", "on", " "+spn190+","+spn110, "DTCAppeared "+spn190+","+spn110),
		say("4.00", "00", "on", "off", " "+spn110, "DTCCleared "+spn190))
	equal(t, "events", events, want)
	lost := int64(0)
	for _, g := range out.gaps {
		if g.Source == "can0/00/j1939" && g.Reason == telemetry.ReasonDecode {
			lost += g.Count
		}
	}
	if lost != 2 || st.Transfers["j1939-sequence"] != 1 || st.DecodeErrors != 1 {
		t.Errorf("gaps %+v, stats %+v", out.gaps, st)
	}
}

// TestNetworkNames: who claims an address, and what it is, is told once.
func TestNetworkNames(t *testing.T) {
	_, events, _, _ := hearNetwork(t, `(1.0) can0 18EEFF2A#4523611F0B810295
(1.1) can0 18EEFF2A#4523611F0B810295
(1.2) can0 18EEFF2A#4623611F0B810295
(1.3) can0 18FEEB2A#41422A432AFFFFFF
(1.4) can0 18FEEC00#FFFFFFFFFFFFFFFF
`)
	equal(t, "events", events, []string{"0.00 2A Name 9502810B1F612345", "0.20 2A Name 9502810B1F612346", "0.30 2A ComponentIdentification AB*C"})
}

// TestNetworkFloods: a node whose codes change with each message, and all
// nodes doing so, cost a bounded number of events; what they hid is a Gap, and
// the last state is told.
func TestNetworkFloods(t *testing.T) {
	var log strings.Builder
	for i := range 4000 {
		fmt.Fprintf(&log, "(%.4f) can0 18FECA%02X#00FF%02X%02X0201FFFF\n", 100+float64(i)/4000, i%250, i>>8, i&0xFF|1)
	}
	_, events, out, st := hearNetwork(t, log.String())
	hidden := int64(0)
	for _, g := range out.gaps {
		if g.Reason == telemetry.ReasonBatcherFull {
			hidden += g.Count
		}
	}
	messages := int64(0)
	for _, e := range events {
		if strings.Contains(e, ".MIL ") {
			messages++
		}
	}
	if messages+hidden != 4000 || st.Groups != 4000 {
		t.Errorf("%d told and %d hidden of %d", messages, hidden, st.Groups)
	}
	if messages > 64+250 || messages < 250 {
		t.Errorf("%d messages told", messages)
	}
	if last := events[len(events)-1]; !strings.Contains(last, "DTC") {
		t.Errorf("last event %s", last)
	}
}

// TestNetworkIsPassive counts what a bus of J1939 saw of the agent in ten
// minutes of requests, transfers to it and address claims: nothing.
func TestNetworkIsPassive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		clk := clock.Virtual()
		agent, truck := can.Pair(clk)
		out := new(sink)
		cfg := out.config(clk, agent, &can.OBDConfig{Passive: true})
		cfg.J1939 = &can.J1939Config{}
		src, err := can.New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		seen := 0
		heard := make(chan struct{})
		go func() {
			defer close(heard)
			for {
				if _, err := truck.Receive(); err != nil {
					return
				}
				seen++
			}
		}()
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- src.Run(ctx) }()
		send := func(id uint32, data ...byte) {
			f := can.Frame{ID: id, Extended: true, Len: uint8(len(data))}
			copy(f.Data[:], data)
			if err := truck.Send(f); err != nil {
				t.Error(err)
			}
		}
		for range 600 {
			send(0x18EAFF00, 0xEC, 0xFE, 0)                               // request to all: VIN
			send(0x18EAF900, 0x00, 0xEE, 0)                               // request to a tester: address claimed
			send(0x1CECF900, 16, 10, 0, 2, 0xFF, 0xCA, 0xFE, 0)           // request to send to it
			send(0x18EEFF00, 0, 0, 0, 0, 0, 0, 0, 0)                      // claims
			send(0x18DB33F9, 2, 1, 0, 0, 0, 0, 0, 0)                      // a tester's OBD request
			send(0x0CF00400, 0xFF, 0xFF, 0xFF, 0, 0x20, 0xFF, 0xFF, 0xFF) // EEC1
			time.Sleep(time.Second)
		}
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		truck.Close()
		<-heard
		if st := src.Stats(); seen != 0 || st.Requests != 0 || st.FlowControls != 0 || st.Frames != 3600 {
			t.Errorf("the bus saw %d frames; stats %+v", seen, st)
		}
		if n := out.count("Vehicle.Powertrain.CombustionEngine.Speed", telemetry.QualityLive) + out.count("Vehicle.Powertrain.CombustionEngine.Speed", telemetry.QualityReadTime); n != 600 {
			t.Errorf("%d values", n)
		}
		if got := src.Stats().Transfers["j1939-aborted"] + src.Stats().Transfers["j1939-timeout"]; got == 0 || len(out.gaps) == 0 {
			t.Errorf("unfinished transfers are not counted: %+v, %d gaps", src.Stats().Transfers, len(out.gaps))
		}
	})
}

// TestNetworkSharesTransfersWithADatabase: a database that explains messages in
// packets and J1939 on the same bus put a transfer together once: its values
// come, and one that broke is one loss, not two.
func TestNetworkSharesTransfersWithADatabase(t *testing.T) {
	const text = `BO_ 2566848766 Long: 10 X
 SG_ First : 0|8@1+ (1,0) [0|0] "" X
 SG_ Last : 72|8@1+ (1,0) [0|0] "" X
BA_DEF_ BO_ "VFrameFormat" ENUM "StandardCAN","ExtendedCAN","reserved","J1939PG";
BA_DEF_DEF_ "VFrameFormat" "J1939PG";
`
	clk := clock.Replay(0, clock.Virtual().Wall().Time)
	clk.Start(1)
	out := new(sink)
	cfg := out.config(clk, nil, &can.OBDConfig{})
	cfg.J1939, cfg.Databases = &can.J1939Config{}, databases(t, text)
	log := `(100.00) can0 1CECFF21#200A0002FF00FF00
(100.05) can0 1CEBFF21#0101020304050607
(100.10) can0 1CEBFF21#0208090AFFFFFFFF
(101.00) can0 1CECFF21#200A0002FF00FF00
(101.05) can0 1CEBFF21#0208090AFFFFFFFF
`
	cfg.Dial = func(context.Context) (can.Bus, error) {
		return can.NewLogBus(io.NopCloser(strings.NewReader(log)), clk, can.LogOptions{}), nil
	}
	src, err := can.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := src.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	var told []string
	for _, s := range out.samples {
		told = append(told, fmt.Sprintf("%.2f %s %s", float64(s.At)/1e9, s.Signal.Name, s.Value))
	}
	equal(t, "told", told, []string{"0.00 Long.First 1", "0.00 Long.Last 10"})
	lost := int64(0)
	for _, g := range out.gaps {
		lost += g.Count
	}
	if lost != 1 || len(out.gaps) != 1 {
		t.Errorf("one broken transfer is %d losses: %+v", lost, out.gaps)
	}
}
