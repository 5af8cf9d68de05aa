package agent_test

import (
	"math"
	"testing"
	"testing/synctest"
	"time"

	"obu/internal/config"
	"obu/telemetry"
)

// TestCurvelogThinsTheTrack: with gps.curvelog far fewer fixes arrive than the
// receiver said, up to the last one, and each one left out lies within max_error
// of the line between its neighbours. With detail: full each of them is one that
// it said; with less, corners in format 3 of the envelopes unless an older one is
// asked for.
func TestCurvelogThinsTheTrack(t *testing.T) {
	for _, tt := range []struct {
		detail       string
		format, want int
	}{{"full", 0, telemetry.Format}, {"rounded", 0, telemetry.FormatTrack}, {"rounded", 2, 2}} {
		t.Run(tt.detail, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, "sim-1")
				r.cfg.GPS.Curvelog = &config.Track{MaxError: 3000, MaxTime: config.Duration(30 * time.Second), Detail: tt.detail}
				r.cfg.Uplink.Format = tt.format
				a := r.start()
				time.Sleep(5 * time.Minute)
				r.hush()
				a.stop()
				b := r.start() // what was stored at the end leaves
				await(t, "drain", func() bool { return b.owed() == 0 })
				b.stop()
				alongTrack(r, tt.detail == "full")
				for _, m := range r.broker.Messages("/telemetry") {
					if m.Payload[0] != 8 || int(m.Payload[1]) != tt.want {
						t.Fatalf("an envelope begins with %x, want format %d", m.Payload[:2], tt.want)
					}
				}
			})
		})
	}
}

// alongTrack holds what the receiver said against the fixes that came.
func alongTrack(r *rig, whole bool) {
	said, got := r.car.Journal().Positions(), r.cloud.fixes
	if len(got) < 10 || len(got) > len(said)/3 {
		r.Fatalf("%d of %d fixes arrived", len(got), len(said))
	}
	k := 0
	for _, p := range said {
		for k+1 < len(got) && !got[k+1].UTC.After(p.UTC) {
			k++
		}
		here, next := got[k], got[min(k+1, len(got)-1)]
		if whole && here.UTC.Equal(p.UTC) && (math.Hypot(here.LatDeg-p.LatDeg, here.LonDeg-p.LonDeg) > 1e-6 || math.Abs(here.AltM-p.AltM) > 0.1 || here.Sats != p.Sats) {
			r.Fatalf("the fix of %v is none that the receiver said: %+v", p.UTC, here)
		}
		part := p.UTC.Sub(here.UTC).Seconds()
		if part > 0 {
			if k+1 == len(got) {
				r.Fatalf("the fix of %v lies behind the last that came", p.UTC)
			}
			part /= next.UTC.Sub(here.UTC).Seconds()
		}
		lat := here.LatDeg + part*(next.LatDeg-here.LatDeg) - p.LatDeg
		lon := here.LonDeg + part*(next.LonDeg-here.LonDeg) - p.LonDeg
		if m := 111_300 * math.Hypot(lat, lon*math.Cos(p.LatDeg*math.Pi/180)); m > 3 {
			r.Errorf("the fix of %v is %.2f m off", p.UTC, m)
		}
	}
}
