package telemetry

import (
	"math/rand/v2"
	"testing"
	"time"
)

// flushed makes batches of a car whose parameters are asked one after the
// other, flushed every second; a second without an answer makes no batch.
func flushed(rnd *rand.Rand, seconds int, between time.Duration, flush func(second int) At) []Batch {
	names := []string{"Vehicle.Speed", "Vehicle.OBD.ThrottlePosition", "Vehicle.OBD.EngineLoad", "Vehicle.OBD.IntakeTemp", "Vehicle.OBD.MAF"}
	var out []Batch
	at, asked := At(time.Hour), 0
	for sec := range seconds {
		b := Batch{Unit: "unit-0001", Boot: BootID{1}, Name: Name{Store: StoreID{1}, Class: ClassTelemetry, Seq: uint64(sec + 1)}}
		for ; at < flush(sec); asked++ {
			s, ok := Lookup(names[asked%len(names)])
			if !ok {
				panic(names[asked%len(names)])
			}
			b.Samples = append(b.Samples, Sample{At: at, Signal: s, Source: Source{Bus: "can0", Address: "7E8", Method: "obd"}, Value: Float(s.Step.Value(rnd.Int64N(30)))})
			at = at.Add(between + time.Duration(rnd.Int64N(int64(between))))
		}
		if len(b.Samples) > 0 {
			out = append(out, b)
		}
	}
	return out
}

// TestCutsOfRegularFlushesAreCheap: where each of sixty batches begins takes a
// few bytes, not one or two each, whenever flushes are regular; missing
// seconds cost a little more, irregular flushes are told all the same.
func TestCutsOfRegularFlushesAreCheap(t *testing.T) {
	hour := At(time.Hour)
	even := func(sec int) At { return hour.Add(time.Duration(sec+1)*time.Second + 137*time.Millisecond) }
	for _, tt := range []struct {
		name    string
		between time.Duration
		flush   func(int) At
		most    int // bytes of the cuts
	}{
		{"five answers a second", 140 * time.Millisecond, even, 10},
		{"fifty answers a second", 14 * time.Millisecond, even, 14},
		{"an answer every two seconds or so", 1300 * time.Millisecond, even, 30},
		{"flushes late by up to 3 ms", 140 * time.Millisecond, func(sec int) At { return even(sec).Add(time.Duration(sec*sec%4) * time.Millisecond) }, 12},
	} {
		rnd := rand.New(rand.NewPCG(7, 7))
		p, err := PartsOf(&Envelope{Unit: "unit-0001", Store: StoreID{1}, Class: ClassTelemetry, Boot: BootID{1}, Batches: flushed(rnd, 60, tt.between, tt.flush)})
		if err != nil {
			t.Fatal(err)
		}
		if got := (p.Cuts + 7) / 8; got > tt.most {
			t.Errorf("%s: the cuts take %d bytes, want at most %d", tt.name, got, tt.most)
		} else {
			t.Logf("%s: %d bytes", tt.name, got)
		}
	}
}

// TestCutsDivideAsTheBatchesDo: whatever the batches, a moved cut lies behind
// all rows before it and not behind the first after it, unless these lie among
// each other already.
func TestCutsDivideAsTheBatchesDo(t *testing.T) {
	for seed := range uint64(300) {
		rnd := rand.New(rand.NewPCG(seed, 11))
		late := rnd.Int64N(2) * rnd.Int64N(3e8)
		batches := flushed(rnd, 2+rnd.IntN(40), time.Duration(1+rnd.Int64N(2e9)), func(sec int) At {
			return At(time.Hour).Add(time.Duration(sec)*time.Second + time.Duration(rnd.Int64N(late+1)))
		})
		if len(batches) < 2 {
			continue
		}
		if rnd.IntN(3) == 0 { // rows of the past, as an answer that took long
			b := &batches[rnd.IntN(len(batches))]
			b.Samples[0].At -= At(rnd.Int64N(3e9))
		}
		if rnd.IntN(3) == 0 { // fixes only, some of them from the first on
			from := rnd.IntN(2) * rnd.IntN(len(batches))
			for b := from; b < min(from+rnd.IntN(4), len(batches)); b++ {
				batches[b].Samples = nil
			}
		}
		e := new(encoder)
		e.reset(batches)
		if err := e.distribute(); err != nil || len(e.cols) == 0 {
			continue
		}
		e.findCuts()
		e.sequence(e.cuts[1:])
		before := At(-1 << 60).millis()
		for b := 1; b < len(batches); b++ {
			for _, s := range batches[b-1].Samples {
				before = max(before, s.At.millis())
			}
			first := e.ats[0] + 1<<40
			for _, later := range batches[b:] {
				for _, s := range later.Samples {
					first = min(first, s.At.millis())
				}
			}
			if before < first && (e.cuts[b] <= before || e.cuts[b] > first) && first < e.ats[0]+1<<40 {
				t.Fatalf("seed %d: cut %d at %d: the last row before is at %d, the first behind at %d", seed, b, e.cuts[b], before, first)
			}
		}
	}
}

// TestCoderCostIsWhatIsWritten: the choice among coders rests on sums, which
// must be those of the bits that come out.
func TestCoderCostIsWhatIsWritten(t *testing.T) {
	for seed := range uint64(3000) {
		rnd := rand.New(rand.NewPCG(seed, 12))
		zs := make([]uint64, 1+rnd.IntN(60))
		zeros, wide := rnd.IntN(10), rnd.IntN(64)
		for i := range zs {
			if rnd.IntN(10) >= zeros {
				zs[i] = rnd.Uint64() >> rnd.IntN(wide+1) >> (63 - wide)
			}
		}
		c := bestCoder(zs)
		var w bitWriter
		w.residuals(zs, c)
		if wrote := 8*len(w.buf) + int(w.n); wrote != c.cost {
			t.Fatalf("seed %d: coder %+v writes %d bits of %v", seed, c, wrote, zs)
		}
		r := bitReader{buf: w.finish()}
		got := make([]uint64, len(zs))
		r.residuals(got)
		for i := range zs {
			if got[i] != zs[i] {
				t.Fatalf("seed %d: coder %+v: number %d is %d, want %d", seed, c, i, got[i], zs[i])
			}
		}
	}
}
