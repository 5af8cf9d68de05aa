package buffer_test

import (
	"testing"
	"time"

	"obu/buffer"
	"obu/telemetry"
)

// holdingRig is a store whose caller commits each second and is cut.
type holdingRig struct {
	*testing.T
	dir string
	now telemetry.At
	b   *buffer.Buffer
	n   int
}

func newHoldingRig(t *testing.T, quiet time.Duration) *holdingRig {
	r := &holdingRig{T: t, dir: t.TempDir(), now: telemetry.At(time.Hour)}
	r.b = open(t, r.dir, func(o *buffer.Options) {
		o.FlushEvery, o.Quiet, o.Now = time.Second, quiet, func() telemetry.At { return r.now }
	})
	return r
}

// pass lets a second go by; of it something is stored or nothing is.
func (r *holdingRig) pass(stored bool) {
	r.Helper()
	r.now = r.now.Add(time.Second)
	var list []buffer.Entry
	if stored {
		r.n++
		list = []buffer.Entry{{Class: telemetry.ClassTelemetry, Content: numbered(r.n)}}
	}
	if _, err := r.b.Commit(list); err != nil {
		r.Fatal(err)
	}
}

// lost cuts the power and returns what the next boot lists of telemetry.
func (r *holdingRig) lost() telemetry.Gap {
	r.Helper()
	r.b.Crash()
	b := open(r.T, r.dir, func(o *buffer.Options) {
		o.Boot, o.Now = telemetry.BootID{99}, func() telemetry.At { return telemetry.At(time.Minute) }
	})
	defer b.Close()
	_, gaps := drainAll(r.T, b)
	for _, g := range gaps {
		if g.Class == telemetry.ClassTelemetry && g.Reason == telemetry.ReasonUncleanStart {
			return g
		}
	}
	r.Fatalf("no loss is listed: %+v", gaps)
	return telemetry.Gap{}
}

// TestUncleanStartReachesBackToWhatWasHeld: a caller that says what it left in
// memory has it in the row of the next start, and not when it holds it no more.
func TestUncleanStartReachesBackToWhatWasHeld(t *testing.T) {
	r := newHoldingRig(t, time.Minute)
	for range 20 {
		r.pass(true)
	}
	held := r.now.Add(-40 * time.Second)
	r.b.Holding(held)
	r.pass(true)
	last := r.now
	if g := r.lost(); g.From != held || g.To < last.Add(time.Second) || g.To > last.Add(30*time.Second) {
		t.Errorf("held since %v, flushed at %v: listed from %v to %v", held, last, g.From, g.To)
	}

	r = newHoldingRig(t, time.Minute)
	r.b.Holding(r.now.Add(-40 * time.Second))
	r.pass(true)
	r.b.Holding(r.now.Add(time.Second))
	r.pass(true)
	if g := r.lost(); g.From != r.now {
		t.Errorf("nothing is held, flushed at %v: listed from %v", r.now, g.From)
	}
}

// TestUncleanStartOfAnIdleUnit: what comes after a while in which nothing was
// stored, and dies before its commit, is in the row; a unit that stores
// something each second has a row of one flush interval. To say so costs no
// more than one transaction each time it falls quiet.
func TestUncleanStartOfAnIdleUnit(t *testing.T) {
	const quiet = time.Minute
	for name, c := range map[string]struct {
		life   func(r *holdingRig)
		silent time.Duration // from the last value to the cut
		more   uint64        // transactions beside those with a value
		narrow bool
	}{
		"busy": {func(r *holdingRig) {}, 0, 0, true},
		"falls quiet": {func(r *holdingRig) {
			for range 50 {
				r.pass(false)
			}
		}, 49 * time.Second, 1, false},
		"quiet between values": {func(r *holdingRig) {
			for i := range 300 {
				r.pass(i%60 == 9)
			}
		}, 50 * time.Second, 1, false},
		"now and then a second without": {func(r *holdingRig) {
			for i := range 240 {
				r.pass(i%3 != 2)
			}
		}, time.Second, 1, false},
		"busy again": {func(r *holdingRig) {
			for i := range 60 {
				r.pass(i > 30)
			}
		}, 0, 1, true},
	} {
		t.Run(name, func(t *testing.T) {
			r := newHoldingRig(t, quiet)
			began := r.b.Stats().Commits
			for range 30 {
				r.pass(true)
			}
			c.life(r)
			if more := r.b.Stats().Commits - began - uint64(r.n); more != c.more {
				t.Errorf("%d transactions of %d values, want %d more", r.b.Stats().Commits-began, r.n, c.more)
			}
			cut := r.now
			g := r.lost()
			if g.From > cut.Add(-c.silent) || g.To < cut.Add(time.Second) {
				t.Errorf("cut at %v after %v: listed from %v to %v", cut, c.silent, g.From, g.To)
			}
			if wide := g.To > cut.Add(30*time.Second-c.silent); wide == c.narrow && c.silent < 20*time.Second {
				t.Errorf("cut at %v: listed to %v", cut, g.To)
			}
			if g.To > cut.Add(quiet+30*time.Second) {
				t.Errorf("cut at %v: listed to %v", cut, g.To)
			}
		})
	}
}
