package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"

	"obu/can"
	"obu/internal/agent"
	"obu/internal/clock"
	"obu/internal/virtual"
)

// Loads a fleet can drive with.
const (
	loadTrack = "track" // 10 signals at 1 Hz polled over OBD-II, 1 Hz fixes
	loadCity  = "city"  // 40 signals at 1-10 Hz, 235 samples/s fed past the poller, 1 Hz fixes, a clip a minute
)

// maxCityCars is how many cars the city load is meant for.
const maxCityCars = 20

// cityClip is the length of the clip a city car records each minute.
const cityClip = 20 * time.Second

// trackPIDs are the ten signals of the track load: engine load, coolant, rpm,
// speed, timing, intake temperature, air mass, throttle, fuel level, voltage.
var trackPIDs = [...]byte{0x04, 0x05, 0x0C, 0x0D, 0x0E, 0x0F, 0x10, 0x11, 0x2F, 0x42}

// car is one make-believe car of the fleet, and the ends of its devices that
// an agent plugs into.
type car struct {
	unit  string
	seed  uint64
	load  string
	clk   *clock.Clock      // the unit's
	wrong virtual.UnitClock // what is wrong with it
	gps   virtual.GPSOptions
	zero  time.Duration // CLOCK_MONOTONIC when the car's clock was 0
	it    *virtual.Car
	line  *virtual.Line // the GPS's serial line
	clips string        // the dashcam's folder; "" without one

	recorded *agent.Devices   // of a replay; the car itself does nothing then
	journal  *virtual.Journal // what the recording says
	clipTime time.Duration    // length of a clip
	plugs    chan can.Bus     // ECU ends of buses the agent opened
}

// newCar builds car number n of a fleet. It starts nothing.
func newCar(n int, o *options, dir string) *car {
	wrong := o.clocks.of(n, o)
	clk, truth := clock.Virtual(wrong.Options()...), clock.Virtual(wrong.TrueOptions()...)
	c := &car{
		unit: fmt.Sprintf("sim-%04d", n), seed: o.Seed*100003 + uint64(n), load: o.Load, clk: clk, wrong: wrong, gps: o.clocks.receiver(),
		line: virtual.NewLine(), plugs: make(chan can.Bus, 1), clipTime: cmp.Or(o.clipTime, cityClip),
	}
	now := monotonic()
	c.zero = now - time.Duration(truth.Now())
	c.it = virtual.New(virtual.Config{Seed: c.seed, Clock: truth, Start: time.Now().UTC()})
	if o.Load == loadCity {
		c.clips = filepath.Join(dir, c.unit, "dashcam")
	}
	return c
}

// newReplay builds car number n as a replay of a folder that lasts as long as
// the cars drive. Its journal is what the recording says.
func newReplay(n int, o *options, rec *recording, dir string) (*car, error) {
	d, err := agent.ReadDrive(o.Replay)
	if err != nil {
		return nil, err
	}
	c := &car{unit: fmt.Sprintf("sim-%04d", n), journal: rec.journal}
	clk, devices, err := d.Open(max(1, rec.lasts.Seconds()/o.For.Seconds()), filepath.Join(dir, c.unit, "scratch"), nil)
	if err != nil {
		return nil, err
	}
	c.clk, c.recorded = clk, &devices
	return c, nil
}

// dial opens the car's bus for the agent and hands the other end to the ECUs.
func (c *car) dial(ctx context.Context) (can.Bus, error) {
	ours, theirs := can.Pair(c.clk)
	select {
	case c.plugs <- ours:
		return theirs, nil
	case <-ctx.Done():
		ours.Close()
		return nil, ctx.Err()
	}
}

// devices returns what the agent finds in this car.
func (c *car) devices() agent.Devices {
	if c.recorded != nil {
		return *c.recorded
	}
	d := agent.Devices{
		GPS:       &agent.GPSDevice{Name: "gps", Open: c.line.Open},
		Simulated: true,
	}
	switch c.load {
	case loadTrack:
		d.CAN = []agent.CANDevice{{Name: "can0", Dial: c.dial}}
	case loadCity:
		d.Feed = c.it.Feed
		d.Dashcam = []agent.DashcamDevice{{Camera: "front", Dir: c.clips}}
	}
	return d
}

// drive runs the car's parts until ctx ends; then the ignition is off.
func (c *car) drive(ctx context.Context) error {
	if c.recorded != nil {
		return nil
	}
	defer c.it.SwitchOff()
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return c.it.WriteGPS(ctx, c.line, c.gps) })
	if c.clips != "" {
		first := time.Duration(c.seed%64) * c.clipTime / 128
		g.Go(func() error {
			return c.it.RecordClips(ctx, c.clips, virtual.DashcamOptions{
				First: first, Every: time.Minute, Length: c.clipTime, SizeBytes: 384 << 10,
			})
		})
	}
	return g.Wait()
}

// serve keeps the ECUs on each bus the agent opens, one after the other,
// until ctx ends. A car that is switched off stays plugged in: hanging up
// would be a fault, and the agent lists those.
func (c *car) serve(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case bus := <-c.plugs:
			// A bus the agent closed is not the car's failure.
			_ = c.it.ServeECU(ctx, bus, virtual.ECUOptions{Faults: fault})
		}
	}
}

// emission returns what the check needs to know of the car.
func (c *car) emission() emission {
	if c.recorded != nil {
		return emission{Unit: c.unit, Boot: c.clk.Boot(), Journal: c.journal}
	}
	return emission{Unit: c.unit, Boot: c.clk.Boot(), Journal: c.it.Journal(), Zero: c.zero, Live: len(c.wrong.Suspends) == 0,
		Clock: c.wrong, Began: c.it.UTC(0)}
}

// tester stands in for the agent in a cars-only run: it asks what the agent
// would ask and throws the answers away.
func (c *car) tester(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		r, err := c.line.Open(ctx)
		if err != nil {
			return err
		}
		stop := context.AfterFunc(ctx, func() { r.Close() })
		defer stop()
		_, _ = io.Copy(io.Discard, r)
		return nil
	})
	switch c.load {
	case loadTrack:
		g.Go(func() error { return c.ask(ctx) })
	case loadCity:
		g.Go(func() error { return c.it.Feed(ctx, discardSamples) })
	}
	return g.Wait()
}

// ask polls ten parameters once a second.
func (c *car) ask(ctx context.Context) error {
	bus, err := c.dial(ctx)
	if err != nil {
		return nil
	}
	defer bus.Close()
	stop := context.AfterFunc(ctx, func() { bus.Close() })
	defer stop()
	for {
		for _, pid := range trackPIDs {
			f := can.Frame{ID: 0x7DF, Len: 8}
			f.Data[0], f.Data[1], f.Data[2] = 2, 1, pid
			if bus.Send(f) != nil {
				return nil
			}
			if _, err := bus.Receive(); err != nil {
				return nil
			}
			if !sleep(ctx, 100*time.Millisecond) {
				return nil
			}
		}
	}
}

// fault comes in every car early enough to be seen in a run of half a minute.
var fault = virtual.Faults{After: 12 * time.Second}
