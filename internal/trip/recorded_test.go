package trip_test

import (
	"bufio"
	"compress/gzip"
	"encoding/json"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"obu/gps"
	"obu/internal/trip"
	"obu/internal/virtual"
	"obu/telemetry"
)

// recordings is where the recorded drives are.
func recordings(t *testing.T) string {
	t.Helper()
	dir := os.Getenv("OBU_RECORDINGS")
	if dir == "" {
		dir = filepath.Join("..", "..", "..", "shared", "recordings")
	}
	if _, err := os.Stat(dir); err != nil {
		t.Skipf("no recorded drives (set OBU_RECORDINGS): %v", err)
	}
	return dir
}

// session1 is 81 minutes from Reno to Lake Tahoe, a fix each 2 s.
func session1(t *testing.T) []telemetry.Fix {
	f, err := os.Open(filepath.Join(recordings(t), "nmea", "dotmorten", "NmeaSampleData.session1.nmea"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var out []telemetry.Fix
	_, err = gps.Decode(f, func(f telemetry.Fix) {
		if len(out) > 0 && !f.UTC.IsZero() && !out[0].UTC.IsZero() {
			f.At = out[0].At.Add(f.UTC.Sub(out[0].UTC))
		} else {
			f.At = 10e9
		}
		f.Receiver = "gps"
		out = append(out, f)
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func jsonLines[T any](t *testing.T, path string, each func(T)) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var r io.Reader = f
	if strings.HasSuffix(path, ".gz") {
		if r, err = gzip.NewReader(f); err != nil {
			t.Fatal(err)
		}
	}
	for s := bufio.NewScanner(r); s.Scan(); {
		var v T
		if err := json.Unmarshal(s.Bytes(), &v); err != nil {
			t.Fatal(err)
		}
		each(v)
	}
}

// comma is 40 seconds of a u-blox at 10 Hz.
func comma(t *testing.T) []telemetry.Fix {
	type line struct {
		T, Lat, Lon float64
		MS          float64 `json:"utc_ms"`
		Speed       float64 `json:"speed_mps"`
		Course      float64 `json:"bearing_deg"`
		Alt         float64 `json:"alt_m"`
	}
	var out []telemetry.Fix
	zero := 0.0
	jsonLines(t, filepath.Join(recordings(t), "can", "comma2k19_rav4", "gnss_ublox_10hz.jsonl"), func(l line) {
		if zero == 0 {
			zero = l.T - 10
		}
		f := telemetry.NoFix()
		f.At, f.Receiver, f.Valid, f.Mode = telemetry.At((l.T-zero)*1e9), "gps", true, telemetry.Mode3D
		f.UTC = time.UnixMilli(int64(l.MS)).UTC()
		f.LatDeg, f.LonDeg = math.Round(l.Lat*1e7)/1e7, math.Round(l.Lon*1e7)/1e7
		f.SpeedMPS, f.CourseDeg, f.AltM = math.Round(l.Speed*1000)/1000, math.Round(l.Course*100)/100, math.Round(l.Alt*10)/10
		out = append(out, f)
	})
	return out
}

// denmarkZero is the recording's time of At 0.
const denmarkZero = 1627274440

// denmark is nine minutes of a receiver on a bus, 1 Hz, that has no fix at first.
func denmark(t *testing.T) []telemetry.Fix {
	type line struct {
		T       json.Number
		Msg     string
		Signals map[string]float64
	}
	var out []telemetry.Fix
	f := telemetry.NoFix()
	jsonLines(t, filepath.Join(recordings(t), "can", "css_obd_gps_drive", "3BA199E2_164_1.expect.gps.jsonl.gz"), func(l line) {
		v := l.Signals
		switch l.Msg {
		case "gnss_status":
			at, err := l.T.Float64()
			if err != nil {
				t.Fatal(err)
			}
			f = telemetry.NoFix()
			f.At, f.Receiver, f.Sats = telemetry.At((at-denmarkZero)*1e9), "gps", int(v["Satellites"])
		case "gnss_time":
			f.UTC = time.Unix(int64(v["Epoch"]), 0).UTC()
		case "gnss_pos":
			if f.Valid = v["PositionValid"] == 1; f.Valid {
				f.LatDeg, f.LonDeg, f.Mode = v["Latitude"], v["Longitude"], telemetry.Mode3D
			}
		case "gnss_altitude":
			f.AltM = v["Altitude"]
		case "gnss_attitude":
			f.CourseDeg = v["Heading"]
		case "gnss_speed":
			if f.Valid {
				f.SpeedMPS = v["Speed"]
			}
			out = append(out, f)
		}
	})
	return out
}

// simulated is an hour of a virtual car, 1 Hz, without a receiver's scatter.
func simulated(*testing.T) []telemetry.Fix {
	d := virtual.NewDrive(7)
	start := time.Date(2026, 5, 4, 6, 0, 0, 0, time.UTC)
	var out []telemetry.Fix
	for s := range 3600 {
		d.Advance(time.Duration(s) * time.Second)
		st := d.State()
		f := telemetry.NoFix()
		f.At, f.Receiver, f.Valid, f.Mode, f.UTC = telemetry.At(10+s)*1e9, "gps", true, telemetry.Mode3D, start.Add(time.Duration(s)*time.Second)
		f.LatDeg, f.LonDeg = math.Round(st.LatDeg*1e7)/1e7, math.Round(st.LonDeg*1e7)/1e7
		f.SpeedMPS, f.CourseDeg, f.AltM = math.Round(st.SpeedMPS*1000)/1000, math.Round(st.CourseDeg*100)/100, math.Round(st.AltM*10)/10
		out = append(out, f)
	}
	return out
}

var drives = []struct {
	name  string
	fixes func(*testing.T) []telemetry.Fix
}{{"Reno to Lake Tahoe, 0.5 Hz", session1}, {"Denmark, town and road, 1 Hz", denmark}, {"San Francisco, u-blox 10 Hz, 40 s", comma}, {"virtual car, 1 Hz", simulated}}

// TestTrackRecordedDrives: on every recorded drive, of each fix that was dropped,
// the distance at its own time from the line of those kept is within the
// tolerance, and most are dropped.
func TestTrackRecordedDrives(t *testing.T) {
	for _, d := range drives {
		t.Run(d.name, func(t *testing.T) {
			fixes := d.fixes(t)
			for _, tol := range []float64{1, 3, 10, 50} {
				before := len(fixes) + 1
				for _, late := range []time.Duration{0, time.Second, 5 * time.Second} {
					kept := reduce(fixes, trip.Tolerance{ErrorM: tol, Time: time.Minute, TimeError: late})
					got := measure(t, fixes, kept, late)
					if got.m > tol || got.apart > time.Minute {
						t.Errorf("%g m, %v: %.3f m off, %v apart", tol, late, got.m, got.apart)
					}
					if tol >= 3 && len(kept) > len(fixes)/2 || len(kept) > before {
						t.Errorf("%g m, %v: %d of %d fixes kept, with less time %d", tol, late, len(kept), len(fixes), before)
					}
					before = len(kept)
				}
			}
		})
	}
}
