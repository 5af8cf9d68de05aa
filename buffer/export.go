package buffer

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"obu/buffer/wreck"
	"obu/telemetry"
)

// Export calls fn for every batch that is held in path, until it returns an
// error: a buffer directory, which no agent may have in use (ErrLocked), or one
// store file, set aside or copied. It reads without a database and without a
// memory map, so that a damaged file gives what is left in it; missing lists
// the rest. A batch may come that was acknowledged. It changes nothing.
func Export(ctx context.Context, path string, fn func(Batch) error) (missing []telemetry.Gap, err error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("export: %w", err)
	}
	dir, files := path, []string{"telemetry.db", "media.db"}
	if !info.IsDir() {
		dir, files = filepath.Dir(path), []string{filepath.Base(path)}
	}
	if info.IsDir() || files[0] == "telemetry.db" || files[0] == "media.db" {
		lock, err := lockDir(ctx, dir, unix.LOCK_SH)
		if err != nil {
			return nil, err
		}
		defer lock.release()
	}
	for _, name := range files {
		gaps, err := exportFile(ctx, filepath.Join(dir, name), fn)
		if errors.Is(err, os.ErrNotExist) && info.IsDir() {
			continue
		}
		if err != nil {
			return missing, err
		}
		missing = append(missing, gaps...)
	}
	return missing, nil
}

func exportFile(ctx context.Context, path string, fn func(Batch) error) ([]telemetry.Gap, error) {
	h, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("export: %w", err)
	}
	defer h.Close()
	info, err := h.Stat()
	if err != nil {
		return nil, fmt.Errorf("export %s: %w", path, err)
	}
	name := filepath.Base(path)
	classes := telemetry.Classes[:]
	if strings.HasPrefix(name, "telemetry.db") {
		classes = []telemetry.Class{telemetry.ClassTelemetry, telemetry.ClassEvent, telemetry.ClassHealth}
	} else if strings.HasPrefix(name, "media.db") {
		classes = []telemetry.Class{telemetry.ClassMedia}
	}
	f, _ := wreck.Open(h, info.Size()) // a root that cannot be read is none
	w := newSearch(f, classes, nil)
	if w.newer {
		return nil, fmt.Errorf("export %s: %w", path, ErrNewerFormat)
	}
	for fd := range w.finds {
		if err = ctx.Err(); err != nil {
			break
		}
		if fd.stream == nil {
			continue
		}
		n := telemetry.Name{Store: fd.stream.store, Class: fd.stream.class, Seq: fd.seq}
		hd, blob, oerr := openRecord(n, fd.rec)
		if oerr != nil {
			continue // never: it was checked
		}
		err = fn(Batch{Stored: telemetry.Stored{Name: n, Values: hd.values, Blob: append([]byte(nil), blob...)}, StoredAt: hd.at, Boot: hd.boot})
		if err != nil {
			break
		}
	}
	if err != nil {
		return nil, fmt.Errorf("export %s: %w", path, err)
	}
	if len(w.streams) == 0 && !w.told {
		return nil, fmt.Errorf("export %s: nothing of a store is in it: %w", path, ErrDamaged)
	}
	return w.missing(telemetry.Gap{Source: name}), nil
}
