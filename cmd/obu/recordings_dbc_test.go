package main

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// dbcRecord is one line of `obu decode can --dbc`.
type dbcRecord struct {
	T      any // a number in the output, a text in the expectations
	Bus    string
	Source string
	Signal string
	Value  *float64
	Unit   *string
	Text   string
}

// dbcExpectation is a message, or a transfer of ISO 15765-2 whose message the
// expectation does not name.
type dbcExpectation struct {
	T, Bus, ID, Msg, Error string
	Signals                map[string]float64
}

// TestRecordedDBC compares what the command prints of recorded drives with
// what an independent decoder said, value by value. Where the expectation has
// every message of the DBC, nothing else may be printed.
func TestRecordedDBC(t *testing.T) {
	for _, c := range []struct {
		folder, dbc, log, want string
		whole                  bool
	}{
		{"comma2k19_rav4", "_toyota_2017.dbc", "rav4_bus0.log.gz", "rav4_bus0.expect.jsonl.gz", true},
		{"css_obd_gps_drive", "can1:canmod-gps.dbc", "3BA199E2_164_1.log.gz", "3BA199E2_164_1.expect.gps.jsonl.gz", false},
		{"css_j1939", "J1939-DEMO.dbc", "machine_asammdf_first60s.log.gz", "machine_asammdf_first60s.expect.demo_dbc.jsonl.gz", true},
		{"css_j1939", "J1939-DEMO.dbc", "tractor_FCBF0606.log.gz", "tractor_FCBF0606.expect.demo_dbc.jsonl.gz", true},
		{"css_uds_isotp", "tp_uds.dbc", "kona_uds.log", "kona_uds.expect.isotp.jsonl", true},
	} {
		t.Run(c.log, func(t *testing.T) {
			log := recording(t, "can", c.folder, c.log)
			dir := filepath.Dir(log)
			bus, file, bound := strings.Cut(c.dbc, ":")
			arg := filepath.Join(dir, bus)
			if bound {
				arg = bus + ":" + filepath.Join(dir, file)
			}
			got := make(map[string]float64)
			for _, r := range objects[dbcRecord](t, strings.NewReader(obu(t, "decode", "can", "--dbc", arg, log))) {
				name := r.Signal
				if c.folder == "css_uds_isotp" { // the expectation names no message
					_, name, _ = strings.Cut(name, ".")
				}
				if r.Value == nil {
					t.Fatalf("%+v has no value", r)
				}
				got[fmt.Sprintf("%.6f %s %s %s", r.T, r.Bus, r.Source, name)] = *r.Value
			}
			compared, wrong := 0, 0
			for _, w := range expectation[dbcExpectation](t, filepath.Join(dir, c.want)) {
				if w.Bus == "" {
					w.Bus = "can0"
				}
				for name, want := range w.Signals {
					if w.Msg != "" {
						name = w.Msg + "." + name
					}
					key := strings.Join([]string{stampKey(t, w.T), w.Bus, w.ID, name}, " ")
					compared++
					v, ok := got[key]
					if !ok || math.Abs(v-want) > math.Max(1e-9*math.Abs(want), 0.51e-9) {
						if wrong++; wrong < 10 {
							t.Errorf("%s is %v (there: %v), want %v", key, v, ok, want)
						}
					}
					delete(got, key)
				}
			}
			if c.whole && len(got) > 0 {
				t.Errorf("%d values that nobody expects", len(got))
			}
			t.Logf("%d values compared, %d mismatches, %d beyond the expectation", compared, wrong, len(got))
		})
	}
}

// stampKey writes a time of an expectation as %.6f writes the double of it.
func stampKey(t *testing.T, text string) string {
	var f float64
	if _, err := fmt.Sscan(text, &f); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%.6f", f)
}

// TestDecodeDBC: several files, bound to buses or not, texts beside numbers,
// transfers, and what is said when something is wrong.
func TestDecodeDBC(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	car := write("car.dbc", "BO_ 513 Gearbox: 8 X\n SG_ Gear : 0|4@1+ (1,0) [0|0] \"\" X\n SG_ Oil : 15|8@0+ (0.5,-40) [0|0] \"degC\" X\nVAL_ 513 Gear 1 \"D\";\n"+
		"BO_ 2015 Battery: 20 X\n SG_ Charge : 64|8@1+ (0.5,0) [0|0] \"%\" X\n"+
		"BO_ 2566841342 EC1: 40 X\n SG_ Speed : 96|16@1+ (0.125,0) [0|0] \"rpm\" X\n")
	gps := write("gps.dbc", "BO_ 513 Gps: 8 X\n SG_ Sats : 0|8@1+ (1,0) [0|0] \"\" X\n")
	log := write("drive.log", "(1.5) can0 201#0128\n(1.6) can1 201#0700\n(1.7) can0 7DF#1009620101000102\n(1.8) can0 7DF#2103D00405060708\n"+
		"(2.0) can0 18ECFF21#200E0002FFE3FE00\n(2.1) can0 18EBFF21#0100000000000000\n(2.2) can0 18EBFF21#0200000000004006\n(2.3) can0 201#01\n")
	got := obu(t, "decode", "can", "--dbc", "can0:"+car, "--dbc", "can1:"+gps, log)
	want := `{"t":1.5,"bus":"can0","source":"201","signal":"Gearbox.Gear","value":1,"unit":null,"text":"D"}
{"t":1.5,"bus":"can0","source":"201","signal":"Gearbox.Oil","value":-20,"unit":"degC"}
{"t":1.6,"bus":"can1","source":"201","signal":"Gps.Sats","value":7,"unit":null}
{"t":1.7,"bus":"can0","source":"7DF","signal":"Battery.Charge","value":104,"unit":"%"}
{"t":2.0,"bus":"can0","source":"18FEE321","signal":"EC1.Speed","value":200,"unit":"rpm"}
{"t":2.3,"bus":"can0","source":"201","signal":"Gearbox.Gear","value":1,"unit":null,"text":"D"}
`
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	for _, c := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{log}, 2, "--dbc FILE"},
		{[]string{"--dbc", filepath.Join(dir, "none.dbc"), log}, 1, "there is no such file"},
		{[]string{"--dbc", dir, log}, 1, "it is a folder"},
		{[]string{"--dbc", log, log}, 1, "export the database as DBC"},
		{[]string{"--dbc", "can7:" + gps, log}, 0, "no message of the DBC among them: is it of this vehicle, and of this bus (tried: can7)?"},
		{[]string{"--dbc", write("bad.dbc", "BO_ 513 A: 8 X\n SG_ S : x\n"), log}, 0, "obu: warning: bad.dbc:2: the start bit `x`"},
		{[]string{"--dbc", car, log}, 0, "lay beyond the received bytes"},
	} {
		var out, errw strings.Builder
		code := run(t.Context(), append([]string{"decode", "can"}, c.args...), strings.NewReader(""), &out, &errw)
		if code != c.code || !strings.Contains(errw.String(), c.want) {
			t.Errorf("%v: code %d, %q, want %q", c.args, code, errw.String(), c.want)
		}
	}
}
