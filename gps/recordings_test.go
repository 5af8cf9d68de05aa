package gps_test

import (
	"fmt"
	"math"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"obu/telemetry"
)

// expected is one line of *.expect.sentences.jsonl: what an independent
// decoder read in one RMC or GGA.
type expected struct {
	Line    int
	Type    string
	Talker  string
	Time    *string
	Status  string
	Date    *string `json:"date_yymmdd"`
	Lat     *float64
	Lon     *float64
	Speed   *float64 `json:"speed_mps"`
	Track   *float64
	Quality string
	Sats    *float64 `json:"nsat"`
	HDOP    *float64
	Alt     *float64 `json:"alt_msl"`
}

func (e expected) fix() bool {
	return e.Type == "RMC" && e.Status == "A" || e.Type == "GGA" && e.Quality != "0" && e.Quality != ""
}

// expectedEpochs groups sentences by the same rule a reader would use: the
// same time, no sentence twice.
func expectedEpochs(in []expected) [][]expected {
	var out [][]expected
	for _, s := range in {
		same := len(out) > 0
		if same {
			for _, o := range out[len(out)-1] {
				if o.Type+o.Talker == s.Type+s.Talker || o.Time != nil && s.Time != nil && seconds(*o.Time) != seconds(*s.Time) {
					same = false
				}
			}
		}
		if !same {
			out = append(out, nil)
		}
		out[len(out)-1] = append(out[len(out)-1], s)
	}
	return out
}

func seconds(hms string) time.Duration {
	t, err := time.Parse("15:04:05", hms)
	if err != nil {
		return -1
	}
	return t.Sub(t.Truncate(24 * time.Hour))
}

// differs compares to the digits the expectation prints.
func differs(got float64, want *float64, digits int) bool {
	if want == nil {
		return false
	}
	return fmt.Sprintf("%.*f", digits, got) != fmt.Sprintf("%.*f", digits, *want)
}

// compareEpoch lists where a fix contradicts the sentences of its epoch.
func compareEpoch(f telemetry.Fix, epoch []expected) []string {
	var bad []string
	miss := func(what string, got, want any) {
		bad = append(bad, fmt.Sprintf("line %d: %s is %v, want %v", epoch[0].Line, what, got, want))
	}
	claims, voids, sats := 0, 0, 0
	for _, s := range epoch {
		if s.Time != nil && !f.UTC.IsZero() {
			if got, want := f.UTC.Sub(f.UTC.Truncate(24*time.Hour)), seconds(*s.Time); got != want {
				miss("time", got, want)
			}
		}
		if s.Date != nil {
			if got := f.UTC.Format("06-01-02"); got != *s.Date {
				miss("date", got, *s.Date)
			}
		}
		if !s.fix() {
			voids++
			continue
		}
		claims++
		if s.Lat != nil && (differs(f.LatDeg, s.Lat, 9) || differs(f.LonDeg, s.Lon, 9)) {
			miss("position", fmt.Sprint(f.LatDeg, f.LonDeg), fmt.Sprint(*s.Lat, *s.Lon))
		}
		if differs(f.SpeedMPS, s.Speed, 4) {
			miss("speed", f.SpeedMPS, *s.Speed)
		}
		if differs(f.CourseDeg, s.Track, 2) {
			miss("course", f.CourseDeg, *s.Track)
		}
		if differs(f.AltM, s.Alt, 3) {
			miss("altitude", f.AltM, *s.Alt)
		}
		if differs(f.HDOP, s.HDOP, 2) {
			miss("HDOP", f.HDOP, *s.HDOP)
		}
		if s.Sats != nil {
			sats += int(*s.Sats) // GPGGA beside GLGGA: each counts its own
		}
	}
	if sats > 0 && f.Sats != sats {
		miss("satellites", f.Sats, sats)
	}
	if f.Valid != (claims > 0 && voids == 0) {
		miss("Valid", f.Valid, fmt.Sprintf("%d claims, %d voids (%v)", claims, voids, f.Doubt.Strings()))
	}
	if claims == 0 && (f.Mode != telemetry.ModeNone || !math.IsNaN(f.LatDeg) || !math.IsNaN(f.SpeedMPS)) {
		miss("mode of a void epoch", f.Mode, "none, without position")
	}
	return bad
}

// dropGLLOnly drops the fixes of epochs that are cut off in the recording down
// to their GLL, which the expectation does not list.
func dropGLLOnly(t *testing.T, fixes []telemetry.Fix, epochs [][]expected) []telemetry.Fix {
	var out []telemetry.Fix
	for _, f := range fixes {
		next := len(out)
		if next < len(epochs) && math.IsNaN(f.SpeedMPS) && math.IsNaN(f.AltM) && math.IsNaN(f.HDOP) && !math.IsNaN(f.LatDeg) {
			if lat := epochs[next][0].Lat; lat == nil || differs(f.LatDeg, lat, 9) || f.UTC.IsZero() {
				t.Logf("before line %d: a GLL alone", epochs[next][0].Line)
				continue
			}
		}
		out = append(out, f)
	}
	return out
}

