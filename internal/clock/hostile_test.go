package clock_test

import (
	"testing"
	"testing/synctest"
	"time"

	"obu/internal/clock"
	"obu/telemetry"
)

// TestBatteryClockOlderThanTheLastGoodTimeIsNoDayExact: a battery that ran out
// and a default date of its chip are behind what the unit has known already.
func TestBatteryClockOlderThanTheLastGoodTimeIsNoDayExact(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, behind := range []time.Duration{time.Hour, 200 * 24 * time.Hour} {
			good := time.Now().Add(behind)
			c := clock.Virtual(clock.WithMemory(&clock.Memory{Good: good}, nil))
			r := c.Wall()
			if covers := !r.Time.Add(r.Uncertainty).Before(good); r.By != telemetry.AnchorRTC || !covers || (r.Uncertainty > 24*time.Hour) != (behind > 24*time.Hour) {
				t.Errorf("%+v, though it was %v %v ago", r, good, behind)
			}
		}
	})
}

// TestSystemClockSetWhileRunningProvesNothing: nobody vouches for it, neither
// before nor after; the truth is one of both.
func TestSystemClockSetWhileRunningProvesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		step := time.Duration(0)
		c := clock.Virtual(clock.WithSystemWall(func() time.Time { return time.Now().Add(step) }))
		wantTrue(t, c.Wall(), time.Now())
		for _, step = range []time.Duration{12 * 365 * 24 * time.Hour, -3 * 24 * time.Hour, 40 * 24 * time.Hour} {
			time.Sleep(time.Minute)
			wantTrue(t, c.Wall(), time.Now())
		}
	})
}

// TestReceiverThatComesRoundToNTPIsBelieved: its first fixes after a cold start
// were a day wrong, and NTP says so too: the rest of the boot need not be.
func TestReceiverThatComesRoundToNTPIsBelieved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clock.Virtual(clock.WithNTP(func() (time.Duration, bool) { return 50 * time.Millisecond, true }))
		r := &receiver{c: c, wrong: 24 * time.Hour}
		r.epochs(12) // in the first minute of a month, where UTC may step by a second
		wrong := c.Anchors()
		r.wrong = 0
		r.epochs(30)
		wantTrue(t, c.Wall(), time.Now())
		right := map[telemetry.At]bool{}
		for _, a := range c.Anchors() {
			if a.By == telemetry.AnchorGNSS {
				wantTrue(t, clock.Reading{Time: a.Wall.Add(c.Now().Sub(a.At)), Uncertainty: a.Uncertainty + time.Millisecond, By: a.By}, time.Now())
				right[a.At] = true
			}
		}
		for _, a := range wrong {
			if a.By == telemetry.AnchorGNSS && !right[a.At] {
				t.Errorf("anchor %+v was not corrected", a)
			}
		}
		r.wrong = -time.Hour // and one that leaves it is not
		r.epochs(30)
		wantTrue(t, c.Wall(), time.Now())
	})
}
