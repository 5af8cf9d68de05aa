package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestDecodeJ1939: values, codes and identifications of several senders, a
// transfer, a broken one, and the same transfer read by a DBC beside it.
func TestDecodeJ1939(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	log := write("truck.log", `(1.0) can0 0CF00400#FFFFFF0020FFFFFF
(1.1) can0 18FEF121#FF0050FFFFFFFFFF
(1.2) can0 18ECFF00#200A0002FFCAFE00
(1.3) can0 18EBFF00#0140FFBE0002056E
(1.4) can0 18EBFF00#02000301FFFFFFFF
(1.5) can0 18EEFF2A#4523611F0B810295
(1.6) can1 18FEEC00#564B31332AFFFFFF
(1.7) can0 18ECFF00#200A0002FFE3FE00
(1.8) can0 18EBFF00#0264656667686970
(1.9) can0 0CF00400#FFFFFFFFFEFFFFFF
`)
	lamp := func(name, value string) string {
		return fmt.Sprintf(`{"t":1.2,"bus":"can0","source":"00","signal":"Vehicle.Obu.J1939.DM1.%s","value":"%s","unit":null}`+"\n", name, value)
	}
	want := `{"t":1.0,"bus":"can0","source":"00","signal":"Vehicle.Powertrain.CombustionEngine.Speed","value":1024,"unit":"rpm"}
{"t":1.1,"bus":"can0","source":"21","signal":"Vehicle.Speed","value":80,"unit":"km/h"}
` + lamp("ProtectLamp", "off") + lamp("AmberLamp", "off") + lamp("RedStopLamp", "off") + lamp("MIL", "on") +
		lamp("DTCList", "SPN 190 FMI 2 OC 5,SPN 110 FMI 3 OC 1") +
		`{"t":1.5,"bus":"can0","source":"2A","signal":"Vehicle.Obu.J1939.Name","value":"9502810B1F612345","unit":null}
{"t":1.6,"bus":"can1","source":"00","signal":"Vehicle.VehicleIdentification.VIN","value":"VK13","unit":null,"quality":"doubtful"}
`
	decode := func(args ...string) (string, string) {
		var out, errw strings.Builder
		if code := run(t.Context(), append([]string{"decode", "can"}, args...), strings.NewReader(""), &out, &errw); code != 0 {
			t.Fatalf("%v: code %d, %s", args, code, errw.String())
		}
		return out.String(), errw.String()
	}
	got, said := decode("--j1939", log)
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if !strings.Contains(said, "line 9: transfer of PGN 65251 of 00: a frame is missing or out of order, after 0 of 10 bytes") || strings.Count(said, "transfer") != 1 {
		t.Errorf("said %q", said)
	}
	car := write("dm.dbc", "BO_ 2566834942 DM: 10 X\n SG_ First : 16|16@1+ (1,0) [0|0] \"\" X\nBA_ \"ProtocolType\" \"J1939\";\n")
	if got, said = decode("--j1939", "--dbc", car, log); !strings.Contains(got, `"signal":"DM.First","value":190,`) || strings.Count(said, "transfer") != 1 {
		t.Errorf("beside a DBC: got\n%s\nsaid %q", got, said)
	}
	if _, said = decode("--j1939", write("car.log", "(1.0) can0 201#01\n")); !strings.Contains(said, "no message of J1939 that is known") {
		t.Errorf("said %q", said)
	}
}

// TestRecordedJ1939 compares engine and wheel speed of recorded machines, read
// without a DBC, with what an independent decoder made of one.
func TestRecordedJ1939(t *testing.T) {
	signals := map[string]string{
		"EngineSpeed": "Vehicle.Powertrain.CombustionEngine.Speed", "WheelBasedVehicleSpeed": "Vehicle.Speed",
	}
	for _, name := range []string{"machine_asammdf_first60s", "tractor_FCBF0606"} {
		t.Run(name, func(t *testing.T) {
			log := recording(t, "can", "css_j1939", name+".log.gz")
			got := make(map[string]float64)
			values := 0
			for _, r := range objects[struct {
				T                   any
				Bus, Source, Signal string
				Value               any
			}](t, strings.NewReader(obu(t, "decode", "can", "--j1939", log))) {
				values++
				if v, ok := r.Value.(float64); ok && (r.Signal == signals["EngineSpeed"] || r.Signal == "Vehicle.Speed") {
					got[fmt.Sprintf("%.6f %s %s %s", r.T, r.Bus, r.Source, r.Signal)] = v
				}
			}
			compared := 0
			for _, w := range expectation[dbcExpectation](t, filepath.Join(filepath.Dir(log), name+".expect.demo_dbc.jsonl.gz")) {
				for s, want := range w.Signals {
					if s == "EngineSpeed" && want > 8031.875 || s == "WheelBasedVehicleSpeed" && want >= 251 {
						continue // the DBC does not know the words for "not available"
					}
					bus := w.Bus
					if bus == "" {
						bus = "can0"
					}
					key := strings.Join([]string{stampKey(t, w.T), bus, w.ID[6:], signals[s]}, " ")
					if v, ok := got[key]; !ok || v != want {
						t.Errorf("%s is %v (there: %v), want %v", key, v, ok, want)
					}
					delete(got, key)
					compared++
				}
			}
			if len(got) > 0 || compared == 0 {
				t.Errorf("%d values that nobody expects", len(got))
			}
			t.Logf("%d values printed, %d of them compared, 0 mismatches", values, compared)
		})
	}
}
