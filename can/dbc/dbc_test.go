package dbc_test

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"obu/can/dbc"
	"obu/telemetry"
)

func parse(t testing.TB, text string) *dbc.File {
	t.Helper()
	f, err := dbc.Parse("car.dbc", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// decoded is one value as decode returns it.
type decoded struct {
	Name  string
	Value telemetry.Value
	Text  string
}

func decode(d *dbc.Decoder, id uint32, extended bool, data ...byte) (out []decoded, short int) {
	_, short = d.Decode(id, extended, data, func(s *dbc.Signal, raw int64, v telemetry.Value) {
		out = append(out, decoded{s.Telemetry.Name, v, s.Text(raw)})
	})
	return out, short
}

func names(f *dbc.File) (out []string) {
	for _, m := range f.Messages {
		out = append(out, m.Name)
		for _, s := range m.Signals {
			out = append(out, m.Name+"."+s.Name)
		}
	}
	return out
}

// TestParseTolerant: what is wrong is left out and named with its line; the
// rest of the file is read.
func TestParseTolerant(t *testing.T) {
	const good = "BO_ 1 A: 8 X\n SG_ S : 0|8@1+ (1,0) [0|0] \"\" X\n"
	for _, c := range []struct {
		name, text string
		want       string // names, joined by spaces
		warning    string // line and beginning of the only one
	}{
		{"plain", good, "A A.S", ""},
		{"CRLF and byte order mark", "\xEF\xBB\xBF" + strings.ReplaceAll(good, "\n", "\r\n"), "A A.S", ""},
		{"old Macintosh line ends", strings.ReplaceAll(good, "\n", "\r"), "A A.S", ""},
		{"no space before the colon, none behind", "BO_ 1 A:8 X\nSG_ S:0|8@1+(1,0)[0|0]\"\"X\n", "A A.S", ""},
		{"plus signs and exponents", "BO_ 1 A: 8 X\n SG_ S : 0|8@1+ (+1E-2,-1.5e+1) [-1E3|+4] \"\" X\n", "A A.S", ""},
		{"a minus in names", "BO_ 1 A-1: 8 X-Y\n SG_ S-2 : 0|8@1+ (1,0) [0|0] \"\" X-Y\n", "A-1 A-1.S-2", ""},
		{"no range, no unit", "BO_ 1 A: 8 X\n SG_ S : 0|8@1+ (1,0)\n", "A A.S", ""},
		{"an empty line between signals", "BO_ 1 A: 8 X\n SG_ S : 0|8@1+ (1,0) [0|0] \"\" X\n\n SG_ T : 8|8@1+ (1,0) [0|0] \"\" X\n", "A A.S A.T", ""},
		{"keywords listed, nodes on two lines", "VERSION \"\"\nNS_ :\n\tCM_\n\tBO_TX_BU_\n\tFILTER\nBS_: 500000:1,2\nBU_: X Y\n Z\n" + good, "A A.S", ""},
		{"a list of keywords that runs into the messages", "NS_ :\n\tCM_\n" + good, "A A.S", ""},
		{"comment with semicolon, line end, keyword, quotation mark", "CM_ \"a;\nBO_ 7 B: 8 X\n \\\" \";\n" + good, "A A.S", ""},
		{"text that ends in a backslash", "CM_ \"C:\\\";\n" + good, "A A.S", ""},
		{"signals without a message", "BO_ 3221225472 VECTOR__INDEPENDENT_SIG_MSG: 0 X\n SG_ N : 0|8@1+ (1,0) [0|0] \"\" X\n" + good + "VAL_ 3221225472 N 1 \"x\";\n", "A A.S", ""},
		{"values of an environment variable", "VAL_ Env 0 \"a\" 1 \"b\";\n" + good, "A A.S", ""},
		{"double slash", "// made by hand\n" + good, "A A.S", ""},
		{"no end mark behind values", good + "VAL_ 1 S 0 \"a\"\nBO_ 2 B: 8 X\n", "A A.S B", ""},
		{"11 bits, too large, without the flag of 29", "BO_ 2048 A: 8 X\n SG_ S : 0|8@1+ (1,0) [0|0] \"\" X\n", "A A.S", "1: identifier 2048 of message A has more than 11 bits"},
		{"unknown keyword", "FOO_ 1 \"x;\" 2;\n" + good, "A A.S", "1: `FOO_` is no keyword of the format"},
		{"bad signal", "BO_ 1 A: 8 X\n SG_ R : x|8@1+ (1,0) [0|0] \"\" X\n SG_ S : 0|8@1+ (1,0) [0|0] \"\" X\n", "A A.S", "2: the start bit `x` is not a whole number"},
		{"bad byte order", "BO_ 1 A: 8 X\n SG_ R : 0|8@2+ (1,0) [0|0] \"\" X\n SG_ S : 0|8@1+ (1,0) [0|0] \"\" X\n", "A A.S", "2: `@2+` is not a byte order"},
		{"65 bits", "BO_ 1 A: 16 X\n SG_ R : 0|65@1+ (1,0) [0|0] \"\" X\n", "A", "2: a signal of 65 bits cannot be decoded"},
		{"factor that is no number", "BO_ 1 A: 8 X\n SG_ R : 0|8@1+ (1.#INF,0) [0|0] \"\" X\n", "A", "2: the factor `1.#INF` is not a number"},
		{"bad message", "BO_ zwei B: 8 X\n SG_ T : 0|8@1+ (1,0) [0|0] \"\" X\n" + good, "A A.S", "1: the identifier of a message `zwei`"},
		{"a text never closed", "CM_ \"never;\nBO_ 1 A: 8 X\n SG_ S : 0|8@1+ (1,0)\n", "A A.S", "1: the quotation mark"},
		{"a version never closed", "VERSION \"x\n" + good, "A A.S", "1: the quotation mark that opens the version is never closed"},
		{"a unit never closed", "BO_ 1 A: 8 X\n SG_ R : 0|8@1+ (1,0) [0|0] \"rpm X\n SG_ S : 8|8@1+ (1,0) [0|0] \"\" X\n", "A A.S", "2: the quotation mark that opens the unit is never closed"},
		{"a signal cut short before a good one", "BO_ 1 A: 8 X\n SG_ R\n SG_ S : 0|8@1+ (1,0) [0|0] \"\" X\n", "A A.S", "2: `:` expected"},
		{"twice the same identifier", good + "BO_ 1 B: 8 X\n SG_ T : 0|8@1+ (1,0) [0|0] \"\" X\n", "A A.S", "3: message B has the identifier of A (line 1)"},
		{"twice the same signal", good + " SG_ S : 8|8@1+ (1,0) [0|0] \"\" X\n", "A A.S", "3: message A has a signal S already (line 2)"},
		{"values of nobody", good + "VAL_ 2 S 0 \"a\";\n", "A A.S", "3: no signal S in a message 2"},
		{"float of 16 bits", "BO_ 1 A: 8 X\n SG_ R : 0|16@1+ (1,0) [0|0] \"\" X\nSIG_VALTYPE_ 1 R : 1;\n", "A", "3: signal R has 16 bits, which is no float"},
		{"multiplexed without a multiplexer", "BO_ 1 A: 8 X\n SG_ R m0 : 0|8@1+ (1,0) [0|0] \"\" X\n", "A", "2: message A has no multiplexer (M)"},
		{"two multiplexers", "BO_ 1 A: 8 X\n SG_ M1 M : 0|8@1+ (1,0) [0|0] \"\" X\n SG_ M2 M : 8|8@1+ (1,0) [0|0] \"\" X\n SG_ R m0 : 16|8@1+ (1,0) [0|0] \"\" X\n", "A A.M1 A.M2", "4: message A has several multiplexers (M)"},
		{"multiplexers in a ring", "BO_ 1 A: 8 X\n SG_ R m0M : 0|8@1+ (1,0) [0|0] \"\" X\nSG_MUL_VAL_ 1 R R 0-0;\n", "A", "2: multiplexer R of signal R depends on itself"},
		{"bad multiplexer mark", "BO_ 1 A: 8 X\n SG_ R mX : 0|8@1+ (1,0) [0|0] \"\" X\n", "A", "2: `mX` is no multiplexer mark"},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := parse(t, c.text)
			if got := strings.Join(names(f), " "); got != c.want {
				t.Errorf("read %q, want %q", got, c.want)
			}
			var said []string
			for _, w := range f.Warnings {
				if !strings.Contains(w.Text, "1 signals were left out with") {
					said = append(said, w.Error())
				}
			}
			switch {
			case c.warning == "" && len(said) > 0:
				t.Errorf("warns: %q", said)
			case c.warning != "" && (len(said) != 1 || !strings.HasPrefix(said[0], "car.dbc:"+c.warning)):
				t.Errorf("warns: %q, want %q", said, c.warning)
			}
			dbc.Compile(f)
		})
	}
}

