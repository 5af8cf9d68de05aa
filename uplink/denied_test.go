package uplink_test

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"obu/telemetry"
	"obu/uplink/brokertest"
)

// TestForbiddenLaterKeepsData: an ACL takes the telemetry topic away from a
// unit that used it for a while, and the broker ends the session on each packet
// there, as RabbitMQ does. However long that lasts nothing is given up, events
// still pass, the unit says which topic it is, and all is delivered once the
// topic is allowed again. So it is with a broker whose PUBACKs of what came
// before do not leave any more.
func TestForbiddenLaterKeepsData(t *testing.T) {
	for _, c := range []struct {
		name string
		mute bool // what shares a session with a forbidden packet is not acknowledged
		each int  // seconds of data an hour
	}{{"acknowledges what came before", false, 3600}, {"takes its PUBACKs along", true, 3600}, {"parked car", false, 2}} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g, a := newAuditedRig(t, nil)
				g.b.Set(func(f *brokertest.Faults) { f.Link, f.AckDelay = mobile, 20*time.Millisecond })
				g.start()
				names := g.drive(60)
				g.b.Set(func(f *brokertest.Faults) {
					if !c.mute {
						f.AckDelay = 0
					}
					f.CutBefore = func(m brokertest.Message) bool { return strings.HasSuffix(m.Topic, "/telemetry") }
				})
				var events []telemetry.Name
				for range 12 {
					names = append(names, g.m.commit(telemetry.ClassEvent, g.m.speed(1))...)
					events = append(events, names[len(names)-1])
					names = append(names, g.drive(c.each)...)
					time.Sleep(time.Hour - time.Duration(c.each)*time.Second)
				}
				if len(g.m.refused) > 0 {
					t.Errorf("given up: %v", g.m.refused)
				}
				if lost := g.r.missing(events); len(lost) > 1 {
					t.Errorf("events do not pass the forbidden topic: %s", span(lost))
				}
				s := g.u.Stats()
				if !slices.Equal(s.Denied, []string{"telemetry"}) || s.DeniedFor < 10*time.Hour {
					t.Errorf("denied %v for %v", s.Denied, s.DeniedFor)
				}
				t.Logf("%d sessions in 12 h, failures %v, denied %v for %v", s.Connects, s.Failures, s.Denied, s.DeniedFor.Round(time.Minute))
				g.b.Set(func(f *brokertest.Faults) { f.CutBefore = nil })
				names = append(names, g.drive(1800)...)
				g.settled(time.Hour)
				g.fair(a, names, 5)
				if s := g.u.Stats(); len(s.Denied) > 0 || s.DeniedFor != 0 {
					t.Errorf("denied %v although all is delivered", s.Denied)
				}
				g.stop()
			})
		})
	}
}

// TestRestartsAreNoDenial: a broker that restarts again and again forbids
// nothing, and the newest state does not wait in its next session.
func TestRestartsAreNoDenial(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, a := newAuditedRig(t, nil)
		g.b.Set(func(f *brokertest.Faults) { f.Link = mobile })
		g.start()
		var names []telemetry.Name
		for n := range 400 {
			names = append(names, g.drive(3)...)
			time.Sleep(time.Duration(n%10) * 13 * time.Millisecond)
			g.b.Cut()
			if s := g.u.Stats(); len(s.Denied) > 0 {
				t.Fatalf("restart %d: denied %v", n, s.Denied)
			}
		}
		names = append(names, g.drive(300)...)
		g.settled(10 * time.Minute)
		g.fair(a, names, 20)
		g.stop()
	})
}
