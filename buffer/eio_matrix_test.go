//go:build linux && (amd64 || arm64)

package buffer_test

import (
	"path/filepath"
	"testing"

	"obu/buffer/crashdisk/baddisk"
	"obu/telemetry"
)

// TestDiskMatrixErrors is TestDiskMatrix with a card that refuses writes, or
// takes them and refuses to sync.
func TestDiskMatrixErrors(t *testing.T) {
	for how, faults := range map[string]baddisk.Faults{
		"writes": {Writes: []string{baddisk.All}, Syncs: []string{baddisk.All}},
		"syncs":  {Syncs: []string{baddisk.All}},
	} {
		runMatrix(t, how, func(t *testing.T) *matrix {
			d := newBadDisk(t)
			m := &matrix{t: t, dir: filepath.Join(d.Dir(), "buffer"), key: "before", chunk: map[telemetry.Name]bool{}}
			m.bad = func(is bool) {
				if !is {
					m.must(d.Fail(baddisk.Faults{}))
					return
				}
				m.must(d.Fail(faults))
			}
			return m
		})
	}
}
