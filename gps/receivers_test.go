package gps_test

import (
	"bytes"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"obu/gps"
	"obu/telemetry"
)

// epochLines cuts a recording where a receiver would have paused: in front of
// each sentence that tells another time than the one before, or repeats it. A
// binary message without a line end may stand before a sentence.
func epochLines(in []byte) [][]string {
	out := [][]string{nil}
	last, seen := time.Duration(-1), map[string]bool{}
	for _, line := range strings.SplitAfter(string(in), "\n") {
		kind, at := timeField(line[max(0, strings.LastIndexByte(line, '$')):])
		timed := kind == "RMC" || kind == "GGA" || kind == "GNS" || kind == "GLL"
		address, _, _ := strings.Cut(line, ",")
		if timed && (seen[address] || at >= 0 && last >= 0 && (at-last).Abs() > 9*time.Millisecond) {
			out, seen, last = append(out, nil), map[string]bool{}, -1
		}
		if timed {
			seen[address] = true
			last = max(last, at)
		}
		out[len(out)-1] = append(out[len(out)-1], line)
	}
	return out
}

// TestReceiversLive plays every recording like the receiver that made it: a
// burst of sentences, 10 ms each, then a pause until the next epoch. Each fix
// leaves before the next epoch starts, one an epoch, and once the cycle end is
// learned it is the fix that Decode, which sees the whole epoch, makes of it.
func TestReceiversLive(t *testing.T) {
	logs, _ := filepath.Glob(filepath.Join(recordings(t), "gpsd", "*.log"))
	for _, path := range append(logs, filepath.Join(recordings(t), "dotmorten", "TrimbleR2SampleData.nmea")) {
		t.Run(strings.TrimSuffix(filepath.Base(path), filepath.Ext(path)), func(t *testing.T) {
			raw, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			want, _ := decodeFile(t, path)
			epochs := epochLines(raw)
			synctest.Test(t, func(t *testing.T) { playReceiver(t, epochs, want) })
		})
	}
}

func playReceiver(t *testing.T, epochs [][]string, want []telemetry.Fix) {
	l := listen(t)
	defer l.stop(t)
	poorer, atOnce := 0, 0
	for _, lines := range epochs {
		start := time.Now()
		synctest.Wait()
		before := len(l.fixes())
		for _, line := range lines {
			l.w.Write([]byte(line))
			time.Sleep(10 * time.Millisecond)
		}
		synctest.Wait()
		if len(l.fixes()) > before {
			atOnce++
		}
		time.Sleep(max(time.Until(start.Add(time.Second)), 300*time.Millisecond))
	}
	synctest.Wait()
	if len(l.fixes()) != len(want) {
		t.Fatalf("%d fixes, want %d", len(l.fixes()), len(want))
	}
	for i, f := range l.fixes() {
		w := want[i]
		near := func(a, b float64) bool { return math.Abs(a-b) < 1e-7 || math.IsNaN(a) && math.IsNaN(b) }
		if !f.UTC.Equal(w.UTC) || f.Valid != w.Valid || !near(f.LatDeg, w.LatDeg) || !near(f.LonDeg, w.LonDeg) {
			t.Errorf("fix %d: %v %v %v %v, want %v %v %v %v", i, f.UTC, f.Valid, f.LatDeg, f.LonDeg, w.UTC, w.Valid, w.LatDeg, w.LonDeg)
		}
		f.At, f.Receiver, f.LatDeg, f.LonDeg = 0, "", w.LatDeg, w.LonDeg
		if !f.Equal(w) {
			poorer++
		}
	}
	t.Logf("%d epochs, %d left with the sentence that ends them, %d with less than Decode sees", len(want), atOnce, poorer)
	if poorer > 0 {
		t.Errorf("%d of %d fixes say less than Decode sees", poorer, len(want))
	}
	if atOnce < len(want)*7/10-10 {
		t.Errorf("%d of %d fixes left with the end of their epoch", atOnce, len(want))
	}
}

// TestTrimbleRTK: a receiver whose GNS companions carry no position and whose
// ZDA is later than the epoch.
func TestTrimbleRTK(t *testing.T) {
	raw, err := os.ReadFile(filepath.Join(recordings(t), "dotmorten", "TrimbleR2SampleData.nmea"))
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	if _, err := gps.Decode(bytes.NewReader(raw), func(f telemetry.Fix) {
		n++
		if !f.Valid || f.Doubt != 0 || f.Quality != 5 && f.Quality != 2 || f.Sats < 5 || f.Mode != telemetry.Mode3D || f.UTC.Nanosecond() != 0 {
			t.Errorf("fix %+v, want RTK float or DGPS in 3D on the whole second", f)
		}
	}); err != nil || n != 34 {
		t.Errorf("%d fixes, error %v; want 34", n, err)
	}
}
