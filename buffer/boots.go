package buffer

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"obu/telemetry"
)

// bootsName is the file beside the databases that says when earlier boots
// were. A record knows its boot and the time since that boot began; how old it
// is shows only with a wall time of the same boot. Losing the file loses no
// data: what cannot be dated is not expired by age.
const bootsName = "boots.json"

const (
	// maxBoots bounds the file: ten starts a day for most of two months, some
	// 50 kB. Beyond it the oldest boot cannot be dated any more.
	maxBoots = 512
	// bootDrift is how far off a remembered time may be before it is written
	// anew, and bootPause how long to wait between two such writes.
	bootDrift = time.Minute
	bootPause = 10 * time.Minute
)

// bootTime is one moment of a boot of which the wall time was trusted.
type bootTime struct {
	Boot string       `json:"boot"`
	At   telemetry.At `json:"at_ns"`
	Wall time.Time    `json:"wall"`
}

// boots is the table of them, the oldest first; guarded by tele.wr.
type boots struct {
	list  []bootTime
	retry telemetry.At // when the file may be written again
}

// readBoots reads the file in dir. What makes no sense in it is left out.
func readBoots(dir string) ([]bootTime, error) {
	raw, err := os.ReadFile(filepath.Join(dir, bootsName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return parseBoots(raw)
}

func parseBoots(raw []byte) ([]bootTime, error) {
	var list []bootTime
	if err := json.Unmarshal(raw, &list); err != nil {
		return nil, err
	}
	list = slices.DeleteFunc(list, func(t bootTime) bool {
		_, err := telemetry.ParseBootID(t.Boot)
		return err != nil || t.Wall.IsZero() || t.At < 0
	})
	return list[max(0, len(list)-maxBoots):], nil
}

// learnBoot remembers when this boot is, once a trusted clock says so. It is
// written when it is news, not with every commit.
func (b *Buffer) learnBoot(c cut) {
	if b.opts.MaxAge == 0 || c.wall.IsZero() || c.at < b.boots.retry {
		return
	}
	id := b.opts.Boot.String()
	list := b.boots.list
	if n := len(list); n > 0 && list[n-1].Boot == id {
		if off := list[n-1].wall(c.at).Sub(c.wall); off.Abs() < bootDrift {
			return
		}
		list = list[:n-1]
	}
	list = append(slices.Clone(list), bootTime{id, c.at, c.wall.UTC()})
	list = list[max(0, len(list)-maxBoots):]
	b.boots.retry = c.at.Add(bootPause)
	raw, err := json.Marshal(list)
	if err == nil {
		err = replaceFile(filepath.Join(b.opts.Dir, bootsName), append(raw, '\n'))
	}
	if err != nil {
		b.log.Warn("when this boot is could not be stored: what it keeps will not expire by age after a restart", "err", err)
	}
	b.setBoots(list)
}

// setBoots makes list the table, also in the form in which records are dated,
// which the holder of vid.wr reads too.
func (b *Buffer) setBoots(list []bootTime) {
	dated := make(map[telemetry.BootID]bootTime, len(list))
	for _, t := range list {
		if id, err := telemetry.ParseBootID(t.Boot); err == nil {
			dated[id] = t
		}
	}
	b.boots.list = list
	b.mu.Lock()
	b.dated = dated
	b.mu.Unlock()
}

// when returns the table by boot; it is replaced, never changed.
func (b *Buffer) when() map[telemetry.BootID]bootTime {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.dated
}

// wall is the wall time of another moment of the boot.
func (t bootTime) wall(at telemetry.At) time.Time { return t.Wall.Add(at.Sub(t.At)) }
