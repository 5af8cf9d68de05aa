package can_test

import (
	"context"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"obu/can"
	"obu/can/dbc"
	"obu/internal/clock"
	"obu/telemetry"
)

// databases parses and compiles texts, all for bus can0 and others.
func databases(t *testing.T, texts ...string) (out []can.Database) {
	t.Helper()
	for _, text := range texts {
		f, err := dbc.Parse("car.dbc", []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, can.Database{Decoder: dbc.Compile(f)})
	}
	return out
}

// listen replays a log through a Source with databases and returns what it
// told as "seconds address signal value".
func listen(t *testing.T, log string, all []can.Database, rules ...can.Rule) (told []string, out *sink, st can.Stats) {
	t.Helper()
	clk := clock.Replay(0, clock.Virtual().Wall().Time)
	clk.Start(1)
	out = new(sink)
	cfg := out.config(clk, nil, &can.OBDConfig{})
	cfg.Databases, cfg.Rules = all, rules
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
	for _, s := range out.samples {
		told = append(told, fmt.Sprintf("%.1f %s %s %s", float64(s.At)/1e9, s.Source.Address, s.Signal.Name, s.Value))
		if s.Source.Method != "dbc" || s.Source.Bus != "can0" {
			t.Errorf("source %+v", s.Source)
		}
	}
	return told, out, src.Stats()
}

const engineDBC = "BO_ 513 Engine: 8 X\n SG_ Speed : 0|8@1+ (0.5,0) [0|0] \"rpm\" X\n SG_ Torque : 8|8@1- (1,0) [0|0] \"Nm\" X\n"

// TestBroadcastOnChange: changes go on, at most one a second and signal; the
// last one is not lost when the sender says it once; what stays is repeated.
func TestBroadcastOnChange(t *testing.T) {
	var log strings.Builder
	at := func(seconds float64, data string) { fmt.Fprintf(&log, "(%.1f) can0 201#%s\n", 100+seconds, data) }
	at(0, "0201")
	at(0.1, "0201") // the same
	at(0.2, "0401") // too soon: waits
	at(0.3, "0601") // takes its place
	at(1.3, "0601") // its turn, as of when it came
	at(1.4, "0801") // said once, then nothing for long
	at(30, "0801")
	at(30.1, "0A01") // up,
	at(30.2, "0801") // and down too soon: waits
	at(62, "0801")   // what never changed is repeated after a minute
	told, _, st := listen(t, log.String(), databases(t, engineDBC))
	want := []string{
		"0.0 201 Engine.Speed 1", "0.0 201 Engine.Torque 1", "0.3 201 Engine.Speed 3", "1.4 201 Engine.Speed 4",
		"30.1 201 Engine.Speed 5", "30.2 201 Engine.Speed 4", "62.0 201 Engine.Torque 1",
	}
	slices.Sort(want)
	slices.Sort(told)
	if !slices.Equal(told, want) {
		t.Errorf("told\n%s\nwant\n%s", strings.Join(told, "\n"), strings.Join(want, "\n"))
	}
	if st.Broadcasts != 10 || st.Short != 0 {
		t.Errorf("stats %+v", st)
	}
}

