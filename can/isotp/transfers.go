package isotp

import "obu/telemetry"

// late reports whether the next frame of a transfer is overdue. Behind our own
// flow control N_Cr begins with that, up to MaxBr after the frame it answers.
func (t *transfer) late(at telemetry.At) bool {
	limit := TimeoutCr
	if t.cleared {
		limit += MaxBr
	}
	return at.Sub(t.last) > limit
}

// evictStale makes room by ending one overdue transfer of more than so many
// bytes.
func (r *Receiver) evictStale(at telemetry.At, above int) bool {
	for _, t := range r.open {
		if t.want > above && t.late(at) {
			r.end(t, ReasonTimeout)
			return true
		}
	}
	return false
}

// abandon ends what is under way from a sender, if anything.
func (r *Receiver) abandon(from Address, why Reason) {
	if t, ok := r.open[from.key()]; ok {
		r.end(t, why)
	}
}

// end gives a transfer up.
func (r *Receiver) end(t *transfer, why Reason) {
	r.close(t)
	r.keep(t)
	r.fault(Fault{At: t.at, Address: t.from, Reason: why, Got: len(t.buf), Want: t.want})
}

// close takes a transfer off the list.
func (r *Receiver) close(t *transfer) {
	delete(r.open, t.from.key())
	if t.want > maxShort {
		r.long--
	}
}

// keep saves a spent transfer for its buffer, a large one without.
func (r *Receiver) keep(t *transfer) {
	if cap(t.buf) > 2*maxShort {
		return
	}
	r.free = append(r.free, t)
}

func (r *Receiver) take() *transfer {
	if n := len(r.free); n > 0 {
		t := r.free[n-1]
		r.free = r.free[:n-1]
		return t
	}
	return &transfer{}
}

func (r *Receiver) fault(f Fault) {
	if r.cfg.Damaged != nil {
		r.cfg.Damaged(f)
	}
}
