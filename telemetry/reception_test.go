package telemetry_test

import (
	"encoding/json"
	"testing"

	"obu/telemetry"
)

// TestSkyThroughJSON: what the agent's socket says of the satellites is read
// again as it was.
func TestSkyThroughJSON(t *testing.T) {
	var sky telemetry.Sky
	for g := range sky.Systems {
		if g%2 == 0 {
			n := uint8(g + 5)
			sky.Systems[g] = telemetry.Reception{InView: n, Heard: n - 1, Strong: n - 2, Used: n - 3, Best: 40 + n, Mean: 33.5}
		}
	}
	sky.Systems[1] = telemetry.Reception{InView: 3}
	b, err := json.Marshal(sky)
	if err != nil {
		t.Fatal(err)
	}
	var again telemetry.Sky
	if err := json.Unmarshal(b, &again); err != nil || again != sky {
		t.Errorf("%s: %v, %+v, want %+v", b, err, again, sky)
	}
	for a := telemetry.AntennaUnknown; a <= telemetry.AntennaInternal; a++ {
		var again telemetry.Antenna
		if b, _ := json.Marshal(a); json.Unmarshal(b, &again) != nil || again != a {
			t.Errorf("%s became %v", b, again)
		}
	}
}
