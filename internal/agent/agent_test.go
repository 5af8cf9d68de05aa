package agent_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"obu/buffer"
	"obu/internal/agent"
	"obu/internal/clock"
	"obu/internal/config"
	"obu/internal/virtual"
	"obu/telemetry"
)

// TestEverythingEmittedArrives: without faults nothing is missing, nothing is
// a hole, no Gap exists, and every value is the one that was emitted.
func TestEverythingEmittedArrives(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, "sim-1")
		a := r.start()
		time.Sleep(time.Minute)
		r.hush()
		await(t, "drain", func() bool { return a.owed() == 0 })
		a.stop()
		r.cloud.equals(r.car.Journal())
		r.cloud.settled("sim-1", false)
		if n, fixes := r.cloud.count(); n < 5*50 || fixes < 50 {
			t.Errorf("only %d values and %d fixes in a minute", n, fixes)
		}
	})
}

// TestTroubleCodesArrive: a code that comes and is cleared during the drive is
// told from the ECU to the cloud: lists, what changed, the freeze frame.
func TestTroubleCodesArrive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, "sim-1")
		o := &r.cfg.CAN[0].OBD
		o.DTC, o.DTCEvery, o.FreezeFrame = true, config.Duration(10*time.Second), true
		a := r.start()
		time.Sleep(time.Minute)
		r.hush()
		await(t, "drain", func() bool { return a.owed() == 0 })
		a.stop()
		r.cloud.equals(r.car.Journal())
		for key, want := range map[virtual.SeriesKey]string{
			{Signal: "Vehicle.Obu.Diagnostics.Stored.Appeared", Address: "7E8"}: "[P0301]",
			{Signal: "Vehicle.Obu.Diagnostics.Stored.Cleared", Address: "7E8"}:  "[P0301]",
			{Signal: "Vehicle.Diagnostics.DTCList", Address: "7E8"}:             "[ P0301 ]",
			{Signal: "Vehicle.OBD.FreezeDTC", Address: "7E8/freeze"}:            "[P0301]",
			{Signal: "Vehicle.Obu.ECU.Name", Address: "7E8"}:                    "[ECM-EngineControl]",
		} {
			var got []telemetry.Value
			for _, s := range r.cloud.samples[key] {
				got = append(got, s.Value)
			}
			if fmt.Sprint(got) != want {
				t.Errorf("%v: %v, want %s", key, got, want)
			}
		}
		if n := len(r.cloud.samples[virtual.SeriesKey{Signal: "Vehicle.Speed", Address: "7E8/freeze"}]); n != 1 {
			t.Errorf("%d speeds of the freeze frame", n)
		}
	})
}

// TestStopStoresWhatIsInMemory: cancelled the moment values were emitted, with
// the broker down, the agent stores them; the next one delivers them.
func TestStopStoresWhatIsInMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, "sim-1")
		r.unplugBroker()
		r.cfg.Buffer.FlushEvery *= 60 // only the end can have stored it
		a := r.start()
		time.Sleep(30*time.Second + 500*time.Millisecond)
		r.hush()
		if a.Status().Batcher.Held == 0 {
			t.Fatal("nothing is in memory, the test shows nothing")
		}
		a.stop()
		if n, fixes := r.cloud.count(); n+fixes != 0 {
			t.Fatalf("%d values came over a broker that is down", n+fixes)
		}
		r.plugBroker()
		r.deps.Devices.CAN = nil // the next agent has another car before it
		b := r.start()
		await(t, "delivery", func() bool { return b.Status().Uplink != nil && b.Status().Uplink.Connected && b.owed() == 0 })
		b.stop()
		r.cloud.equals(r.car.Journal())
		r.cloud.settled("sim-1", false)
	})
}

