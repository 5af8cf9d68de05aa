package main

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// evUDS explains what two of the ECUs of a recorded electric car answer, as the
// recording's DBC does.
const evUDS = `
can:
  - device: can0
    uds:
      - name: bms
        request: 7E4
        dids:
          - did: 0101
            length: 59
            signals:
              - {name: SoC, byte: 4, scale: 0.5, unit: percent}
      - name: climate
        request: 7B3
        dids:
          - did: 0100
            signals:
              - {name: Outdoor, byte: 6, scale: 0.5, offset: -40, unit: Celsius}
`

// TestRecordedUDS decodes what other testers asked two cars, with the ECUs of a
// configuration, and compares each value with what the DBC file says.
func TestRecordedUDS(t *testing.T) {
	file := filepath.Join(t.TempDir(), "uds.yaml")
	if err := os.WriteFile(file, []byte(evUDS), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]map[string]int{"kona_uds": {"SoC": 120, "Outdoor": 150}, "hkmc_uds_1": {"SoC": 24, "Outdoor": 1}} {
		log := recording(t, "can", "css_uds_isotp", name+".log")
		values := func(args ...string) map[string]float64 {
			out := map[string]float64{}
			for _, v := range objects[struct {
				T      json.Number
				Signal string
				Value  any
			}](t, strings.NewReader(obu(t, append(args, log)...))) {
				short := v.Signal
				switch {
				case strings.HasSuffix(short, "StateOfChargeBMS"):
					short = "SoC"
				case strings.HasSuffix(short, "OutdoorTemp"):
					short = "Outdoor"
				}
				if n, ok := v.Value.(float64); ok && want[short] > 0 {
					out[short+" "+string(v.T)] = n
				}
			}
			return out
		}
		mine := values("decode", "can", "--uds", file)
		theirs := values("decode", "can", "--dbc", recording(t, "can", "css_uds_isotp", "tp_uds.dbc"))
		if !maps.Equal(mine, theirs) {
			t.Errorf("%s: %d values, the DBC has %d", name, len(mine), len(theirs))
		}
		for signal, n := range want {
			got := 0
			for k, v := range mine {
				if strings.HasPrefix(k, signal) {
					got++
				}
				if name == "kona_uds" && strings.HasPrefix(k, "SoC") && v != 50 {
					t.Errorf("%s is %v %%", k, v)
				}
			}
			if got != n {
				t.Errorf("%s: %d values of %s, want %d", name, got, signal, n)
			}
		}
		t.Logf("%s: %d values compared, 0 mismatches", name, len(mine))
	}
}
