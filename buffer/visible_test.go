package buffer_test

import (
	"testing"

	"obu/buffer"
	"obu/telemetry"
)

// TestStreamsShowNothingUncommitted: while a commit waits for the disk, its
// batches do not exist for readers. Next or Floor beyond them would let the
// uplink skip them as settled.
func TestStreamsShowNothingUncommitted(t *testing.T) {
	var b *buffer.Buffer
	var during []telemetry.Stream
	b = open(t, t.TempDir(), func(o *buffer.Options) {
		buffer.Break(o, buffer.Faults{BeforeCommit: func(string) error {
			if b != nil {
				during = b.Streams()
			}
			return nil
		}})
	})
	defer b.Close()
	names, err := b.Commit([]buffer.Entry{{Class: telemetry.ClassTelemetry, Content: anchor(1)}})
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range during {
		if s.Class == telemetry.ClassTelemetry && (s.Next > names[0].Seq || s.Floor > names[0].Seq) {
			t.Errorf("before seq %d was committed Streams said floor %d, next %d", names[0].Seq, s.Floor, s.Next)
		}
	}
	for _, s := range b.Streams() {
		if s.Class == telemetry.ClassTelemetry && (s.Floor != names[0].Seq || s.Next != names[0].Seq+1) {
			t.Errorf("after the commit of seq %d Streams says floor %d, next %d", names[0].Seq, s.Floor, s.Next)
		}
	}
}

// TestStoresAreKnownBeforeTheFirstBatch: the birth message names the store
// that will mint before anything is in it.
func TestStoresAreKnownBeforeTheFirstBatch(t *testing.T) {
	b := open(t, t.TempDir())
	defer b.Close()
	before := b.Stores()
	names, err := b.Commit([]buffer.Entry{{Class: telemetry.ClassTelemetry, Content: anchor(1)}})
	if err != nil {
		t.Fatal(err)
	}
	if len(before) == 0 || before[0] != names[0].Store {
		t.Errorf("stores %v before the first commit, which minted under %v", before, names[0].Store)
	}
}