// TestParseRefuses: a file that is none, or too much, is refused in words that
// say what to do.
func TestParseRefuses(t *testing.T) {
	var many strings.Builder
	for i := range dbc.MaxMessages + 1 {
		fmt.Fprintf(&many, "BO_ %d M%d: 8 X\n", 1<<31+i, i)
	}
	var crowded strings.Builder
	crowded.WriteString("BO_ 1 A: 8 X\n")
	for i := range dbc.MaxSignals + 1 {
		fmt.Fprintf(&crowded, "SG_ S%d:0|8@1+(1,0)[0|0]\"\"X\n", i)
	}
	for text, want := range map[string]string{
		"":                                    "export the database as DBC",
		"<html><body>not found</body></html>": "export the database as DBC",
		"\xFF\xFEB\x00O\x00":                  "save it again as UTF-8",
		strings.Repeat("x", dbc.MaxFile+1):    "more than 16 MiB",
		many.String():                         "more than 20000 messages",
		crowded.String():                      "more than 100000 signals",
	} {
		_, err := dbc.Parse("car.dbc", []byte(text))
		if !errors.Is(err, dbc.ErrFile) || !strings.Contains(fmt.Sprint(err), want) || !strings.HasPrefix(fmt.Sprint(err), "car.dbc: ") {
			t.Errorf("%.20q: %v, want %q", text, err, want)
		}
	}
}

