package gps_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestCostBesideGpsdecode prints the CPU time of `obu decode nmea` and gpsdecode
// on the same recordings, run in turn. OBU_RECEIVERS=1 runs it.
func TestCostBesideGpsdecode(t *testing.T) {
	if os.Getenv("OBU_RECEIVERS") == "" {
		t.Skip("a measurement: OBU_RECEIVERS=1, or make receivers")
	}
	gpsdecode, err := exec.LookPath("gpsdecode")
	if err != nil {
		t.Skip("gpsdecode is not installed (Debian: gpsd-clients)")
	}
	obu := filepath.Join(t.TempDir(), "obu")
	if out, err := exec.Command("go", "build", "-o", obu, "obu/cmd/obu").CombinedOutput(); err != nil {
		t.Fatalf("build obu: %v\n%s", err, out)
	}
	t.Log("| recording | epochs | sentences an epoch | obu, µs an epoch | gpsdecode, µs an epoch | obu at 10 Hz, of a core |")
	for _, name := range []string{"gpsd/ublox-neo-m9n-nmea.log", "gpsd/skytraq-dgps.log", "gpsd/telit-he910.log", "dotmorten/NmeaSampleData.session1.nmea"} {
		raw, err := os.ReadFile(filepath.Join(recordings(t), name))
		if err != nil {
			t.Fatal(err)
		}
		_, stats := decode(t, string(raw))
		times := max(1, 10_000/int(stats.Epochs))
		epochs := float64(times) * float64(stats.Epochs)
		in := bytes.Repeat(raw, times)
		var ours, theirs []time.Duration
		for range 3 {
			ours = append(ours, cpuOf(t, in, obu, "decode", "nmea", "-"))
			theirs = append(theirs, cpuOf(t, in, gpsdecode))
		}
		slices.Sort(ours)
		slices.Sort(theirs)
		perEpoch := func(d time.Duration) float64 { return float64(d.Microseconds()) / epochs }
		t.Logf("| %s | %.0f | %.1f | %.0f | %.0f | %.2f %% |", strings.TrimSuffix(filepath.Base(name), filepath.Ext(name)), epochs,
			float64(stats.Sentences)/float64(stats.Epochs), perEpoch(ours[1]), perEpoch(theirs[1]), perEpoch(ours[1])*10/1e6*100)
	}
}

// cpuOf runs a command on in and returns its CPU time, in user and kernel mode.
func cpuOf(t *testing.T, in []byte, name string, args ...string) time.Duration {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Stdin = bytes.NewReader(in)
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
}
