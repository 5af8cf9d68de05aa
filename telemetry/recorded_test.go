package telemetry_test

import (
	"os"
	"path/filepath"
	"testing"

	"obu/telemetry"
)

// TestRecordedDrives encodes recorded drives, as the agent decodes them, in
// envelopes of 1, 10 and 60 s, gets every value back to the last bit and every
// time to the millisecond, and holds what they cost, headers included. The
// encoder decides alike on every machine, so the margin is small: a figure that
// rises is a worse encoder or a changed decoder, one that falls is to be
// written here.
func TestRecordedDrives(t *testing.T) {
	for _, tt := range []struct {
		name string
		make func(*testing.T) load
		most map[int]int // bytes of all envelopes, by their seconds
	}{
		{"css_obd_gps_drive", cssDrive, map[int]int{1: 78_476, 10: 16_488, 60: 8_669}},
		{"skoda_obd", skodaDrive, map[int]int{1: 109_254, 10: 26_127, 60: 8_309}},
		{"rav4_dbc", rav4Drive, map[int]int{1: 122_959, 10: 49_379, 60: 42_563}},
		{"session1_gps", session1Drive, map[int]int{1: 267_383, 10: 72_840, 60: 24_010}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := tt.make(t)
			for _, seconds := range []int{1, 10, 60} {
				bytes := 0
				for _, e := range l.envelopesOf(seconds) {
					p, err := telemetry.EncodeEnvelope(&e)
					if err != nil {
						t.Fatal(err)
					}
					got, err := telemetry.DecodeEnvelope(p)
					if err != nil {
						t.Fatal(err)
					}
					if diff := diffEnvelopes(e, got); diff != "" {
						t.Fatal(diff)
					}
					bytes += len(p)
				}
				t.Logf("%d s: %d values in %d bytes, %.2f each", seconds, l.values(), bytes, float64(bytes)/float64(l.values()))
				if most := tt.most[seconds]; bytes > most+most/100 {
					t.Errorf("envelopes of %d s take %d bytes, were %d", seconds, bytes, most)
				}
			}
		})
	}
}

// recordings returns the folder of recorded drives, or skips the test.
func recordings(t *testing.T) string {
	t.Helper()
	dir := os.Getenv("OBU_RECORDINGS")
	if dir == "" {
		dir = filepath.Join("..", "..", "shared", "recordings")
	}
	if _, err := os.Stat(dir); err != nil {
		t.Skipf("no recordings at %s: set OBU_RECORDINGS to run this test", dir)
	}
	return dir
}