// TestBrokerDownAtStart: the agent runs, stores, and delivers when the broker
// comes up: the newest state first, the past behind it and marked as such.
func TestBrokerDownAtStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, "sim-1")
		r.unplugBroker()
		a := r.start()
		time.Sleep(5 * time.Minute)
		s := a.Status()
		if s.Uplink.Connected || s.Uplink.LastHint == "" || s.Buffer.Batches < 250 {
			t.Errorf("with the broker down: %+v, %d batches held", s.Uplink, s.Buffer.Batches)
		}
		newest := telemetry.Name{}
		for _, st := range s.Streams {
			if st.Class == telemetry.ClassTelemetry {
				newest = telemetry.Name{Store: st.Store, Class: st.Class, Seq: st.Next - 1}
			}
		}
		r.plugBroker()
		await(t, "connection", func() bool { return a.Status().Uplink.Connected })
		r.hush()
		await(t, "drain", func() bool { return a.owed() == 0 })
		a.stop()
		r.cloud.equals(r.car.Journal())
		r.cloud.settled("sim-1", false)
		first := r.cloud.order[0]
		if first.history || first.name.Seq+60 < newest.Seq {
			t.Errorf("first to arrive was %+v, newest was %d", first, newest.Seq)
		}
		var lastOld uint64
		history := 0
		for _, o := range r.cloud.order {
			if !o.history {
				continue
			}
			if history++; o.name.Seq < lastOld {
				t.Errorf("history came out of order: %d after %d", o.name.Seq, lastOld)
			}
			lastOld = o.name.Seq
		}
		if history < 200 {
			t.Errorf("%d batches were marked as history", history)
		}
	})
}

// TestLostBusComesBack: a CAN device that is unplugged is opened again when it
// is there; the Gap says for how long it was away, and the GPS goes on.
func TestLostBusComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, "sim-1")
		a := r.start()
		time.Sleep(20 * time.Second)
		_, before := r.cloud.count()
		away := r.clk.Now()
		r.pull(errGone)
		time.Sleep(2 * time.Minute)
		if s := a.source("can"); s.State != "waiting" || s.Error == "" || s.Restarts == 0 {
			t.Errorf("an unplugged bus is %+v", s)
		}
		if s := a.source("gps"); s.State != "running" || s.Restarts != 0 {
			t.Errorf("the receiver beside it is %+v", s)
		}
		if _, fixes := r.cloud.count(); fixes < before+100 {
			t.Errorf("%d fixes in two minutes without the bus", fixes-before)
		}
		gap, ok := r.cloud.gap("sim-1", telemetry.ReasonBusError)
		if !ok || gap.Source != "can0" || gap.Count != telemetry.CountUnknown {
			t.Errorf("the loss is listed as %+v (%v) while it lasts", gap, ok)
		}
		r.push()
		await(t, "return", func() bool { return a.source("can").State == "running" })
		back := r.clk.Now()
		time.Sleep(20 * time.Second)
		r.hush()
		await(t, "drain", func() bool { return a.owed() == 0 })
		a.stop()
		r.cloud.equals(r.car.Journal())
		r.cloud.settled("sim-1", true)
		r.cloud.lists("sim-1", "can0", away, back)
	})
}

// TestBusThatNeverWasLosesNothing: a device that is not there is looked for
// again and again, says what is wrong, and is no loss.
func TestBusThatNeverWasLosesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, "sim-1")
		r.pull(errGone)
		a := r.start()
		time.Sleep(2 * time.Minute)
		if s := a.source("can"); s.State != "waiting" || s.Attempts < 4 {
			t.Errorf("a bus that is not there is %+v", s)
		}
		r.push()
		await(t, "start", func() bool { return a.source("can").State == "running" })
		time.Sleep(10 * time.Second)
		r.hush()
		await(t, "drain", func() bool { return a.owed() == 0 })
		a.stop()
		r.cloud.equals(r.car.Journal())
		r.cloud.settled("sim-1", false)
	})
}

