package ledger

import "slices"

// runs is a set of uint64 kept as sorted, disjoint, non-adjacent closed runs.
// A stream that arrives in order is one run however long it is.
type runs struct {
	r []run
}

type run struct{ lo, hi uint64 } // both inclusive

func (s *runs) len() int { return len(s.r) }

// find returns the index of the first run whose hi is at least v.
func (s *runs) find(v uint64) int {
	// The common case is the end: streams arrive nearly in order.
	if n := len(s.r); n == 0 || s.r[n-1].hi < v {
		return n
	}
	i, _ := slices.BinarySearchFunc(s.r, v, func(r run, v uint64) int {
		if r.hi < v {
			return -1
		}
		return 1
	})
	return i
}

func (s *runs) has(v uint64) bool {
	i := s.find(v)
	return i < len(s.r) && s.r[i].lo <= v
}

func (s *runs) add(v uint64) { s.addRange(v, v) }

// addRange adds lo..hi inclusive; lo > hi adds nothing.
func (s *runs) addRange(lo, hi uint64) {
	if lo > hi {
		return
	}
	// First run that overlaps or touches lo from below, first one that
	// neither overlaps nor touches hi from above.
	i := s.find(lo)
	if i > 0 && s.r[i-1].hi+1 == lo {
		i--
	}
	j := i
	for j < len(s.r) && (s.r[j].lo <= hi || s.r[j].lo == hi+1 && hi+1 != 0) {
		lo, hi = min(lo, s.r[j].lo), max(hi, s.r[j].hi)
		j++
	}
	if i == j {
		s.r = slices.Insert(s.r, i, run{lo, hi})
		return
	}
	s.r[i] = run{lo, hi}
	s.r = slices.Delete(s.r, i+1, j)
}

// covers reports whether every value lo..hi is in the set.
func (s *runs) covers(lo, hi uint64) bool {
	if lo > hi {
		return true
	}
	i := s.find(lo)
	return i < len(s.r) && s.r[i].lo <= lo && s.r[i].hi >= hi
}

// absent calls f with every maximal run of lo..hi that is not in the set, in
// rising order.
func (s *runs) absent(lo, hi uint64, f func(lo, hi uint64)) {
	for i := s.find(lo); lo <= hi; i++ {
		if i == len(s.r) || s.r[i].lo > hi {
			f(lo, hi)
			return
		}
		if s.r[i].lo > lo {
			f(lo, s.r[i].lo-1)
		}
		if s.r[i].hi >= hi {
			return
		}
		lo = s.r[i].hi + 1
	}
}

// mergeLowest joins the two lowest runs and returns how many values were
// between them: the set then claims values it was never given.
func (s *runs) mergeLowest() uint64 {
	if len(s.r) < 2 {
		return 0
	}
	n := s.r[1].lo - s.r[0].hi - 1
	s.r[1].lo = s.r[0].lo
	s.r = slices.Delete(s.r, 0, 1)
	return n
}