// TestBroadcastRules: the words of VISS, the first rule that fits.
func TestBroadcastRules(t *testing.T) {
	var log strings.Builder
	for i := range 41 { // speed 0, 0.5, 1 .. 20 at 10 Hz; torque the same in whole numbers
		fmt.Fprintf(&log, "(%.1f) can0 201#%02X%02X\n", 100+float64(i)/10, i, i)
	}
	all := math.Inf(1)
	rule := func(r can.Rule) can.Rule {
		if r.Low == 0 && r.High == 0 {
			r.Low, r.High = -all, all
		}
		return r
	}
	for _, c := range []struct {
		name  string
		rules []can.Rule
		want  string
	}{
		{"dropped", []can.Rule{rule(can.Rule{Path: "Engine.*", Drop: true})}, ""},
		{"the first one counts", []can.Rule{rule(can.Rule{Path: "Engine.Torque", Timebased: 2 * time.Second}), rule(can.Rule{Path: "*", Drop: true})},
			"0.0 Torque 0|2.0 Torque 20|4.0 Torque 40"},
		{"range", []can.Rule{rule(can.Rule{Path: "Engine.Speed", Timebased: 100 * time.Millisecond, Low: 19, High: 19.5}), rule(can.Rule{Path: "*", Drop: true})},
			"3.8 Speed 19|3.9 Speed 19.5"},
		{"change", []can.Rule{rule(can.Rule{Path: "Engine.Speed", Timebased: 100 * time.Millisecond, Change: 7.5}), rule(can.Rule{Path: "*", Drop: true})},
			"0.0 Speed 0|1.5 Speed 7.5|3.0 Speed 15"},
		{"another message", []can.Rule{rule(can.Rule{Path: "Gearbox.*", Timebased: time.Hour}), rule(can.Rule{Path: "Engine.Torque", Drop: true})},
			"0.0 Speed 0|1.0 Speed 5|2.0 Speed 10|3.0 Speed 15|4.0 Speed 20"},
	} {
		told, _, _ := listen(t, log.String(), databases(t, engineDBC), c.rules...)
		got := strings.ReplaceAll(strings.Join(told, "|"), "201 Engine.", "")
		if got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

// TestBroadcastCurvelog: of a ramp and a step the corners are passed on, and
// from them every value comes out within the error.
func TestBroadcastCurvelog(t *testing.T) {
	var log strings.Builder
	values := make([]float64, 200)
	for i := range values {
		raw := min(i, 120) // up for 12 s, then level
		if i >= 160 {
			raw = 20 + i%2 // down at once, with noise of one count
		}
		values[i] = float64(raw) / 2
		fmt.Fprintf(&log, "(%.1f) can0 201#%02X\n", 100+float64(i)/10, raw)
	}
	rule := can.Rule{Path: "*", Low: math.Inf(-1), High: math.Inf(1), MaxError: 0.6, Buffer: 64}
	_, out, _ := listen(t, log.String(), databases(t, engineDBC), rule)
	if n := len(out.samples); n < 5 || n > 12 {
		t.Errorf("%d of %d values passed on", n, len(values))
	}
	for i, want := range values {
		at := telemetry.At(i) * 1e8
		k := slices.IndexFunc(out.samples, func(s telemetry.Sample) bool { return s.At >= at })
		if k < 0 {
			t.Fatalf("nothing at or after %v", at)
		}
		got := out.samples[k].Value.Float()
		if b := out.samples[k]; b.At > at {
			a := out.samples[k-1]
			got = a.Value.Float() + (got-a.Value.Float())*float64(at-a.At)/float64(b.At-a.At)
		}
		if math.Abs(got-want) > 0.6+1e-9 {
			t.Errorf("at %.1f s the curve says %v, the bus said %v", float64(i)/10, got, want)
		}
	}
}

// TestBroadcastLastValueSurvives: what waits at the end of the input goes on.
func TestBroadcastLastValueSurvives(t *testing.T) {
	told, _, st := listen(t, "(1.0) can0 201#0201\n(1.1) can0 201#04\n", databases(t, engineDBC))
	if want := []string{"0.0 201 Engine.Speed 1", "0.0 201 Engine.Torque 1", "0.1 201 Engine.Speed 2"}; !slices.Equal(told, want) || st.Short != 1 {
		t.Errorf("told %q, stats %+v", told, st)
	}
}

// TestBroadcastSendersApart: two senders of one J1939 group do not hide each
// other's changes, nor do signals of two files; a broken transfer is a Gap.
func TestBroadcastSendersApart(t *testing.T) {
	j1939 := "BO_ 2364540158 EEC1: 8 X\n SG_ Speed : 24|16@1+ (0.125,0) [0|0] \"rpm\" X\n"
	log := `(1.0) can0 0CF00400#0000000800000000
(1.1) can0 0CF00401#0000000C00000000
(1.2) can0 0CF00400#0000000800000000
(1.3) can0 0CF00401#0000000C00000000
(1.4) can0 201#0201
(1.5) can0 7EC#103E620101FFFFFF
`
	diagnostic := "BO_ 2028 Battery: 62 X\n SG_ Charge : 64|8@1+ (0.5,0) [0|0] \"%\" X\n"
	told, out, _ := listen(t, log, databases(t, j1939, engineDBC, diagnostic))
	want := []string{"0.0 0CF00400 EEC1.Speed 1", "0.1 0CF00401 EEC1.Speed 1.5", "0.4 201 Engine.Speed 1", "0.4 201 Engine.Torque 1"}
	if !slices.Equal(told, want) {
		t.Errorf("told %q", told)
	}
	broken := int64(0)
	for _, g := range out.gaps {
		if g.Source == "can0/7EC/dbc" {
			broken += g.Count
		}
	}
	if broken != 1 {
		t.Errorf("gaps %+v", out.gaps)
	}
}

// TestHostileSendersBounded: ten thousand senders of one group.
func TestHostileSendersBounded(t *testing.T) {
	var log strings.Builder
	for i := range 10_000 {
		fmt.Fprintf(&log, "(1.%04d) can0 %08X#0000000800000000\n", i, 0x0000_0400|uint32(i%256)|uint32(i/256%8)<<26|0x00F0_0000|uint32(i/2048)<<24&0x3000000)
	}
	told, _, st := listen(t, log.String(), databases(t, "BO_ 2364540158 EEC1: 8 X\n SG_ Speed : 24|16@1+ (0.125,0) [0|0] \"rpm\" X\n"))
	if len(told) == 0 || st.Broadcasts == 0 {
		t.Errorf("nothing told; stats %+v", st)
	}
}

// TestFilters: the kernel passes what OBD and the databases need, and nothing
// else where it can be told so.
func TestFilters(t *testing.T) {
	all := databases(t, engineDBC+"BO_ 2365194240 Ext: 8 X\nBO_ 2364540158 EEC1: 8 X\nBO_ 2348810494 TSC1: 8 X\nBA_ \"ProtocolType\" \"J1939\";\n", engineDBC)
	all = append(all, can.Database{Bus: "can1", Decoder: databases(t, "BO_ 9 Other: 8 X\n")[0].Decoder})
	passes := func(filters []can.Filter, id uint32, extended bool) bool {
		return slices.ContainsFunc(filters, func(f can.Filter) bool { return f.Extended == extended && id&f.Mask == f.ID })
	}
	got := can.Filters("can0", all)
	for _, c := range []struct {
		id       uint32
		extended bool
		want     bool
	}{
		{0x201, false, true}, {0x202, false, false}, {0x12340201, true, false}, {9, false, false},
		{0x7E8, false, true}, {0x18DAF110, true, true},
		{0x0CF00421, true, true}, {0x18F004FE, true, true}, {0x0CF00521, true, false},
		{0x0C00FF21, true, true}, {0x0C01FF21, true, false}, {0x1CEBFF21, true, true}, {0x18EC2100, true, true},
	} {
		if p := passes(got, c.id, c.extended); p != c.want {
			t.Errorf("%X (29 bits: %v) passes: %v", c.id, c.extended, p)
		}
	}
	var many strings.Builder
	for i := range 600 {
		fmt.Fprintf(&many, "BO_ %d M%d: 8 X\n", i, i)
	}
	if f := can.Filters("can0", databases(t, many.String())); f != nil {
		t.Errorf("%d filters, more than the kernel takes", len(f))
	}
}

// TestBroadcastNotAvailable: what J1939 reserves for "not available", "in
// error" and the like is no number: counted and left out, printed by Decode as
// unsupported. Other networks, signed numbers, odd sizes, values that the file
// names or counts as valid have no such rule.
func TestBroadcastNotAvailable(t *testing.T) {
	group := "BO_ 2364540158 EEC1: 8 X\n SG_ Speed : 24|16@1+ (0.125,0) [0|8031.875] \"rpm\" X\n SG_ Mode : 0|8@1+ (1,0) [0|255] \"\" X\n" +
		" SG_ Gear : 8|8@1+ (1,-125) [-125|129] \"\" X\n SG_ Brake : 16|2@1+ (1,0) [0|3] \"\" X\n SG_ Odd : 18|6@1+ (1,0) [0|63] \"\" X\n" +
		" SG_ Trim : 40|8@1- (1,0) [0|0] \"\" X\nVAL_ 2364540158 Mode 254 \"Limp home\" ;\n"
	all := databases(t, group, "BO_ 513 Engine: 8 X\n SG_ Load : 0|8@1+ (1,0) [0|250] \"\" X\n")
	log := "(1.0) can0 0CF00400#FEFEFF00FEFF\n" + // error, FE that the file names and counts, not available
		"(2.0) can0 0CF00400#FBFF01FFFAFF\n" + // reserved; not available; the highest speed
		"(3.0) can0 201#FF\n"
	told, _, st := listen(t, log, all)
	want := []string{"0.0 0CF00400 EEC1.Mode 254", "0.0 0CF00400 EEC1.Gear 129", "0.0 0CF00400 EEC1.Odd 63", "0.0 0CF00400 EEC1.Trim -1",
		"1.0 0CF00400 EEC1.Speed 8031.875", "1.0 0CF00400 EEC1.Brake 1", "1.0 0CF00400 EEC1.Odd 0", "2.0 201 Engine.Load 255"}
	slices.Sort(told)
	slices.Sort(want)
	if !slices.Equal(told, want) || st.Unavailable != 4 {
		t.Errorf("%d unavailable, told\n%s\nwant\n%s", st.Unavailable, strings.Join(told, "\n"), strings.Join(want, "\n"))
	}
	var printed []string
	if _, err := can.Decode(strings.NewReader(log), can.DecodeOptions{Databases: all}, func(r can.Record) error {
		if r.Quality == telemetry.QualityUnsupported {
			printed = append(printed, r.Signal.Name+" "+r.Value.String())
		}
		return nil
	}, nil); err != nil {
		t.Fatal(err)
	}
	if want := []string{"EEC1.Speed 8128", "EEC1.Brake 3", "EEC1.Mode 251", "EEC1.Gear 130"}; !slices.Equal(printed, want) {
		t.Errorf("printed as unsupported: %q", printed)
	}
}
