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

// exported answers "export STORE CLASS SEQ" with held batches of the stream from
// that seq on; none means that there are no more.
func exported(buf *buffer.Buffer, question string) ([]Exported, error) {
	var storeText, classText string
	var from uint64
	if _, err := fmt.Sscanf(question, "export %s %s %d", &storeText, &classText, &from); err != nil {
		return nil, fmt.Errorf("ask export STORE CLASS SEQ, not %q", question)
	}
	store, err := telemetry.ParseStoreID(storeText)
	if err != nil {
		return nil, fmt.Errorf("export: store %q: %w", storeText, err)
	}
	out := []Exported{}
	for _, class := range telemetry.Classes {
		if buf == nil || class.String() != strings.ToLower(classText) {
			continue
		}
		batches, err := buf.Read(store, class, from, exportBytes)
		if err != nil {
			return nil, err
		}
		for _, b := range batches {
			out = append(out, Exported{b.Store, b.Class, b.Seq, b.Blob})
		}
	}
	return out, nil
}
