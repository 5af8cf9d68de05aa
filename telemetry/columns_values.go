package telemetry

import ()

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
	c.form = formOf(c.signal.Step, rows)
	step := stepOf(c.form, c.signal.Step)
	e.xs = e.xs[:0]
	for _, s := range rows {
		switch s.Value.kind {
		case KindNone:
		case KindFloat:
			if c.form == formBits {
				e.xs = append(e.xs, int64(s.Value.bits))
				continue
			}
			n, _ := step.Steps(s.Value.Float())
			e.xs = append(e.xs, n)
		case KindText:
			e.xs = append(e.xs, e.text(utf8(s.Value.text)))
		case KindBytes:
			e.xs = append(e.xs, e.text(s.Value.text))
		default:
			e.xs = append(e.xs, int64(s.Value.bits))
		}
	}
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

// formOf returns the form that holds every float of the rows exactly.
func formOf(own Step, rows []*Sample) uint32 {
	fits := func(st Step) bool {
		for _, s := range rows {
			if s.Value.kind == KindFloat {
				if _, ok := st.Steps(s.Value.Float()); !ok {
					return false
				}
			}
		}
		return true
	}
	if fits(own) {
		return formStep
	}
	for i, g := range grids {
		if fits(g) {
			return formGrid + uint32(i)
		}
	}
	return formBits
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
