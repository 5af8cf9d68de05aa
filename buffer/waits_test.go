package buffer_test

import (
	"os"
	"path/filepath"
	"testing"

	"obu/buffer"
	"obu/telemetry"
)

// Nobody who asks for streams or acknowledges waits for a page that the writer
// reads: a slow card takes seconds for one.
func TestIndexIsFreeWhileAPageIsRead(t *testing.T) {
	dir := filled(t, false)
	must(t, os.WriteFile(filepath.Join(dir, "media.db"), spoiledRoots(t, filepath.Join(dir, "media.db")), 0o600))
	var b *buffer.Buffer
	held, reads := map[string]int{}, map[string]int{}
	b = open(t, dir, func(o *buffer.Options) {
		buffer.Break(o, buffer.Faults{InRead: func(file string) {
			reads[file]++
			if b != nil && !b.IndexIsFree(file) {
				held[file]++
			}
		}})
	})
	defer b.Close()
	for i := range 20 {
		names, err := b.Commit([]buffer.Entry{{Class: telemetry.ClassTelemetry, Content: track(i)}})
		must(t, err)
		_, err = b.CommitChunk("clip", telemetry.Chunk{Clip: telemetry.ClipID{9}, Offset: int64(i) * 100, Data: make([]byte, 100)})
		must(t, err)
		b.Ack(names...)
		for _, s := range b.Streams() { // heads go
			b.Ack(telemetry.Name{Store: s.Store, Class: s.Class, Seq: s.Floor})
		}
	}
	for file, n := range held {
		t.Errorf("%s: the index was held for %d of %d reads", file, n, reads[file])
	}
	if reads["telemetry.db"] == 0 || reads["media.db"] == 0 {
		t.Errorf("nothing was read: %v", reads)
	}
}

// spoiledRoots is a file whose roots are not sound, so that it is set aside and
// what it knows of clips is stored anew.
func spoiledRoots(t *testing.T, path string) []byte {
	t.Helper()
	raw, err := os.ReadFile(path)
	must(t, err)
	raw[16+8] ^= 0xff
	raw[4096+16+8] ^= 0xff
	return raw
}
