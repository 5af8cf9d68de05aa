package telemetry

import (
	"fmt"
	"math"
	"sort"
)

// decoder turns a Body back into the content of batches. It trusts nothing:
// every count is bounded before memory is taken for it.
type decoder struct {
	seqReader
	scratch
	head      header
	batches   []Batch
	signals   []*Signal // declared in the body
	declared  map[uint32]*Signal
	sources   []Source
	texts     []string
	number    []uint64 // per column
	source    []uint64
	clock     []uint64
	form      []uint64
	states    map[int][]uint64
	receivers []string
	cuts      []int64
	rows      int // samples and fixes so far
	records   int // others so far
	runs      int // entries of states so far
	cells     []cell
	expect    int  // records of all batches, as the header says
	unknown   bool // the body has fields of a newer version: records among them are not counted
}

// cell is one decoded sample before the samples of a batch are put in order.
type cell struct {
	at      int64
	batch   int32
	column  int32
	quality Quality
	value   Value
}

// clock is a time column and how its rows divide among the batches.
type timeColumn struct {
	times  []int64
	counts []int32
}

func (d *decoder) body(raw []byte) error {
	if err := eachField(raw, d.field); err != nil {
		return err
	}
	columns, err := d.columns()
	if err != nil {
		return err
	}
	if err := d.samples(columns); err != nil {
		return err
	}
	for _, name := range d.receivers {
		if err := d.fixes(name); err != nil {
			return err
		}
	}
	d.sortFixes()
	return nil
}

// sortFixes puts the fixes of several receivers in order.
func (d *decoder) sortFixes() {
	for i := range d.batches {
		sortFixes(d.batches[i].Fixes)
	}
}

// sortFixes puts fixes in canonical order, in which they nearly always are.
func sortFixes(fixes []Fix) {
	for i := 1; i < len(fixes); i++ {
		if compareFixes(&fixes[i-1], &fixes[i]) > 0 {
			sort.SliceStable(fixes, func(x, y int) bool { return compareFixes(&fixes[x], &fixes[y]) < 0 })
			return
		}
	}
}

func (d *decoder) field(f field) (err error) {
	switch f.num {
	case bodySignals:
		return d.signal(f.b)
	case bodySources:
		return d.addSource(f.b)
	case bodyTexts:
		if len(d.texts) >= MaxValues {
			return fmt.Errorf("more than %d texts: %w", MaxValues, ErrTooLarge)
		}
		d.texts = append(d.texts, string(f.b))
	case bodySignal:
		d.number, err = f.numbers(d.number, MaxColumns)
	case bodySource:
		d.source, err = f.numbers(d.source, MaxColumns)
	case bodyClock:
		d.clock, err = f.numbers(d.clock, MaxColumns)
	case bodyForm:
		d.form, err = f.numbers(d.form, MaxColumns)
	case bodyStates:
		return d.state(f.b)
	case bodyReceivers:
		if len(d.receivers) >= maxReceiver {
			return fmt.Errorf("more than %d receivers: %w", maxReceiver, ErrTooLarge)
		}
		d.receivers = append(d.receivers, d.head.names.of(f.b))
	case bodyBits:
		d.buf = f.b
	case bodyGaps:
		return d.gap(f.b)
	case bodyAnchors:
		return d.anchor(f.b)
	case bodyClips:
		return d.clip(f.b)
	case bodyChunks:
		return d.chunk(f.b)
	default:
		d.unknown = true
	}
	return err
}

// signal reads a declaration: of a signal by name, or of the kind and step of
// one by number.
func (d *decoder) signal(p []byte) error {
	if len(d.signals) >= MaxColumns {
		return fmt.Errorf("more than %d signals: %w", MaxColumns, ErrTooLarge)
	}
	s := &Signal{Level: LevelDynamic}
	id, level := uint32(0), uint64(0)
	err := eachField(p, func(f field) error {
		switch f.num {
		case 1:
			id = uint32(min(f.u, dynamicID))
		case 2:
			s.Name = f.text()
		case 3:
			s.Unit = f.text()
		case 4:
			s.Kind = Kind(min(f.u, math.MaxUint8))
		case 5:
			s.Step.Num = f.sint()
		case 6:
			s.Step.Den = f.sint()
		case 7:
			s.Min = f.double()
		case 8:
			s.Max = f.double()
		case 9:
			level = min(f.u, math.MaxUint8)
		}
		return nil
	})
	d.signals = append(d.signals, s)
	if id == 0 {
		s.Level = Level(level)
		return err
	}
	if d.declared == nil {
		d.declared = make(map[uint32]*Signal)
	}
	if known, ok := LookupID(id); ok {
		s = known
	} else {
		s.Name = unknownName(id)
	}
	d.declared[id] = s
	return err
}