// TestParseWarningsBounded: a file of nothing but mistakes fills no memory.
func TestParseWarningsBounded(t *testing.T) {
	f := parse(t, "BO_ 1 A: 8 X\n"+strings.Repeat("SG_ x\n", 5000))
	if len(f.Warnings) > 101 || len(f.Warnings)+f.More != 5000 {
		t.Errorf("%d warnings and %d more", len(f.Warnings), f.More)
	}
}

// TestEncodings: UTF-8 stays, everything else is CP1252, of which ISO 8859-1
// is a part; bytes that CP1252 leaves open are ISO 8859-1.
func TestEncodings(t *testing.T) {
	for raw, want := range map[string]string{
		"\xC2\xB0C": "°C", "\xB0C": "°C", "\x80": "€", "\x93a\x94": "“a”", "\x81\x9D": "\u0081\u009D", "\xE4\xFF": "äÿ", "%": "%",
	} {
		f := parse(t, "BO_ 1 A: 8 X\n SG_ S : 0|8@1+ (1,0) [0|0] \""+raw+"\" X\nVAL_ 1 S 0 \""+raw+"\";\n")
		s := f.Messages[0].Signals[0]
		if s.Unit != want || s.Text(0) != want {
			t.Errorf("%q: unit %q, text %q, want %q", raw, s.Unit, s.Text(0), want)
		}
	}
}

