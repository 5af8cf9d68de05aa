package buffer_test

import (
	"testing"

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
