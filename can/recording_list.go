package can

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"
)

// list writes drive.yaml. A file that begins before the one in front of it, as
// the clock was set meanwhile, is played from where that begins.
func (r *recording) list() error {
	files := r.done
	if r.file != nil {
		files = append(slices.Clone(files), r.now)
	}
	var b strings.Builder
	b.WriteString("# written by obu record; replay: obu run -c obu.yaml --replay of this folder\n")
	offset := time.Duration(0)
	for i, f := range files {
		if i == 0 {
			fmt.Fprintf(&b, "start: %s\ncan:\n", time.Unix(0, f.first).UTC().Format(time.RFC3339Nano))
		}
		offset = max(offset, time.Duration(f.first-files[0].first))
		fmt.Fprintf(&b, "  - {file: %s, offset: %v}\n", f.name, offset)
	}
	tmp := r.path("drive.yaml.new")
	err := writeSynced(tmp, b.String())
	if err == nil {
		err = os.Rename(tmp, r.path("drive.yaml"))
	}
	if err != nil {
		_ = os.Remove(tmp) // it says nothing, and takes room
		return diskError(err)
	}
	_ = r.lock.Sync() // the names of the folder; not every file system can
	return nil
}

func writeSynced(path, text string) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Sync(), f.Close())
}