// TestValues: raw*factor+offset to the last digit, as what kind, and the step
// that lets the encoder keep it.
func TestValues(t *testing.T) {
	nearest := 0.0174532925199433
	nearest *= math.MaxUint32
	for _, c := range []struct {
		layout string
		data   []byte
		want   telemetry.Value
		step   telemetry.Step
	}{
		{"0|8@1+ (1,0)", []byte{200}, telemetry.Int(200), telemetry.Step{}},
		{"0|8@1- (1,0)", []byte{200}, telemetry.Int(-56), telemetry.Step{}},
		{"0|8@1- (-10,5)", []byte{0x80}, telemetry.Int(1285), telemetry.Step{}},
		{"7|16@0+ (0.01,0)", []byte{0x12, 0x34}, telemetry.Float(46.6), telemetry.Step{Num: 1, Den: 100}},
		{"7|16@0- (0.1,-40)", []byte{0xFF, 0xFF}, telemetry.Float(-40.1), telemetry.Step{Num: 1, Den: 10}},
		{"0|16@1+ (0.4,-61.3)", []byte{1, 0}, telemetry.Float(-60.9), telemetry.Step{Num: 1, Den: 10}},
		{"0|16@1+ (0.00390625,0)", []byte{0, 1}, telemetry.Float(1), telemetry.Step{Num: 1, Den: 256}},
		{"0|16@1+ (1E-3,1e3)", []byte{1, 0}, telemetry.Float(1000.001), telemetry.Step{Num: 1, Den: 1000}},
		{"0|64@1+ (1,0)", []byte{0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x7F}, telemetry.Int(math.MaxInt64), telemetry.Step{}},
		{"0|64@1+ (1,0)", []byte{0, 0, 0, 0, 0, 0, 0, 0x80}, telemetry.Float(1 << 63), telemetry.Step{}},
		{"0|64@1- (1,0)", []byte{0, 0, 0, 0, 0, 0, 0, 0x80}, telemetry.Int(math.MinInt64), telemetry.Step{}},
		{"0|64@1+ (0.5,0)", []byte{0, 0, 0, 0, 0, 0, 0, 0x80}, telemetry.Float(1 << 62), telemetry.Step{}},
		{"0|64@1- (0.5,0)", []byte{0xFE, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF}, telemetry.Float(-1), telemetry.Step{}},
		{"0|1@1+ (0.5,2)", []byte{1}, telemetry.Float(2.5), telemetry.Step{Num: 1, Den: 2}},
		{"0|8@1+ (0,7)", []byte{9}, telemetry.Int(7), telemetry.Step{}},
		// Beyond the declared range: never clamped.
		{"0|8@1+ (1,0) [0|10]", []byte{255}, telemetry.Int(255), telemetry.Step{}},
		// A factor that no 64 bits hold as a fraction: the nearest doubles.
		{"0|32@1+ (0.0174532925199433,0)", []byte{0xFF, 0xFF, 0xFF, 0xFF}, telemetry.Float(nearest), telemetry.Step{}},
	} {
		f := parse(t, "BO_ 1 A: 8 X\n SG_ S : "+c.layout+" \"\" X\n")
		got, _ := decode(dbc.Compile(f), 1, false, c.data...)
		if len(got) != 1 || got[0].Value != c.want {
			t.Errorf("%s of % X: %v, want %v (%v)", c.layout, c.data, got, c.want, c.want.Kind())
		}
		if s := f.Messages[0].Signals[0].Telemetry; s.Step != c.step {
			t.Errorf("%s: step %v, want %v", c.layout, s.Step, c.step)
		}
	}
}

// TestFloats: IEEE 754 in both byte orders; what is no number has no value.
func TestFloats(t *testing.T) {
	d := dbc.Compile(parse(t, `BO_ 1 A: 12 X
 SG_ F : 0|32@1- (2,1) [0|0] "" X
 SG_ D : 39|64@0- (1,0) [0|0] "" X
SIG_VALTYPE_ 1 F : 1;
SIG_VALTYPE_ 1 D 2;
`))
	got, _ := decode(d, 1, false, 0, 0, 0xC0, 0x3F, 0xC0, 0x04, 0, 0, 0, 0, 0, 0)
	want := []decoded{{"A.F", telemetry.Float(4), ""}, {"A.D", telemetry.Float(-2.5), ""}}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if got, _ = decode(d, 1, false, 0, 0, 0xC0, 0x7F); len(got) != 1 || got[0].Value.Kind() != telemetry.KindNone {
		t.Errorf("NaN: %v", got)
	}
}

// TestShort: a signal beyond the received length is absent and counted.
func TestShort(t *testing.T) {
	d := dbc.Compile(parse(t, `BO_ 1 A: 8 X
 SG_ B0 : 0|8@1+ (1,0) [0|0] "" X
 SG_ B1 : 15|8@0+ (1,0) [0|0] "" X
 SG_ B12 : 12|8@1+ (1,0) [0|0] "" X
`))
	for n, want := range []string{"", "A.B0", "A.B0 A.B1", "A.B0 A.B1 A.B12"} {
		got, short := decode(d, 1, false, make([]byte, n)...)
		var have []string
		for _, g := range got {
			have = append(have, g.Name)
		}
		if strings.Join(have, " ") != want || short != 3-n {
			t.Errorf("%d bytes: %q, %d absent", n, have, short)
		}
	}
	if known, _ := d.Decode(2, false, nil, nil); known {
		t.Error("an identifier of nobody is known")
	}
	if known, _ := d.Decode(1, true, nil, nil); known {
		t.Error("11 bits match 29")
	}
}

