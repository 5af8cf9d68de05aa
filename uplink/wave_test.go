package uplink

import (
	"fmt"
	"io"
	"strings"
	"syscall"
	"testing"
	"time"
)

// fault is what 10,000 units with a session meet at second 0.
type fault struct {
	name   string
	silent bool          // nothing answers; else the broker's machine refuses
	lasts  time.Duration // until connects succeed again
	most   float64       // bound of the busiest second, in per cent of the units
	within time.Duration // bound of when the last unit is back, after it lasted
}

// synTimes is when Linux sends a SYN within one attempt (tcp_syn_retries, 1 s
// doubling), as far as dialTimeout lets it.
var synTimes = [...]time.Duration{0, time.Second, 3 * time.Second, 7 * time.Second}

// back returns when one unit has a session again.
func (f fault) back(noticed time.Duration) time.Duration {
	b := backoff{lo: backoffMin, hi: backoffMax}
	b.ended(time.Hour)
	ends, refused := causeOf(why(ErrEndedByBroker, io.EOF)), causeOf(why(ErrConnRefused, syscall.ECONNREFUSED))
	if f.silent {
		ends, refused = causeOf(ErrNoPuback), causeOf(ErrTimeout)
	}
	for at := noticed + b.next(ends); ; at += b.next(refused) {
		if !f.silent && at >= f.lasts {
			return at
		}
		for _, syn := range synTimes {
			if f.silent && at+syn >= f.lasts {
				return at + syn
			}
		}
		if f.silent {
			at += dialTimeout
		}
	}
}

// TestReconnectWave: 10,000 units lose the same broker at the same moment. No
// second after it is back sees more than 3 % of them. Silence is the worse case:
// a unit cannot tell it from a tunnel, out of which it should be back at once.
func TestReconnectWave(t *testing.T) {
	const units = 10_000
	for _, f := range []fault{
		{"broker closes all and is back at once", false, 0, 3, backoffMax},
		{"broker down for 10 s", false, 10 * time.Second, 3, backoffMax},
		{"broker down for 10 min", false, 10 * time.Minute, 3, backoffMax},
		{"path to the broker silent for 2 min", true, 2 * time.Minute, 10, backoffMax + dialTimeout},
		{"path to the broker silent for 10 min", true, 10 * time.Minute, 10, backoffMax + dialTimeout},
	} {
		curve := make(map[int]int) // connects by second after it is over
		peak, last := 0, time.Duration(0)
		for n := range units {
			noticed := time.Duration(0)
			if f.silent { // live of each second, and AckTimeout after the first that got no PUBACK
				noticed = ackTimeout + time.Second*time.Duration(n)/units
			}
			at := f.back(noticed) - f.lasts
			s := int(at / time.Second)
			curve[s]++
			peak, last = max(peak, curve[s]), max(last, at)
		}
		t.Logf("%s: at most %d connects in a second (%.1f %%), the last unit after %v\n%s",
			f.name, peak, 100*float64(peak)/units, last.Round(time.Second), histogram(curve, units))
		if got := 100 * float64(peak) / units; got > f.most {
			t.Errorf("%s: %.1f %% of the units in one second, allowed are %.0f %%", f.name, got, f.most)
		}
		if last > f.within {
			t.Errorf("%s: the last unit came back after %v", f.name, last)
		}
	}
}

// histogram draws connects a second, in rows of 10 s.
func histogram(curve map[int]int, units int) string {
	last := 0
	for s := range curve {
		last = max(last, s)
	}
	var b strings.Builder
	for from := 0; from <= last; from += 10 {
		n := 0
		for s := from; s < from+10; s++ {
			n += curve[s]
		}
		fmt.Fprintf(&b, "  %3d-%3d s %5d/s %s\n", from, from+10, n/10, strings.Repeat("#", (n/10*250+units-1)/units))
	}
	return b.String()
}

// TestBackoffBack: what one unit waits at most before its next attempt.
func TestBackoffBack(t *testing.T) {
	for _, c := range []struct {
		name string
		had  bool
		runs []cause
		want time.Duration // the last window
	}{
		{"first attempt after the radio was lost", true, []cause{causeSilent}, backoffMin},
		{"the radio is away for long", true, []cause{causeSilent, causeSilent, causeSilent, causeSilent, causeSilent, causeSilent, causeSilent}, backoffMax},
		{"no route, for however long", true, []cause{causeLocal, causeLocal, causeLocal, causeLocal, causeLocal, causeLocal, causeLocal, causeLocal}, localWindow},
		{"the broker closed", true, []cause{causeBroker}, brokerWindow},
		{"the broker stays down", true, []cause{causeBroker, causeBroker, causeBroker, causeBroker}, backoffMax},
		{"installed while the broker is down", false, []cause{causeBroker}, backoffMin},
		{"a rival", true, []cause{causeRival}, brokerWindow},
		{"a rival that stays", true, []cause{causeRival, causeRival, causeRival, causeRival, causeRival}, rivalMax},
		{"a rival that went", true, []cause{causeRival, causeRival, causeRival, causeBroker}, brokerWindow},
	} {
		b := backoff{lo: backoffMin, hi: backoffMax, had: c.had}
		var got time.Duration
		for _, why := range c.runs {
			got = b.window(why)
		}
		if got != c.want {
			t.Errorf("%s: window %v, want %v", c.name, got, c.want)
		}
	}
	if small := (&backoff{lo: time.Millisecond, hi: 10 * time.Millisecond, had: true}).window(causeBroker); small != 10*time.Millisecond {
		t.Errorf("BackoffMax is not kept: %v", small)
	}
}

func TestBackoffResetsOnlyAfterAProvenSession(t *testing.T) {
	b := backoff{lo: time.Second, hi: time.Hour}
	for range 5 {
		b.next(causeSilent)
		b.ended(sessionProof - 1)
	}
	if b.attempt != 5 {
		t.Errorf("short sessions reset the back-off: attempt %d", b.attempt)
	}
	b.ended(sessionProof)
	if b.attempt != 0 {
		t.Error("a session that lasted does not reset the back-off")
	}
	for range 100 {
		if d := b.next(causeSilent); d < 0 || d >= time.Hour {
			t.Fatalf("delay %v", d)
		}
	}
}