// TestLostReceiverComesBack: the same for the GPS.
func TestLostReceiverComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, "sim-1")
		var gone atomic.Bool
		open := r.deps.Devices.GPS.Open
		r.deps.Devices.GPS.Open = func(ctx context.Context) (io.ReadCloser, error) {
			if gone.Load() {
				return nil, errGone
			}
			return open(ctx)
		}
		a := r.start()
		time.Sleep(20 * time.Second)
		gone.Store(true)
		away := r.clk.Now()
		stolen, err := r.line.Open(t.Context()) // ends the agent's end of the line
		if err != nil {
			t.Fatal(err)
		}
		stolen.Close()
		before, _ := r.cloud.count()
		time.Sleep(time.Minute)
		if s := a.source("gps"); s.State != "waiting" || s.Restarts == 0 {
			t.Errorf("a receiver that is gone is %+v", s)
		}
		if s := a.source("can"); s.State != "running" || s.Restarts != 0 {
			t.Errorf("the bus beside it is %+v", s)
		}
		if n, _ := r.cloud.count(); n < before+200 {
			t.Errorf("%d values in a minute without the receiver", n-before)
		}
		gone.Store(false)
		await(t, "return", func() bool { return a.source("gps").State == "running" })
		back := r.clk.Now()
		time.Sleep(20 * time.Second)
		r.hush()
		await(t, "drain", func() bool { return a.owed() == 0 })
		a.stop()
		r.cloud.equals(r.car.Journal()) // what was written while nobody listened is not in the journal
		r.cloud.settled("sim-1", true)
		r.cloud.lists("sim-1", "gps", away, back)
	})
}

// TestWallTimeHealsWithTheFirstFix: a unit that wakes up in 1970 sends data
// stamped with its boot time; the anchor of the first fix heals what was sent
// before it.
func TestWallTimeHealsWithTheFirstFix(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, "sim-1", clock.WithWallAt(time.Unix(0, 0)))
		held := make(chan struct{})
		open := r.deps.Devices.GPS.Open
		r.deps.Devices.GPS.Open = func(ctx context.Context) (io.ReadCloser, error) {
			select { // no sky for a minute
			case <-held:
				return open(ctx)
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		}
		a := r.start()
		time.Sleep(time.Minute)
		n, fixes := r.cloud.count()
		if n < 100 || fixes != 0 {
			t.Fatalf("before the fix: %d values, %d fixes", n, fixes)
		}
		if s := a.Status(); s.Time.Trusted {
			t.Errorf("a clock at 1970 is trusted: %+v", s.Time)
		}
		key := virtual.SeriesKey{Signal: "Vehicle.Speed", Address: "7E8"}
		early := r.cloud.first(key).At
		if w, _, ok := r.cloud.wall("sim-1", r.clk.Boot(), early); ok {
			t.Errorf("without an anchor the cloud believes %v", w)
		}
		close(held)
		time.Sleep(30 * time.Second)
		if s := a.Status(); !s.Time.Trusted || s.Time.By != "gnss" {
			t.Errorf("after the fix: %+v", s.Time)
		}
		r.hush()
		await(t, "drain", func() bool { return a.owed() == 0 })
		a.stop()
		want := r.car.UTC(early)
		got, give, ok := r.cloud.wall("sim-1", r.clk.Boot(), early)
		if off := got.Sub(want).Abs(); !ok || off > give || give > 2*time.Second {
			t.Errorf("value of %v is put at %v, give or take %v (%v)", want, got, give, ok)
		}
		r.cloud.equals(r.car.Journal())
		r.cloud.settled("sim-1", false)
	})
}

// TestSecondAgentOnOneStore: it ends with ErrLocked, and the first does not
// notice.
func TestSecondAgentOnOneStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, "sim-1")
		a := r.start()
		time.Sleep(10 * time.Second)
		second, err := agent.New(r.cfg, r.deps)
		if err != nil {
			t.Fatal(err)
		}
		if err := second.Run(t.Context()); !errors.Is(err, buffer.ErrLocked) {
			t.Errorf("second agent ended with %v", err)
		}
		time.Sleep(10 * time.Second)
		r.hush()
		await(t, "drain", func() bool { return a.owed() == 0 })
		a.stop()
		r.cloud.equals(r.car.Journal())
		r.cloud.settled("sim-1", false)
		if n := len(r.broker.Connects()); n != 1 {
			t.Errorf("%d connections, want the first agent's one", n)
		}
	})
}

