package main

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"time"

	"obu/internal/virtual"
	"obu/telemetry"
)

// What a value may differ in between wire and cloud.
const (
	// timeTolerance: an answer is stamped when the agent takes it off the bus,
	// after the car put it there; on a busy machine that is later.
	timeTolerance = 3 * time.Second
	// gapSlack: the bounds of a Gap are those of the interval the loss fell
	// into, as the unit knew it.
	gapSlack = 2 * time.Second
	// Positions and their companions are compared to half a last digit of what
	// NMEA prints, speeds after conversion from knots.
	degTolerance   = 1.01e-7
	altTolerance   = 0.051
	speedTolerance = 0.006
	angleTolerance = 0.006
)

// emission is what one car emitted and under which name its agent sent it.
type emission struct {
	Unit    string
	Boot    telemetry.BootID // zero: any
	Journal *virtual.Journal
	Zero    time.Duration // CLOCK_MONOTONIC when the car's clock was 0
	Live    bool          // latency means something: not a replay
}

// account is the ledger of one car or, added up, of a fleet. Values are
// readings, fixes and clips.
type account struct {
	Emitted   int
	Received  int
	Missing   int // emitted, not received
	Uncovered int // of those, listed in no Gap
	Strange   int // received, never emitted: altered, invented or counted twice
	Gaps      int
	Holes     int64
	Copies    int

	latency  histogram
	problems problems
	listed   problems // the Gaps in words: losses, but honest ones
}

// clean reports whether nothing was lost without being listed, and nothing
// came that was not sent.
func (a *account) clean() bool { return a.Uncovered == 0 && a.Strange == 0 && a.Holes == 0 }

// add adds b to a.
func (a *account) add(unit string, b *account) {
	a.Emitted += b.Emitted
	a.Received += b.Received
	a.Missing += b.Missing
	a.Uncovered += b.Uncovered
	a.Strange += b.Strange
	a.Gaps += b.Gaps
	a.Holes += b.Holes
	a.Copies += b.Copies
	a.latency.add(&b.latency)
	a.problems.join(b.problems, unit+": ")
	a.listed.join(b.listed, unit+": ")
}

// lost is one emitted value that did not arrive.
type lost struct {
	at   telemetry.At
	what string
}

// compare checks what was received from a unit against what its car emitted,
// value by value.
func compare(e emission, in *intake) *account {
	a := &account{problems: in.problems, Copies: in.copies}
	a.Strange += len(in.problems.lines) + in.problems.more
	gaps := in.led.Gaps(e.Unit)
	a.Gaps = len(gaps)
	for _, g := range gaps {
		a.listed.add("%s", describe(g))
	}
	for _, h := range in.led.Holes() {
		n := int64(h.To - h.From + 1)
		a.Holes += n
		a.problems.add("hole: %s %d-%d of store %s never came and is in no gap", h.Class, h.From, h.To, h.Store)
	}
	var missing []lost
	missing = append(missing, a.readings(e, in)...)
	missing = append(missing, a.positions(e, in)...)
	missing = append(missing, a.recordings(e, in)...)
	a.Missing = len(missing)
	cover := newCover(e.Boot, gaps)
	slices.SortFunc(missing, func(x, y lost) int { return cmp.Compare(x.at, y.at) })
	for _, m := range missing {
		if !cover.take(m.at) {
			a.Uncovered++
			a.problems.add("missing: %s emitted at %.3f s never came and is in no gap", m.what, m.at.Seconds())
		}
	}
	return a
}

// describe says a Gap in words.
func describe(g telemetry.Gap) string {
	count := "an unknown number of"
	if g.Count != telemetry.CountUnknown {
		count = fmt.Sprint(g.Count)
	}
	seqs := ""
	if g.FromSeq != 0 {
		seqs = fmt.Sprintf(", seq %d-%d", g.FromSeq, g.ToSeq)
	}
	return fmt.Sprintf("gap: %s %s values lost at %.3f-%.3f s: %s %s%s", count, g.Class, g.From.Seconds(), g.To.Seconds(), g.Reason, g.Source, seqs)
}

