package agent

import (
	"bytes"
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"time"

	"obu/internal/clock"
	"obu/internal/config"
	"obu/internal/trip"
	"obu/telemetry"
)

// tripName is the file in buffer.dir that keeps a trip under way over restarts.
const tripName = "trip.json"

// tripEvery is how often it is written meanwhile: so much of a trip's distance a
// power cut can cost.
const tripEvery = time.Minute

// trips has what sources emit heard by a trip.Watch, and keeps its state on the
// disk. A nil one does nothing. All but fix belongs to the flush, and to the
// start and end of a run.
type trips struct {
	watch *trip.Watch
	clock *clock.Clock
	path  string
	log   *slog.Logger
	lost  func(telemetry.Gap)

	loaded bool
	next   telemetry.At // to be written again
	id     string       // of the trip in the file
	zones  []string
	stored []byte
	failed bool
}

// newTrips returns what the configuration wants to be told; nil: nothing.
func (a *Agent) newTrips() *trips {
	t, m := &a.cfg.Trips, &a.cfg.Motion
	if !t.Enabled && !m.Enabled && a.deps.Zones == nil {
		return nil
	}
	r := trip.Rules{Trips: t.Enabled, EndAfter: time.Duration(t.EndAfter), Standing: time.Duration(t.Standing), Idling: time.Duration(t.Idling),
		Lost: time.Duration(t.PositionLost), Zones: a.deps.Zones, Boot: a.clock.Boot(), Emit: a.batch.events}
	if m.Enabled {
		r.LimitMPS, r.Tow = m.SpeedLimit.MPS(), m.Tow
		r.AccelMPS2, r.BrakeMPS2, r.CornerMPS2 = m.Acceleration.MPS2(), m.Braking.MPS2(), m.Cornering.MPS2()
	}
	return &trips{watch: trip.New(r), clock: a.clock, path: filepath.Join(a.cfg.Buffer.Dir, tripName), log: a.log, lost: a.batch.gap}
}

// tripState is what is in the file.
type tripState struct {
	trip.State
	Written telemetry.At `json:"written_ns,omitempty"` // in the boot of a trip under way; 0: all of the run is in it
}

// heard takes the values of the buses.
func (a *Agent) heard(s []telemetry.Sample) {
	if a.trips != nil {
		a.trips.watch.Samples(s)
	}
	a.batch.samples(s)
}

func (t *trips) fix(f *telemetry.Fix, private bool) {
	if t != nil {
		t.watch.Fix(f, private)
	}
}

// load resumes what was under way before a restart. What cannot be read is told
// and forgotten: a trip is no reason not to start.
func (t *trips) load() {
	if t == nil || t.loaded || t.clock.IsReplay() {
		return
	}
	t.loaded = true
	raw, err := config.ReadBytes(t.path)
	if errors.Is(err, os.ErrNotExist) {
		return
	}
	var s tripState
	if err == nil {
		err = json.Unmarshal(raw, &s)
	}
	if err != nil {
		t.log.Warn("nobody can say whether a trip was under way", "file", t.path, "error", err, "next", "nothing: the next trip is told as usual")
		return
	}
	now := t.clock.Now()
	if s.Trip != nil && s.Written != 0 {
		t.cut(s, now)
	}
	s.Stopped = s.Written == 0
	t.watch.Resume(s.State, now)
}

// cut lists what a run that did not end in order had to tell of a trip since its
// state was written: up to now in the same boot, else until it would have been
// written again on a disk that is slow.
func (t *trips) cut(s tripState, now telemetry.At) {
	to := s.Written.Add(2 * tripEvery)
	if s.Trip.Boot == t.clock.Boot() {
		to = max(now, s.Written)
	}
	t.lost(telemetry.Gap{Class: telemetry.ClassEvent, Boot: s.Trip.Boot, From: s.Written, To: to, Count: telemetry.CountUnknown,
		Reason: telemetry.ReasonUncleanStart, Source: "trip"})
}

// tick lets time pass, and writes the state when a trip or a zone began or ended,
// and once a minute of a trip.
func (t *trips) tick() {
	if t == nil {
		return
	}
	now := t.clock.Now()
	t.watch.Tick(now)
	s := t.watch.State()
	id := ""
	if s.Trip != nil {
		id = s.Trip.ID
	}
	if id != t.id || !slices.Equal(s.Zones, t.zones) || id != "" && now >= t.next {
		t.id, t.zones, t.next = id, s.Zones, now.Add(tripEvery)
		written := now
		if s.Trip == nil {
			written = 0
		}
		t.write(tripState{s, written})
	}
}

// stop tells what the next run will know nothing of.
func (t *trips) stop() {
	if t != nil {
		t.watch.Stop()
	}
}

// save writes the state as it is at the end of a run, of which all is stored.
func (t *trips) save() {
	if t != nil && t.loaded {
		t.write(tripState{State: t.watch.State()})
	}
}

// finish ends what is under way with the recording.
func (t *trips) finish() {
	if t != nil {
		t.watch.Finish()
	}
}

func (t *trips) write(s tripState) {
	if t.clock.IsReplay() {
		return
	}
	raw, err := json.Marshal(s)
	if err == nil && !bytes.Equal(raw, t.stored) {
		err = config.WriteBytes(t.path, append(raw, '\n'))
	}
	switch {
	case err == nil:
		t.stored, t.failed = raw, false
	case !t.failed:
		t.failed = true
		t.log.Warn("the trip under way cannot be stored: a restart would end it untold", "file", t.path, "error", err, "next", "check the disk (df -h; dmesg | tail)")
	}
}
