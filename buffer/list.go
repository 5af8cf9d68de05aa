package buffer

import (
	"fmt"

	"go.etcd.io/bbolt"

	"obu/telemetry"
)

// Listed is a held batch without its content.
type Listed struct {
	telemetry.Name
	Values    int
	SizeBytes int // of the blob
}

// List returns what Read would of a stream, beginning with the first batch at
// or after from, and at most rows of it; none means that there are no more. It
// reads the beginning of each record alone, not the pages of a clip behind it,
// so a batch whose content is damaged is listed too, until somebody reads it.
func (b *Buffer) List(store telemetry.StoreID, class telemetry.Class, from uint64, rows int) (out []Listed, err error) {
	f := b.fileOf(class)
	for len(out) < rows {
		f.mu.Lock()
		s := f.stream(store, class)
		if s == nil {
			f.mu.Unlock()
			return out, nil
		}
		runs, inMemory := s.runsFrom(from), s.mem != nil
		if inMemory {
			out = s.listMem(out, runs, from, rows)
		}
		f.mu.Unlock()
		if !inMemory && len(runs) > 0 {
			err = f.view(func(tx *bbolt.Tx) error {
				out = openShelf(tx, store, class).list(out, runs, from, rows)
				return nil
			})
		}
		if err != nil {
			return out, fmt.Errorf("list %s %s %d: %w", store, class, from, err)
		}
		if len(runs) < maxReadRuns {
			return out, nil
		}
		from = runs[len(runs)-1].to + 1
	}
	return out, nil
}

// list appends what the headers of the runs say, passing over what cannot be
// had: it was acknowledged meanwhile, or Read will tell.
func (h shelf) list(out []Listed, runs []run, from uint64, rows int) []Listed {
	for _, r := range runs {
		for seq := max(r.from, from); seq <= r.to && len(out) < rows; seq++ {
			n := telemetry.Name{Store: h.store, Class: h.class, Seq: seq}
			if l, ok := h.listed(n); ok {
				out = append(out, l)
			}
		}
	}
	return out
}

// listed reads one header, in a function of its own so that a page that cannot
// be read hides one batch.
func (h shelf) listed(n telemetry.Name) (l Listed, ok bool) {
	defer func() {
		if r := recover(); r != nil {
			ok = false
		}
	}()
	rec, where := h.record(n.Seq)
	if where == nowhere {
		return l, false
	}
	return listedOf(n, rec)
}

// listMem is list for a volatile stream. The file's mu must be held.
func (s *stream) listMem(out []Listed, runs []run, from uint64, rows int) []Listed {
	for _, r := range runs {
		for seq := max(r.from, from); seq <= r.to && len(out) < rows; seq++ {
			if l, ok := listedOf(s.name(seq), s.mem[seq]); ok {
				out = append(out, l)
			}
		}
	}
	return out
}

func listedOf(n telemetry.Name, rec []byte) (Listed, bool) {
	h, blob, err := decodeHeader(rec)
	return Listed{n, h.values, len(blob)}, err == nil
}
