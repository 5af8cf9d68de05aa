package uplink_test

import (
	"testing"
	"testing/synctest"
	"time"

	"obu/telemetry"
	"obu/uplink"
)

// TestABatchOfANewerFormatStays: what a newer obu stored is neither refused nor
// deleted, and does not hold up the others.
func TestABatchOfANewerFormatStays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, nil)
		names := g.m.commit(telemetry.ClassTelemetry, g.m.speed(1), g.m.speed(2), g.m.speed(3))
		g.m.mu.Lock()
		s := g.m.stream(streamKey{names[0].Store, names[0].Class})
		for i := range s.held {
			if s.held[i].Seq == names[1].Seq {
				blob := append([]byte(nil), s.held[i].Blob...)
				blob[1] = telemetry.Format + 7 // its first field is the format
				s.held[i].Blob = blob
			}
		}
		g.m.mu.Unlock()
		g.start()
		time.Sleep(time.Minute)
		g.m.commit(telemetry.ClassTelemetry, g.m.speed(4))
		g.u.Notify()
		time.Sleep(time.Minute)
		g.m.commit(telemetry.ClassTelemetry)
		g.m.mu.Lock()
		if why := g.m.refused[names[1]]; why != "" || len(s.held) != 1 || s.held[0].Seq != names[1].Seq {
			t.Errorf("refused for %q; held %d", why, len(s.held))
		}
		g.m.mu.Unlock()
		g.stop()
	})
}

// TestWhatComesBackIntoTheBacklogIsSettled: a batch that was acknowledged in this
// run and is held again, because a salvage found it or an eviction was undone, is
// settled again instead of being held until a restart.
func TestWhatComesBackIntoTheBacklogIsSettled(t *testing.T) {
	for name, retired := range map[string]bool{"current": false, "retired": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := newRig(t, func(c *uplink.Config) { c.HistoryRate = 20 })
				for i := range 200 {
					g.m.commit(telemetry.ClassTelemetry, g.m.speed(float64(i)))
				}
				g.start()
				time.Sleep(time.Second)
				names := g.m.commit(telemetry.ClassTelemetry, g.m.speed(1), g.m.speed(2))
				g.m.mu.Lock()
				s := g.m.stream(streamKey{names[0].Store, names[0].Class})
				kept := append([]telemetry.Stored(nil), s.held[len(s.held)-2:]...)
				g.m.mu.Unlock()
				g.u.Notify()
				g.drive(5)
				g.m.commit(telemetry.ClassTelemetry)
				g.m.mu.Lock()
				if !s.acked[names[0].Seq] || !s.acked[names[1].Seq] {
					t.Fatal("not acknowledged: the test shows nothing")
				}
				at := 0
				for at < len(s.held) && s.held[at].Seq < names[0].Seq {
					at++
				}
				s.held = append(append(append([]telemetry.Stored(nil), s.held[:at]...), kept...), s.held[at:]...)
				delete(s.acked, names[0].Seq)
				delete(s.acked, names[1].Seq)
				g.m.mu.Unlock()
				if retired {
					g.m.retire(telemetry.StoreID{7})
				}
				g.u.Notify()
				time.Sleep(6 * time.Hour)
				g.m.commit(telemetry.ClassTelemetry)
				if n := g.m.held(telemetry.ClassTelemetry); n != 0 {
					t.Errorf("%d held for ever", n)
				}
				g.stop()
			})
		})
	}
}
