package acceptance_test

import (
	"fmt"
	"testing"
	"time"

	"obu/uplink"
)

// killed: the broker dies by SIGKILL in the middle of a drain to a consumer
// that is away, and starts again. What it acknowledged before must be there
// when the consumer comes, because the unit no longer has it.
func killed(t *testing.T, b broker) {
	a := killMidDrain(t, b, "u10", 3000)
	if _, ok := b.(*mosquitto); ok {
		// It acknowledges before it saves: what it took since the last save
		// began may be gone. docs/brokers.md says so; receipts close it. What is
		// gone the consumer sees.
		t.Logf("mosquitto with autosave on changes: %d of %d acknowledged batches gone", a.Missing, a.Missing+a.Batches)
		if a.Wrong > 0 || (a.Missing > 0) != (a.Holes > 0) {
			t.Errorf("%d missing and %d shown as holes, %d changed", a.Missing, a.Holes, a.Wrong)
		}
		return
	}
	if a.Missing > 0 || a.Holes > 0 || a.Wrong > 0 {
		t.Errorf("%d missing, %d holes, %d changed", a.Missing, a.Holes, a.Wrong)
	}
}

// killMidDrain returns what a consumer gets that was away meanwhile.
func killMidDrain(t *testing.T, b broker, unit string, seconds int) account {
	t.Helper()
	car := newCar(t, unit)
	car.drive(seconds)
	c := consume(&consumer{t: t, url: b.URL(), unit: unit})
	c.subscribed()
	c.offline()
	// On a long link something is always on its way: what was sent and not
	// acknowledged when the broker dies must not count as delivered.
	link := (&wan{Delay: 200 * time.Millisecond}).open(t, hostOf(b))
	slowTo(car, link.URL())
	half := car.held() / 2
	if !await(drainLimit, func() bool { return car.held() <= half && car.up.Stats().InFlight > 0 }) {
		t.Fatalf("no half of the drain: %s", car.says())
	}
	left := car.held()
	b.Kill()
	link.cut()
	t.Logf("killed with %d of %d batches acknowledged", 2*half-left, 2*half)
	if left == 0 {
		t.Error("the drain was over before the kill")
	}
	b.Start()
	if !await(drainLimit, func() bool { return car.held() == 0 }) {
		t.Fatalf("no end of the drain: %s", car.says())
	}
	c.online()
	return drainInto(t, car, c)
}

// slowTo starts a car whose history takes some seconds, so that a kill meets it
// in the middle.
func slowTo(car *car, url string) {
	car.start(url, func(c *uplink.Config) { c.HistoryRate, c.MaxPacket = 20<<10, 4<<10 })
}

// killedWithReceipts: with custody receipt nothing is missing on any broker,
// whatever it forgot. The unit is switched off and on once, and then sends again
// what was not confirmed; one that stays on does so by itself, later.
func killedWithReceipts(t *testing.T, b broker) {
	forgets(t, b, "u11", uplink.CustodyReceipt, func(a account) error {
		if a.Missing > 0 || a.Holes > 0 || a.Wrong > 0 {
			return fmt.Errorf("%d missing, %d holes, %d changed", a.Missing, a.Holes, a.Wrong)
		}
		return nil
	})
}

// forgets lets a unit deliver everything while the consumer is away, kills the
// broker at once, and judges what the consumer gets afterwards.
func forgets(t *testing.T, b broker, unit string, custody uplink.Custody, judge func(account) error) {
	t.Helper()
	car := newCar(t, unit)
	car.drive(1000)
	c := consume(&consumer{t: t, url: b.URL(), unit: unit, receipts: custody == uplink.CustodyReceipt, quiet: 10 * time.Second})
	c.subscribed()
	c.offline()
	run := func() { car.start(b.URL(), func(cfg *uplink.Config) { cfg.Custody = custody }) }
	run()
	stored := int64(car.held())
	if !await(drainLimit, func() bool { return car.up.Stats().AckedBatches >= stored }) {
		t.Fatalf("no end of the drain: %s", car.says())
	}
	b.Kill()
	car.stop()
	b.Start()
	c.online()
	c.expect(car.want)
	if !await(startLimit, func() bool { c.mu.Lock(); defer c.mu.Unlock(); return c.sessions > 1 }) {
		t.Fatal("the consumer gets no second session")
	}
	run()
	if err := judge(drainInto(t, car, c)); err != nil {
		t.Error(err)
	}
}

// TestMosquittoForgets: with persistence on and everything else as packaged,
// mosquitto saves every half hour and acknowledges at once. This test fails when
// that is no longer so, and docs/brokers.md is to be changed.
func TestMosquittoForgets(t *testing.T) {
	wanted(t, "brokers")
	for _, custody := range [...]uplink.Custody{uplink.CustodyPuback, uplink.CustodyReceipt} {
		t.Run(string(custody), func(t *testing.T) {
			b := newMosquitto(t, settings{Plain: true})
			b.Start()
			forgets(t, b, "u1", custody, func(a account) error {
				if lost := a.Missing > 0; lost != (custody == uplink.CustodyPuback) {
					return fmt.Errorf("%d missing, %d holes", a.Missing, a.Holes)
				}
				if lost := a.Holes > 0; lost != (a.Missing > 0) { // the consumer sees by itself that it was robbed
					return fmt.Errorf("%d are missing and %d shown as holes", a.Missing, a.Holes)
				}
				return nil
			})
		})
	}
}

// TestPacketLimit: everything arrives through a broker that takes small packets
// only; larger ones are cut into parts.
func TestPacketLimit(t *testing.T) {
	wanted(t, "brokers")
	for _, k := range kinds {
		t.Run(k.Name, func(t *testing.T) {
			if !k.Packet {
				t.Skip("this version has no limit to lower")
			}
			b := k.New(t, settings{MaxSize: 30000})
			b.Start()
			car := newCar(t, "u1")
			car.drive(300)
			car.film("20260504_060000.mp4", 300<<10)
			c := consume(&consumer{t: t, url: b.URL(), unit: "u1"})
			c.subscribed()
			car.start(b.URL(), func(c *uplink.Config) {
				c.BackoffMin, c.BackoffMax = time.Millisecond, 10*time.Millisecond
			})
			whole(t, car, c)
		})
	}
}
