package trip_test

import (
	"fmt"
	"math"
	"math/bits"
	"testing"
	"time"

	"obu/internal/trip"
	"obu/telemetry"
)

// onWire is the payload of fixes, in envelopes of that length, 0: in one, and how
// much of it are headers.
func onWire(t *testing.T, fixes []telemetry.Fix, every time.Duration, format int) (payload, headers int) {
	t.Helper()
	wall := time.Date(2026, 5, 4, 6, 0, 0, 0, time.UTC)
	for len(fixes) > 0 {
		n := len(fixes)
		if every > 0 {
			for n = 1; n < len(fixes) && fixes[n].At/telemetry.At(every) == fixes[0].At/telemetry.At(every); n++ {
			}
		}
		env := telemetry.Envelope{Unit: "unit-0001", Vehicle: "van-12", Store: telemetry.StoreID{1}, Boot: telemetry.BootID{2}, Class: telemetry.ClassTelemetry,
			SentAt: fixes[n-1].At, SentBoot: telemetry.BootID{2}, SentWall: wall.Add(fixes[n-1].At.Sub(0)), Next: 2,
			Batches: []telemetry.Batch{{Unit: "unit-0001", Vehicle: "van-12", Boot: telemetry.BootID{2},
				Name: telemetry.Name{Store: telemetry.StoreID{1}, Class: telemetry.ClassTelemetry, Seq: 1}, Content: telemetry.Content{Fixes: fixes[:n]}}}}
		for _, count := range []*int{&payload, &headers} {
			p, err := telemetry.EncodeEnvelopeFormat(&env, format)
			if err != nil {
				t.Fatal(err)
			}
			*count += len(p)
			env.Batches[0].Fixes = nil
		}
		fixes = fixes[n:]
	}
	return payload, headers
}

// TestTrackTable prints the table of docs/benchmarks.md. Nothing is asserted
// here; TestTrackRecordedDrives and TestTrackCornersOnRecordedDrives hold the
// tolerance.
func TestTrackTable(t *testing.T) {
	if !testing.Verbose() {
		t.Skip("prints a table: -v")
	}
	fmt.Println("| drive | max_error | max_time_error | detail | kept an hour | furthest | a message each 60 s | each 10 min | one message | of it the track | ideal coder |\n|---|---|---|---|---|---|---|---|---|---|---|")
	for _, d := range drives {
		fixes := d.fixes(t)
		tableRow(t, d.name, fixes, fixes, trip.Tolerance{})
		for _, m := range []float64{3, 10} {
			for _, late := range []time.Duration{0, time.Second} {
				for _, detail := range []trip.Detail{trip.Full, trip.Rounded, trip.Place} {
					tol := trip.Tolerance{ErrorM: m, TimeError: late, Time: time.Minute, Detail: detail}
					tableRow(t, d.name, fixes, reduce(fixes, tol), tol)
				}
			}
		}
	}
}

func tableRow(t *testing.T, drive string, fixes, kept []telemetry.Fix, tol trip.Tolerance) {
	hours := fixes[len(fixes)-1].At.Sub(fixes[0].At).Hours()
	bound, late, far, format := "all fixes", "", "", telemetry.Format
	if tol.ErrorM > 0 {
		bound, late = fmt.Sprintf("%g m", tol.ErrorM), "none"
		if tol.TimeError > 0 {
			late = tol.TimeError.String()
		}
		line := kept
		if tol.Detail != trip.Full {
			format, tol.Detail = telemetry.FormatTrack, trip.Rounded // whose UTC tells which fix a corner stands for
			line = reduce(fixes, tol)
		}
		far = fmt.Sprintf("%.2f m", furthest(t, fixes, line, tol.TimeError))
	}
	detail, ideal := trip.Details[trip.Full], ""
	if format == telemetry.FormatTrack {
		detail = trip.Details[trip.Rounded]
		if kept[len(kept)-1].UTC.IsZero() {
			detail, ideal = trip.Details[trip.Place], fmt.Sprintf("%.2f", idealBytes(kept)/1000/hours)
		}
	}
	var each [3]string
	headers := 0
	payload := 0
	for i, every := range []time.Duration{time.Minute, 10 * time.Minute, 0} {
		payload, headers = onWire(t, kept, every, format)
		each[i] = fmt.Sprintf("%.2f", float64(payload)/1000/hours)
	}
	fmt.Printf("| %s | %s | %s | %s | %.0f | %s | %s | %s | %s | %.2f | %s |\n", drive, bound, late, detail, float64(len(kept))/hours, far,
		each[0], each[1], each[2], float64(payload-headers)/1000/hours, ideal)
}

// idealBytes is the order-0 entropy of the steps of time and of what the speed
// before leaves of places, in steps of their common factors: lengths in bits with
// free statistics, and the bits below the first as they are. The first corner and
// those without a position count nothing.
func idealBytes(kept []telemetry.Fix) float64 {
	var ts, lats, lons []int64
	for _, f := range kept {
		if f.Valid {
			ts = append(ts, int64(f.At.Round()/1e6))
			lats, lons = append(lats, int64(math.Round(f.LatDeg*1e7))), append(lons, int64(math.Round(f.LonDeg*1e7)))
		}
	}
	sum := 0.0
	for _, xs := range [][]int64{ts, lats, lons} {
		unit := int64(0)
		for i := 1; i < len(xs); i++ {
			for d := xs[i] - xs[i-1]; d != 0; {
				unit, d = d, unit%d
			}
		}
		unit = max(unit, -unit, 1)
		counts, total := map[int]float64{}, 0.0
		for i := 1; i < len(xs); i++ {
			x := (xs[i] - xs[i-1]) / unit
			if i > 1 && &xs[0] != &ts[0] {
				x -= int64(math.Round(float64(xs[i-1]-xs[i-2]) * float64(ts[i]-ts[i-1]) / float64(ts[i-1]-ts[i-2]) / float64(unit)))
			}
			n := bits.Len64(uint64(x<<1 ^ x>>63))
			counts[n]++
			total++
			sum += float64(max(0, n-1))
		}
		for _, c := range counts {
			sum += c * math.Log2(total/c)
		}
	}
	return sum / 8
}
