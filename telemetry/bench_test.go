package telemetry_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"math"
	"math/rand/v2"
	"strconv"
	"testing"
	"time"

	"obu/telemetry"
)

// The load of the benchmarks: a car with 40 signals at 1-10 Hz, read as OBD-II
// quantises them, each at its own times with some milliseconds of jitter, and
// one fix of seven fields a second: 235 values a second. Seeded, so that bytes
// per value are the same on every machine.

// fixFields is how many values of the load one fix counts for.
const fixFields = 7

// cityCar returns seconds of the load, one batch a second.
func cityCar(seed uint64, seconds int) []telemetry.Batch {
	rnd := rand.New(rand.NewPCG(seed, 40))
	type generator struct {
		signal       *telemetry.Signal
		rate         int
		level, speed float64
		noise        float64
		next         float64 // ms
	}
	// 228 samples a second from 40 signals
	rates := map[int]int{10: 16, 5: 11, 1: 13}
	var gens []generator
	table := telemetry.Signals()
	i := 0
	take := func() *telemetry.Signal {
		for {
			s := table[i%len(table)]
			i++
			if s.Kind == telemetry.KindFloat && !s.Step.IsZero() && s.Min != s.Max {
				return s
			}
		}
	}
	for _, rate := range []int{10, 5, 1} {
		for range rates[rate] {
			s := take()
			span := float64(s.Step.Den) / float64(s.Step.Num) * (min(s.Max, 8000) - s.Min)
			noise := math.Exp(rnd.Float64()*3.2 - 1.2)
			gens = append(gens, generator{signal: s, rate: rate, level: span * (0.3 + 0.3*rnd.Float64()), noise: noise, next: 1e6 + rnd.Float64()*1000/float64(rate)})
		}
	}
	lat, lon, course, speed := 52.5, 13.4, 80.0, 14.0
	source := telemetry.Source{Bus: "can0", Address: "7E8", Method: "obd"}
	out := make([]telemetry.Batch, 0, seconds)
	for sec := range seconds {
		end := 1e6 + float64(sec+1)*1000
		b := telemetry.Batch{Unit: "unit-0001", Vehicle: "car-0001", Boot: telemetry.BootID{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16},
			Name: telemetry.Name{Store: telemetry.StoreID{1, 2, 3, 4, 5, 6, 7, 8}, Class: telemetry.ClassTelemetry, Seq: uint64(1000 + sec)}}
		for g := range gens {
			gen := &gens[g]
			for gen.next < end {
				gen.speed = 0.9*gen.speed + rnd.NormFloat64()*gen.noise*0.4
				gen.level += gen.speed
				n := int64(math.Round(gen.level + rnd.NormFloat64()*gen.noise*0.5))
				at := gen.next + rnd.NormFloat64()*3
				b.Samples = append(b.Samples, telemetry.Sample{At: telemetry.At(at * 1e6), Signal: gen.signal, Source: source,
					Value: telemetry.Float(gen.signal.Step.Value(n))})
				gen.next += 1000 / float64(gen.rate)
			}
		}
		course = math.Mod(course+rnd.NormFloat64()*2+360, 360)
		speed = math.Max(0, speed+rnd.NormFloat64()*0.5)
		lat += speed * math.Cos(course*math.Pi/180) / 111320
		lon += speed * math.Sin(course*math.Pi/180) / 111320 / math.Cos(lat*math.Pi/180)
		f := telemetry.NoFix()
		f.At, f.Receiver = telemetry.At((end-400+rnd.NormFloat64()*20)*1e6), "gps"
		f.UTC = time.Unix(1_780_000_000+int64(sec), 0).UTC()
		f.LatDeg, f.LonDeg = math.Round(lat*1e7)/1e7, math.Round(lon*1e7)/1e7
		f.AltM, f.SpeedMPS, f.CourseDeg = math.Round(340+10*math.Sin(float64(sec)/60))/10, math.Round(speed*1000)/1000, math.Round(course*100)/100
		f.HDOP, f.Sats, f.Mode, f.Quality, f.Valid = 0.9, 11, telemetry.Mode3D, 1, true
		b.Fixes = []telemetry.Fix{f}
		out = append(out, b)
	}
	return out
}