// unknownName names a signal of a newer version's table.
func unknownName(id uint32) string { return fmt.Sprintf("unknown-signal-%d", id) }

func (d *decoder) addSource(p []byte) error {
	if len(d.sources) >= MaxColumns {
		return fmt.Errorf("more than %d sources: %w", MaxColumns, ErrTooLarge)
	}
	s := Source{}
	err := eachField(p, func(f field) error {
		switch f.num {
		case 1:
			s.Bus = d.head.names.of(f.b)
		case 2:
			s.Address = d.head.names.of(f.b)
		case 3:
			s.Method = d.head.names.of(f.b)
		}
		return nil
	})
	d.sources = append(d.sources, s)
	return err
}

func (d *decoder) state(p []byte) error {
	column, runs := 0, []uint64(nil)
	err := eachField(p, func(f field) (err error) {
		switch f.num {
		case 1:
			column = int(min(f.u, MaxColumns))
		case 2:
			runs, err = f.numbers(runs, 2*MaxValues)
		}
		return err
	})
	if d.runs += len(runs); d.runs > 2*MaxValues {
		return fmt.Errorf("more than %d states: %w", MaxValues, ErrTooLarge)
	}
	if d.states == nil {
		d.states = make(map[int][]uint64)
	}
	d.states[column] = runs
	return err
}

// at returns entry i of an array whose last entry holds for the rest.
func at(xs []uint64, i int) uint64 {
	if len(xs) == 0 {
		return 0
	}
	return xs[min(i, len(xs)-1)]
}

// columns resolves signals and sources of the columns.
func (d *decoder) columns() ([]column, error) {
	if len(d.number)*len(d.batches) > MaxCells {
		return nil, fmt.Errorf("%d columns of %d batches: %w", len(d.number), len(d.batches), ErrTooLarge)
	}
	d.cols = sized(d.cols, len(d.number))
	cols := d.cols
	for i, number := range d.number {
		c := &cols[i]
		src := at(d.source, i)
		clock := at(d.clock, i)
		if c.signal = d.signalOf(number); c.signal == nil {
			return nil, fmt.Errorf("column %d: no signal %d: %w", i, number, ErrMalformed)
		}
		if src < uint64(len(d.sources)) {
			c.source = d.sources[src]
		} else if src > 0 || len(d.sources) > 0 {
			return nil, fmt.Errorf("column %d: no source %d: %w", i, src, ErrMalformed)
		}
		if clock > uint64(i) {
			return nil, fmt.Errorf("column %d: no clock %d: %w", i, clock, ErrMalformed)
		}
		c.clock = uint32(clock)
		c.form = uint32(min(at(d.form, i), math.MaxUint32))
		if c.form >= formGrid+uint32(len(grids)) {
			return nil, fmt.Errorf("column %d: unknown form %d: %w", i, c.form, ErrMalformed)
		}
	}
	return cols, nil
}

// signalOf returns the signal that a number stands for, or nil.
func (d *decoder) signalOf(number uint64) *Signal {
	switch {
	case number >= dynamicID && number-dynamicID < uint64(len(d.signals)):
		return d.signals[number-dynamicID]
	case number > 0 && number < dynamicID:
		return d.byNumber(uint32(number))
	}
	return nil
}

// byNumber returns the signal with a stable id; one that is neither known nor
// declared keeps its number as its name.
func (d *decoder) byNumber(id uint32) *Signal {
	if s, ok := LookupID(id); ok {
		return s
	}
	s, ok := d.declared[id]
	if !ok {
		if d.declared == nil {
			d.declared = make(map[uint32]*Signal)
		}
		s = &Signal{Name: unknownName(id), Kind: KindFloat, Level: LevelDynamic}
		d.declared[id] = s
	}
	return s
}
