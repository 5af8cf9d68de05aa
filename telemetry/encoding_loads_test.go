package telemetry_test

import (
	"bytes"
	"context"
	"math"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"obu/gps"
	"obu/internal/clock"
	"obu/internal/virtual"
	"obu/telemetry"
)

// The inputs of the encoding table. Recordings go through the decoders that
// the agent uses; that these lie above this package is so in tests only. Every
// input becomes batches of one second, as the agent flushes them.

// load is one input.
type load struct {
	name    string
	seconds float64 // of driving
	batches []telemetry.Batch
}

// loads names the inputs in the order of the table.
var loads = []struct {
	name string
	make func(*testing.T) load
}{
	{"city", cityFeed},
	{"city-jitter", func(*testing.T) load { return load{"city-jitter", 3600, cityCar(7, 3600)} }},
	{"track", func(*testing.T) load { return load{"track", 3600, trackCar(3600)} }},
	{"css_obd_gps_drive", cssDrive},
	{"skoda_obd", skodaDrive},
	{"rav4_dbc", rav4Drive},
	{"rav4_counts", rav4Counts},
	{"session1_gps", session1Drive},
}

// splitSeconds puts records into batches of one second each; a second
// without any makes no batch.
func splitSeconds(name string, samples []telemetry.Sample, fixes []telemetry.Fix) load {
	first, last := telemetry.At(math.MaxInt64), telemetry.At(math.MinInt64)
	batch := make(map[int64]*telemetry.Batch)
	of := func(at telemetry.At) *telemetry.Batch {
		first, last = min(first, at), max(last, at)
		sec := int64(at) / 1e9
		if batch[sec] == nil {
			batch[sec] = &telemetry.Batch{Unit: "unit-0001", Vehicle: "car-0001", Boot: telemetry.BootID{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16},
				Name: telemetry.Name{Store: telemetry.StoreID{1, 2, 3, 4, 5, 6, 7, 8}, Class: telemetry.ClassTelemetry}}
		}
		return batch[sec]
	}
	for _, s := range samples {
		b := of(s.At)
		b.Samples = append(b.Samples, s)
	}
	for _, f := range fixes {
		b := of(f.At)
		b.Fixes = append(b.Fixes, f)
	}
	l := load{name: name, seconds: last.Sub(first).Seconds()}
	for sec := int64(first) / 1e9; sec <= int64(last)/1e9; sec++ {
		if b := batch[sec]; b != nil {
			b.Seq = uint64(1000 + len(l.batches))
			l.batches = append(l.batches, *b)
		}
	}
	return l
}

// recordedAt is the time since boot at which recordings begin.
const recordedAt = 3600 * telemetry.At(time.Second)

// cityFeed is an hour of what one car of `fleet --load city` emits, on virtual
// time: readings on exact ticks of 100 ms, 235 a second, and a fix a second.
func cityFeed(t *testing.T) (out load) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		clk := clock.Virtual()
		car := virtual.New(virtual.Config{Seed: 700_021, Clock: clk, Start: time.Date(2026, 5, 4, 3, 0, 0, 0, time.UTC)})
		ctx, cancel := context.WithCancel(t.Context())
		var samples []telemetry.Sample
		sky := &skyWriter{clk: clk}
		var wg sync.WaitGroup
		wg.Go(func() {
			_ = car.Feed(ctx, func(batch []telemetry.Sample) { samples = append(samples, batch...) })
		})
		wg.Go(func() {
			if err := car.WriteGPS(ctx, sky, virtual.GPSOptions{Latency: 80 * time.Millisecond}); err != nil {
				t.Error(err)
			}
		})
		time.Sleep(time.Hour - time.Millisecond)
		cancel()
		wg.Wait()
		out = splitSeconds("city", samples, sky.fixes)
		out.seconds = 3600
	})
	return out
}

// skyWriter decodes each epoch that is written to it.
type skyWriter struct {
	clk   *clock.Clock
	fixes []telemetry.Fix
}

func (w *skyWriter) Write(p []byte) (int, error) {
	_, err := gps.Decode(bytes.NewReader(p), func(f telemetry.Fix) {
		f.At, f.Receiver = w.clk.Now(), "gps"
		w.fixes = append(w.fixes, f)
	})
	return len(p), err
}

// envelopesOf cuts a load at every so many seconds of its time, as an uplink
// with that interval does.
func (l *load) envelopesOf(seconds int) []telemetry.Envelope {
	var out []telemetry.Envelope
	from := 0
	slot := func(i int) int64 {
		at := telemetry.At(math.MaxInt64)
		for j := range l.batches[i].Samples {
			at = min(at, l.batches[i].Samples[j].At)
		}
		for j := range l.batches[i].Fixes {
			at = min(at, l.batches[i].Fixes[j].At)
		}
		return int64(at) / 1e9 / int64(seconds)
	}
	for i := range l.batches {
		if i > from && slot(i) != slot(from) {
			out = append(out, envelopeOf(l.batches[from:i]))
			from = i
		}
	}
	out = append(out, envelopeOf(l.batches[from:]))
	for i := range out {
		last := &out[i].Batches[len(out[i].Batches)-1]
		out[i].Floor, out[i].Next = out[i].Batches[0].Seq, last.Seq+1
		at := telemetry.At(0)
		for _, s := range last.Samples {
			at = max(at, s.At)
		}
		for _, f := range last.Fixes {
			at = max(at, f.At)
		}
		out[i].SentAt = at + 7e6
		out[i].SentWall = time.UnixMilli(1_780_000_000_123).Add(time.Duration(at))
	}
	return out
}

// values counts each sample as one value and each fix as seven.
func (l *load) values() int { return valuesOf(l.batches) }