// TestMultiplexed: marks, ranges, selectors that depend on selectors.
func TestMultiplexed(t *testing.T) {
	d := dbc.Compile(parse(t, `BO_ 1 A: 8 X
 SG_ Always : 56|8@1+ (1,0) [0|0] "" X
 SG_ One m1 : 8|8@1+ (1,0) [0|0] "" X
 SG_ Mode M : 0|8@1+ (1,0) [0|0] "" X
 SG_ Sub m2M : 8|4@1+ (1,0) [0|0] "" X
 SG_ Deep m3 : 16|8@1+ (1,0) [0|0] "" X
 SG_ Wide m0 : 24|8@1+ (1,0) [0|0] "" X
SG_MUL_VAL_ 1 Deep Sub 3-3, 5-7;
SG_MUL_VAL_ 1 Wide Mode 0-0, 2-9;
`))
	for data, want := range map[[2]byte]string{
		{0, 0}: "Always Mode Wide", {1, 3}: "Always Mode One", {2, 3}: "Always Mode Sub Deep Wide",
		{2, 4}: "Always Mode Sub Wide", {2, 6}: "Always Mode Sub Deep Wide", {9, 3}: "Always Mode Wide", {10, 3}: "Always Mode",
	} {
		got, short := decode(d, 1, false, data[0], data[1], 0, 0, 0, 0, 0, 0)
		var have []string
		for _, g := range got {
			have = append(have, strings.TrimPrefix(g.Name, "A."))
		}
		slices.Sort(have)
		wanted := strings.Fields(want)
		slices.Sort(wanted)
		if !slices.Equal(have, wanted) || short != 0 {
			t.Errorf("mode %d, sub %d: %v, want %v (%d absent)", data[0], data[1], have, wanted, short)
		}
	}
	if got, short := decode(d, 1, false, 2); len(got) != 1 || short == 0 {
		t.Errorf("of one byte: %v, %d absent", got, short)
	}
}

// TestValueTexts: value tables by name, of negative and 64-bit values.
func TestValueTexts(t *testing.T) {
	d := dbc.Compile(parse(t, `VAL_TABLE_ OnOff 1 "On" 0 "Off" ;
BO_ 1 A: 8 X
 SG_ Gear : 0|4@1- (1,0) [0|0] "" X
 SG_ Lamp : 4|1@1+ (1,0) [0|0] "" X
VAL_ 1 Gear -1 "R" 0 "N" 1 "D; \"sport\"" 7.0 "P" ;
VAL_ 1 Lamp OnOff ;
`))
	for data, want := range map[byte]string{0x0F: "R Off", 0x10: "N On", 0x11: `D; \"sport\" On`, 0x07: "P Off", 0x02: " Off"} {
		got, _ := decode(d, 1, false, data)
		if text := got[0].Text + " " + got[1].Text; text != want {
			t.Errorf("%02X: %q, want %q", data, text, want)
		}
	}
}

// TestAttributes: long names, cycle time, SPN.
func TestAttributes(t *testing.T) {
	f := parse(t, `BO_ 1 A0: 8 X
 SG_ S0 : 0|8@1+ (1,0) [0|0] "km/h" X
BA_DEF_ BO_ "GenMsgCycleTime" INT 0 65535;
BA_ "SystemMessageLongSymbol" BO_ 1 "LongMessage";
BA_ "SystemSignalLongSymbol" SG_ 1 S0 "LongSignal";
BA_ "GenMsgCycleTime" BO_ 1 20;
BA_ "SPN" SG_ 1 S0 84;
VAL_ 1 S0 0 "zero";
`)
	m := f.Messages[0]
	s := m.Signals[0]
	if m.Name != "LongMessage" || s.Name != "LongSignal" || m.Cycle != 20*time.Millisecond || s.SPN != 84 || s.Text(0) != "zero" || len(f.Warnings) > 0 {
		t.Errorf("%+v %+v %v", m, s, f.Warnings)
	}
	dbc.Compile(f)
	if s.Telemetry.Name != "LongMessage.LongSignal" || s.Telemetry.Unit != "km/h" {
		t.Errorf("telemetry: %+v", s.Telemetry)
	}
}

