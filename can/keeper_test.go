package can_test

import (
	"context"
	"fmt"
	"io"
	"math"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"obu/can"
	"obu/internal/clock"
	"obu/telemetry"
)

// overhear replays OBD answers through a Source with rules and returns what it
// told as "seconds address signal value quality", events behind them.
func overhear(t *testing.T, log string, rules ...can.Rule) (told, events []string) {
	t.Helper()
	clk := clock.Replay(0, clock.Virtual().Wall().Time)
	clk.Start(1)
	out := new(sink)
	cfg := out.config(clk, nil, &can.OBDConfig{})
	cfg.Rules = rules
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
			if s.Source.Method != "obd" || s.Source.Bus != "can0" {
				t.Errorf("source %+v", s.Source)
			}
			line := fmt.Sprintf("%.2f %s %s %s", float64(s.At)/1e9, s.Source.Address, s.Signal.Name[strings.LastIndex(s.Signal.Name, ".")+1:], s.Value)
			if s.Quality != telemetry.QualityLive {
				line += " " + s.Quality.String()
			}
			lines = append(lines, line)
		}
		return lines
	}
	return text(out.samples), text(out.events)
}

func ruled(r can.Rule) can.Rule {
	if r.Low == 0 && r.High == 0 {
		r.Low, r.High = math.Inf(-1), math.Inf(1)
	}
	return r
}

// TestOBDRules: the words of VISS hold for what ECUs are asked for; what no
// rule is about goes on with each answer.
func TestOBDRules(t *testing.T) {
	var log strings.Builder
	for i := range 5 { // 20, 21, 22, 23, 24 km/h of the engine, 40 of the gearbox, now and then a little early
		at := 100 + float64(i) - 0.03*float64(i%2)
		fmt.Fprintf(&log, "(%.2f) can0 7E8#03410D%02X\n(%.2f) can0 7E9#03410D28\n", at, 20+i, at+0.01)
	}
	const speed = "Vehicle.Speed"
	for _, c := range []struct {
		name string
		rule can.Rule
		want string
	}{
		{"about another signal", can.Rule{Path: "Vehicle.OBD.*", Drop: true},
			"0.00 7E8 Speed 20|0.01 7E9 Speed 40|0.97 7E8 Speed 21|0.98 7E9 Speed 40|2.00 7E8 Speed 22|2.01 7E9 Speed 40|2.97 7E8 Speed 23|2.98 7E9 Speed 40|4.00 7E8 Speed 24|4.01 7E9 Speed 40"},
		{"keep: false", can.Rule{Path: speed, Drop: true}, ""},
		{"timebased, each of two ECUs", can.Rule{Path: speed, Timebased: 2 * time.Second},
			"0.00 7E8 Speed 20|0.01 7E9 Speed 40|2.00 7E8 Speed 22|2.01 7E9 Speed 40|4.00 7E8 Speed 24|4.01 7E9 Speed 40"},
		{"timebased with the very period", can.Rule{Path: speed, Timebased: time.Second, Low: 0, High: 30},
			"0.00 7E8 Speed 20|0.97 7E8 Speed 21|2.00 7E8 Speed 22|2.97 7E8 Speed 23|4.00 7E8 Speed 24"},
		{"change, and the last one when its turn comes", can.Rule{Path: speed, Timebased: 3 * time.Second, Change: 1},
			"0.00 7E8 Speed 20|0.01 7E9 Speed 40|2.97 7E8 Speed 23|4.00 7E8 Speed 24"},
		{"range", can.Rule{Path: "Vehicle.*", Low: 22, High: 23}, "2.00 7E8 Speed 22|2.97 7E8 Speed 23"},
		{"curvelog", can.Rule{Path: speed, MaxError: 0.1, Buffer: 3, Low: 0, High: 30}, "0.00 7E8 Speed 20|2.00 7E8 Speed 22|4.00 7E8 Speed 24"},
	} {
		rule := ruled(c.rule)
		told, _ := overhear(t, log.String(), rule)
		if got := strings.Join(told, "|"); got != c.want {
			t.Errorf("%s: told\n%s\nwant\n%s", c.name, got, c.want)
		}
	}
}

// TestOBDRulesOfTexts: a text has neither range nor curve, its changes are told;
// a doubtful value that waited is doubtful still; of facts too nothing is kept
// where a rule says so.
func TestOBDRulesOfTexts(t *testing.T) {
	log := "(100.0) can0 7E8#0441030200\n(110.0) can0 7E8#0441030200\n(120.0) can0 7E8#0441030400\n" + // closed loop, open loop
		"(121.0) can0 7E8#06410100070000AA\n"
	told, events := overhear(t, log, can.Rule{Path: "Vehicle.OBD.FuelStatus", Low: 0, High: 1, MaxError: 1, Buffer: 10})
	if got := strings.Join(told[:2], "|"); got != "0.00 7E8 FuelStatus CL|20.00 7E8 FuelStatus OL-Drive" || len(told) != 5 || len(events) == 0 {
		t.Errorf("told %q, events %q", told, events)
	}
	if _, left := overhear(t, log, ruled(can.Rule{Path: "Vehicle.*", Drop: true})); len(left) != 0 {
		t.Errorf("events %q", left)
	}
	log = "(100.0) can0 7E8#0441030200\n(100.5) can0 7E8#0441033100\n(101.2) can0 7E8#03410D10\n"
	told, _ = overhear(t, log, ruled(can.Rule{Path: "Vehicle.OBD.*", Timebased: time.Second, Change: 1}))
	if len(told) != 3 || told[0] != "0.00 7E8 FuelStatus CL" || !strings.HasSuffix(told[2], " doubtful") && !strings.HasSuffix(told[1], " doubtful") {
		t.Errorf("told %q", told)
	}
}

// TestOBDRulesLive: a rule leaves out what is told, not what is asked for; that
// nobody answers any more is told whatever it says, and the first value of the
// next drive too.
func TestOBDRulesLive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := engine()
		clk := clock.Virtual()
		agent, car := can.Pair(clk)
		e.bus = car
		e.run()
		out := new(sink)
		cfg := out.config(clk, agent, speedOnly())
		cfg.Rules = []can.Rule{ruled(can.Rule{Path: speed, Timebased: 10 * time.Second})}
		src, err := can.New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 62*time.Second)
		defer cancel()
		if err := src.Run(ctx); err != nil {
			t.Fatal(err)
		}
		car.Close()
		e.wg.Wait()
		asked := 0
		for _, f := range e.transmitted() {
			if f.Data[1] == 1 && f.Data[2] == 0x0D {
				asked++
			}
		}
		if n := out.count(speed, telemetry.QualityLive); n < 5 || n > 7 || asked < 50 {
			t.Errorf("asked %d times, told %d", asked, n)
		}
	})
}
