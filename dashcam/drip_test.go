package dashcam_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"obu/dashcam"
	"obu/internal/clock"
	"obu/telemetry"
)

// record makes a recorded folder of three named segments and a companion.
func record(t *testing.T) (dir string, files map[string][]byte) {
	t.Helper()
	dir = t.TempDir()
	files = map[string][]byte{
		"Normal/20260301_120000_NF.mp4": movie(1, 3000, 60*time.Second),
		"Normal/20260301_120100_NF.mp4": movie(2, 2000, 30*time.Second),
		"Event/20260301_120030_EF.mp4":  movie(3, 1000, 10*time.Second),
		"Normal/20260301_120000_NF.gps": []byte("[0]$GPGGA"),
	}
	for name, data := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir, files
}

func TestDripFollowsRecordedTime(t *testing.T) {
	from, files := record(t)
	clk := clock.Replay(0, time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC))
	r := newRig(t, func(c *dashcam.Config) { c.Clock, c.Poll, c.Rescan = clk, false, time.Hour })
	stop := r.start()
	var placed []string
	clk.Start(1)
	err := dashcam.Drip(t.Context(), dashcam.DripConfig{From: from, To: r.dir, Clock: clk, Offset: telemetry.At(5 * time.Second),
		Placed: func(ctx context.Context, path string) error {
			placed = append(placed, fmt.Sprint(filepath.Base(path), " ", clk.Now().Seconds()))
			return r.src.Drain(ctx)
		}})
	if err != nil {
		t.Fatal(err)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	want := []string{"20260301_120030_EF.mp4 45", "20260301_120000_NF.gps 65", "20260301_120000_NF.mp4 65", "20260301_120100_NF.mp4 95"}
	if fmt.Sprint(placed) != fmt.Sprint(want) {
		t.Errorf("placed %v, want %v", placed, want)
	}
	got := r.vault.all(t)
	for name, at := range map[string]float64{"20260301_120030_EF.mp4": 45, "20260301_120000_NF.mp4": 65, "20260301_120100_NF.mp4": 95} {
		if c := got[name]; c.At.Seconds() != at {
			t.Errorf("%s is in custody at %v, want %v", name, c.At.Seconds(), at)
		}
	}
	for name, data := range files {
		path := filepath.Join(r.dir, name)
		if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, data) {
			t.Errorf("%s differs (%v)", name, err)
		}
		was, _ := os.Stat(filepath.Join(from, name))
		if is, err := os.Stat(path); err != nil || !is.ModTime().Equal(was.ModTime()) {
			t.Errorf("%s: mtime %v, recorded %v", name, is.ModTime(), was.ModTime())
		}
	}
}

func TestDripStopsAndGoesOn(t *testing.T) {
	from, files := record(t)
	to := t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	n := 0
	cfg := dashcam.DripConfig{From: from, To: to, Placed: func(context.Context, string) error {
		if n++; n == 2 {
			cancel()
		}
		return nil
	}}
	for _, c := range []context.Context{ctx, t.Context()} {
		clk := clock.Replay(0, time.Time{})
		clk.Start(1)
		cfg.Clock = clk
		if err := dashcam.Drip(c, cfg); err != nil {
			t.Fatal(err)
		}
	}
	for name := range files {
		if _, err := os.Stat(filepath.Join(to, name)); err != nil {
			t.Error(err)
		}
	}
	if n != 2+len(files) {
		t.Errorf("placed %d times", n)
	}
}

func TestDripWithoutNames(t *testing.T) {
	from := t.TempDir()
	base := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for i, name := range []string{"b.mp4", "a.mp4"} {
		path := filepath.Join(from, name)
		if err := os.WriteFile(path, movie(uint64(i), 100, 10*time.Second), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, base, base.Add(time.Duration(i)*time.Minute)); err != nil {
			t.Fatal(err)
		}
	}
	clk := clock.Replay(0, base)
	clk.Start(1)
	var placed []string
	err := dashcam.Drip(t.Context(), dashcam.DripConfig{From: from, To: t.TempDir(), Clock: clk, Placed: func(_ context.Context, path string) error {
		placed = append(placed, fmt.Sprint(filepath.Base(path), " ", clk.Now().Seconds()))
		return nil
	}})
	if want := "[b.mp4 10 a.mp4 70]"; err != nil || fmt.Sprint(placed) != want {
		t.Errorf("placed %v (%v), want %v", placed, err, want)
	}
}

func TestDripOfNothing(t *testing.T) {
	err := dashcam.Drip(t.Context(), dashcam.DripConfig{From: filepath.Join(t.TempDir(), "none"), To: t.TempDir(), Clock: clock.Virtual()})
	if err == nil {
		t.Error("a missing recording is silent")
	}
}
