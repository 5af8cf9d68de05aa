package buffer_test

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"obu/buffer"
	"obu/telemetry"
)

// A run that cannot open a file leaves what the session file says of it: should
// it prove damaged later, its stores are listed by name.
func TestStoresOfAFileNotOpenedAreNotForgotten(t *testing.T) {
	for _, file := range []string{"telemetry.db", "media.db"} {
		t.Run(file, func(t *testing.T) {
			dir := t.TempDir()
			b := open(t, dir)
			class := telemetry.ClassTelemetry
			names, err := b.Commit([]buffer.Entry{{Class: class, Content: track(1)}})
			must(t, err)
			chunk, err := b.CommitChunk("clip", telemetry.Chunk{Clip: telemetry.ClipID{1}, Data: make([]byte, 100)})
			must(t, err)
			lost := names[0]
			if file == "media.db" {
				lost = chunk
			}
			b.Crash()

			b = open(t, dir, func(o *buffer.Options) {
				buffer.Break(o, buffer.Faults{BeforeOpen: func(f string) error {
					if f == file {
						return syscall.EIO
					}
					return nil
				}})
			})
			memory, err := b.Commit([]buffer.Entry{{Class: class, Content: track(2)}})
			must(t, err)
			volatile := b.Stats().Volatile
			b.Crash()

			must(t, os.WriteFile(filepath.Join(dir, file), make([]byte, 8192), 0o600))
			b = open(t, dir)
			defer b.Close()
			_, gaps := drainAll(t, b)
			if !coveredBy(gaps, lost) {
				t.Errorf("%v is not listed by name: %+v", lost, gaps)
			}
			for _, g := range gaps {
				if volatile && g.Store == memory[0].Store {
					t.Errorf("a store that never was in a file is listed as lost with it: %+v", g)
				}
			}
		})
	}
}
