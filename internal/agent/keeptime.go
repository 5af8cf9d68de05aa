package agent

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"time"

	"obu/internal/clock"
	"obu/internal/config"
)

// lastGoodTime is the file in buffer.dir that remembers what time it was: its
// first line is the last good time, its second what else the clock knew.
const lastGoodTime = "last-good-time"

// KeepTime lets a clock remember, in a buffer directory, the last wall time it
// was sure of, against which certificates are verified when the unit wakes up
// in 1970, and the anchors of its boot, so that a restart of the agent forgets
// nothing. It is written with each anchor of GNSS or NTP, six to twelve times an
// hour, and not synced: a restart finds it in the page cache, and after a power
// cut an older time serves as well.
func KeepTime(dir string) clock.Option {
	path := filepath.Join(dir, lastGoodTime)
	return clock.WithMemory(readTime(path), func(m *clock.Memory) {
		rest, err := json.Marshal(m)
		if err != nil {
			return // a year beyond 9999
		}
		text := m.Good.UTC().AppendFormat(nil, time.RFC3339)
		text = append(append(append(text, '\n'), rest...), '\n')
		next := path + ".new"
		if err = os.WriteFile(next, text, 0o640); err == nil {
			err = os.Rename(next, path)
		}
		if err != nil { // a full disk: the older one serves as well
			_ = os.Remove(next)
		}
	})
}

// ReadTime tells a clock what KeepTime kept, and keeps nothing.
func ReadTime(dir string) clock.Option {
	return clock.WithMemory(readTime(filepath.Join(dir, lastGoodTime)), nil)
}

func readTime(path string) *clock.Memory {
	text, err := config.ReadBytes(path)
	if err != nil {
		return nil
	}
	first, rest, _ := bytes.Cut(text, []byte{'\n'})
	m := new(clock.Memory)
	if json.Unmarshal(rest, m) != nil {
		*m = clock.Memory{} // damaged, or by a version that wrote the time alone
	}
	if m.Good, err = time.Parse(time.RFC3339, string(bytes.TrimSpace(first))); err != nil {
		return nil
	}
	return m
}
