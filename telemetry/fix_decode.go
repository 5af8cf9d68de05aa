package telemetry

import (
	"fmt"
	"math"
	"time"
)

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
	d.xs = sized(d.xs, int(n))
	xs := d.xs
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
	d.dealFixes(fixes, counts)
	return nil
}

// dealFixes gives each batch its own; the first receiver's need no copy.
func (d *decoder) dealFixes(fixes []Fix, counts []int32) {
	for b, m := range counts {
		if to := &d.batches[b].Fixes; len(*to) == 0 && m > 0 {
			*to = fixes[:m:m]
		} else {
			*to = append(*to, fixes[:m]...)
		}
		fixes = fixes[m:]
	}
}

// fixColumns fills in the fields of the fixes; xs is scratch of their number.
func (d *decoder) fixColumns(fixes []Fix, xs []int64) error {
	d.mask = sized(d.mask, len(fixes))
	mask := d.mask
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
		setFixFloats(fixes, i, grid, mask, xs)
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

// setFixFloats fills in float column i where the mask says so.
func setFixFloats(fixes []Fix, i int, grid uint64, mask, xs []int64) {
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
