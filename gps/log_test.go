package gps_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"obu/gps"
	"obu/internal/clock"
	"obu/telemetry"
)

func writeLog(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var w io.WriteCloser = f
	if filepath.Ext(name) == ".gz" {
		w = gzip.NewWriter(f)
	}
	io.WriteString(w, content)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

// play runs a log on clk to its end.
func play(t *testing.T, path string, clk *clock.Clock, offset telemetry.At) []telemetry.Fix {
	t.Helper()
	l, err := gps.OpenLog(path, clk, offset)
	if err != nil {
		t.Fatal(err)
	}
	var out []telemetry.Fix
	s, err := gps.New(gps.Config{Name: "log", Clock: clk, Emit: func(f telemetry.Fix) { out = append(out, f) },
		Open: func(context.Context) (io.ReadCloser, error) { return l, nil }})
	if err != nil {
		t.Fatal(err)
	}
	if clk.IsReplay() {
		clk.Start(1)
	}
	if err := s.Run(t.Context()); err != nil {
		t.Fatalf("Run returned %v at the end of the log, want nil", err)
	}
	return out
}

// TestCancelledReplayListsItsLosses: what could not be read before the stop is
// listed with it.
func TestCancelledReplayListsItsLosses(t *testing.T) {
	bad := "$GPRMC,120001,A,4807.038,N,01131.000,E,022.4,084.4,230324,,,A*00\r\n"
	path := writeLog(t, "gps.nmea", frames(rmc("120000"), rmc("120001"))+bad+frames(rmc("120002"), rmc("120100"), rmc("120200")))
	clk := clock.Replay(0, time.Time{})
	l, err := gps.OpenLog(path, clk, 0)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	n, lost := 0, int64(0)
	s, err := gps.New(gps.Config{Name: "log", Clock: clk, Lost: func(g telemetry.Gap) { lost += g.Count },
		Emit: func(telemetry.Fix) {
			if n++; n == 3 {
				cancel()
			}
		},
		Open: func(context.Context) (io.ReadCloser, error) { return l, nil }})
	if err != nil {
		t.Fatal(err)
	}
	clk.Start(1)
	if err := s.Run(ctx); err != nil || s.Stats().Rejected.Checksum != 1 || lost != 1 {
		t.Errorf("%v, %d lost, %+v", err, lost, s.Stats())
	}
}

func playedAt(fixes []telemetry.Fix) (out []float64) {
	for _, f := range fixes {
		out = append(out, f.At.Seconds())
	}
	return out
}

func TestLogIsPacedByItsEpochs(t *testing.T) {
	date := func(hms, ddmmyy string) string {
		return "GPRMC," + hms + ",A,4807.038,N,01131.000,E,022.4,084.4," + ddmmyy + ",,,A"
	}
	const void = "GPRMC,,V,,,,,,,,,,N"
	for _, tc := range []struct {
		name   string
		bodies []string
		want   []float64
	}{
		{"seconds", []string{date("120000", "230324"), date("120001", "230324"), date("120002.5", "230324")}, []float64{5, 6, 7.5}},
		{"without time it flows with the last", []string{date("120000", "230324"), void, void, date("120002", "230324")}, []float64{5, 5, 5, 7}},
		{"void before the first time", []string{void, void, date("120000", "230324"), date("120001", "230324")}, []float64{5, 5, 5, 6}},
		{"midnight with date", []string{date("235959", "230324"), date("000001", "240324")}, []float64{5, 7}},
		{"midnight without date", []string{gga("235959"), gga("000001")}, []float64{5, 7}},
		{"jump back goes on at the usual step", []string{date("120000", "230324"), date("120002", "230324"), date("110000", "230324"), date("110002", "230324")}, []float64{5, 7, 9, 11}},
		{"the first fix sets a clock of 1980", []string{date("000000", "060180"), date("000001", "060180"), date("120000", "230324"), date("120001", "230324")}, []float64{5, 6, 7, 8}},
		{"a long pause is played", []string{date("120000", "230324"), date("123000", "230324")}, []float64{5, 1805}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			for _, ext := range []string{".nmea", ".nmea.gz"} {
				fixes := play(t, writeLog(t, "gps"+ext, frames(tc.bodies...)), clock.Replay(0, time.Time{}), telemetry.At(5*time.Second))
				got := playedAt(fixes)
				if len(got) != len(tc.want) {
					t.Fatalf("%s: played at %v, want %v", ext, got, tc.want)
				}
				for i := range got {
					if got[i] != tc.want[i] {
						t.Errorf("%s: played at %v, want %v", ext, got, tc.want)
					}
				}
			}
		})
	}
}