// readings compares every series of numbers, and facts.
func (a *account) readings(e emission, in *intake) (missing []lost) {
	keys := e.Journal.Keys()
	for _, k := range keys {
		want, got := e.Journal.Readings(k), in.series[k]
		slices.SortStableFunc(got, func(x, y arrival) int { return cmp.Compare(x.At, y.At) })
		if isFact(want) {
			missing = append(missing, a.fact(k, want, got)...)
			continue
		}
		a.Emitted += len(want)
		pair := align(want, got)
		for i, j := range pair.of {
			if j < 0 {
				missing = append(missing, lost{want[i].At, fmt.Sprintf("%s of %s = %s", k.Signal, k.Address, want[i].Value)})
				continue
			}
			a.Received++
			if e.Live {
				a.latency.observe(got[j].recv - e.Zero - time.Duration(want[i].At))
			}
		}
		for _, j := range pair.strange {
			a.Strange++
			a.problems.add("strange: %s of %s = %s at %.3f s was never emitted", k.Signal, k.Address, got[j].Value, got[j].At.Seconds())
		}
	}
	for k, got := range in.series {
		if _, known := slices.BinarySearchFunc(keys, k, func(a, b virtual.SeriesKey) int {
			return cmp.Or(cmp.Compare(a.Signal, b.Signal), cmp.Compare(a.Address, b.Address))
		}); !known {
			a.Strange += len(got)
			a.problems.add("strange: %d values of %s from %q, which the car never sent", len(got), k.Signal, k.Address)
		}
	}
	return missing
}

// isFact reports whether a series is text: a VIN, a list of codes. The agent
// reports a fact when it is new, not as often as it was said.
func isFact(want []virtual.Reading) bool {
	return len(want) > 0 && want[0].Value.Kind() == telemetry.KindText
}

// fact asks that a fact came at least once and that nothing else came.
func (a *account) fact(k virtual.SeriesKey, want []virtual.Reading, got []arrival) (missing []lost) {
	said := make(map[telemetry.Value]bool)
	for _, w := range want {
		said[w.Value] = false
	}
	for _, g := range got {
		if _, ok := said[g.Value]; !ok {
			a.Strange++
			a.problems.add("strange: %s of %s = %q was never emitted", k.Signal, k.Address, g.Value)
			continue
		}
		said[g.Value] = true
	}
	for v, came := range said {
		a.Emitted++
		if came {
			a.Received++
			continue
		}
		missing = append(missing, lost{want[0].At, fmt.Sprintf("%s of %s = %q", k.Signal, k.Address, v)})
	}
	return missing
}

// pairing says which arrival each reading became.
type pairing struct {
	of      []int // index of the arrival, -1: none
	strange []int // arrivals that are no reading's
}

// align finds the pairing in order. A series is a sequence: what arrived must
// be a subsequence of what was emitted, with the same values, at the same
// times within timeTolerance. Arrivals close in time are paired first, so that
// a copy does not take the place of a later equal reading.
func align(want []virtual.Reading, got []arrival) pairing {
	if exact(want, got) {
		p := newPairing(len(want))
		for i := range p.of {
			p.of[i] = i
		}
		return p
	}
	best := alignBy(want, got, closeInTime)
	if len(best.strange) > 0 { // late arrivals may have taken the place of others
		if p := alignBy(want, got, 0); len(p.strange) < len(best.strange) {
			best = p
		}
	}
	return best
}

// closeInTime is how soon an answer is usually taken off the bus.
const closeInTime = 150 * time.Millisecond

func newPairing(n int) pairing {
	p := pairing{of: make([]int, n)}
	for i := range p.of {
		p.of[i] = -1
	}
	return p
}

// alignBy pairs arrivals within first of their reading, and then what is left
// within timeTolerance, without crossing.
func alignBy(want []virtual.Reading, got []arrival, first time.Duration) pairing {
	p := newPairing(len(want))
	took := make([]int, len(got)) // index of the reading, -1: none
	next := 0
	for j := range got {
		took[j] = -1
		if i := firstMatch(want, next, len(want), &got[j], first); i >= 0 {
			took[j], p.of[i], next = i, j, i+1
		}
	}
	low := 0
	for j := range got {
		if took[j] < 0 {
			high := len(want)
			for k := j + 1; k < len(got); k++ {
				if took[k] >= 0 {
					high = took[k]
					break
				}
			}
			i := firstMatch(want, low, high, &got[j], timeTolerance)
			if i < 0 {
				p.strange = append(p.strange, j)
				continue
			}
			took[j], p.of[i] = i, j
		}
		low = took[j] + 1
	}
	return p
}

// firstMatch returns the first reading of want[low:high] that g can be, -1
// when there is none.
func firstMatch(want []virtual.Reading, low, high int, g *arrival, tolerance time.Duration) int {
	n, _ := slices.BinarySearchFunc(want[low:high], g.At.Add(-tolerance), func(r virtual.Reading, at telemetry.At) int {
		return cmp.Compare(r.At, at)
	})
	for i := low + n; i < high && want[i].At.Sub(g.At) <= tolerance; i++ {
		if want[i].Value == g.Value {
			return i
		}
	}
	return -1
}