// TestTwoAgentsInOneProcess do not notice each other.
func TestTwoAgentsInOneProcess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		one, two := newRig(t, "sim-1"), newRig(t, "sim-2")
		a, b := one.start(), two.start()
		time.Sleep(20 * time.Second)
		two.pull(errGone)
		two.unplugBroker()
		two.broker.Cut()
		time.Sleep(30 * time.Second)
		b.stop()
		time.Sleep(10 * time.Second)
		one.hush()
		await(t, "drain", func() bool { return a.owed() == 0 })
		a.stop()
		one.cloud.equals(one.car.Journal())
		one.cloud.settled("sim-1", false)
		if n := len(one.broker.Connects()); n != 1 {
			t.Errorf("%d connections of the undisturbed agent", n)
		}
		if units := one.cloud.book.Units(); len(units) != 1 || units[0] != "sim-1" {
			t.Errorf("its broker heard of %v", units)
		}
	})
}

// TestNothingToDo: a configuration without a source is a mistake, not an idle
// agent.
func TestNothingToDo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, "sim-1")
		r.deps.Devices = agent.Devices{}
		if _, err := agent.New(r.cfg, r.deps); !errors.Is(err, agent.ErrNothingToDo) {
			t.Errorf("New: %v", err)
		}
	})
}

// TestStatisticsArriveAsHealth: the unit's own figures reach the cloud.
func TestStatisticsArriveAsHealth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, "sim-1")
		a := r.start()
		time.Sleep(75 * time.Second)
		a.stop()
		at := func(name string) int64 {
			v, ok := r.cloud.health["Vehicle.Obu."+name]
			if !ok {
				t.Errorf("%s did not come", name)
			}
			return v.Int()
		}
		if up := at("Uptime"); up < 60 || up > 75 {
			t.Errorf("uptime %d s", up)
		}
		for name, least := range map[string]int64{"CAN.Frames": 100, "CAN.Samples": 100, "GPS.Sentences": 150, "GPS.Fixes": 50, "GPS.Valid": 50,
			"Buffer.Commits": 50, "Buffer.FlushEvery": 1000, "Uplink.Connects": 1, "Uplink.Published": 50, "Uplink.Acked": 50, "Uplink.WireBytes": 1000} {
			if n := at(name); n < least {
				t.Errorf("%s is %d, want at least %d", name, n, least)
			}
		}
		for _, name := range []string{"CAN.Drops", "CAN.DecodeErrors", "Batcher.Drops", "GPS.Rejected", "Process.Restarts", "Buffer.Evicted", "Uplink.Refused"} {
			if n := at(name); n != 0 {
				t.Errorf("%s is %d in a healthy car", name, n)
			}
		}
		if by := r.cloud.health["Vehicle.Obu.Clock.By"]; by != telemetry.Text("gnss") {
			t.Errorf("time is by %v", by)
		}
		if len(r.cloud.health) < 25 {
			t.Errorf("%d figures came", len(r.cloud.health))
		}
	})
}

// TestABatteryClockExpiresNothing: what an earlier boot stored stays, although
// the clock of this one stands far in the future and nobody vouches for it.
func TestABatteryClockExpiresNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, "sim-1")
		r.cfg.Buffer.MaxAge = config.Duration(30 * 24 * time.Hour)
		r.unplugBroker()
		a := r.start()
		time.Sleep(time.Minute)
		if s := a.Status(); s.Time.By != string(telemetry.AnchorGNSS) {
			t.Fatalf("the first boot knows the time by %q", s.Time.By)
		}
		a.stop()
		r.deps.Clock = clock.Virtual(clock.WithWallAt(time.Date(2060, 1, 1, 0, 0, 0, 0, time.UTC)))
		r.deps.Devices.GPS, r.cfg.GPS = nil, nil
		a = r.start()
		time.Sleep(3 * time.Minute)
		if s := a.Status(); s.Buffer.Expired != 0 || s.Time.Trusted || s.Time.By != string(telemetry.AnchorRTC) {
			t.Errorf("%d batches expired by %+v", s.Buffer.Expired, s.Time)
		}
		a.stop()
	})
}
