package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"obu/telemetry"
)

func discardSamples([]telemetry.Sample) {}

// measure drives the cars and fills in what the report says of the run.
func (r *fleetRun) measure(ctx context.Context) error {
	if err := r.build(ctx); err != nil {
		return err
	}
	agents, stopAgents := context.WithCancel(context.WithoutCancel(ctx))
	defer stopAgents()
	plugged, unplug := context.WithCancel(context.WithoutCancel(ctx))
	cars, stopCars := context.WithCancel(ctx)
	var driving, serving sync.WaitGroup
	defer func() { stopCars(); unplug(); driving.Wait(); serving.Wait() }()
	memory := watchMemory()

	r.say("starting %d agents", r.Cars)
	before := ownCPU()
	for _, u := range r.units {
		go u.run(agents)
		serving.Go(func() { u.car.serve(plugged) })
		driving.Go(func() {
			if err := u.car.drive(cars); err != nil {
				fmt.Fprintf(r.progress, "fleet: car %s: %v\n", u.car.unit, err)
			}
		})
		sleep(ctx, rampPerCar)
	}
	sleep(ctx, time.Second)
	r.report.CPUStart = (ownCPU() - before).Seconds()
	r.say("driving for %v", r.For)
	r.window(ctx)

	stopCars()
	driving.Wait()
	r.drain(ctx)
	r.finish()
	stopAgents()
	err := stopUnits(r.units)
	r.afterStop()
	r.report.RSSAnonMB = float64(memory()) / 1e6
	r.awaitQuiet(ctx)
	if err == nil {
		err = ctx.Err()
	}
	return err
}

// build makes cars and agents. It starts nothing.
func (r *fleetRun) build(ctx context.Context) error {
	var rec recording
	var err error
	switch {
	case r.Replay != "":
		if rec.journal, rec.lasts, err = readRecording(r.Replay); err != nil {
			return err
		}
		r.note("CPU time of reading the recordings counts as the agents'")
	case !r.noCars:
		if err := r.carsOnly(ctx); err != nil {
			return err
		}
	}
	for n := range r.Cars {
		var c *car
		if r.Replay == "" {
			c = newCar(n, &r.options, r.dir)
		} else if c, err = newReplay(n, &r.options, &rec, r.dir); err != nil {
			return err
		}
		u, err := newUnit(r, c)
		if err != nil {
			return err
		}
		r.units = append(r.units, u)
	}
	return nil
}

// carsOnly measures what the cars cost without agents, with a stand-in that
// asks the same questions, so that it can be subtracted.
func (r *fleetRun) carsOnly(ctx context.Context) error {
	d := min(r.For, calibrateMost)
	r.say("measuring what %d cars cost without agents, %v", r.Cars, d)
	run, stop := context.WithCancel(ctx)
	defer stop()
	dir, err := os.MkdirTemp(r.dir, "cars-only-")
	if err != nil {
		return fmt.Errorf("make folder: %w", err)
	}
	defer os.RemoveAll(dir)
	var wg sync.WaitGroup
	for n := range r.Cars {
		c := newCar(n, &r.options, dir)
		if c.clips != "" {
			if err := os.MkdirAll(c.clips, 0o755); err != nil {
				return fmt.Errorf("make clip folder: %w", err)
			}
		}
		wg.Go(func() { _ = c.drive(run) })
		wg.Go(func() { c.serve(run) })
		wg.Go(func() { _ = c.tester(run) })
	}
	before, start := ownCPU(), time.Now()
	sleep(run, d)
	used := ownCPU() - before
	r.report.CPUCars = used.Seconds() * r.For.Seconds() / time.Since(start).Seconds()
	stop()
	wg.Wait()
	return ctx.Err()
}

// traffic is what all agents have put on the wire and synced so far.
type traffic struct {
	wire    int64
	pages   int64 // bytes bbolt wrote
	commits uint64
}

func (r *fleetRun) traffic() (t traffic) {
	for _, u := range r.units {
		s := u.agent.Status()
		if s.Uplink != nil {
			t.wire += s.Uplink.WireIn + s.Uplink.WireOut
		}
		if s.Buffer != nil {
			t.commits += s.Buffer.Commits
			t.pages += s.Buffer.DiskBytesTelemetry + s.Buffer.DiskBytesMedia
			r.report.SlowestCommit = max(r.report.SlowestCommit, s.Buffer.SlowestCommitMS/1000)
		}
	}
	return t
}

