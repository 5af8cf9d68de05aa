package buffer_test

import (
	"errors"
	"testing"
	"time"

	"obu/buffer"
	"obu/telemetry"
)

// A loss of media.db that was told is not told again after a crash.
func TestMediaLossesAreListedOnce(t *testing.T) {
	dir := t.TempDir()
	small := func(o *buffer.Options) { o.MediaQuota = 2 << 20 }
	b := open(t, dir, small)
	for i := range int64(60) {
		_, err := b.CommitChunk("clip", telemetry.Chunk{Clip: telemetry.ClipID{1}, Offset: i * (100 << 10), Data: make([]byte, 100<<10)})
		must(t, err)
	}
	tell := func() (media int64) {
		_, err := b.Commit(nil)
		must(t, err)
		for _, s := range b.Streams() {
			if s.Class != telemetry.ClassEvent {
				continue
			}
			list, err := b.Read(s.Store, s.Class, 1, 1<<20)
			must(t, err)
			for _, st := range list {
				batch, err := telemetry.DecodeBatch(st.Name, st.Blob)
				must(t, err)
				for _, g := range batch.Gaps {
					if g.Class == telemetry.ClassMedia {
						media += g.Count
					}
				}
				b.Ack(st.Name)
			}
		}
		_, err = b.Commit(nil)
		must(t, err)
		return media
	}
	if n := tell(); n == 0 {
		t.Fatal("nothing was evicted")
	}
	for range 2 {
		b.Crash()
		b = open(t, dir, small)
		if n := tell(); n != 0 {
			t.Errorf("%d lost values of media are listed again", n)
		}
	}
	must(t, b.Close())
}

// A chunk whose transaction failed although it reached the disk is there: the
// camera, which tries again, is told so and does not store it under two names.
func TestChunkOfAFailedCommitHasOneName(t *testing.T) {
	fail, now := false, telemetry.At(time.Hour)
	b := open(t, t.TempDir(), func(o *buffer.Options) {
		o.Now = func() telemetry.At { return now }
		buffer.Break(o, buffer.Faults{AfterCommit: func(file string) error {
			if fail && file == "media.db" {
				fail = false
				return errors.New("sync failed")
			}
			return nil
		}})
	})
	defer b.Close()
	chunk := func(i int64) error {
		_, err := b.CommitChunk("clip", telemetry.Chunk{Clip: telemetry.ClipID{1}, Offset: i * 100, Data: make([]byte, 100)})
		return err
	}
	_, err := b.CommitChunk("another", telemetry.Chunk{Clip: telemetry.ClipID{2}, Offset: 0, Data: make([]byte, 100)})
	must(t, err)
	for i := range int64(2) {
		fail = true
		if err := chunk(i); !errors.Is(err, buffer.ErrDiskFailed) {
			t.Fatalf("a chunk whose sync failed: %v", err)
		}
		now = now.Add(time.Minute)
		if err := chunk(i); !errors.Is(err, buffer.ErrOffset) {
			t.Errorf("the same chunk again: %v", err)
		}
		if stored, _, _ := b.ClipProgress("clip"); stored != 100*(i+1) {
			t.Errorf("%d bytes are in custody, want %d", stored, 100*(i+1))
		}
	}
	must(t, chunk(2))
	got, _ := drainAll(t, b)
	names := map[int64]int{}
	for _, batch := range got {
		for _, c := range batch.Chunks {
			if c.Clip == (telemetry.ClipID{1}) {
				names[c.Offset]++
			}
		}
	}
	if len(names) != 3 || names[0] != 1 || names[100] != 1 {
		t.Errorf("names of each chunk: %v", names)
	}
}
