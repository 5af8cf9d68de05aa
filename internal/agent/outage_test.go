package agent_test

import (
	"context"
	"io"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"obu/telemetry"
)

// TestOutageIsListedUpToTheEnd: the agent is stopped while its devices are away;
// the Gaps say until then, as no return will. Before that they say so now and
// then, as a power cut leaves no later chance.
func TestOutageIsListedUpToTheEnd(t *testing.T) {
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
		away := r.clk.Now()
		gone.Store(true)
		stolen, err := r.line.Open(t.Context()) // ends the agent's end of the line
		if err != nil {
			t.Fatal(err)
		}
		stolen.Close()
		r.pull(errGone)
		covered := func(source string, until telemetry.At) bool {
			return slices.ContainsFunc(r.cloud.gaps("sim-1"), func(g telemetry.Gap) bool {
				return g.Source == source && g.From <= away.Add(time.Second) && g.To >= until.Add(-time.Second)
			})
		}
		time.Sleep(25 * time.Minute)
		for _, source := range []string{"can0", "gps"} {
			if !covered(source, away.Add(20*time.Minute)) {
				t.Errorf("%s has been away for 25 minutes, listed is %+v", source, r.cloud.gaps("sim-1"))
			}
		}
		a.stop()
		end := r.clk.Now()

		r.deps.Devices.CAN = nil
		b := r.start() // delivers what the other one stored
		await(t, "delivery", func() bool { return b.Status().Uplink != nil && b.Status().Uplink.Connected && b.owed() == 0 })
		b.stop()
		for _, source := range []string{"can0", "gps"} {
			if !covered(source, end) {
				t.Errorf("%s was away from %.1f s to the end at %.1f s, listed is %+v", source, away.Seconds(), end.Seconds(), r.cloud.gaps("sim-1"))
			}
		}
	})
}
