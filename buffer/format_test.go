package buffer_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"go.etcd.io/bbolt"

	"obu/buffer"
	"obu/telemetry"
)

// TestNewerFormatIsSetAside: an older obu leaves a newer store as it is, says
// so, and goes on with one of its own.
func TestNewerFormatIsSetAside(t *testing.T) {
	dir := filled(t, true)
	path := filepath.Join(dir, "telemetry.db")
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{NoFreelistSync: true})
	if err != nil {
		t.Fatal(err)
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		b := tx.Bucket([]byte("obu"))
		if err := b.Put([]byte("state"), []byte("what a later version thinks of")); err != nil {
			return err
		}
		return b.Put([]byte("format"), binary.LittleEndian.AppendUint32(nil, 1000))
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	b := open(t, dir, func(o *buffer.Options) {
		o.Log = slog.New(slog.NewTextHandler(&log, nil))
	})
	defer b.Close()
	after, err := os.ReadFile(path + ".newer-1")
	if err != nil || !bytes.Equal(before, after) {
		t.Errorf("the newer file was changed: %v", err)
	}
	if !strings.Contains(log.String(), "newer format") {
		t.Errorf("log: %s", log.String())
	}
	if _, err := b.Commit([]buffer.Entry{{Class: telemetry.ClassTelemetry, Content: numbered(1)}}); err != nil {
		t.Error(err)
	}
}

// TestRottenCleanStore: a file that was closed in order and went bad since may
// kill the process that opens it, but only once.
func TestRottenCleanStore(t *testing.T) {
	if dir := os.Getenv("OBU_BUFFER_ROTTEN"); dir != "" {
		b, err := buffer.Open(context.Background(), buffer.Options{
			Dir: dir, Unit: "sim-1", Boot: telemetry.BootID{1}, Now: func() telemetry.At { return 1 },
		})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := b.Commit([]buffer.Entry{{Class: telemetry.ClassTelemetry, Content: numbered(1)}}); err != nil {
			t.Fatal(err)
		}
		b.Close()
		return
	}
	sound := filled(t, true)
	deaths := 0
	for page := int64(2); page < 8; page++ {
		dir := t.TempDir()
		if err := os.CopyFS(dir, os.DirFS(sound)); err != nil {
			t.Fatal(err)
		}
		f, err := os.OpenFile(filepath.Join(dir, "telemetry.db"), os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteAt(bytes.Repeat([]byte{0xff}, 64), page*4096); err != nil {
			t.Fatal(err)
		}
		f.Close()
		for try := 0; ; try++ {
			cmd := exec.Command(os.Args[0], "-test.run=^TestRottenCleanStore$")
			cmd.Env = append(os.Environ(), "OBU_BUFFER_ROTTEN="+dir, "GORACE=atexit_sleep_ms=0")
			out, err := cmd.CombinedOutput()
			if err == nil {
				break
			}
			var exit *exec.ExitError
			if deaths++; try > 0 || !errors.As(err, &exit) {
				t.Fatalf("page %d: died twice: %v\n%s", page, err, out)
			}
		}
	}
	t.Logf("%d starts died of 6 rotten files", deaths)
}

// TestAsideIsBounded: damaged files do not fill the disk.
func TestAsideIsBounded(t *testing.T) {
	dir := t.TempDir()
	for range 6 {
		b := open(t, dir)
		b.Crash()
		if err := os.WriteFile(filepath.Join(dir, "telemetry.db"), []byte("garbage"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	b := open(t, dir)
	for range 20 { // until all are looked through
		if _, err := b.Commit(nil); err != nil {
			t.Fatal(err)
		}
	}
	b.Close()
	r, err := buffer.Inspect(context.Background(), dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Aside) != 3 || !strings.HasSuffix(r.Aside[2], "-6") {
		t.Errorf("set aside: %v", r.Aside)
	}
	if !r.Clean || len(r.Files) != 1 || r.Files[0].Err != nil {
		t.Errorf("report %+v", r)
	}
}
