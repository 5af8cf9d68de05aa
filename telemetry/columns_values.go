package telemetry

// values turns the values of a column into integers in e.xs, and chooses form
// and states.
func (e *encoder) values(c *column) {
	rows := e.rows[c.from : c.from+c.n]
	usual, all := c.usual(), true
	for _, s := range rows {
		if stateOf(s.Quality, s.Value.kind) != usual {
			all = false
			break
		}
	}
	if !all {
		c.states = runsOf(rows)
	}
	for c.form = formStep; !e.numbers(rows, c); c.form = nextForm(c.form) {
	}
}

// nextForm is the order in which forms are tried: the signal's own steps, the
// grids, then the bits, which hold everything.
func nextForm(form uint32) uint32 {
	switch {
	case form == formStep:
		return formGrid
	case form == formGrid+uint32(len(grids))-1:
		return formBits
	}
	return form + 1
}

// numbers turns the values of the rows into integers in e.xs, floats in the
// form of c, and reports whether it holds all of them exactly.
func (e *encoder) numbers(rows []*Sample, c *column) bool {
	step := stepOf(c.form, c.signal.Step)
	e.xs = e.xs[:0]
	for _, s := range rows {
		switch s.Value.kind {
		case KindNone:
		case KindFloat:
			n, exact := int64(s.Value.bits), true
			if c.form != formBits {
				n, exact = step.Steps(s.Value.Float())
			}
			if !exact {
				return false
			}
			e.xs = append(e.xs, n)
		case KindText:
			e.xs = append(e.xs, e.text(utf8(s.Value.text)))
		case KindBytes:
			e.xs = append(e.xs, e.text(s.Value.text))
		default:
			e.xs = append(e.xs, int64(s.Value.bits))
		}
	}
	return true
}

// runsOf returns state, length, state, length … of the rows.
func runsOf(rows []*Sample) []uint32 {
	var runs []uint32
	for _, s := range rows {
		state := stateOf(s.Quality, s.Value.kind)
		if n := len(runs); n > 0 && runs[n-2] == state {
			runs[n-1]++
			continue
		}
		runs = append(runs, state, 1)
	}
	return runs
}

// stepOf returns the resolution a form stands for.
func stepOf(form uint32, own Step) Step {
	if form >= formGrid && int(form-formGrid) < len(grids) {
		return grids[form-formGrid]
	}
	return own
}

// text returns the position of s among the texts of the body.
func (e *encoder) text(s string) int64 {
	i, ok := e.texts[s]
	if !ok {
		i = int64(len(e.textAll))
		e.texts[s] = i
		e.textAll = append(e.textAll, s)
	}
	return i
}