// liveTimes is how often the newest state leaves, at least, in a run whose
// wire bytes say something.
const liveTimes = 6

// window measures while every car drives and every agent runs.
func (r *fleetRun) window(ctx context.Context) {
	disk := ownDevice(r.dir)
	broker, receiver := time.Duration(0), r.receiver.cpu()
	if r.broker != nil {
		broker = r.broker.cpu()
	}
	sent, device, start := r.traffic(), disk.written(), time.Now()
	own := ownCPU() // asking 400 agents for their status is not the agents' work
	r.drive(ctx)
	used, lasted := ownCPU()-own, time.Since(start)
	if r.broker != nil {
		r.report.CPUBroker = (r.broker.cpu() - broker).Seconds()
	}
	if r.Restart == 0 {
		r.report.CPUReceiver = (r.receiver.cpu() - receiver).Seconds()
	}
	r.report.Seconds = lasted.Seconds()
	r.report.CPUAgents = max(0, used.Seconds()-r.report.CPUCars)
	r.report.Cores = r.report.CPUAgents / lasted.Seconds()
	if r.Replay != "" {
		return // played faster than it was recorded: an hour of it is no hour
	}
	if n := lasted / r.Live; n < liveTimes {
		r.note(fmt.Sprintf("the newest state left %d times only: drive for %v or longer to see what is sent in an hour", n, liveTimes*r.Live))
	}
	perCarHour := 1 / lasted.Hours() / float64(r.Cars)
	now := r.traffic()
	r.report.WirePerCarHour = number(float64(now.wire-sent.wire) * perCarHour)
	r.report.StorePerCarHour = number(float64(now.pages-sent.pages) * perCarHour)
	if disk != nil {
		r.report.DevicePerCarHour = number(float64(disk.written()-device) * perCarHour)
	}
}

// drain waits until the agents hold nothing of the cars any more.
func (r *fleetRun) drain(ctx context.Context) {
	start := time.Now()
	open := r.units
	for len(open) > 0 && time.Since(start) < drainLimit && sleep(ctx, 250*time.Millisecond) {
		var still []*unit
		for _, u := range open {
			select {
			case <-u.done: // it failed; stopUnits says why
			default:
				if u.car.recorded != nil || u.owed() > 0 { // a replay ends by itself
					still = append(still, u)
				}
			}
		}
		open = still
	}
	if len(open) > 0 {
		r.note(fmt.Sprintf("%d agents still held data %v after the cars stopped, the first: %s", len(open), drainLimit, open[0].describe()))
	}
}

// finish takes the last figures of running agents.
func (r *fleetRun) finish() { r.report.Commits = r.traffic().commits }

// afterStop counts what stays stored for the next run.
func (r *fleetRun) afterStop() {
	for _, u := range r.units {
		for _, s := range u.agent.Status().Streams {
			r.report.Backlog += s.Batches
		}
	}
}

// check compares what the cars emitted with what the receiver got, car by
// car, so that memory is bounded by one car's data.
func (r *fleetRun) check() error {
	r.say("checking every value")
	if err := r.endChildren(); err != nil {
		return err
	}
	emissions := make([]emission, len(r.units))
	for i, u := range r.units {
		emissions[i] = u.car.emission()
		if e := &emissions[i]; !e.Began.IsZero() {
			e.Began = e.Began.Add(r.faults.misdate)
		}
	}
	total, err := checkSpool(r.spoolPath(), filepath.Join(r.dir, "clips"), emissions, r.faults.countCopies)
	if err != nil {
		return err
	}
	r.report.book(total)
	return nil
}

// memoryEvery is how often RssAnon is sampled.
const memoryEvery = 500 * time.Millisecond

// watchMemory samples RssAnon; the function it returns stops that and returns
// the largest sample in bytes.
func watchMemory() func() int64 {
	stop, peak := make(chan struct{}), make(chan int64)
	go func() {
		most := rssAnon()
		tick := time.NewTicker(memoryEvery)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				most = max(most, rssAnon())
			case <-stop:
				peak <- max(most, rssAnon())
				return
			}
		}
	}()
	return func() int64 { close(stop); return <-peak }
}
