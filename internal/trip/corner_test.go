package trip_test

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"obu/internal/trip"
	"obu/telemetry"
)

// furthest is how far the fixes that came are from the line that was passed on,
// measured as a consumer has it: the corners' own places and times. Every corner
// is told by the time of the fix it stands for.
func furthest(t *testing.T, fixes, kept []telemetry.Fix, late time.Duration) (far float64) {
	t.Helper()
	same := func(f, k *telemetry.Fix) bool {
		if f.UTC.IsZero() {
			return f.At.Round() == k.At.Round()
		}
		return f.UTC.Equal(k.UTC)
	}
	k := -1 // the last corner not later than the fix
	for i := range fixes {
		f := &fixes[i]
		here := k+1 < len(kept) && same(f, &kept[k+1])
		if here {
			k++
		}
		if k < 0 {
			t.Fatalf("fix %d is before the first corner", i)
		}
		a := &kept[k]
		if a.Valid != f.Valid || here && a.Doubt != f.Doubt || !here && f.Doubt != 0 {
			t.Fatalf("fix %d (valid %v, doubt %v) stands behind one of valid %v, doubt %v", i, f.Valid, f.Doubt, a.Valid, a.Doubt)
		}
		if !f.Valid || f.Doubt != 0 {
			continue
		}
		var least float64
		if here {
			least = vincentyM(f.LatDeg, f.LonDeg, a.LatDeg, a.LonDeg)
		} else if k+1 == len(kept) || !kept[k+1].Valid {
			t.Fatalf("fix %d of %d lies behind the end of its line", i, len(fixes))
		} else {
			least = nearM(a, &kept[k+1], f, late)
		}
		far = max(far, least)
	}
	if k+1 != len(kept) {
		t.Fatalf("%d of %d corners are at the time of no fix, in their order", len(kept)-k-1, len(kept))
	}
	return far
}

// TestTrackCornersHoldTheTolerance: with less detail the line that is passed on
// holds for all fixes, those that became corners too, on 400 tracks of every
// kind. Place passes on the same corners as Rounded, and At goes on with UTC.
func TestTrackCornersHoldTheTolerance(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	corners, full := 0, 0
	for i := range 400 {
		tol := trip.Tolerance{ErrorM: 0.1 + r.Float64()*r.Float64()*30, Time: time.Duration(5+r.IntN(100)) * time.Second}
		if r.IntN(2) == 0 {
			tol.TimeError = time.Duration(100+r.IntN(3000)) * time.Millisecond
		}
		fixes := wander(r)
		full += len(reduce(fixes, tol))
		tol.Detail = trip.Rounded
		kept := reduce(fixes, tol)
		corners += len(kept)
		if far := furthest(t, fixes, kept, tol.TimeError); far > tol.ErrorM {
			t.Errorf("track %d, %+v: %.3f m", i, tol, far)
		}
		tol.Detail = trip.Place
		for j, f := range reduce(fixes, tol) {
			k := kept[j]
			if f.At != k.At || f.Valid != k.Valid || f.Doubt != k.Doubt || f.Valid && (f.LatDeg != k.LatDeg || f.LonDeg != k.LonDeg) {
				t.Fatalf("track %d: corner %d is %+v with place alone, %+v rounded", i, j, f, k)
			}
			if f.Doubt == 0 && (!f.UTC.IsZero() || !math.IsNaN(f.SpeedMPS)) {
				t.Fatalf("track %d: corner %d has more than its place: %+v", i, j, f)
			}
			if j == 0 || k.UTC.IsZero() || !k.Valid || !kept[j-1].Valid || k.Doubt|kept[j-1].Doubt != 0 {
				continue
			}
			if at, utc := k.At.Round().Sub(kept[j-1].At.Round()), k.UTC.Sub(kept[j-1].UTC); at != utc {
				t.Fatalf("track %d: corner %d is %v later by At, %v by UTC", i, j, at, utc)
			}
		}
	}
	if 100*corners > 95*full {
		t.Errorf("%d corners, where %d fixes are kept whole: nothing is gained", corners, full)
	}
}

// TestTrackCornersOnRecordedDrives is the same on recorded drives. In the Danish
// one At and UTC part by a second several times, and lines end there.
func TestTrackCornersOnRecordedDrives(t *testing.T) {
	for _, d := range drives {
		t.Run(d.name, func(t *testing.T) {
			fixes := d.fixes(t)
			for _, tol := range []float64{1, 3, 10, 50} {
				for _, late := range []time.Duration{0, time.Second} {
					kept := reduce(fixes, trip.Tolerance{ErrorM: tol, Time: time.Minute, TimeError: late, Detail: trip.Rounded})
					if far := furthest(t, fixes, kept, late); far > tol {
						t.Errorf("%g m, %v: %.3f m", tol, late, far)
					}
					if full := reduce(fixes, trip.Tolerance{ErrorM: tol, Time: time.Minute, TimeError: late}); tol < 50 && 10*len(kept) > 11*len(full) {
						t.Errorf("%g m, %v: %d corners, where %d fixes are kept whole", tol, late, len(kept), len(full))
					}
				}
			}
		})
	}
}

