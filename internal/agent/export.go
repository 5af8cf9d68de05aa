package agent

import (
	"fmt"
	"strings"

	"obu/buffer"
	"obu/telemetry"
)

// exportBytes bounds the blobs of one answer to "export STORE CLASS SEQ": the
// agent's memory and the time the socket is held.
const exportBytes = 1 << 20

// Exported is one held batch as the socket hands it out: `obu buffer export`
// decodes the blob.
type Exported struct {
	Store telemetry.StoreID `json:"store"`
	Class telemetry.Class   `json:"class"`
	Seq   uint64            `json:"seq"`
	Blob  []byte            `json:"blob"`
}

// listRows bounds the rows of one answer to "ls STORE CLASS SEQ".
const listRows = 2000

// Held is one batch waiting for delivery, as `obu buffer ls` shows it.
type Held struct {
	Store  string `json:"store"`
	Class  string `json:"class"`
	Seq    uint64 `json:"seq"`
	Values int    `json:"values"`
	Bytes  int    `json:"bytes"`
}

// place is where in the backlog a question's answer begins.
type place struct {
	store telemetry.StoreID
	class telemetry.Class
	from  uint64
}

// parsePlace reads the "STORE CLASS SEQ" of a question.
func parsePlace(text string) (p place, err error) {
	var store, class string
	if _, err := fmt.Sscanf(text, "%s %s %d", &store, &class, &p.from); err != nil {
		return p, fmt.Errorf("want STORE CLASS SEQ, not %q", text)
	}
	if p.store, err = telemetry.ParseStoreID(store); err != nil {
		return p, fmt.Errorf("store %q: %w", store, err)
	}
	for _, c := range telemetry.Classes {
		if strings.EqualFold(c.String(), class) {
			p.class = c
			return p, nil
		}
	}
	return p, fmt.Errorf("class %q: want one of %v", class, telemetry.Classes)
}

// exported answers "export STORE CLASS SEQ" with held batches of the stream from
// that seq on; none means that there are no more.
func exported(buf *buffer.Buffer, p place) ([]Exported, error) {
	out := []Exported{}
	if buf == nil {
		return out, nil
	}
	batches, err := buf.Read(p.store, p.class, p.from, exportBytes)
	for _, b := range batches {
		out = append(out, Exported{b.Store, b.Class, b.Seq, b.Blob})
	}
	return out, err
}

// listed answers "ls STORE CLASS SEQ" likewise, without the content: a listing
// of a store full of clips reads none of them.
func listed(buf *buffer.Buffer, p place) ([]Held, error) {
	out := []Held{}
	if buf == nil {
		return out, nil
	}
	rows, err := buf.List(p.store, p.class, p.from, listRows)
	for _, b := range rows {
		out = append(out, Held{b.Store.String(), b.Class.String(), b.Seq, b.Values, b.SizeBytes})
	}
	return out, err
}

// verifyBytes bounds what one answer to "verify STORE CLASS SEQ" reads: a slow
// card gives it well within the socket's time.
const verifyBytes = 4 << 20

// Verified is what the agent found when it checked a part of a stream.
type Verified struct {
	Class   telemetry.Class `json:"class"`
	Seq     uint64          `json:"seq"` // up to here
	Batches int             `json:"batches"`
	Damaged []uint64        `json:"damaged,omitempty"` // seqs
}

// verified answers "verify STORE CLASS SEQ" likewise: with one row, or none when
// there is nothing more.
func verified(buf *buffer.Buffer, p place) ([]Verified, error) {
	out := []Verified{}
	if buf == nil {
		return out, nil
	}
	c, err := buf.Check(p.store, p.class, p.from, verifyBytes)
	if c.Batches > 0 {
		out = append(out, Verified{p.class, c.Last, c.Batches, c.Damaged})
	}
	return out, err
}
