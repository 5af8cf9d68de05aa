package buffer_test

import (
	"errors"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"obu/buffer"
	"obu/telemetry"
)

// TestCopyOfADeletedStoreShowsItsProgress: whoever watches the agent sees that
// a commit that copies the whole store goes on.
func TestCopyOfADeletedStoreShowsItsProgress(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "store")
	var now atomic.Int64
	b := open(t, dir, func(o *buffer.Options) { o.Now = func() telemetry.At { return telemetry.At(now.Load()) } })
	defer b.Close()
	const chunk = 256 << 10
	for i := range int64(96) {
		_, err := b.CommitChunk("k", telemetry.Chunk{Clip: telemetry.ClipID{7}, Offset: i * chunk, Data: make([]byte, chunk)})
		must(t, err)
	}
	must(t, os.RemoveAll(dir))
	before := b.Stats().Progress
	done := make(chan error, 1)
	go func() {
		var err error
		for range 10 { // the first ones notice, one moves
			now.Add(int64(time.Minute))
			_, cerr := b.Commit(nil)
			err = errors.Join(err, cerr)
		}
		done <- err
	}()
	seen := map[uint64]bool{}
	for working := true; working; time.Sleep(time.Millisecond) {
		select {
		case err := <-done:
			must(t, err)
			working = false
		default:
			seen[b.Stats().Progress] = true
		}
	}
	after := b.Stats()
	if after.Progress < before+96*chunk || after.BacklogBytes < 96*chunk {
		t.Errorf("%d bytes of %d were seen to be moved", after.Progress-before, after.BacklogBytes)
	}
	delete(seen, before)
	delete(seen, after.Progress)
	if len(seen) < 3 {
		t.Errorf("on its way it stood at %v, from %d to %d", seen, before, after.Progress)
	}
}
