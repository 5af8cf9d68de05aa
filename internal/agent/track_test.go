package agent_test

import (
	"math"
	"testing"
	"testing/synctest"
	"time"

	"obu/internal/config"
)

// TestCurvelogThinsTheTrack: with gps.curvelog far fewer fixes arrive than the
// receiver said, each of them one that it said, up to the last one, and each one
// left out lies within max_error of the line between its neighbours.
func TestCurvelogThinsTheTrack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, "sim-1")
		r.cfg.GPS.Curvelog = &config.Track{MaxError: 3000, MaxTime: config.Duration(30 * time.Second)}
		a := r.start()
		time.Sleep(5 * time.Minute)
		r.hush()
		a.stop()
		b := r.start() // what was stored at the end leaves
		await(t, "drain", func() bool { return b.owed() == 0 })
		b.stop()
		said, got := r.car.Journal().Positions(), r.cloud.fixes
		if len(got) < 10 || len(got) > len(said)/3 {
			t.Fatalf("%d of %d fixes arrived", len(got), len(said))
		}
		k := 0
		for _, p := range said {
			if k+1 < len(got) && got[k+1].UTC.Equal(p.UTC) {
				k++
				continue
			}
			if k+1 == len(got) {
				t.Fatalf("the fix of %v lies behind the last that came", p.UTC)
			}
			part := p.UTC.Sub(got[k].UTC).Seconds() / got[k+1].UTC.Sub(got[k].UTC).Seconds()
			lat := got[k].LatDeg + part*(got[k+1].LatDeg-got[k].LatDeg) - p.LatDeg
			lon := got[k].LonDeg + part*(got[k+1].LonDeg-got[k].LonDeg) - p.LonDeg
			if m := 111_300 * math.Hypot(lat, lon*math.Cos(p.LatDeg*math.Pi/180)); m > 3 {
				t.Errorf("the fix of %v is %.2f m off", p.UTC, m)
			}
		}
	})
}
