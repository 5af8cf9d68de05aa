package telemetry

import (
	"encoding/json"
	"fmt"
	"time"
)

// tailHead is what every line of `obu tail` begins with: which record it is,
// when it was, as well as that is known by now, and whose batch it was in.
type tailHead struct {
	Record string    `json:"record"`
	Time   wallJSON  `json:"time"`
	Batch  tailBatch `json:"batch"`
}

type tailBatch struct {
	Unit      string  `json:"unit"`
	Vehicle   string  `json:"vehicle"`
	Boot      BootID  `json:"boot"`
	Store     StoreID `json:"store"`
	Class     Class   `json:"class"`
	Seq       uint64  `json:"seq"`
	Simulated bool    `json:"simulated,omitempty"`
	History   bool    `json:"history,omitempty"`
}

// AppendLines appends the records of an envelope as JSON lines, the shape that
// `obu tail` prints and CONTRACT.md shows: the keys of tailHead, then those of
// the record in a JSON envelope. Wall turns time since a boot into wall time
// and returns the zero time while no anchor of that boot is known; nil means
// none ever is. Bytes of chunks are left out, their number stays.
func AppendLines(dst []byte, e *Envelope, wall func(BootID, At) time.Time) ([]byte, error) {
	for i := range e.Batches {
		b := &e.Batches[i]
		head := tailHead{Batch: tailBatch{Unit: e.Unit, Vehicle: e.Vehicle, Boot: e.Boot, Store: e.Store, Class: e.Class, Seq: b.Seq,
			Simulated: e.Simulated, History: e.History}}
		var failed error
		line := func(record string, boot BootID, at At, body any) {
			head.Record, head.Time = record, wallJSON{}
			if wall != nil {
				head.Time = wallJSON(wall(boot, at))
			}
			var err error
			if dst, err = appendLine(dst, &head, body); err != nil && failed == nil {
				failed = fmt.Errorf("write %s of batch %d: %w", record, b.Seq, err)
			}
		}
		for k := range b.Samples {
			if b.Samples[k].Signal == nil {
				return dst, fmt.Errorf("write sample %d of batch %d: %w", k, b.Seq, ErrNoSignal)
			}
			line("sample", e.Boot, b.Samples[k].At, sampleToJSON(&b.Samples[k]))
		}
		for k := range b.Fixes {
			line("fix", e.Boot, b.Fixes[k].At, fixToJSON(&b.Fixes[k]))
		}
		for k := range b.Gaps {
			line("gap", b.Gaps[k].Boot, b.Gaps[k].From, gapToJSON(&b.Gaps[k]))
		}
		for k := range b.Anchors {
			line("anchor", b.Anchors[k].Boot, b.Anchors[k].At, anchorToJSON(&b.Anchors[k]))
		}
		for k := range b.Clips {
			line("clip", e.Boot, b.Clips[k].At, clipToJSON(&b.Clips[k]))
		}
		for k := range b.Chunks {
			c := &b.Chunks[k]
			line("chunk", e.Boot, 0, tailChunk{Clip: c.Clip, Offset: c.Offset, Size: len(c.Data)})
		}
		if failed != nil {
			return dst, failed
		}
	}
	return dst, nil
}

type tailChunk struct {
	Clip   ClipID `json:"clip"`
	Offset int64  `json:"offset"`
	Size   int    `json:"size"`
}

// appendLine writes two objects as one.
func appendLine(dst []byte, head *tailHead, body any) ([]byte, error) {
	a, err := json.Marshal(head)
	if err != nil {
		return dst, err
	}
	b, err := json.Marshal(body)
	if err != nil {
		return dst, err
	}
	dst = append(dst, a[:len(a)-1]...)
	dst = append(dst, ',')
	dst = append(dst, b[1:]...)
	return append(dst, '\n'), nil
}
