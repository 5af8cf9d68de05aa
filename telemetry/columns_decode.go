package telemetry

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"time"
)

// decoder turns a Body back into the content of batches. It trusts nothing:
// every count is bounded before memory is taken for it.
type decoder struct {
	seqReader
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
	rows      int // samples, fixes and records so far
	runs      int // entries of states so far
	cells     []cell
}

// cell is one decoded sample before the samples of a batch are put in order.
type cell struct {
	at      int64
	pos     int32 // order of columns, then rows
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
	for i := range d.batches {
		slices.SortStableFunc(d.batches[i].Fixes, compareFixes)
	}
	return nil
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
		d.receivers = append(d.receivers, f.text())
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
			s.Bus = f.text()
		case 2:
			s.Address = f.text()
		case 3:
			s.Method = f.text()
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
	cols := make([]column, len(d.number))
	for i, number := range d.number {
		c := &cols[i]
		src := at(d.source, i)
		clock := at(d.clock, i)
		switch {
		case number >= dynamicID && number-dynamicID < uint64(len(d.signals)):
			c.signal = d.signals[number-dynamicID]
		case number > 0 && number < dynamicID:
			c.signal = d.byNumber(uint32(number))
		}
		if c.signal == nil {
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

// samples reads the sample columns from the bits.
func (d *decoder) samples(cols []column) error {
	if len(cols) == 0 {
		return nil
	}
	if n := len(d.batches); n > 1 {
		d.cuts = make([]int64, n)
		if !d.sequence(d.cuts[1:]) {
			return fmt.Errorf("cuts: %w", ErrMalformed)
		}
	}
	clocks := make([]timeColumn, len(cols))
	var h hint
	for i := range cols {
		if back := cols[i].clock; back > 0 {
			clocks[i] = clocks[i-int(back)]
			if err := d.room(len(clocks[i].times)); err != nil {
				return err
			}
		} else {
			t, err := d.timeColumn(&h)
			if err != nil {
				return fmt.Errorf("column %d: %w", i, err)
			}
			clocks[i] = t
		}
		if err := d.values(i, &cols[i], &clocks[i]); err != nil {
			return fmt.Errorf("column %d: %w", i, err)
		}
	}
	d.deal(cols)
	return nil
}

// room takes n rows from the bound.
func (d *decoder) room(n int) error {
	if d.rows += n; d.rows > MaxValues {
		return fmt.Errorf("more than %d rows: %w", MaxValues, ErrTooLarge)
	}
	return nil
}

// timeColumn reads a clock. The hint is what the previous one left, and then
// what this one leaves.
func (d *decoder) timeColumn(h *hint) (timeColumn, error) {
	n := d.bitReader.number() + int64(len(h.follow))
	if n < 1 || n > MaxValues {
		return timeColumn{}, fmt.Errorf("%d rows: %w", n, ErrMalformed)
	}
	if err := d.room(int(n)); err != nil {
		return timeColumn{}, err
	}
	t := timeColumn{times: make([]int64, n)}
	nb := len(d.batches)
	byCut := nb > 1 && d.read(1) == 1
	if nb > 1 && !byCut {
		counts, err := d.counts(n)
		if err != nil {
			return t, err
		}
		t.counts = counts
	}
	if len(h.follow) != len(t.times) {
		h.follow = nil
	}
	if !d.hinted(t.times, h) {
		return t, fmt.Errorf("times: %w", ErrMalformed)
	}
	h.first, h.follow = t.times[0], t.times
	if byCut {
		t.counts = make([]int32, nb)
		cut := newCutter(d.cuts, t.times)
		for b := range t.counts {
			t.counts[b] = int32(cut.next(b))
		}
	}
	return t, nil
}

// counts reads how many of n rows belong to each batch.
func (d *decoder) counts(n int64) ([]int32, error) {
	xs := make([]int64, len(d.batches))
	if !d.sequence(xs) {
		return nil, fmt.Errorf("counts: %w", ErrMalformed)
	}
	counts, sum := make([]int32, len(xs)), int64(0)
	for i, x := range xs {
		if x < 0 || x > n {
			return nil, fmt.Errorf("count %d of %d rows: %w", x, n, ErrMalformed)
		}
		counts[i] = int32(x)
		sum += x
	}
	if sum != n {
		return nil, fmt.Errorf("counts of %d rows make %d: %w", n, sum, ErrMalformed)
	}
	return counts, nil
}

// values reads the values of column i into cells.
func (d *decoder) values(i int, c *column, t *timeColumn) error {
	n := len(t.times)
	runs, has := d.states[i]
	if !has {
		runs = []uint64{uint64(c.usual()), uint64(n)}
	}
	held := 0
	for j, left := 0, n; j < len(runs); j += 2 {
		if j+1 >= len(runs) || runs[j+1] > uint64(left) || runs[j]>>3 > math.MaxUint8 {
			return fmt.Errorf("states: %w", ErrMalformed)
		}
		left -= int(runs[j+1])
		if Kind(runs[j]&7) != KindNone {
			held += int(runs[j+1])
		}
		if j+2 >= len(runs) && left > 0 {
			return fmt.Errorf("states of %d rows miss %d: %w", n, left, ErrMalformed)
		}
	}
	if len(runs) == 0 {
		return fmt.Errorf("no states: %w", ErrMalformed)
	}
	xs := make([]int64, held)
	if !d.sequence(xs) {
		return fmt.Errorf("values: %w", ErrMalformed)
	}
	d.cells = slices.Grow(d.cells, n)
	batch, left, row := int32(0), n, 0
	if t.counts != nil {
		left = int(t.counts[0])
	}
	for j := 0; j < len(runs); j += 2 {
		kind, quality := Kind(runs[j]&7), Quality(runs[j]>>3)
		for range runs[j+1] {
			for left == 0 {
				batch++
				left = int(t.counts[batch])
			}
			left--
			v := Value{}
			if kind != KindNone {
				var ok bool
				if v, ok = d.value(c, kind, xs[0]); !ok {
					return fmt.Errorf("value of kind %s: %w", kind, ErrMalformed)
				}
				xs = xs[1:]
			}
			d.cells = append(d.cells, cell{at: t.times[row], pos: int32(len(d.cells)), batch: batch, column: int32(i), quality: quality, value: v})
			row++
		}
	}
	return nil
}

// value turns an integer back into a value.
func (d *decoder) value(c *column, kind Kind, x int64) (Value, bool) {
	switch kind {
	case KindFloat:
		if c.form == formBits {
			return Float(math.Float64frombits(uint64(x))), true
		}
		return Float(stepOf(c.form, c.signal.Step).Value(x)), true
	case KindInt:
		return Int(x), true
	case KindBool:
		return Bool(x != 0), true
	case KindText, KindBytes:
		if x < 0 || x >= int64(len(d.texts)) {
			return Value{}, false
		}
		if kind == KindText {
			return Text(utf8(d.texts[x])), true
		}
		return Value{kind: KindBytes, text: d.texts[x]}, true
	}
	return Value{}, true // a kind of a newer version
}

// deal puts the cells into the samples of their batches, in order.
func (d *decoder) deal(cols []column) {
	slices.SortFunc(d.cells, func(a, b cell) int {
		return cmp.Or(cmp.Compare(a.batch, b.batch), cmp.Compare(a.at, b.at), cmp.Compare(a.pos, b.pos))
	})
	samples := make([]Sample, len(d.cells))
	for i, c := range d.cells {
		col := &cols[c.column]
		samples[i] = Sample{At: atMillis(c.at), Signal: col.signal, Source: col.source, Value: c.value, Quality: c.quality}
	}
	for i := 0; i < len(samples); {
		b := d.cells[i].batch
		j := i + 1
		for j < len(samples) && d.cells[j].batch == b {
			j++
		}
		d.batches[b].Samples = samples[i:j:j]
		i = j
	}
}

// fixes reads the columns of one receiver.
func (d *decoder) fixes(receiver string) error {
	n := d.bitReader.number()
	if n < 1 || n > MaxValues {
		return fmt.Errorf("%d fixes: %w", n, ErrMalformed)
	}
	if err := d.room(int(n)); err != nil {
		return err
	}
	counts := []int32{int32(n)}
	if len(d.batches) > 1 {
		var err error
		if counts, err = d.counts(n); err != nil {
			return err
		}
	}
	fixes := make([]Fix, n)
	xs := make([]int64, n)
	if !d.sequence(xs) {
		return fmt.Errorf("times of fixes: %w", ErrMalformed)
	}
	for i := range fixes {
		fixes[i] = NoFix()
		fixes[i].At, fixes[i].Receiver = atMillis(xs[i]), receiver
	}
	if err := d.fixColumns(fixes, xs); err != nil {
		return err
	}
	for b, m := range counts {
		d.batches[b].Fixes = append(d.batches[b].Fixes, fixes[:m]...)
		fixes = fixes[m:]
	}
	return nil
}

// fixColumns fills in the fields of the fixes; xs is scratch of their number.
func (d *decoder) fixColumns(fixes []Fix, xs []int64) error {
	mask := make([]int64, len(fixes))
	held, ok := d.presence(mask)
	if !ok {
		return fmt.Errorf("presence of utc: %w", ErrMalformed)
	}
	if held > 0 {
		unit := int64(time.Second)
		for tick := d.read(tickBits); tick < maxTick; tick++ {
			unit /= 10
		}
		if !d.sequence(xs[:held]) {
			return fmt.Errorf("utc: %w", ErrMalformed)
		}
		spread(mask, xs, func(i int, x int64) { fixes[i].UTC = fromNanos(x * unit) })
	}
	for i := range fixFloats(&fixes[0]) {
		held, ok := d.presence(mask)
		if !ok {
			return fmt.Errorf("presence of fix column %d: %w", i, ErrMalformed)
		}
		if held == 0 {
			continue
		}
		grid := d.read(gridBits)
		if grid != gridIEEE && grid >= uint64(len(grids)) || !d.sequence(xs[:held]) {
			return fmt.Errorf("fix column %d: %w", i, ErrMalformed)
		}
		spread(mask, xs, func(j int, x int64) {
			v := math.Float64frombits(uint64(x))
			if grid != gridIEEE {
				v = grids[grid].Value(x)
			}
			if v, ok := known(v); ok {
				*fixFloats(&fixes[j])[i] = v
			}
		})
	}
	for i := range fixIntColumns {
		if !d.sequence(xs) {
			return fmt.Errorf("fix integers %d: %w", i, ErrMalformed)
		}
		for j, x := range xs {
			setFixInt(&fixes[j], i, x)
		}
	}
	return nil
}

// presence reads which values are known into mask and returns how many.
func (d *decoder) presence(mask []int64) (held int, ok bool) {
	fill := int64(0)
	switch d.read(knownBits) {
	case knownNone:
	case knownAll:
		fill = 1
	case knownSome:
		if !d.sequence(mask) {
			return 0, false
		}
		for i, m := range mask {
			if m != 0 {
				mask[i] = 1
				held++
			}
		}
		return held, true
	default:
		return 0, false
	}
	for i := range mask {
		mask[i] = fill
	}
	return int(fill) * len(mask), !d.short
}

// spread calls set for each known position with the next of the values.
func spread(mask, xs []int64, set func(int, int64)) {
	n := 0
	for i, m := range mask {
		if m != 0 {
			set(i, xs[n])
			n++
		}
	}
}
