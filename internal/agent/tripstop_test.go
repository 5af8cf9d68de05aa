package agent_test

import (
	"testing"
	"testing/synctest"
	"time"

	"obu/internal/clock"
	"obu/telemetry"
)

// speeds waits until the car has been faster than its limit for so long.
func (r *rig) speeds(seconds int) {
	for fast := 0; fast < seconds; fast++ {
		time.Sleep(time.Second)
		if r.car.State().SpeedMPS < 12 {
			fast = -1
		}
	}
}

// TestStopLosesNoEventUnderWay: a speeding and a trip that are under way when the
// agent is stopped in order are told: whole, when it is back at once, and else at
// the next start, with their boot and without the word of a power cut. Nothing is
// listed as lost.
func TestStopLosesNoEventUnderWay(t *testing.T) {
	for name, reboot := range map[string]bool{"same boot": false, "reboot": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := tripRig(t, "sim-1")
				a := r.start()
				r.speeds(10)
				told := len(r.cloud.tripEvents()["Motion.Speeding"])
				boot, stopped := r.clk.Boot(), r.clk.Now()
				a.stop()
				if reboot {
					r.deps.Clock = clock.Virtual()
				}
				a = r.start()
				await(t, "the speeding", func() bool { return len(r.cloud.tripEvents()["Motion.Speeding"]) > told })
				a.stop()
				e := r.cloud.tripEvents()
				s := e["Motion.Speeding"][told]
				if from, _ := s["from"].(float64); from > stopped.Seconds()-8 {
					t.Errorf("the speeding of before the stop at %v is not told: %v", stopped, e)
				}
				in := ""
				if reboot {
					in = boot.String()
					if end := e["Trip.End"]; len(end) != 1 || end[0]["by"] != "stop" || end[0]["boot"] != in {
						t.Errorf("the trip: %v", end)
					}
				} else if to, _ := s["to"].(float64); to <= stopped.Seconds() || len(e["Trip.End"]) != 0 || len(e["Trip.Start"]) != 1 {
					t.Errorf("parted by the restart: %v", e)
				}
				if b, _ := s["boot"].(string); b != in {
					t.Errorf("boot %q, want %q", b, in)
				}
				if g, listed := r.cloud.gap("sim-1", telemetry.ReasonUncleanStart); listed {
					t.Errorf("ended in order, and %+v is listed", g)
				}
			})
		})
	}
}
