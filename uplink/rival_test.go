package uplink_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"obu/telemetry"
	"obu/uplink"
	"obu/uplink/brokertest"
)

// TestRivalIsShownWhileItLasts: while another device uses the client id the
// statistics say so without a break, connected or not, and since when; some time
// after it has gone they do not.
func TestRivalIsShownWhileItLasts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, nil)
		g.b.Set(func(f *brokertest.Faults) { f.Link = mobile })
		other, err := uplink.New(config(g.clk, newModel(g.clk), g.b))
		if err != nil {
			t.Fatal(err)
		}
		g.start()
		g.drive(60)
		if s := g.u.Stats(); s.Rival != "" || s.RivalFor != 0 {
			t.Errorf("a rival %q for %v of a unit that is alone", s.Rival, s.RivalFor)
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- other.Run(ctx) }()
		g.drive(300)
		began, connected := time.Now(), 0
		for range 7200 {
			s := g.u.Stats()
			if s.Rival == "" || s.RivalFor < time.Since(began) {
				t.Fatalf("after %v: rival %q for %v, connected %v", time.Since(began), s.Rival, s.RivalFor, s.Connected)
			}
			if s.Connected {
				connected++
			}
			g.drive(1)
		}
		if connected == 0 || connected == 7200 {
			t.Errorf("connected in %d of 7200 seconds: the fault did not bite", connected)
		}
		cancel()
		<-ended
		g.drive(3600)
		if s := g.u.Stats(); s.Rival != "" || s.RivalFor != 0 {
			t.Errorf("an hour after it went: rival %q for %v", s.Rival, s.RivalFor)
		}
		g.stop()
	})
}

// TestMissingReceiptsAreShown: with custody receipt and a cloud whose receiver
// is down the statistics say since when it confirms nothing, whatever is sent
// again meanwhile and over however many sessions, until it does.
func TestMissingReceiptsAreShown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, func(c *uplink.Config) { c.Custody = uplink.CustodyReceipt })
		g.start()
		names := g.drive(10)
		g.receipt(names[len(names)-1])
		names = append(names, g.drive(2)...)
		if s := g.u.Stats(); s.AwaitingFor > 3*time.Second {
			t.Errorf("receipts come, and are missing for %v", s.AwaitingFor)
		}
		began := time.Now()
		for range 10 {
			names = append(names, g.drive(900)...)
			g.b.Cut()
		}
		time.Sleep(time.Second)
		s := g.u.Stats()
		if s.AwaitingFor < time.Since(began) || s.AwaitingFor > time.Since(began)+5*time.Second {
			t.Errorf("missing for %v, want %v", s.AwaitingFor, time.Since(began))
		}
		if s.ReceiptsLate {
			t.Error("said of a unit that is not connected")
		}
		if s.Awaiting < 9000 || s.Resent == 0 {
			t.Errorf("%d await a receipt, %d sent again", s.Awaiting, s.Resent)
		}
		g.drive(300)
		if !g.u.Stats().ReceiptsLate {
			t.Errorf("not said: %+v", g.u.Stats())
		}
		g.receipt(telemetry.Name{Store: g.m.store, Class: telemetry.ClassTelemetry, Seq: uint64(len(names))})
		g.drive(3)
		if s := g.u.Stats(); s.AwaitingFor > 5*time.Second || s.Awaiting > 310 || s.ReceiptsLate {
			t.Errorf("after the receipt: %d missing for %v", s.Awaiting, s.AwaitingFor)
		}
		g.stop()
	})
}
