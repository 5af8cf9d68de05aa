package telemetry

import (
	"fmt"
	"math"
	"time"
)

// record counts a record in and returns the batch it belongs to.
func (d *decoder) record(batch uint64) (*Batch, error) {
	if batch >= uint64(len(d.batches)) {
		return nil, fmt.Errorf("record of batch %d: %w", batch, ErrMalformed)
	}
	if d.records++; d.records > MaxRecords {
		return nil, fmt.Errorf("more than %d records: %w", MaxRecords, ErrTooLarge)
	}
	return &d.batches[batch], nil
}

func (d *decoder) gap(p []byte) error {
	g, batch := Gap{Count: CountUnknown}, uint64(0)
	err := eachField(p, func(f field) error {
		switch f.num {
		case 1:
			g.ID = f.u
		case 2:
			g.Version = uint32(min(f.u, math.MaxUint32))
		case 3:
			g.Class = Class(min(f.u, math.MaxUint8))
		case 4:
			return f.id(g.Store[:])
		case 5:
			g.FromSeq = f.u
		case 6:
			g.ToSeq = f.u
		case 7:
			return f.id(g.Boot[:])
		case 8:
			g.From = At(f.sint())
		case 9:
			g.To = At(f.sint())
		case 10:
			g.Count = int64(min(f.u, math.MaxInt64)) - 1
		case 11:
			g.Reason = Reason(f.text())
		case 12:
			g.Source = f.text()
		case recordBatch:
			batch = f.u
		}
		return nil
	})
	if err != nil {
		return err
	}
	b, err := d.record(batch)
	if err == nil {
		b.Gaps = append(b.Gaps, g)
	}
	return err
}

func (d *decoder) anchor(p []byte) error {
	a, batch := Anchor{}, uint64(0)
	err := eachField(p, func(f field) error {
		switch f.num {
		case 1:
			return f.id(a.Boot[:])
		case 2:
			a.At = At(f.sint())
		case 3:
			a.Wall = f.wall()
		case 4:
			a.Uncertainty = time.Duration(f.sint())
		case 5:
			a.By = AnchorBy(f.text())
		case recordBatch:
			batch = f.u
		}
		return nil
	})
	if err != nil {
		return err
	}
	b, err := d.record(batch)
	if err == nil {
		b.Anchors = append(b.Anchors, a)
	}
	return err
}

func (d *decoder) clip(p []byte) error {
	c, batch := Clip{}, uint64(0)
	err := eachField(p, func(f field) error {
		switch f.num {
		case 1:
			return f.id(c.ID[:])
		case 2:
			c.Camera = f.text()
		case 3:
			c.Name = f.text()
		case 4:
			c.At = At(f.sint())
		case 5:
			c.Start = f.wall()
		case 6:
			c.Length = time.Duration(f.sint())
		case 7:
			c.SizeBytes = f.sint()
		case 8:
			return f.id(c.SHA256[:])
		case 9:
			c.Cause = f.text()
		case recordBatch:
			batch = f.u
		}
		return nil
	})
	if err != nil {
		return err
	}
	b, err := d.record(batch)
	if err == nil {
		b.Clips = append(b.Clips, c)
	}
	return err
}

func (d *decoder) chunk(p []byte) error {
	c, batch := Chunk{}, uint64(0)
	err := eachField(p, func(f field) error {
		switch f.num {
		case 1:
			return f.id(c.Clip[:])
		case 2:
			c.Offset = f.sint()
		case 3:
			c.Data = append([]byte(nil), f.b...)
		case recordBatch:
			batch = f.u
		}
		return nil
	})
	if err != nil {
		return err
	}
	b, err := d.record(batch)
	if err == nil {
		b.Chunks = append(b.Chunks, c)
	}
	return err
}
