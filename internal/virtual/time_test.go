package virtual_test

import (
	"bytes"
	"context"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"obu/gps"
	"obu/internal/clock"
	"obu/internal/virtual"
	"obu/telemetry"
)

// spoken lets a receiver speak for so long and returns what it wrote and when.
func spoken(t *testing.T, start time.Time, lasts time.Duration, o virtual.GPSOptions) (fixes []telemetry.Fix, late []time.Duration, text string) {
	synctest.Test(t, func(t *testing.T) {
		clk := clock.Virtual()
		car := virtual.New(virtual.Config{Seed: 5, Clock: clk, Start: start})
		ctx, cancel := context.WithCancel(t.Context())
		var out bytes.Buffer
		var wg sync.WaitGroup
		wg.Go(func() {
			if err := car.WriteGPS(ctx, &out, o); err != nil {
				t.Error(err)
			}
		})
		time.Sleep(lasts)
		cancel()
		wg.Wait()
		text = out.String()
		if _, err := gps.Decode(&out, func(f telemetry.Fix) { fixes = append(fixes, f) }); err != nil {
			t.Error(err)
		}
		for i, p := range car.Journal().Positions() {
			late = append(late, car.UTC(p.At).Sub(start.Add(time.Duration(i+1)*time.Second)))
		}
	})
	return fixes, late, text
}

// TestReceiverHasTheFaultsOfRealOnes: late sentences, a wrong first second, leap
// seconds that come late, a date of the week before last but 1022.
func TestReceiverHasTheFaultsOfRealOnes(t *testing.T) {
	start := time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)
	fixes, late, _ := spoken(t, start, 60*time.Second+900*time.Millisecond, virtual.GPSOptions{
		Latency: 100 * time.Millisecond, LatencyMax: 800 * time.Millisecond,
		Visible:    func(s time.Duration) bool { return s >= 10*time.Second },
		ColdSecond: time.Second, Leaps: 18 * time.Second, LeapsAfter: 20 * time.Second, WeeksBehind: 1024,
	})
	if len(fixes) != 60 {
		t.Fatalf("%d epochs", len(fixes))
	}
	least, most := time.Hour, time.Duration(0)
	for i, f := range fixes {
		least, most = min(least, late[i]), max(most, late[i])
		s := time.Duration(i+1) * time.Second
		want := start.Add(s).AddDate(0, 0, -7*1024)
		if s >= 10*time.Second && s < 30*time.Second {
			want = want.Add(18 * time.Second)
		}
		if s == 10*time.Second {
			want = want.Add(time.Second)
		}
		if !f.UTC.Equal(want) || f.Valid != (s >= 10*time.Second) {
			t.Errorf("epoch %v says %v, valid %v; want %v", s, f.UTC, f.Valid, want)
		}
	}
	if least < 100*time.Millisecond || most > 800*time.Millisecond || most-least < 400*time.Millisecond {
		t.Errorf("sentences came %v to %v late", least, most)
	}
}

// TestLeapSecondIsTheSixtieth: 23:59:59, 23:59:60, 00:00:00.
func TestLeapSecondIsTheSixtieth(t *testing.T) {
	midnight := time.Date(2026, 7, 1, 0, 0, 0, 0, time.UTC)
	_, _, text := spoken(t, midnight.Add(-2*time.Second), 4500*time.Millisecond, virtual.GPSOptions{Latency: 100 * time.Millisecond, LeapSecond: midnight})
	var got []string
	for _, l := range strings.Split(text, "\r\n") {
		if f := strings.Split(l, ","); f[0] == "$GPRMC" {
			got = append(got, f[9]+" "+f[1])
		}
	}
	if want := "300626 235959.00, 300626 235960.00, 010726 000000.00, 010726 000001.00"; strings.Join(got, ", ") != want {
		t.Errorf("said %v, want %v", got, want)
	}
}

// TestUnitClockKnowsTheTruth: what its clock counts, with drift and suspends,
// leads back to the true time.
func TestUnitClockKnowsTheTruth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := virtual.UnitClock{DriftPPM: -60, Suspends: []virtual.Suspend{
			{After: time.Minute, Length: time.Hour, Error: 700 * time.Millisecond},
			{After: 3 * time.Minute, Length: 9 * time.Hour, Error: -400 * time.Millisecond}}}
		unit, truth := clock.Virtual(u.Options()...), clock.Virtual(u.TrueOptions()...)
		for range 300 {
			if off := u.True(unit.Now()) - time.Duration(truth.Now()); off.Abs() > time.Microsecond {
				t.Fatalf("%v off at %v", off, truth.Now().Seconds())
			}
			time.Sleep(time.Second)
		}
		if now, want := time.Duration(truth.Now()), 10*time.Hour+300*time.Second; now != want {
			t.Errorf("the truth is %v, want %v", now, want)
		}
	})
}

// TestPulseOfTheCar: on the second, some missing; the wrong edge is late, and
// without a view of the sky it drifts.
func TestPulseOfTheCar(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		clk := clock.Virtual()
		car := virtual.New(virtual.Config{Seed: 5, Clock: clk, Start: time.Now()})
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Second+500*time.Millisecond)
		defer cancel()
		var phases []time.Duration
		err := car.Pulse(ctx, func() { phases = append(phases, time.Duration(clk.Now())%time.Second) }, virtual.PulseOptions{
			Behind: 100 * time.Millisecond, Missing: 0.2, Wander: time.Millisecond,
			Visible: func(s time.Duration) bool { return s < 100*time.Second }})
		if err != nil || len(phases) < 120 || len(phases) > 190 {
			t.Fatalf("%d pulses of 200, %v", len(phases), err)
		}
		if first, last := phases[0], phases[len(phases)-1]; first != 100*time.Millisecond || last < 180*time.Millisecond {
			t.Errorf("the first came %v after the second, the last %v", first, last)
		}
	})
}
