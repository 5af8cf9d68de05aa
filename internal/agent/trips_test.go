package agent_test

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"obu/internal/trip"
	"obu/telemetry"
)

// tripEvents are the events of the drive that reached the cloud, by name.
func (c *cloud) tripEvents() map[string][]map[string]any {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := make(map[string][]map[string]any)
	if c.all[telemetry.ClassEvent] == nil {
		return out
	}
	for _, s := range c.all[telemetry.ClassEvent].Samples {
		if s.Source.Method != "trip" {
			continue
		}
		var e map[string]any
		if err := json.Unmarshal([]byte(s.Value.Text()), &e); err != nil {
			c.t.Errorf("%s: %v", s.Signal.Name, err)
		}
		name := strings.TrimPrefix(s.Signal.Name, "Vehicle.Obu.")
		out[name] = append(out[name], e)
	}
	return out
}

// tripRig is a rig that tells all there is to tell, with a zone around the start
// of its road.
func tripRig(t *testing.T, unit string) *rig {
	r := newRig(t, unit)
	r.cfg.Trips.Enabled, r.cfg.Motion.Enabled = true, true
	r.cfg.Motion.SpeedLimit = 10_000
	st := r.car.State()
	corner := func(n, e float64) [2]float64 { return [2]float64{st.LonDeg + e*0.0004, st.LatDeg + n*0.0003} }
	raw, err := json.Marshal(map[string]any{"type": "Feature", "properties": map[string]string{"name": "home"}, "geometry": map[string]any{
		"type": "Polygon", "coordinates": [][][2]float64{{corner(-1, -1), corner(-1, 1), corner(1, 1), corner(1, -1), corner(-1, -1)}}}})
	if err != nil {
		t.Fatal(err)
	}
	if r.deps.Zones, err = trip.ParseZones(raw); err != nil {
		t.Fatal(err)
	}
	return r
}

// TestTripsArrive: a drive is told from the car to the cloud: its start with the
// engine, the zone it leaves, its speeding, and its end with the ignition, with
// the distance that was driven; a restart of the agent on the way parts nothing.
// What goes into the store beside them arrives as without them.
func TestTripsArrive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := tripRig(t, "sim-1")
		a := r.start()
		time.Sleep(3 * time.Minute)
		a.stop()
		if raw, err := os.ReadFile(filepath.Join(r.cfg.Buffer.Dir, "trip.json")); err != nil || !strings.Contains(string(raw), `"trip"`) {
			t.Fatalf("kept: %s, %v", raw, err)
		}
		time.Sleep(10 * time.Second)
		a = r.start()
		time.Sleep(3 * time.Minute)
		for stood := 0; stood < 8; stood++ { // at a stop
			if time.Sleep(500 * time.Millisecond); r.car.State().SpeedMPS > 0 {
				stood = -1
			}
		}
		driven := r.car.State().DistanceM
		r.car.SwitchOff()
		r.stopGPS()
		await(t, "end of the trip", func() bool { return len(r.cloud.tripEvents()["Trip.End"]) > 0 })
		a.stop()
		if g, listed := r.cloud.gap("sim-1", telemetry.ReasonUncleanStart); listed {
			t.Errorf("ended in order, and %+v is listed", g)
		}
		e := r.cloud.tripEvents()
		if len(e["Trip.Start"]) != 1 || len(e["Trip.End"]) != 1 || len(e["Geofence.Entered"]) != 1 || len(e["Geofence.Left"]) != 1 || len(e["Motion.Speeding"]) == 0 {
			t.Fatalf("told: %v", e)
		}
		start, end := e["Trip.Start"][0], e["Trip.End"][0]
		if start["by"] != "engine" || start["trip"] != end["trip"] || e["Geofence.Left"][0]["zone"] != "home" {
			t.Errorf("told: %v", e)
		}
		if m, ok := end["gps_m"].(float64); !ok || math.Abs(m-driven) > 30+0.01*driven {
			t.Errorf("%v m of %.0f m: %v", m, driven, end)
		}
	})
}

// TestTwoCarsTellTheirOwnTrips: two agents in one process, each with its car,
// store and broker, tell their own trips and nothing of the other's.
func TestTwoCarsTellTheirOwnTrips(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var wg sync.WaitGroup
		rigs := [...]*rig{tripRig(t, "sim-1"), tripRig(t, "sim-2")}
		rigs[1].cfg.Trips.Enabled = false
		for _, r := range rigs {
			a := r.start()
			wg.Go(func() { time.Sleep(2 * time.Minute); a.stop() })
		}
		wg.Wait()
		for i, r := range rigs {
			b := r.start()
			await(t, "drain", func() bool { return b.owed() == 0 })
			b.stop()
			e := r.cloud.tripEvents()
			if len(e["Trip.Start"]) != 1-i || len(e["Geofence.Left"]) != 1 {
				t.Errorf("car %d: %v", i+1, e)
			}
		}
	})
}

// TestWipeForgetsTheTrip: after a wipe nothing of the way so far is on the disk.
func TestWipeForgetsTheTrip(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := tripRig(t, "sim-1")
		a := r.start()
		time.Sleep(2 * time.Minute)
		before := len(r.cloud.tripEvents()["Trip.Start"])
		if reply := r.order("w", "wipe", `{"unit":"sim-1"}`); !reply.OK {
			t.Fatalf("%+v", reply)
		}
		time.Sleep(20 * time.Second)
		a.stop()
		raw, err := os.ReadFile(filepath.Join(r.cfg.Buffer.Dir, "trip.json"))
		if before != 1 || err != nil {
			t.Fatalf("%d trips, then %s, %v", before, raw, err)
		}
		var s trip.State
		if err := json.Unmarshal(raw, &s); err != nil || s.Trip == nil || s.Trip.From < 100e9 {
			t.Errorf("the trip of before the wipe goes on: %s, %v", raw, err)
		}
	})
}
