package uplink

import "slices"

// span is a run of seqs, both ends inclusive.
type span struct{ lo, hi uint64 }

// ranges is a set of seqs as disjoint, rising, non-touching spans.
type ranges struct{ spans []span }

// maxSpans bounds a set. Live and history each make one span, so a set grows
// by about one a session; beyond the bound the oldest is forgotten, which can
// only cost a copy.
const maxSpans = 1024

// find returns the index of the first span that ends at or after seq.
func (r *ranges) find(seq uint64) int {
	i, _ := slices.BinarySearchFunc(r.spans, seq, func(s span, seq uint64) int {
		if s.hi < seq {
			return -1
		}
		return 1
	})
	return i
}

func (r *ranges) contains(seq uint64) bool {
	i := r.find(seq)
	return i < len(r.spans) && r.spans[i].lo <= seq
}

// add puts seq into the set.
func (r *ranges) add(seq uint64) { r.addSpan(span{seq, seq}) }

// addSpan puts a run of seqs into the set.
func (r *ranges) addSpan(s span) {
	i := r.find(s.lo)
	if i > 0 && r.spans[i-1].hi+1 == s.lo {
		i--
	}
	j := i
	for ; j < len(r.spans) && r.spans[j].lo <= s.hi+1; j++ {
		s.lo, s.hi = min(s.lo, r.spans[j].lo), max(s.hi, r.spans[j].hi)
	}
	r.spans = slices.Replace(r.spans, i, j, s)
	if len(r.spans) > maxSpans {
		r.spans = slices.Delete(r.spans, 0, 1)
	}
}

// upTo returns the part of the set at or below seq.
func (r *ranges) upTo(seq uint64) []span {
	var out []span
	for _, s := range r.spans {
		if s.lo > seq {
			break
		}
		out = append(out, span{s.lo, min(s.hi, seq)})
	}
	return out
}

// remove takes seq out of the set.
func (r *ranges) remove(seq uint64) {
	i := r.find(seq)
	if i == len(r.spans) || r.spans[i].lo > seq {
		return
	}
	s := r.spans[i]
	switch {
	case s.lo == s.hi:
		r.spans = slices.Delete(r.spans, i, i+1)
	case s.lo == seq:
		r.spans[i].lo++
	case s.hi == seq:
		r.spans[i].hi--
	default:
		r.spans[i].hi = seq - 1
		r.spans = slices.Insert(r.spans, i+1, span{seq + 1, s.hi})
	}
}

// missing returns the lowest seq at or after from that is not in the set.
func (r *ranges) missing(from uint64) uint64 {
	if i := r.find(from); i < len(r.spans) && r.spans[i].lo <= from {
		return r.spans[i].hi + 1
	}
	return from
}

// trim forgets everything below floor.
func (r *ranges) trim(floor uint64) {
	i := r.find(floor)
	r.spans = slices.Delete(r.spans, 0, i)
	if len(r.spans) > 0 && r.spans[0].lo < floor {
		r.spans[0].lo = floor
	}
}

// clear empties the set.
func (r *ranges) clear() { r.spans = r.spans[:0] }