// TestTrackCornersTravelWhole: places on the grid are what the wire carries, at
// all latitudes and beside the antimeridian, to the last bit.
func TestTrackCornersTravelWhole(t *testing.T) {
	for _, at := range [][2]float64{{0, 0}, {52.52, 13.4}, {-33.9, 151.2}, {70.1, 179.99999}, {-16.5, -179.99999}, {89.99999, 12}} {
		var fixes []telemetry.Fix
		for s := range 50 {
			f := telemetry.NoFix()
			f.At, f.Receiver, f.Valid = telemetry.At(s)*1e9, "gps", true
			f.LatDeg, f.LonDeg = min(90, at[0]+2e-4*math.Sin(float64(s))), math.Remainder(at[1]+float64(s)*1e-5, 360)
			fixes = append(fixes, f)
		}
		for _, m := range []float64{0.1, 3, 10, 1000} {
			kept := reduce(fixes, trip.Tolerance{ErrorM: m, Time: time.Minute, Detail: trip.Place})
			b := telemetry.Batch{Content: telemetry.Content{Fixes: kept}}
			p, err := telemetry.EncodeBatch(&b)
			if err != nil {
				t.Fatal(err)
			}
			got, err := telemetry.DecodeBatch(telemetry.Name{}, p)
			if err != nil {
				t.Fatal(err)
			}
			for i, f := range got.Fixes {
				if k := kept[i]; f.LatDeg != k.LatDeg || f.LonDeg != k.LonDeg || math.Abs(f.LonDeg) > 180 || math.Round(f.LatDeg*1e7)/1e7 != f.LatDeg {
					t.Errorf("%v, %g m: corner %d is %v, %v, on the wire %v, %v", at, m, i, k.LatDeg, k.LonDeg, f.LatDeg, f.LonDeg)
				}
			}
		}
	}
}

// TestTrackCornersFollowLateFixes: a receiver that begins to tell its fixes 1.1 s
// later ends the line, and At is right again from there on, to 0.125 s.
func TestTrackCornersFollowLateFixes(t *testing.T) {
	var fixes []telemetry.Fix
	utc := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	for s := range 60 {
		f := telemetry.NoFix()
		f.At, f.UTC, f.Valid, f.LatDeg, f.LonDeg = telemetry.At(s)*1e9, utc.Add(time.Duration(s)*time.Second), true, 50+float64(s)*1e-4, 8
		if s >= 30 {
			f.At += 11e8
		}
		fixes = append(fixes, f)
	}
	kept := reduce(fixes, trip.Tolerance{ErrorM: 3, Time: time.Hour, Detail: trip.Place})
	var at []float64
	for _, f := range kept {
		at = append(at, f.At.Sub(0).Seconds())
	}
	if !slices.Equal(at, []float64{0, 29, 31, 60}) {
		t.Errorf("corners at %v, want 0, 29, 31 and 60 s", at)
	}
}

// TestTrackCornersKeepTheirOrder: of a receiver whose fixes come up to 0.9 s late,
// each as it likes, the line holds by UTC, At rises from corner to corner, as the
// wire sorts them, and stays near to when the fix came.
func TestTrackCornersKeepTheirOrder(t *testing.T) {
	r := rand.New(rand.NewPCG(9, 10))
	for i := range 200 {
		fixes := wander(r)
		came := map[time.Time]telemetry.At{}
		last := telemetry.At(0)
		for j := range fixes {
			f := &fixes[j]
			last = max(last.Add(time.Millisecond), f.At.Add(time.Duration(r.IntN(900))*time.Millisecond))
			f.At = last
			came[f.UTC] = f.At
		}
		tol := trip.Tolerance{ErrorM: 0.1 + r.Float64()*10, Time: time.Minute, Detail: trip.Rounded}
		kept := reduce(fixes, tol)
		if far := furthest(t, fixes, kept, 0); far > tol.ErrorM {
			t.Errorf("track %d, %+v: %.3f m", i, tol, far)
		}
		for j, k := range kept {
			if off := k.At.Sub(came[k.UTC]).Abs(); !k.UTC.IsZero() && off > 300*time.Millisecond {
				t.Fatalf("track %d: corner %d has an At of %v, %v from when it came", i, j, k.At, off)
			}
			if j > 0 && k.At.Round() <= kept[j-1].At.Round() {
				t.Fatalf("track %d: corner %d at %v comes after one at %v", i, j, k.At, kept[j-1].At)
			}
		}
	}
}