// TestJ1939: the PGN decides where the file says so, else the identifier.
func TestJ1939(t *testing.T) {
	const signal = " SG_ S : 0|8@1+ (1,0) [0|0] \"\" X\n"
	eec1 := "BO_ 2364540158 EEC1: 8 X\n" + signal       // 0CF004FE
	engine := "BO_ 2364539904 EEC1: 8 X\n" + signal     // 0CF00400
	tsc1 := "BO_ 2348810240 TSC1: 8 X\n" + signal       // 0C000000
	plain := "BO_ 2364539904 EEC1: 8 X\n" + signal + "" // no word about J1939
	pg := "BA_DEF_ BO_ \"VFrameFormat\" ENUM \"StandardCAN\",\"ExtendedCAN\",\"reserved\",\"J1939PG\";\n"
	for _, c := range []struct {
		name, text string
		id         uint32
		want       bool
	}{
		{"own attribute", engine + pg + "BA_ \"VFrameFormat\" BO_ 2364539904 3;\n", 0x18F00421, true},
		{"other group", engine + pg + "BA_ \"VFrameFormat\" BO_ 2364539904 3;\n", 0x18F00521, false},
		{"default", engine + pg + "BA_DEF_DEF_ \"VFrameFormat\" \"J1939PG\";\n", 0x18F00421, true},
		{"protocol", engine + "BA_ \"ProtocolType\" \"J1939\";\n", 0x18F00421, true},
		{"protocol, but the message says otherwise", engine + pg + "BA_ \"ProtocolType\" \"J1939\";\nBA_ \"VFrameFormat\" BO_ 2364539904 1;\n", 0x18F00421, false},
		{"null address", eec1, 0x18F00421, true},
		{"nothing said", plain, 0x18F00421, false},
		{"nothing said, same identifier", plain, 0x0CF00400, true},
		{"PDU1 to another destination", tsc1 + "BA_ \"ProtocolType\" \"J1939\";\n", 0x0C00FF21, true},
		{"PDU1, other group", tsc1 + "BA_ \"ProtocolType\" \"J1939\";\n", 0x0C01FF21, false},
	} {
		d := dbc.Compile(parse(t, c.text))
		if known, _ := d.Decode(c.id, true, []byte{1}, func(*dbc.Signal, int64, telemetry.Value) {}); known != c.want {
			t.Errorf("%s: %08X known: %v", c.name, c.id, known)
		}
	}
}

// TestDecodeAllocatesNothing.
func TestDecodeAllocatesNothing(t *testing.T) {
	d := dbc.Compile(parse(t, benchFile()))
	data := make([]byte, 64)
	sum := 0.0
	emit := func(_ *dbc.Signal, _ int64, v telemetry.Value) { sum += v.Float() }
	if n := testing.AllocsPerRun(100, func() {
		for id := range uint32(36) {
			d.Decode(0x100+id, false, data, emit)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// benchFile is a file of 36 messages and 188 signals, of the mix that public
// files of cars have.
func benchFile() string {
	var b strings.Builder
	b.WriteString("VERSION \"\"\nBU_: X\n")
	for i := range 36 {
		fmt.Fprintf(&b, "\nBO_ %d M%d: 8 X\n", 0x100+i, i)
		for j, layout := range []string{
			"7|16@0+ (0.01,0) [0|655.35] \"km/h\"", "23|12@0- (0.1,-40) [-245|165] \"deg\"", "24|8@1+ (1,0) [0|255] \"\"",
			"35|4@0+ (1,0) [0|15] \"\"", "48|16@1- (0.0009765625,0) [-32|32] \"m/s2\"", "47|1@0+ (1,0) [0|1] \"\"",
		} {
			if j < 5 || i%4 == 0 && j == 5 {
				fmt.Fprintf(&b, " SG_ S%d : %s X\n", j, layout)
			}
		}
	}
	return b.String()
}
