package trip_test

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"obu/internal/trip"
	"obu/telemetry"
)

// TestTrackGeolife holds the tolerance on tracks of the Geolife data set, of
// which the published figures of docs/benchmarks.md are, and prints what they
// take. OBU_GEOLIFE is a folder with .plt files of it, which is not part of the
// project.
func TestTrackGeolife(t *testing.T) {
	dir := os.Getenv("OBU_GEOLIFE")
	if dir == "" {
		t.Skip("no Geolife tracks (set OBU_GEOLIFE to a folder with its .plt files)")
	}
	var tracks [][]telemetry.Fix
	err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if err == nil && strings.HasSuffix(path, ".plt") {
			if fixes := plt(t, path); len(fixes) >= 100 {
				tracks = append(tracks, fixes)
			}
		}
		return err
	})
	if err != nil || len(tracks) == 0 {
		t.Fatalf("%d tracks of 100 fixes or more in %s: %v", len(tracks), dir, err)
	}
	fmt.Println("| max_error | max_time_error | max_time | tracks | hours | corners an hour | KB/h |\n|---|---|---|---|---|---|---|")
	for _, m := range []float64{3, 10} {
		for _, late := range []time.Duration{0, time.Second} {
			for _, most := range []time.Duration{time.Minute, 10 * time.Minute} {
				tol := trip.Tolerance{ErrorM: m, TimeError: late, Time: most, Detail: trip.Rounded}
				geolifeRow(t, "all", tracks, tol)
				geolifeRow(t, "20 km/h or more", fast(tracks), tol)
			}
		}
	}
}

func geolifeRow(t *testing.T, which string, tracks [][]telemetry.Fix, tol trip.Tolerance) {
	bytes, corners, hours := 0, 0, 0.0
	for _, fixes := range tracks {
		tol.Detail = trip.Rounded
		if far := furthest(t, fixes, reduce(fixes, tol), tol.TimeError); far > tol.ErrorM {
			t.Errorf("%+v: a fix is %.2f m off", tol, far)
		}
		tol.Detail = trip.Place
		kept := reduce(fixes, tol)
		payload, headers := onWire(t, kept, 0, telemetry.FormatTrack)
		bytes, corners = bytes+payload-headers, corners+len(kept)
		hours += fixes[len(fixes)-1].At.Sub(fixes[0].At).Hours()
	}
	fmt.Printf("| %g m | %v | %v | %d, %s | %.0f | %.0f | %.3f |\n", tol.ErrorM, tol.TimeError, tol.Time, len(tracks), which, hours, float64(corners)/hours, float64(bytes)/1000/hours)
}

// fast are the tracks with a mean speed of 20 km/h and more.
func fast(tracks [][]telemetry.Fix) (out [][]telemetry.Fix) {
	for _, fixes := range tracks {
		m := 0.0
		for i := 1; i < len(fixes); i++ {
			m += vincentyM(fixes[i-1].LatDeg, fixes[i-1].LonDeg, fixes[i].LatDeg, fixes[i].LonDeg)
		}
		if m/fixes[len(fixes)-1].At.Sub(fixes[0].At).Seconds() >= 20/3.6 {
			out = append(out, fixes)
		}
	}
	return out
}

// plt reads a track: lines of latitude, longitude, 0, feet, days, date, time.
func plt(t *testing.T, path string) (out []telemetry.Fix) {
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	r := csv.NewReader(file)
	r.FieldsPerRecord = -1
	for {
		line, err := r.Read()
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		if len(line) != 7 {
			continue // its head
		}
		f := telemetry.NoFix()
		f.Receiver, f.Valid = "gps", true
		lat, err1 := strconv.ParseFloat(line[0], 64)
		lon, err2 := strconv.ParseFloat(line[1], 64)
		utc, err3 := time.Parse("2006-01-02 15:04:05", line[5]+" "+line[6])
		if errors.Join(err1, err2, err3) != nil || math.Abs(lat) > 90 || len(out) > 0 && !utc.After(out[len(out)-1].UTC) {
			continue
		}
		f.LatDeg, f.LonDeg, f.UTC = math.Round(lat*1e7)/1e7, math.Round(lon*1e7)/1e7, utc
		if len(out) > 0 {
			f.At = out[0].At.Add(utc.Sub(out[0].UTC))
		}
		out = append(out, f)
	}
}
