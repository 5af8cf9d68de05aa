package agent_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"obu/can"
	"obu/internal/agent"
	"obu/internal/config"
	"obu/internal/virtual"
	"obu/telemetry"
)

// TestTruckArrives: what a truck says on its network arrives, value for value;
// its trouble codes, in one frame or in packets, come and go as events; the
// agent says nothing on the bus, although obd is at its default.
func TestTruckArrives(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, "sim-1")
		injector, coolant := virtual.Trouble{SPN: 651, FMI: 5, Occurrence: 1}, virtual.Trouble{SPN: 110, FMI: 3, Occurrence: 2}
		o := virtual.TruckOptions{Faults: []virtual.Fault{
			{After: 10 * time.Second, Codes: []virtual.Trouble{injector}},
			{After: 20 * time.Second, Codes: []virtual.Trouble{injector, coolant}},
			{After: 30 * time.Second},
		}}
		ctx, cancel := context.WithCancel(t.Context())
		spoke := make(chan can.Frame, 1)
		served := make(chan error, 1)
		r.deps.Devices.CAN = []agent.CANDevice{{Name: "can0", Dial: func(context.Context) (can.Bus, error) {
			ours, theirs := can.Pair(r.clk)
			go func() { served <- r.car.ServeTruck(ctx, ours, o) }()
			go func() {
				if f, err := ours.Receive(); err == nil {
					spoke <- f
				}
			}()
			return theirs, nil
		}}}
		r.cfg.CAN = []config.CAN{{Device: "can0", OBD: r.cfg.CAN[0].OBD, J1939: config.J1939{Enabled: true, Period: config.Duration(time.Second)}}}
		a := r.start()
		time.Sleep(time.Minute)
		r.car.SwitchOff()
		r.hush()
		await(t, "drain", func() bool { return a.owed() == 0 })
		stats := a.source("can").Stats.(can.Stats)
		a.stop()
		cancel()
		if err := <-served; err != nil {
			t.Error(err)
		}
		for _, node := range []string{"00", "21", "EE"} {
			r.cloud.first(virtual.SeriesKey{Signal: "Vehicle.Obu.J1939.Name", Address: node})
		}
		vin := virtual.SeriesKey{Signal: "Vehicle.VehicleIdentification.VIN", Address: "00"}
		if got := r.cloud.first(vin); got.Value.Text() != r.car.VIN || len(r.cloud.samples[vin]) != 1 {
			t.Errorf("VIN %v, %d times", got.Value, len(r.cloud.samples[vin]))
		}
		const one, two = "SPN 651 FMI 5 OC 1", "SPN 110 FMI 3 OC 2"
		for name, want := range map[string][]string{
			"DTCList": {"", one, one + "," + two, ""}, "DTCAppeared": {one, two}, "DTCCleared": {one + "," + two},
			"AmberLamp": {"off", "on", "on", "off"},
		} {
			got := r.cloud.samples[virtual.SeriesKey{Signal: "Vehicle.Obu.J1939.DM1." + name, Address: "00"}]
			for i := range max(len(got), len(want)) {
				if i >= len(got) || i >= len(want) || got[i].Value != telemetry.Text(want[i]) {
					t.Errorf("%s: %v, want %q", name, got, want)
					break
				}
			}
		}
		compared := r.compareJournal(t)
		t.Logf("%d values compared; %d messages said something", compared, stats.Groups)
		if compared < 10*55 {
			t.Errorf("only %d values", compared)
		}
		r.cloud.settled("sim-1", false)
		select {
		case f := <-spoke:
			t.Errorf("the agent transmitted %v", f)
		default:
		}
	})
}

// compareJournal compares every number the car emitted with what arrived, and
// returns how many there are.
func (r *rig) compareJournal(t *testing.T) (compared int) {
	t.Helper()
	for _, k := range r.car.Journal().Keys() {
		want, got := r.car.Journal().Readings(k), r.cloud.samples[k]
		if len(got) != len(want) {
			t.Errorf("%v: %d values came, %d were emitted", k, len(got), len(want))
			continue
		}
		for i := range want {
			if got[i].Value != want[i].Value {
				t.Errorf("%v: value %d came as %v, was %v", k, i, got[i].Value, want[i].Value)
				break
			}
			compared++
		}
	}
	return compared
}
