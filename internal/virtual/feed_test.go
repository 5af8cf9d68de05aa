package virtual_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"obu/internal/clock"
	"obu/internal/virtual"
	"obu/telemetry"
)

// The city load is 40 signals at 1-10 Hz, 235 samples a second, each a whole
// number of its signal's steps, and all of it is journalled.
func TestFeedIsTheCityLoad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		car := virtual.New(virtual.Config{Seed: 5, Clock: clock.Virtual(), Start: time.Now()})
		ctx, cancel := context.WithCancel(t.Context())
		count := make(map[*telemetry.Signal]int)
		total := 0
		var wg sync.WaitGroup
		wg.Go(func() {
			_ = car.Feed(ctx, func(batch []telemetry.Sample) {
				for _, s := range batch {
					count[s.Signal]++
					total++
					if s.Signal.Kind == telemetry.KindFloat {
						if _, exact := s.Signal.Step.Steps(s.Value.Float()); !exact {
							t.Errorf("%s = %v is no whole number of steps", s.Signal.Name, s.Value)
						}
					}
				}
			})
		})
		time.Sleep(time.Minute - time.Millisecond)
		cancel()
		wg.Wait()
		if len(count) != virtual.CitySignals || total != 60*virtual.CityRate {
			t.Errorf("%d signals, %d samples in a minute", len(count), total)
		}
		if n, _, _ := car.Journal().Counts(); n != total {
			t.Errorf("%d journalled of %d", n, total)
		}
	})
}

// A journal gives back what was written, in order, whatever its kind.
func TestJournalKeepsEveryKind(t *testing.T) {
	j := virtual.NewJournal()
	key := virtual.SeriesKey{Signal: "a", Address: "7E8"}
	want := []telemetry.Value{telemetry.Int(429496729500), telemetry.Int(-1), telemetry.Float(0.1), telemetry.Text("x"), telemetry.Int(7)}
	for i := range 2000 {
		j.Read(key, telemetry.At(i), want[i%len(want)])
	}
	got := j.Readings(key)
	if len(got) != 2000 {
		t.Fatalf("%d readings", len(got))
	}
	for i, r := range got {
		if r.At != telemetry.At(i) || r.Value != want[i%len(want)] {
			t.Fatalf("reading %d: %+v", i, r)
		}
	}
}
