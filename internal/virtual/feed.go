package virtual

import (
	"context"
	"time"

	"obu/telemetry"
)

// FeedAddress is the ECU address of samples that Feed emits.
const FeedAddress = "7E8"

// feedTick is the grid of Feed: the fastest signals come at 10 Hz.
const feedTick = 100 * time.Millisecond

// cityRates are how many signals come every how many ticks: 16 at 10 Hz, 11
// at 5 Hz, 7 at 2 Hz and 6 at 1 Hz are 40 signals and 235 samples a second.
var cityRates = [...]struct{ signals, ticks int }{{16, 1}, {11, 2}, {7, 5}, {6, 10}}

// CitySignals and CityRate are the size of the load Feed makes.
const (
	CitySignals = 40
	CityRate    = 235 // samples a second
)

// feedSignal is one signal of the city load.
type feedSignal struct {
	signal *telemetry.Signal
	pid    pid
	ticks  int64
}

// citySignals returns the 40 signals of the city load: all the ECUs answer,
// and quantities of the same kind that no single car has together.
func citySignals() []feedSignal {
	pids := append(enginePIDs(), gearboxPIDs()[1:]...)
	also := func(id byte, name string, width int, offset int64, read func(*State) float64) {
		pids = append(pids, pid{id: id, name: name, width: width, offset: offset, read: read})
	}
	also(0x08, "Vehicle.OBD.ShortTermFuelTrim2", 1, 128, func(s *State) float64 { return s.TrimPct / 2 })
	also(0x09, "Vehicle.OBD.LongTermFuelTrim2", 1, 128, func(s *State) float64 { return s.LongTrim / 2 })
	also(0x34, "Vehicle.OBD.O2WR.Sensor1.Lambda", 2, 0, func(s *State) float64 { return s.Lambda })
	var out []feedSignal
	for _, rate := range cityRates {
		for range rate.signals {
			sig, _ := telemetry.Lookup(pids[len(out)].name)
			out = append(out, feedSignal{sig, pids[len(out)], int64(rate.ticks)})
		}
	}
	return out
}

// Feed emits the city load until ctx ends or the car is switched off: 40 signals at 1-10 Hz, 235 samples
// a second, journalled, decoded already. It stands in for a bus that sends by
// itself; polling one parameter at a time cannot reach that rate.
func (c *Car) Feed(ctx context.Context, emit func([]telemetry.Sample)) error {
	signals := citySignals()
	source := telemetry.Source{Bus: "can0", Address: FeedAddress, Method: "obd"}
	next := c.clk.Now()
	for tick := int64(0); pause(ctx, next.Sub(c.clk.Now())); tick++ {
		if c.off.Load() {
			<-ctx.Done() // still plugged in, silent
			return nil
		}
		at := c.clk.Now()
		state := c.stateAt(at)
		batch := make([]telemetry.Sample, 0, len(signals))
		for i := range signals {
			f := &signals[i]
			if (tick+int64(i))%f.ticks != 0 {
				continue
			}
			_, v := f.pid.quantise(&state)
			batch = append(batch, telemetry.Sample{At: at, Signal: f.signal, Source: source, Value: v})
		}
		for _, s := range batch {
			c.journal.Read(SeriesKey{s.Signal.Name, FeedAddress}, at, s.Value)
		}
		emit(batch)
		next = next.Add(feedTick)
	}
	return nil
}