// TestLogAtTenTimesItsSpeed takes a tenth of the recorded time.
func TestLogAtTenTimesItsSpeed(t *testing.T) {
	path := writeLog(t, "gps.nmea", frames(rmc("120000"), rmc("120010"), rmc("120100")))
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		fixes := play(t, path, clock.Replay(10, time.Time{}), 0)
		if took := time.Since(start).Round(time.Millisecond); took != 6*time.Second || len(fixes) != 3 {
			t.Errorf("%d fixes in %v, want 3 in 6 s", len(fixes), took)
		}
	})
}

func TestLogStopsOnCancel(t *testing.T) {
	path := writeLog(t, "gps.nmea", frames(rmc("120000"), rmc("120030"), rmc("125959")))
	synctest.Test(t, func(t *testing.T) {
		clk := clock.Virtual()
		n := 0
		s, err := gps.New(gps.Config{Clock: clk, Emit: func(telemetry.Fix) { n++ },
			Open: func(context.Context) (io.ReadCloser, error) { return gps.OpenLog(path, clk, 0) }})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 40*time.Second)
		defer cancel()
		if err := s.Run(ctx); err != nil || n != 2 {
			t.Errorf("%d fixes, error %v; want 2 within 40 s", n, err)
		}
	})
}

func TestOpenLogErrors(t *testing.T) {
	clk := clock.Replay(0, time.Time{})
	if _, err := gps.OpenLog(filepath.Join(t.TempDir(), "none"), clk, 0); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%v, want ErrNotExist", err)
	}
	if _, err := gps.OpenLog(writeLog(t, "bad.nmea", "\x1f\x8bnot gzip at all"), clk, 0); err == nil {
		t.Error("a broken gzip header is accepted")
	}
}

// TestCutGzipLog: a log whose compressed end is missing plays to the cut, then
// says so.
func TestCutGzipLog(t *testing.T) {
	path := writeLog(t, "gps.nmea.gz", frames(rmc("120000"), rmc("120001"), rmc("120002"))+string(make([]byte, 1<<16)))
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, b[:len(b)-12], 0o600); err != nil {
		t.Fatal(err)
	}
	clk := clock.Replay(0, time.Time{})
	n := 0
	var gaps []telemetry.Gap
	var text bytes.Buffer
	s, err := gps.New(gps.Config{Clock: clk, Emit: func(telemetry.Fix) { n++ }, Lost: func(g telemetry.Gap) { gaps = append(gaps, g) },
		Log:  slog.New(slog.NewTextHandler(&text, nil)),
		Open: func(context.Context) (io.ReadCloser, error) { return gps.OpenLog(path, clk, 0) }})
	if err != nil {
		t.Fatal(err)
	}
	clk.Start(1)
	if err := s.Run(t.Context()); err != nil || n != 3 {
		t.Errorf("%d fixes, error %v; want 3 and nil", n, err)
	}
	if len(gaps) != 1 || gaps[0].Count != telemetry.CountUnknown || !strings.Contains(text.String(), "cut off") {
		t.Errorf("gaps %+v, the technician reads %q; want the cut", gaps, text.String())
	}
}

// TestDamagedGzipLog: rot in the middle of a compressed log ends it there, and
// is listed like a cut.
func TestDamagedGzipLog(t *testing.T) {
	var bodies []string
	for s := range 600 {
		bodies = append(bodies, rmc(fmt.Sprintf("12%02d%02d", s/60, s%60)))
	}
	path := writeLog(t, "gps.nmea.gz", frames(bodies...))
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 64 {
		b[len(b)/2+i] ^= 0xFF
	}
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	clk := clock.Replay(0, time.Time{})
	unknown := 0
	s, err := gps.New(gps.Config{Clock: clk, Emit: func(telemetry.Fix) {},
		Lost: func(g telemetry.Gap) {
			if g.Count == telemetry.CountUnknown {
				unknown++
			}
		},
		Open: func(context.Context) (io.ReadCloser, error) { return gps.OpenLog(path, clk, 0) }})
	if err != nil {
		t.Fatal(err)
	}
	clk.Start(1)
	if err := s.Run(t.Context()); err != nil || unknown != 1 {
		t.Errorf("%v, %d gaps of unknown count", err, unknown)
	}
}

// TestRecordedDrivePlays: the drive from Reno, every two seconds, as decoded.
func TestRecordedDrivePlays(t *testing.T) {
	path := filepath.Join(recordings(t), "dotmorten", "NmeaSampleData.session1.nmea")
	want, _ := decodeFile(t, path)
	got := play(t, path, clock.Replay(0, time.Time{}), 0)
	if len(got) != len(want) {
		t.Fatalf("%d fixes, want %d", len(got), len(want))
	}
	for i := range got {
		if !got[i].UTC.Equal(want[i].UTC) || got[i].At.Sub(0) != want[i].UTC.Sub(want[0].UTC) {
			t.Fatalf("fix %d at %v of %v, want %v", i, got[i].At.Seconds(), got[i].UTC, want[i].UTC)
		}
	}
}