func TestRecordingsAgreeWithSentences(t *testing.T) {
	logs, _ := filepath.Glob(filepath.Join(recordings(t), "gpsd", "*.log"))
	if len(logs) < 21 {
		t.Fatalf("%d recordings, want 21", len(logs))
	}
	for _, path := range logs {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".log"), func(t *testing.T) {
			fixes, stats := decodeFile(t, path)
			epochs := expectedEpochs(readJSONL[expected](t, strings.TrimSuffix(path, "log")+"expect.sentences.jsonl"))
			t.Logf("%d epochs %+v", len(epochs), stats)
			fixes = dropGLLOnly(t, fixes, epochs)
			for i := range min(len(fixes), len(epochs)) {
				for _, bad := range compareEpoch(fixes[i], epochs[i]) {
					t.Error(bad)
				}
			}
			if len(fixes) != len(epochs) {
				t.Errorf("%d fixes, want %d", len(fixes), len(epochs))
			}
		})
	}
}

// tpv is one report of gpsd's own regression expectation.
type tpv struct {
	Time     *time.Time
	Lat, Lon *float64
	Mode     int
	Speed    *float64
	Track    *float64
	AltMSL   *float64
}

// near compares to one unit of the last printed digit: on an exact half the two
// references, gpsd and the sentence decoder, round differently.
func near(got float64, want *float64, unit float64) bool {
	return want == nil || math.Abs(got-*want) <= 1.01*unit
}

// TestRecordingsAgreeWithGpsd: every position gpsd reports is the position of a
// fix of that time, in that order; the last report of an epoch, when gpsd has
// seen all its sentences, agrees in speed, course and altitude. gpsd also
// reports positions from sentences that say there is no fix, before it has a
// time; those must not appear here.
func TestRecordingsAgreeWithGpsd(t *testing.T) {
	logs, _ := filepath.Glob(filepath.Join(recordings(t), "gpsd", "*.log"))
	for _, path := range logs {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".log"), func(t *testing.T) {
			base := strings.TrimSuffix(path, "log")
			fixes, _ := decodeFile(t, path)
			claimed := map[string]bool{}
			for _, s := range readJSONL[expected](t, base+"expect.sentences.jsonl") {
				if s.fix() && s.Lat != nil {
					claimed[fmt.Sprintf("%.8f %.8f", *s.Lat, *s.Lon)] = true
				}
			}
			reports := readJSONL[tpv](t, base+"expect.tpv.jsonl")
			next, compared := 0, 0
			for i, r := range reports {
				if r.Lat == nil || r.Time == nil && !claimed[fmt.Sprintf("%.8f %.8f", *r.Lat, *r.Lon)] {
					continue
				}
				found := -1
				for j := next; j < len(fixes) && found < 0; j++ {
					f := fixes[j]
					if near(f.LatDeg, r.Lat, 1e-9) && near(f.LonDeg, r.Lon, 1e-9) && (r.Time == nil || f.UTC.Equal(*r.Time)) {
						found = j
					}
				}
				if found < 0 {
					t.Errorf("report %d: no fix at %v %v %v", i+1, *r.Lat, *r.Lon, r.Time)
					continue
				}
				next = found
				compared++
				last := i+1 < len(reports) && reports[i+1].Time != nil && r.Time != nil && !reports[i+1].Time.Equal(*r.Time)
				if !last {
					continue
				}
				f := fixes[found]
				if !near(f.SpeedMPS, r.Speed, 0.001) || !near(f.CourseDeg, r.Track, 0.01) || !near(f.AltM, r.AltMSL, 0.001) {
					t.Errorf("report %d %v: speed, course, altitude %v %v %v, want %v %v %v", i+1, r.Time,
						f.SpeedMPS, f.CourseDeg, f.AltM, show(r.Speed), show(r.Track), show(r.AltMSL))
				}
				if f.Mode == telemetry.Mode3D && r.Mode < 3 {
					t.Errorf("report %d %v: mode %v, want %d", i+1, r.Time, f.Mode, r.Mode)
				}
			}
			t.Logf("%d reports, %d positions compared", len(reports), compared)
		})
	}
}

func show(v *float64) string {
	if v == nil {
		return "unknown"
	}
	return fmt.Sprint(*v)
}

// TestDecodeSession1: a Garmin logger in a car from Reno to Lake Tahoe, one
// epoch every two seconds.
func TestDecodeSession1(t *testing.T) {
	base := filepath.Join(recordings(t), "dotmorten", "NmeaSampleData.session1.")
	fixes, stats := decodeFile(t, base+"nmea")
	want := readJSONL[expected](t, base+"expect.rmc.jsonl")
	if len(fixes) != 2427 || len(want) != 2427 {
		t.Fatalf("%d fixes, %d expected, want 2427", len(fixes), len(want))
	}
	for i, f := range fixes {
		w := want[i]
		if w.Date == nil || w.Time == nil {
			t.Fatalf("line %d: no time expected", w.Line)
		}
		if got, want := f.UTC.Format("2006-01-02 15:04:05"), "20"+*w.Date+" "+*w.Time; got != want {
			t.Errorf("line %d: time %s, want %s", w.Line, got, want)
		}
		if differs(f.LatDeg, w.Lat, 9) || differs(f.LonDeg, w.Lon, 9) || differs(f.SpeedMPS, w.Speed, 4) || differs(f.CourseDeg, w.Track, 1) {
			t.Errorf("line %d: %+v, want %+v", w.Line, f, w)
		}
		if f.Valid != (w.Status == "A") {
			t.Errorf("line %d: Valid %v at status %s", w.Line, f.Valid, w.Status)
		}
	}
	if stats.Rejected.Total() != 0 {
		t.Errorf("rejected %+v, want none", stats.Rejected)
	}
}