// exact reports whether every reading arrived, one for one.
func exact(want []virtual.Reading, got []arrival) bool {
	if len(want) != len(got) {
		return false
	}
	for i := range want {
		if want[i].Value != got[i].Value || want[i].At.Sub(got[i].At).Abs() > timeTolerance {
			return false
		}
	}
	return true
}

// positions compares the fixes by the receiver's own time.
func (a *account) positions(e emission, in *intake) (missing []lost) {
	type key struct{ nanos int64 }
	want := e.Journal.Positions()
	a.Emitted += len(want)
	open := make(map[key][]int, len(want))
	for i, p := range want {
		open[key{p.UTC.UnixNano()}] = append(open[key{p.UTC.UnixNano()}], i)
	}
	came := make([]bool, len(want))
	for _, g := range in.fixes {
		k := key{g.fix.UTC.UnixNano()}
		at := slices.IndexFunc(open[k], func(i int) bool { return samePlace(want[i], g.fix) })
		if at < 0 {
			a.Strange++
			a.problems.add("strange: fix of %s at %.7f %.7f was never emitted", g.fix.UTC.Format(time.RFC3339Nano), g.fix.LatDeg, g.fix.LonDeg)
			continue
		}
		i := open[k][at]
		open[k] = slices.Delete(open[k], at, at+1)
		came[i] = true
		a.Received++
		if e.Live {
			a.latency.observe(g.recv - e.Zero - time.Duration(want[i].At))
		}
	}
	for i, ok := range came {
		if !ok {
			missing = append(missing, lost{want[i].At, "fix of " + want[i].UTC.Format(time.RFC3339Nano)})
		}
	}
	return missing
}

// samePlace reports whether a fix says what the receiver wrote.
func samePlace(p virtual.Position, f telemetry.Fix) bool {
	if p.Valid != f.Valid {
		return false
	}
	near := func(a, b, tolerance float64) bool {
		return math.IsNaN(a) && math.IsNaN(b) || math.Abs(a-b) <= tolerance
	}
	if !p.Valid {
		return true
	}
	return near(p.LatDeg, f.LatDeg, degTolerance) && near(p.LonDeg, f.LonDeg, degTolerance) &&
		near(p.AltM, f.AltM, altTolerance) && near(p.SpeedMPS, f.SpeedMPS, speedTolerance) &&
		near(p.CourseDeg, f.CourseDeg, angleTolerance) && near(p.HDOP, f.HDOP, angleTolerance) &&
		(p.Sats < 0 || p.Sats == f.Sats)
}

// recordings compares the clips: manifest and every byte.
func (a *account) recordings(e emission, in *intake) (missing []lost) {
	want := e.Journal.Recordings()
	a.Emitted += len(want)
	known := make(map[string]bool, len(want))
	for _, r := range want {
		known[r.Name] = true
		got, came := in.clips[r.Name]
		switch {
		case !came:
			missing = append(missing, lost{r.At, "clip " + r.Name})
		case !got.OK || got.Clip.SHA256 != r.SHA256 || got.Clip.SizeBytes != r.SizeBytes || got.Got != r.SHA256:
			a.Strange++
			a.Received++
			a.problems.add("strange: clip %s is not the file that was recorded", r.Name)
		default:
			a.Received++
		}
	}
	for name := range in.clips {
		if !known[name] {
			a.Strange++
			a.problems.add("strange: clip %s was never recorded", name)
		}
	}
	return missing
}

// cover hands out the room that Gaps leave for missing values.
type cover struct {
	boot telemetry.BootID
	gaps []telemetry.Gap
	left []int64 // of gaps with a known count
}

func newCover(boot telemetry.BootID, gaps []telemetry.Gap) *cover {
	c := &cover{boot: boot, gaps: gaps, left: make([]int64, len(gaps))}
	for i, g := range gaps {
		c.left[i] = g.Count
	}
	return c
}

// take books one missing value on a Gap that spans its time and still has
// room; false when there is none.
func (c *cover) take(at telemetry.At) bool {
	for i, g := range c.gaps {
		if !g.Boot.IsZero() && !c.boot.IsZero() && g.Boot != c.boot || at < g.From.Add(-gapSlack) || at > g.To.Add(gapSlack) {
			continue
		}
		if g.Count == telemetry.CountUnknown {
			return true
		}
		if c.left[i] > 0 {
			c.left[i]--
			return true
		}
	}
	return false
}
