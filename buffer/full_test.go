package buffer_test

import (
	"math/rand/v2"
	"testing"

	"obu/buffer"
	"obu/telemetry"
)

// TestFragmentedFileGoesOn: acknowledgements in no order leave pages half
// empty, so that live bytes below the quota fill the file to its bound. It
// evicts and goes on, on the disk.
func TestFragmentedFileGoesOn(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	b := open(t, t.TempDir(), func(o *buffer.Options) { o.TelemetryQuota = 4 << 20 })
	defer b.Close()
	var held []telemetry.Name
	worst := int64(0)
	for i := range 1300 {
		var entries []buffer.Entry
		for j := range 20 {
			entries = append(entries, buffer.Entry{Class: telemetry.Classes[j%3], Content: padded(i*20+j, 200+rnd.IntN(700))})
		}
		names, err := b.Commit(entries)
		if err != nil {
			t.Fatal(err)
		}
		if st := b.Stats(); st.Volatile || st.Failures > 0 {
			t.Fatalf("commit %d: %+v", i, st)
		} else {
			worst = max(worst, st.TelemetryFile)
		}
		held = append(held, names...)
		for range 15 { // most go, in no order
			k := rnd.IntN(len(held))
			b.Ack(held[k])
			held[k] = held[len(held)-1]
			held = held[:len(held)-1]
		}
	}
	if worst > 4<<20+4<<20/16+1<<20 {
		t.Errorf("file of %d bytes", worst)
	}
}

func padded(id, n int) telemetry.Content {
	c := telemetry.Content{Anchors: []telemetry.Anchor{{At: telemetry.At(id) * 1e6, By: telemetry.AnchorNTP}}}
	pad := make([]byte, n)
	for i := range pad {
		pad[i] = byte(rand.Uint32())
	}
	c.Chunks = []telemetry.Chunk{{Data: pad}}
	return c
}
