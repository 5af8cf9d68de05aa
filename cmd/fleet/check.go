package main

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"obu/internal/virtual"
	"obu/telemetry"
)

// emission is what one car emitted and under which name its agent sent it.
type emission struct {
	Unit    string
	Boot    telemetry.BootID // zero: any
	Journal *virtual.Journal
	Zero    time.Duration // CLOCK_MONOTONIC when the car's clock was 0
	Live    bool          // latency means something: not a replay, and no clock jumps
	Clock   virtual.UnitClock
	Began   time.Time // the truth when the unit's clock was 0; zero: not known
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

	timed    timed
	latency  histogram
	problems problems
	listed   problems // the Gaps in words: losses, but honest ones
}

// clean reports whether nothing was lost without being listed, and nothing
// came that was not sent.
func (a *account) clean() bool {
	return a.Uncovered == 0 && a.Strange == 0 && a.Holes == 0 && a.timed.Wrong == 0
}

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
	a.timed.add(b.timed)
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
	a.dates(&e, in)
	gaps := in.led.Gaps(e.Unit)
	a.Gaps = len(gaps)
	for i, g := range gaps {
		a.listed.add("%s", describe(g))
		gaps[i].From, gaps[i].To = telemetry.At(e.Clock.True(g.From)), telemetry.At(e.Clock.True(g.To))
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
