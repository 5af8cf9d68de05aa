package agent

import (
	"encoding/json"
	"log/slog"
	"path/filepath"
	"time"

	"obu/internal/clock"
	"obu/internal/config"
	"obu/telemetry"
)

// undatedName is the file in buffer.dir that remembers the boots which never
// learnt what time it was.
const undatedName = "undated.json"

const (
	// undatedEvery is how often it is written: what a power cut costs is that
	// much width of an estimate.
	undatedEvery = 10 * time.Minute
	// maxUndated bounds the boots in it; of more the oldest stay without a time.
	maxUndated = 64
)

// undated gives boots without any anchor an estimate: between the last time
// known before them and the first boot after them that learns the time. Only
// the unit knows the order of its boots; a power cut begins a new store, and a
// consumer cannot tell which of two stores is the older one. It belongs to the
// flush.
type undated struct {
	path   string
	clock  *clock.Clock
	log    *slog.Logger
	loaded bool
	dated  bool         // this boot
	next   telemetry.At // to be written again

	Known time.Time     `json:"known"` // the last time that was known
	Boots []undatedBoot `json:"boots"` // in order
}

type undatedBoot struct {
	Boot  telemetry.BootID `json:"boot"`
	After time.Time        `json:"after"`   // it began later than this,
	Last  telemetry.At     `json:"last_ns"` // and lasted at least so long
}

func newUndated(dir string, clk *clock.Clock, log *slog.Logger) *undated {
	return &undated{path: filepath.Join(dir, undatedName), clock: clk, log: log}
}

// anchors notes that this boot goes on, and returns the estimates of earlier
// ones as soon as it knows the time.
func (u *undated) anchors() []telemetry.Anchor {
	now := u.clock.Now()
	if u.clock.IsReplay() || u.loaded && now < u.next && (u.dated || !u.clock.Wall().Trusted) {
		return nil
	}
	u.load()
	u.next = now.Add(undatedEvery)
	r := u.clock.Wall()
	if !r.Trusted {
		u.goesOn(now)
		u.save()
		return nil
	}
	if !u.dated {
		u.dated = true
		if out := u.estimate(u.clock.WallAt(0)); len(out) > 0 {
			u.next = now // they are forgotten with the next flush, when they are stored
			return out
		}
	}
	u.Boots, u.Known = nil, r.Time.Add(-r.Uncertainty)
	u.save()
	return nil
}

// goesOn notes how long this boot has lasted.
func (u *undated) goesOn(now telemetry.At) {
	if n := len(u.Boots); n > 0 && u.Boots[n-1].Boot == u.clock.Boot() {
		u.Boots[n-1].Last = now
		return
	}
	u.Boots = append(u.Boots, undatedBoot{u.clock.Boot(), u.Known, now})
	u.Boots = u.Boots[max(0, len(u.Boots)-maxUndated):]
}

// estimate places the boots between what was known before them and the start of
// this one. Each takes the time it lasted from its neighbours.
func (u *undated) estimate(start clock.Reading) (out []telemetry.Anchor) {
	boots := u.Boots
	if n := len(boots); n > 0 && boots[n-1].Boot == u.clock.Boot() {
		boots = boots[:n-1]
	}
	for i := 1; i < len(boots); i++ {
		if ended := boots[i-1].After.Add(least(boots[i-1].Last)); ended.After(boots[i].After) {
			boots[i].After = ended
		}
	}
	latest := start.Time.Add(start.Uncertainty)
	for i := len(boots) - 1; i >= 0; i-- {
		b := &boots[i]
		latest = latest.Add(-least(b.Last))
		if half := latest.Sub(b.After) / 2; half >= 0 {
			out = append(out, telemetry.Anchor{Boot: b.Boot, Wall: b.After.Add(half).UTC(), Uncertainty: half, By: telemetry.AnchorEstimate})
		}
	}
	return out
}

// least is how long a boot lasted, should its crystal have run too fast.
func least(last telemetry.At) time.Duration { return time.Duration(last - last/10_000) }

func (u *undated) load() {
	if u.loaded {
		return
	}
	u.loaded = true
	if text, err := config.ReadBytes(u.path); err == nil && json.Unmarshal(text, u) != nil {
		u.Known, u.Boots = time.Time{}, nil // no estimates, no loss
	}
	if e := u.clock.Earliest(); e.After(u.Known) {
		u.Known = e
	}
}

func (u *undated) save() {
	text, err := json.Marshal(u)
	if err == nil {
		err = config.WriteBytes(u.path, append(text, '\n'))
	}
	if err != nil { // a full disk: the estimate gets wider
		u.log.Debug("boots without a time could not be noted", "error", err)
	}
}
