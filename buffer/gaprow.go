package buffer

import (
	"encoding/binary"
	"fmt"

	"obu/telemetry"
)

// gapRow is one row of the Gap table and where its delivery stands.
type gapRow struct {
	telemetry.Gap
	carrier telemetry.Name // the event batch on its way; zero when none is
	carried uint32         // the version in it
	sentAt  telemetry.At   // when it last was put into one; 0: not in this run
}

// adjoins reports whether two losses are one: same place and reason, and
// touching or overlapping. Losses before a seq was minted of one boot and
// place are one as long as they are counted alike.
func adjoins(a, b telemetry.Gap) bool {
	if a.Class != b.Class || a.Store != b.Store || a.Reason != b.Reason || a.Source != b.Source {
		return false
	}
	if a.FromSeq == 0 || b.FromSeq == 0 {
		return a.FromSeq == b.FromSeq && a.Boot == b.Boot && a.Reason != telemetry.ReasonUncleanStart
	}
	return a.FromSeq <= b.ToSeq+1 && b.FromSeq <= a.ToSeq+1
}

// join widens a by b and raises its version.
func join(a, b telemetry.Gap) telemetry.Gap {
	a.Count = joinedCount(a, b)
	if a.FromSeq == 0 {
		a.FromSeq, a.ToSeq = b.FromSeq, b.ToSeq
	} else if b.FromSeq != 0 {
		a.FromSeq, a.ToSeq = min(a.FromSeq, b.FromSeq), max(a.ToSeq, b.ToSeq)
	}
	if a.Boot == b.Boot {
		a.From, a.To = min(a.From, b.From), max(a.To, b.To)
	}
	a.Version++
	return a
}

// joinedCount is what two losses count together: one told twice counts once, and
// of two that overlap nobody knows how much they have in common.
func joinedCount(a, b telemetry.Gap) int64 {
	switch {
	case a.FromSeq == 0 || b.FromSeq == 0 || a.FromSeq > b.ToSeq || b.FromSeq > a.ToSeq:
		return addCounts(a.Count, b.Count)
	case a.FromSeq == b.FromSeq && a.ToSeq == b.ToSeq && a.Count == b.Count:
		return a.Count
	}
	return telemetry.CountUnknown
}

func addCounts(a, b int64) int64 {
	if a == telemetry.CountUnknown || b == telemetry.CountUnknown {
		return telemetry.CountUnknown
	}
	return a + b
}

func (r *gapRow) encode() []byte {
	b := make([]byte, 4, 128)
	b = append(b, byte(r.Class))
	b = append(b, r.Store[:]...)
	b = append(b, r.Boot[:]...)
	b = append(b, r.carrier.Store[:]...)
	b = append(b, byte(r.carrier.Class))
	for _, v := range [...]uint64{r.ID, uint64(r.Version), r.FromSeq, r.ToSeq, r.carrier.Seq, uint64(r.carried)} {
		b = binary.AppendUvarint(b, v)
	}
	for _, v := range [...]int64{int64(r.From), int64(r.To), r.Count} {
		b = binary.AppendVarint(b, v)
	}
	b = appendText(b, string(r.Reason))
	b = appendText(b, r.Source)
	return sealed(b)
}

func decodeGapRow(b []byte) (*gapRow, error) {
	r, err := unsealed(b)
	if err != nil {
		return nil, fmt.Errorf("decode gap row: %w", err)
	}
	var g gapRow
	g.Class = telemetry.Class(r.byte())
	r.fixed(g.Store[:])
	r.fixed(g.Boot[:])
	r.fixed(g.carrier.Store[:])
	g.carrier.Class = telemetry.Class(r.byte())
	g.ID, g.Version = r.uvarint(), uint32(r.uvarint())
	g.FromSeq, g.ToSeq = r.uvarint(), r.uvarint()
	g.carrier.Seq, g.carried = r.uvarint(), uint32(r.uvarint())
	g.From, g.To, g.Count = telemetry.At(r.varint()), telemetry.At(r.varint()), r.varint()
	g.Reason, g.Source = telemetry.Reason(r.text()), r.text()
	if r.bad {
		return nil, fmt.Errorf("decode gap row: %w", ErrDamaged)
	}
	return &g, nil
}
