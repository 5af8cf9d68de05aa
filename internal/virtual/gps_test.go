package virtual_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"io"
	"math"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/Eyevinn/mp4ff/mp4"

	"obu/gps"
	"obu/internal/clock"
	"obu/internal/virtual"
	"obu/telemetry"
)

// What the receiver writes is read by the decoder as the journal says, one
// epoch a second, with and without a fix.
func TestGPSWritesWhatItJournals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		clk := clock.Virtual()
		car := virtual.New(virtual.Config{Seed: 5, Clock: clk, Start: time.Now()})
		ctx, cancel := context.WithCancel(t.Context())
		var out bytes.Buffer
		var wg sync.WaitGroup
		wg.Go(func() {
			_ = car.WriteGPS(ctx, &out, virtual.GPSOptions{Latency: 80 * time.Millisecond,
				Visible: func(s time.Duration) bool { return s < 60*time.Second || s > 90*time.Second }})
		})
		time.Sleep(5*time.Minute + 500*time.Millisecond)
		cancel()
		wg.Wait()

		want := car.Journal().Positions()
		if len(want) != 300 {
			t.Fatalf("%d epochs in 300 s", len(want))
		}
		var got []telemetry.Fix
		if _, err := gps.Decode(&out, func(f telemetry.Fix) { got = append(got, f) }); err != nil {
			t.Fatal(err)
		}
		if len(got) != len(want) {
			t.Fatalf("%d fixes of %d epochs", len(got), len(want))
		}
		for i, p := range want {
			f := got[i]
			if !f.UTC.Equal(p.UTC) || f.Valid != p.Valid {
				t.Fatalf("epoch %d: %+v, journalled %+v", i, f, p)
			}
			if p.Valid && (math.Abs(f.LatDeg-p.LatDeg) > 1e-7 || math.Abs(f.LonDeg-p.LonDeg) > 1e-7 ||
				math.Abs(f.SpeedMPS-p.SpeedMPS) > 0.006 || math.Abs(f.CourseDeg-p.CourseDeg) > 0.006 ||
				f.AltM != p.AltM || f.Sats != p.Sats || f.Mode != telemetry.Mode3D) {
				t.Fatalf("epoch %d: %+v, journalled %+v", i, f, p)
			}
			if p.Valid == (i >= 59 && i < 90) {
				t.Fatalf("epoch %d: valid %v", i, p.Valid)
			}
		}
	})
}

// A line nobody has open takes nothing, so nothing is journalled; what was
// written before the reader came back is not repeated.
func TestLineWithoutReaderLosesTheEpoch(t *testing.T) {
	l := virtual.NewLine()
	if _, err := io.WriteString(l, "x"); err == nil {
		t.Error("written to nobody")
	}
	r, err := l.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	io.WriteString(l, "abc")
	r.Close()
	r2, err := l.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	io.WriteString(l, "def")
	l.Close()
	if b, err := io.ReadAll(r2); err != nil || string(b) != "def" {
		t.Errorf("read %q, %v", b, err)
	}
	if b, err := io.ReadAll(r); err == nil && string(b) != "abc" {
		t.Errorf("first reader read %q", b)
	}
}

// A clip grows, is a readable MP4 of its length when it is done, and is
// journalled only then.
func TestDashcamRecordsClips(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		clk := clock.Virtual()
		start := time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)
		car := virtual.New(virtual.Config{Seed: 5, Clock: clk, Start: start})
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() {
			if err := car.RecordClips(ctx, dir, virtual.DashcamOptions{First: time.Second, Every: time.Minute, Length: 20 * time.Second, SizeBytes: 100_000}); err != nil {
				t.Error(err)
			}
		})
		time.Sleep(12 * time.Second)
		if _, _, clips := car.Journal().Counts(); clips != 0 {
			t.Error("a growing clip is journalled")
		}
		time.Sleep(60 * time.Second) // the second one is at half
		cancel()
		wg.Wait()
		recs := car.Journal().Recordings()
		if len(recs) != 1 || recs[0].Name != "20260504_120001_NF.mp4" {
			t.Fatalf("journalled %v", recs)
		}
		raw, err := os.ReadFile(filepath.Join(dir, recs[0].Name))
		if err != nil {
			t.Fatal(err)
		}
		if int64(len(raw)) != recs[0].SizeBytes || sha256.Sum256(raw) != recs[0].SHA256 {
			t.Error("the file is not what was journalled")
		}
		f, err := mp4.DecodeFile(bytes.NewReader(raw))
		if err != nil {
			t.Fatal(err)
		}
		if f.Moov == nil || f.Moov.Mvhd.Duration != 20_000 || f.Mdat == nil || len(f.Mdat.Data) != 100_000 {
			t.Errorf("file %+v", f)
		}
	})
}