// trackCar is the small load: ten signals and a fix, once a second.
func trackCar(seconds int) []telemetry.Batch {
	rnd := rand.New(rand.NewPCG(1, 10))
	names := []string{"Vehicle.Speed", "Vehicle.Powertrain.CombustionEngine.Speed", "Vehicle.OBD.ThrottlePosition", "Vehicle.OBD.EngineLoad",
		"Vehicle.Powertrain.CombustionEngine.EngineCoolant.Temperature", "Vehicle.OBD.IntakeTemp", "Vehicle.OBD.MAF", "Vehicle.OBD.FuelLevel",
		"Vehicle.OBD.ControlModuleVoltage", "Vehicle.OBD.RunTime"}
	levels := []float64{50, 8000, 60, 90, 90, 30, 1200, 150, 14100, 600}
	source := telemetry.Source{Bus: "can0", Address: "7E8", Method: "obd"}
	out := cityCar(3, seconds)
	for sec := range out {
		b := &out[sec]
		b.Samples = nil
		at := 1e9 + float64(sec)*1e9
		for i, name := range names {
			s, ok := telemetry.Lookup(name)
			if !ok {
				panic(name)
			}
			levels[i] += math.Round(rnd.NormFloat64() * 3)
			at += 15e6 + rnd.Float64()*10e6
			b.Samples = append(b.Samples, telemetry.Sample{At: telemetry.At(at), Signal: s, Source: source, Value: telemetry.Float(s.Step.Value(int64(levels[i])))})
		}
	}
	return out
}

// envelopeOf puts batches into one envelope.
func envelopeOf(batches []telemetry.Batch) telemetry.Envelope {
	b := &batches[0]
	return telemetry.Envelope{Unit: b.Unit, Vehicle: b.Vehicle, Store: b.Store, Class: b.Class, Boot: b.Boot, Simulated: b.Simulated,
		Floor: b.Seq, Next: b.Seq + uint64(len(batches)), SentAt: 1002e9, SentBoot: b.Boot, SentWall: time.UnixMilli(1_780_000_000_123),
		Batches: batches}
}

// valuesOf counts as the load does: a fix is seven values.
func valuesOf(batches []telemetry.Batch) int {
	n := 0
	for i := range batches {
		n += len(batches[i].Samples) + fixFields*len(batches[i].Fixes)
	}
	return n
}

func BenchmarkEnvelope(b *testing.B) {
	for format := 1; format <= telemetry.Format; format++ {
		b.Run("v"+strconv.Itoa(format), func(b *testing.B) { benchmarkEnvelope(b, format) })
	}
}

func benchmarkEnvelope(b *testing.B, format int) {
	loads := map[string][]telemetry.Batch{"city": cityCar(7, 60), "track": trackCar(60)}
	for _, load := range []string{"city", "track"} {
		for _, seconds := range []int{1, 10, 60} {
			batches := loads[load][:seconds]
			e := envelopeOf(batches)
			b.Run(load+"/"+time.Duration(seconds*int(time.Second)).String()+"/encode", func(b *testing.B) {
				b.ReportAllocs()
				var p []byte
				for b.Loop() {
					var err error
					if p, err = telemetry.EncodeEnvelopeFormat(&e, format); err != nil {
						b.Fatal(err)
					}
				}
				report(b, p, &e)
			})
			p, err := telemetry.EncodeEnvelopeFormat(&e, format)
			if err != nil {
				b.Fatal(err)
			}
			b.Run(load+"/"+time.Duration(seconds*int(time.Second)).String()+"/decode", func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if _, err := telemetry.DecodeEnvelope(p); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(e.Values()), "ns/value")
			})
		}
	}
}

// report adds what the bytes cost per value, beside JSON and gzipped JSON.
func report(b *testing.B, p []byte, e *telemetry.Envelope) {
	n := float64(valuesOf(e.Batches))
	j, err := json.Marshal(plainJSON(e.Batches))
	if err != nil {
		b.Fatal(err)
	}
	var z bytes.Buffer
	w := gzip.NewWriter(&z)
	if _, err := w.Write(j); err != nil {
		b.Fatal(err)
	}
	if err := w.Close(); err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(len(p)), "B")
	b.ReportMetric(float64(len(p))/n, "B/value")
	b.ReportMetric(float64(len(j))/n, "json-B/value")
	b.ReportMetric(float64(z.Len())/n, "gzip-B/value")
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(e.Values()), "ns/value")
}

