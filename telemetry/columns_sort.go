package telemetry

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// distribute finds the column of every sample and sorts columns and rows into
// the canonical order: columns by number, name and source, rows by batch and
// time.
func (e *encoder) distribute() error {
	n := 0
	for i := range e.batches {
		n += len(e.batches[i].Samples)
	}
	e.colOf = slices.Grow(e.colOf, n)
	prev := int32(0)
	for i := range e.batches {
		for j := range e.batches[i].Samples {
			s := &e.batches[i].Samples[j]
			if s.Signal == nil {
				return fmt.Errorf("encode sample %d of batch %d: %w", j, e.batches[i].Seq, ErrNoSignal)
			}
			c := e.columnOf(s, prev)
			e.cols[c].n++
			e.colOf = append(e.colOf, c)
			prev = c
		}
	}
	if len(e.cols) > MaxColumns || len(e.cols)*len(e.batches) > MaxCells {
		return fmt.Errorf("encode %d columns of %d batches: %w", len(e.cols), len(e.batches), ErrTooLarge)
	}
	e.sortColumns()
	e.place(n)
	return nil
}

// columnOf returns the column of a sample. Sources repeat themselves, so the
// column that followed prev last time is tried first.
func (e *encoder) columnOf(s *Sample, prev int32) int32 {
	if int(prev) < len(e.next) {
		if g := e.next[prev]; g >= 0 && e.cols[g].signal == s.Signal && e.cols[g].source == s.Source {
			return g
		}
	}
	key := colKey{s.Signal.Name, e.speaker(s.Source, prev)}
	c, ok := e.index[key]
	if !ok {
		c = int32(len(e.cols))
		sig, number := s.Signal, uint32(0)
		if known, ok := Lookup(sig.Name); ok {
			sig, number = known, known.ID()
		}
		e.cols = append(e.cols, column{signal: sig, source: s.Source, speaker: key.speaker, number: number})
		e.next = append(e.next, -1)
		e.index[key] = c
	}
	e.next[prev] = c
	return c
}

// speaker returns the place of a source in speakers. A message has several
// signals, so the source of the column prev is tried first.
func (e *encoder) speaker(s Source, prev int32) int32 {
	if int(prev) < len(e.cols) && e.cols[prev].source == s {
		return e.cols[prev].speaker
	}
	i, ok := e.speakers[s]
	if !ok {
		i = int32(len(e.met))
		e.speakers[s] = i
		e.met = append(e.met, s)
	}
	return i
}

// sortColumns brings the columns into canonical order and renames them in
// colOf.
func (e *encoder) sortColumns() {
	e.rankSpeakers()
	e.ordered(len(e.cols))
	slices.SortFunc(e.order, func(a, b int32) int { return compareColumns(&e.cols[a], &e.cols[b]) })
	for to, from := range e.order {
		e.sorted = append(e.sorted, e.cols[from])
		e.next[from] = int32(to)
	}
	e.cols, e.sorted = e.sorted, e.cols
	for i, c := range e.colOf {
		e.colOf[i] = e.next[c]
	}
}

// ordered puts the numbers below n into order, which is sorted next.
func (e *encoder) ordered(n int) {
	e.order = e.order[:0]
	for i := range n {
		e.order = append(e.order, int32(i))
	}
}

// rankSpeakers renames the sources of the columns by their order, so that
// columns are sorted without comparing texts over and over.
func (e *encoder) rankSpeakers() {
	e.ordered(len(e.met))
	slices.SortFunc(e.order, func(a, b int32) int { return compareSources(e.met[a], e.met[b]) })
	ranks := slices.Grow(e.numbered, len(e.met))[:len(e.met)]
	for rank, i := range e.order {
		ranks[i] = uint32(rank)
	}
	for i := range e.cols {
		e.cols[i].speaker = int32(ranks[e.cols[i].speaker])
	}
	clear(ranks)
	e.numbered = ranks
}

func compareColumns(a, b *column) int {
	if a.number != b.number {
		return compareNumbers(a.number, b.number)
	}
	if a.signal != b.signal {
		if c := strings.Compare(a.signal.Name, b.signal.Name); c != 0 {
			return c
		}
	}
	return cmp.Compare(a.speaker, b.speaker)
}

// compareNumbers puts signals without a number last.
func compareNumbers(a, b uint32) int { return cmp.Compare(a-1, b-1) }

func compareSources(a, b Source) int {
	if c := strings.Compare(a.Bus, b.Bus); c != 0 {
		return c
	}
	if c := strings.Compare(a.Address, b.Address); c != 0 {
		return c
	}
	return strings.Compare(a.Method, b.Method)
}

// compareSamples is the canonical order of the samples of a batch.
func compareSamples(a, b *Sample) int {
	if c := cmp.Compare(a.At.millis(), b.At.millis()); c != 0 {
		return c
	}
	if a.Signal == b.Signal {
		return compareSources(a.Source, b.Source)
	}
	return cmp.Or(compareNumbers(a.Signal.ID(), b.Signal.ID()), strings.Compare(a.Signal.Name, b.Signal.Name), compareSources(a.Source, b.Source))
}

// compareFixes is the canonical order of the fixes of a batch.
func compareFixes(a, b *Fix) int {
	return cmp.Or(cmp.Compare(a.At.millis(), b.At.millis()), strings.Compare(a.Receiver, b.Receiver))
}

// place lays the rows of each column together, batch by batch, each batch in
// order of time.
func (e *encoder) place(n int) {
	from := 0
	for i := range e.cols {
		e.cols[i].from = from
		from += e.cols[i].n
		e.cols[i].n = 0
	}
	e.rows = slices.Grow(e.rows, n)[:n]
	e.ats = slices.Grow(e.ats, n)[:n]
	nb := len(e.batches)
	e.starts = slices.Grow(e.starts, len(e.cols)*nb)[:len(e.cols)*nb]
	clear(e.starts)
	row := 0
	for b := range e.batches {
		samples := e.batches[b].Samples
		for j := range samples {
			c := &e.cols[e.colOf[row]]
			at := c.from + c.n
			e.rows[at], e.ats[at] = &samples[j], samples[j].At.millis()
			c.n++
			e.starts[int(e.colOf[row])*nb+b]++
			row++
		}
	}
	for i := range e.cols {
		at := e.cols[i].from
		for b := range nb {
			m := int(e.starts[i*nb+b])
			e.sortRows(at, at+m)
			at += m
		}
	}
}

// sortRows sorts rows [lo,hi) by time; equal times keep their order. They
// nearly always are in order.
func (e *encoder) sortRows(lo, hi int) {
	if slices.IsSorted(e.ats[lo:hi]) {
		return
	}
	rows := e.rows[lo:hi]
	slices.SortStableFunc(rows, func(a, b *Sample) int { return cmp.Compare(a.At.millis(), b.At.millis()) })
	for i, s := range rows {
		e.ats[lo+i] = s.At.millis()
	}
}
