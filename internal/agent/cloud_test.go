package agent_test

import (
	"cmp"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"obu/can"
	"obu/internal/virtual"
	"obu/telemetry"
	"obu/telemetry/ledger"
	"obu/uplink/brokertest"
)

// cloud is the consumer: it books every envelope the broker took and keeps
// what was fresh.
type cloud struct {
	t *testing.T

	mu      sync.Mutex // guards what follows
	book    ledger.Ledger
	copies  int
	samples map[virtual.SeriesKey][]telemetry.Sample
	health  map[string]telemetry.Value // newest of each signal
	fixes   []telemetry.Fix
	order   []arrival // telemetry batches in order of arrival
	all     map[telemetry.Class]*telemetry.Content
}

// arrival is one fresh batch of the telemetry class.
type arrival struct {
	name     telemetry.Name
	history  bool
	volatile bool
}

func newCloud(t *testing.T, b *brokertest.Broker) *cloud {
	c := &cloud{t: t, samples: make(map[virtual.SeriesKey][]telemetry.Sample), health: make(map[string]telemetry.Value), all: make(map[telemetry.Class]*telemetry.Content)}
	b.OnMessage(c.take)
	return c
}

func (c *cloud) take(m brokertest.Message) {
	class := m.Topic[strings.LastIndexByte(m.Topic, '/')+1:]
	if !slices.ContainsFunc(telemetry.Classes[:], func(k telemetry.Class) bool { return k.String() == class }) {
		return
	}
	env, err := telemetry.DecodeEnvelope(m.Payload)
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil {
		c.t.Errorf("envelope on %s: %v", m.Topic, err)
		return
	}
	fresh, copies := c.book.Take(env)
	c.copies += copies
	for _, b := range fresh {
		c.keep(b, &env)
	}
}

func (c *cloud) keep(b telemetry.Batch, env *telemetry.Envelope) {
	all := c.all[b.Class]
	if all == nil {
		all = &telemetry.Content{}
		c.all[b.Class] = all
	}
	all.Samples = append(all.Samples, b.Samples...)
	all.Fixes = append(all.Fixes, b.Fixes...)
	all.Gaps = append(all.Gaps, b.Gaps...)
	all.Anchors = append(all.Anchors, b.Anchors...)
	all.Clips = append(all.Clips, b.Clips...)
	all.Chunks = append(all.Chunks, b.Chunks...)
	for _, s := range b.Samples {
		switch {
		case s.Value.Kind() == telemetry.KindNone:
		case b.Class == telemetry.ClassHealth:
			c.health[s.Signal.Name] = s.Value
		default:
			k := virtual.SeriesKey{Signal: s.Signal.Name, Address: s.Source.Address}
			if s.Source.Method == can.MethodFreeze {
				k.Address += "/" + can.MethodFreeze
			}
			c.samples[k] = append(c.samples[k], s)
		}
	}
	c.fixes = append(c.fixes, b.Fixes...)
	if b.Class == telemetry.ClassTelemetry {
		c.order = append(c.order, arrival{b.Name, env.History, env.Volatile})
	}
}

// count returns how many values of the car have arrived.
func (c *cloud) count() (samples, fixes int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.samples {
		samples += len(s)
	}
	return samples, len(c.fixes)
}

// first returns the first value of a series.
func (c *cloud) first(k virtual.SeriesKey) telemetry.Sample {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.samples[k]) == 0 {
		c.t.Fatalf("nothing of %v", k)
	}
	return c.samples[k][0]
}

// wall is what the consumer believes of a time since boot.
func (c *cloud) wall(unit string, boot telemetry.BootID, at telemetry.At) (time.Time, time.Duration, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.book.WallTime(unit, boot, at)
}

func (c *cloud) gaps(unit string) []telemetry.Gap {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.book.Gaps(unit)
}

// gap returns the first Gap of a reason.
func (c *cloud) gap(unit string, why telemetry.Reason) (telemetry.Gap, bool) {
	for _, g := range c.gaps(unit) {
		if g.Reason == why {
			return g, true
		}
	}
	return telemetry.Gap{}, false
}

// lists checks that the time a device was away is listed, and nothing else is.
func (c *cloud) lists(unit, source string, away, back telemetry.At) {
	c.t.Helper()
	covered := false
	for _, g := range c.gaps(unit) {
		if g.Reason != telemetry.ReasonBusError || g.Source != source || g.From < away.Add(-time.Second) || g.To > back.Add(3*time.Second) {
			c.t.Errorf("gap of something else: %+v", g)
		}
		covered = covered || g.From <= away.Add(time.Second) && g.To >= back.Add(-time.Second)
	}
	if !covered {
		c.t.Errorf("%s was away from %.1f s to %.1f s, listed is %+v", source, away.Seconds(), back.Seconds(), c.gaps(unit))
	}
}

// settled checks the books: no hole, and, if asked, not a single Gap.
func (c *cloud) settled(unit string, gaps bool) {
	c.t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	if h := c.book.Holes(); len(h) > 0 {
		c.t.Errorf("holes: %+v", h)
	}
	if g := c.book.Gaps(unit); !gaps && len(g) > 0 {
		c.t.Errorf("gaps: %+v", g)
	}
	for _, r := range c.book.Report() {
		if r.Pending > 0 || r.Partial > 0 || r.GivenUp > 0 {
			c.t.Errorf("not drained: %+v", r)
		}
	}
}

// equals checks that everything the car emitted has arrived, value for value
// and in order, and nothing else has.
func (c *cloud) equals(j *virtual.Journal) {
	c.t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	keys := j.Keys()
	if len(keys) == 0 {
		c.t.Error("the car said nothing")
	}
	for _, k := range keys {
		want, got := j.Readings(k), c.samples[k]
		slices.SortStableFunc(got, func(a, b telemetry.Sample) int { return cmp.Compare(a.At, b.At) })
		if want[0].Value.Kind() == telemetry.KindText { // a fact is sent when it is new
			if len(got) == 0 || got[0].Value != want[0].Value {
				c.t.Errorf("%v: %d of %d came, want %v", k, len(got), len(want), want[0].Value)
			}
			continue
		}
		if len(got) != len(want) {
			c.t.Errorf("%v: %d values came, %d were emitted", k, len(got), len(want))
			continue
		}
		for i := range want {
			if got[i].Value != want[i].Value {
				c.t.Errorf("%v: value %d came as %v, was %v", k, i, got[i].Value, want[i].Value)
				break
			}
		}
	}
	for k := range c.samples {
		if !slices.Contains(keys, k) {
			c.t.Errorf("%v came and was never emitted", k)
		}
	}
	c.positions(j.Positions())
}

func (c *cloud) positions(want []virtual.Position) {
	c.t.Helper()
	byUTC := make(map[time.Time]telemetry.Fix)
	for _, f := range c.fixes {
		byUTC[f.UTC] = f
	}
	if len(c.fixes) != len(want) {
		c.t.Errorf("%d fixes came, %d epochs were written", len(c.fixes), len(want))
	}
	for _, p := range want {
		f, ok := byUTC[p.UTC]
		switch {
		case !ok:
			c.t.Errorf("epoch %v did not come", p.UTC)
		case f.Valid != p.Valid, p.Valid && (math.Abs(f.LatDeg-p.LatDeg) > 1.01e-7 || math.Abs(f.LonDeg-p.LonDeg) > 1.01e-7):
			c.t.Errorf("epoch %v came as %+v", p.UTC, f)
		}
	}
}