// plainJSON is the usual JSON telemetry message, for comparison: an array of
// small objects.
func plainJSON(batches []telemetry.Batch) any {
	type point struct {
		T float64 `json:"t"`
		S string  `json:"s"`
		V any     `json:"v"`
	}
	var out []point
	for i := range batches {
		for _, s := range batches[i].Samples {
			out = append(out, point{s.At.Round().Seconds(), s.Signal.Name, s.Value.Float()})
		}
		for _, f := range batches[i].Fixes {
			t := f.At.Round().Seconds()
			out = append(out, point{t, "lat", f.LatDeg}, point{t, "lon", f.LonDeg}, point{t, "alt", f.AltM}, point{t, "speed", f.SpeedMPS},
				point{t, "course", f.CourseDeg}, point{t, "hdop", f.HDOP}, point{t, "sats", f.Sats})
		}
	}
	return out
}

// fourBuses is a second of four buses that are decoded by database: 40
// messages of four signals on each, every value new, in the order in which they
// are on the bus.
func fourBuses() telemetry.Batch {
	rnd := rand.New(rand.NewPCG(4, 160))
	batch := trackCar(1)[0]
	batch.Content = telemetry.Content{}
	var signals [160]telemetry.Signal
	for i := range signals {
		signals[i] = telemetry.Signal{Name: "M" + strconv.Itoa(i/4) + ".S" + strconv.Itoa(i%4), Kind: telemetry.KindFloat,
			Step: telemetry.Step{Num: 1, Den: 10}, Level: telemetry.LevelDynamic}
	}
	for frame := range 160 {
		at := telemetry.At(1e12) + telemetry.At(frame)*6e6
		source := telemetry.Source{Bus: "can" + strconv.Itoa(frame%4), Address: strconv.FormatInt(int64(0x100+frame/4), 16), Method: "dbc"}
		for i := range 4 {
			s := &signals[frame/4*4+i]
			batch.Samples = append(batch.Samples, telemetry.Sample{At: at, Signal: s, Source: source, Value: telemetry.Float(s.Step.Value(rnd.Int64N(1 << 16)))})
		}
	}
	return batch
}

// BenchmarkBatch is what the buffer pays each second: one batch on disk.
func BenchmarkBatch(b *testing.B) {
	loads := map[string]telemetry.Batch{"city": cityCar(7, 2)[1], "track": trackCar(2)[1], "buses": fourBuses()}
	for _, load := range []string{"city", "track", "buses"} {
		batch := loads[load]
		blob, err := telemetry.EncodeBatch(&batch)
		if err != nil {
			b.Fatal(err)
		}
		b.Run(load+"/encode", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := telemetry.EncodeBatch(&batch); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(len(blob)), "B")
		})
		b.Run(load+"/decode", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := telemetry.DecodeBatch(batch.Name, blob); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// TestBytesPerValue holds what the loads cost; headers are included. The
// figures with their rivals come from go test -bench Envelope ./telemetry.
func TestBytesPerValue(t *testing.T) {
	for _, tt := range []struct {
		load    string
		batches []telemetry.Batch
		seconds int
		most    float64
	}{
		{"city", cityCar(7, 60), 1, 2}, {"city", cityCar(7, 60), 10, 1}, {"city", cityCar(7, 60), 60, 0.87},
		{"track", trackCar(60), 1, 9}, {"track", trackCar(60), 10, 2.1}, {"track", trackCar(60), 60, 1.15},
	} {
		bytes, values := 0, 0
		for from := 0; from < len(tt.batches); from += tt.seconds {
			e := envelopeOf(tt.batches[from : from+tt.seconds])
			p, err := telemetry.EncodeEnvelope(&e)
			if err != nil {
				t.Fatal(err)
			}
			bytes += len(p)
			values += valuesOf(e.Batches)
		}
		each := float64(bytes) / float64(values)
		t.Logf("%s, envelopes of %d s: %.2f bytes a value, %d bytes an envelope", tt.load, tt.seconds, each, bytes*tt.seconds/60)
		if each > tt.most {
			t.Errorf("%s, envelopes of %d s: %.2f bytes a value, want at most %.2f", tt.load, tt.seconds, each, tt.most)
		}
	}
}
