package telemetry

import (
	"fmt"
	"time"
)

// fixGroups reads the fixes, receiver by receiver.
func (r *denseReader) fixGroups(h hint, sent moment) error {
	n := r.count(&r.models.rows)
	if n > maxReceiver {
		return fmt.Errorf("more than %d receivers: %w", maxReceiver, ErrTooLarge)
	}
	for range n {
		name := r.text()
		if err := r.fixGroup(name, &h, sent); err != nil {
			return err
		}
	}
	return nil
}

func (r *denseReader) fixGroup(receiver string, h *hint, sent moment) error {
	n := r.count(&r.models.rows)
	if n < 1 || n > MaxValues {
		return fmt.Errorf("%d fixes: %w", n, ErrMalformed)
	}
	if err := r.d.room(int(n)); err != nil {
		return err
	}
	counts := []int32{int32(n)}
	if len(r.d.batches) > 1 {
		var err error
		if counts, err = r.counts(int64(n)); err != nil {
			return err
		}
	}
	fixes, xs := make([]Fix, n), make([]int64, n)
	if r.tracks && !r.factored(xs, *h, &r.models.times) || !r.tracks && !r.hinted(xs, h, &r.models.times) {
		return fmt.Errorf("times of fixes: %w", ErrMalformed)
	}
	h.first = xs[0]
	for i := range fixes {
		fixes[i] = NoFix()
		fixes[i].At, fixes[i].Receiver = atMillis(xs[i]), receiver
	}
	if r.tracks {
		r.ats = append(r.ats[:0], xs...)
	}
	if err := r.fixColumns(fixes, xs, sent); err != nil {
		return err
	}
	r.d.dealFixes(fixes, counts)
	return nil
}

// fixColumns fills in the fields of the fixes; xs is scratch of their number.
func (r *denseReader) fixColumns(fixes []Fix, xs []int64, sent moment) error {
	r.peers.reset()
	mask := make([]int64, len(fixes))
	held, ok := r.presence(mask)
	if !ok || held > 0 && !r.utc(fixes, mask, xs[:held], sent) {
		return fmt.Errorf("utc: %w", ErrMalformed)
	}
	for i := range fixFloats(&fixes[0]) {
		held, ok := r.presence(mask)
		if !ok {
			return fmt.Errorf("presence of fix column %d: %w", i, ErrMalformed)
		}
		if held == 0 {
			continue
		}
		grid := usualGrids[i]
		if r.bit(&r.models.grid) == 1 {
			grid = r.raw(gridBits)
		}
		h := hint{peers: &r.peers}
		if r.tracks && i < placeFloats && held == len(fixes) {
			h.glide = r.ats
		}
		if grid != gridIEEE && grid >= uint64(len(grids)) || !r.factored(xs[:held], h, &r.models.fixes) {
			return fmt.Errorf("fix column %d: %w", i, ErrMalformed)
		}
		setFixFloats(fixes, i, grid, mask, xs)
	}
	for i := range fixIntColumns {
		if !r.sequence(xs, &r.models.flags) {
			return fmt.Errorf("fix integers %d: %w", i, ErrMalformed)
		}
		for j, x := range xs {
			setFixInt(&fixes[j], i, x)
		}
	}
	return nil
}

func (r *denseReader) utc(fixes []Fix, mask, xs []int64, sent moment) bool {
	unit := int64(time.Second)
	for range min(r.raw(tickBits), maxTick) {
		unit /= 10
	}
	near := int64(0)
	for i, m := range mask {
		if m != 0 {
			near = sent.utcNear(fixes[i].At.millis())
			break
		}
	}
	h := hint{first: near * msec / unit, second: int64(time.Second) / unit << phaseFrac}
	if r.tracks && len(xs) == len(fixes) {
		h.follow = inUnits(r.ats, unit)
	}
	if !r.hinted(xs, &h, &r.models.times) {
		return false
	}
	spread(mask, xs, func(i int, x int64) { fixes[i].UTC = fromNanos(x * unit) })
	return true
}

// presence reads which values are known into mask and returns how many.
func (r *denseReader) presence(mask []int64) (held int, ok bool) {
	switch r.tree(knownBits, r.models.known[:]) {
	case knownNone:
		clear(mask)
		return 0, !r.short()
	case knownAll:
		for i := range mask {
			mask[i] = 1
		}
		return len(mask), !r.short()
	case knownSome:
		if !r.sequence(mask, &r.models.counts) {
			return 0, false
		}
		for i, m := range mask {
			if m != 0 {
				mask[i] = 1
				held++
			}
		}
		return held, true
	}
	return 0, false
}
