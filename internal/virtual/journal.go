package virtual

import (
	"cmp"
	"slices"
	"sync"
	"time"

	"obu/telemetry"
)

// journalBlock is how many readings one block of a series holds. Blocks never
// move, so a journal of millions of readings grows without copies.
const journalBlock = 256

// Reading is one value that left the car.
type Reading struct {
	At    telemetry.At
	Value telemetry.Value
}

// SeriesKey names what a reading is of: the signal and who on the bus said it.
type SeriesKey struct {
	Signal  string // VSS path
	Address string // "7E8", "18DAF110"; "7E8/freeze" of a freeze frame
}

// Position is one epoch the GPS wrote, with the digits it wrote. Heights are
// metres above mean sea level.
type Position struct {
	At        telemetry.At // when the last sentence had been written
	UTC       time.Time
	Valid     bool
	LatDeg    float64 // NaN without a fix, as all that follows
	LonDeg    float64
	AltM      float64
	SpeedMPS  float64
	CourseDeg float64
	HDOP      float64
	Sats      int
}

// Recording is one clip the dashcam finished.
type Recording struct {
	At        telemetry.At // when the file was complete
	Name      string
	SizeBytes int64
	SHA256    [32]byte
}

// Journal is the car's own record of what it emitted, kept in memory: 16
// bytes a number. It may be written and read from several goroutines.
type Journal struct {
	mu         sync.Mutex
	series     map[SeriesKey]*series // under mu
	positions  []Position            // under mu
	recordings []Recording           // under mu
	readings   int                   // under mu
}

// series keeps the readings of one key: numbers in blocks, the rest as is.
type series struct {
	kind   telemetry.Kind // of the numbers
	blocks [][]entry
	others []Reading // text, bytes, and numbers of another kind
}

// entry is a float, int or bool; every int the car emits is exact in a float64.
type entry struct {
	at  telemetry.At
	num float64
}

// NewJournal returns an empty journal.
func NewJournal() *Journal { return &Journal{series: make(map[SeriesKey]*series)} }

// Read records a value that left the car.
func (j *Journal) Read(key SeriesKey, at telemetry.At, v telemetry.Value) {
	j.mu.Lock()
	defer j.mu.Unlock()
	s, ok := j.series[key]
	if !ok {
		s = &series{kind: v.Kind()}
		j.series[key] = s
	}
	j.readings++
	if v.Kind() != s.kind || s.kind == telemetry.KindText || s.kind == telemetry.KindBytes {
		s.others = append(s.others, Reading{at, v})
		return
	}
	last := len(s.blocks) - 1
	if last < 0 || len(s.blocks[last]) == journalBlock {
		s.blocks = append(s.blocks, make([]entry, 0, min(journalBlock, 16<<min(len(s.blocks), 4))))
		last++
	}
	s.blocks[last] = append(s.blocks[last], entry{at, v.Float()})
}

// Locate records an epoch the GPS wrote.
func (j *Journal) Locate(p Position) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.positions = append(j.positions, p)
}

// Film records a finished clip.
func (j *Journal) Film(r Recording) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.recordings = append(j.recordings, r)
}

// Counts returns how many readings, epochs and clips were emitted.
func (j *Journal) Counts() (readings, positions, recordings int) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.readings, len(j.positions), len(j.recordings)
}

// Keys returns the keys of all series, sorted.
func (j *Journal) Keys() []SeriesKey {
	j.mu.Lock()
	defer j.mu.Unlock()
	keys := make([]SeriesKey, 0, len(j.series))
	for k := range j.series {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b SeriesKey) int {
		return cmp.Or(cmp.Compare(a.Signal, b.Signal), cmp.Compare(a.Address, b.Address))
	})
	return keys
}

// Readings returns a copy of one series in order of emission.
func (j *Journal) Readings(key SeriesKey) []Reading {
	j.mu.Lock()
	defer j.mu.Unlock()
	s, ok := j.series[key]
	if !ok {
		return nil
	}
	out := make([]Reading, 0, len(s.blocks)*journalBlock+len(s.others))
	for _, b := range s.blocks {
		for _, e := range b {
			out = append(out, Reading{e.at, s.value(e.num)})
		}
	}
	out = append(out, s.others...)
	slices.SortStableFunc(out, func(a, b Reading) int { return cmp.Compare(a.At, b.At) })
	return out
}

func (s *series) value(num float64) telemetry.Value {
	switch s.kind {
	case telemetry.KindInt:
		return telemetry.Int(int64(num))
	case telemetry.KindBool:
		return telemetry.Bool(num != 0)
	}
	return telemetry.Float(num)
}

// Positions returns a copy of the epochs written, in order.
func (j *Journal) Positions() []Position {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Clone(j.positions)
}

// Recordings returns a copy of the clips finished, in order.
func (j *Journal) Recordings() []Recording {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Clone(j.recordings)
}
