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
// error: a buffer directory, which no agent may have in use (ErrLocked), with
// what was set aside there and is not moved back yet, or one store file, set
// aside or copied. It reads without a database and without a memory map, so
// that a damaged file gives what is left in it, all that the agent would move
// back; missing lists the rest. A file that gives nothing is an error, which
// comes after the batches of the others. A batch may come that was
// acknowledged. It changes nothing.
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
	x := export{ctx: ctx, dir: dir, fn: fn}
	if info.IsDir() {
		if aside := readPending(dir); len(aside) > 0 {
			x.seen = map[telemetry.Name]bool{}
			for _, p := range aside {
				files = append(files, p.File)
			}
		}
	}
	var errs []error
	for _, name := range files {
		err := x.file(name)
		if errors.Is(err, os.ErrNotExist) && info.IsDir() {
			continue
		}
		if x.stopped != nil {
			return nil, fmt.Errorf("export %s: %w", filepath.Join(dir, name), x.stopped)
		}
		errs = append(errs, err)
	}
	return x.missing, errors.Join(errs...)
}

// export is one run of Export.
type export struct {
	ctx     context.Context
	dir     string
	fn      func(Batch) error
	seen    map[telemetry.Name]bool // nil: no batch can lie in two files
	missing []telemetry.Gap
	stopped error // what fn or the context returned
}

// file exports one store file.
func (x *export) file(name string) error {
	path := filepath.Join(x.dir, name)
	h, err := openFile(path)
	if err != nil {
		return fmt.Errorf("export: %w", err)
	}
	defer h.Close()
	info, err := h.Stat()
	if err != nil {
		return fmt.Errorf("export %s: %w", path, err)
	}
	note := noteOf(x.dir, name)
	f, _ := wreck.Open(h, info.Size()) // a root that cannot be read is none
	w := newSearch(f, classesIn(name), note.stores())
	if w.newer {
		return fmt.Errorf("export %s: %w", path, ErrNewerFormat)
	}
	count := 0
	for fd := range w.finds {
		if x.stopped = x.ctx.Err(); x.stopped != nil {
			return x.stopped
		}
		if fd.stream == nil || !note.given(fd) {
			continue
		}
		count++
		if x.stopped = x.take(fd); x.stopped != nil {
			return x.stopped
		}
	}
	if count == 0 && !w.told {
		return fmt.Errorf("export %s: %w (%w)", path, ErrNothingLeft, ErrDamaged)
	}
	x.missing = append(x.missing, note.cut(w.missing(telemetry.Gap{Source: name}))...)
	return nil
}

// take hands out one batch, once.
func (x *export) take(fd find) error {
	n := telemetry.Name{Store: fd.stream.store, Class: fd.stream.class, Seq: fd.seq}
	h, blob, err := openRecord(n, fd.rec)
	if err != nil || x.seen[n] {
		return nil // never: it was checked; or it was moved back
	}
	if x.seen != nil {
		x.seen[n] = true
	}
	return x.fn(Batch{Stored: telemetry.Stored{Name: n, Values: h.values, Blob: append([]byte(nil), blob...)}, StoredAt: h.at, Boot: h.boot})
}

// classesIn is what a file of this name may hold.
func classesIn(name string) []telemetry.Class {
	switch {
	case strings.HasPrefix(name, "telemetry.db"):
		return []telemetry.Class{telemetry.ClassTelemetry, telemetry.ClassEvent, telemetry.ClassHealth}
	case strings.HasPrefix(name, "media.db"):
		return []telemetry.Class{telemetry.ClassMedia}
	}
	return telemetry.Classes[:]
}
