package buffer

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"obu/telemetry"
)

// bootsName is the file beside the databases that says when earlier boots
// were. A record knows its boot and the time since that boot began; how old it
// is shows only with a wall time of the same boot, and the anchor that went out
// as a record may be delivered and deleted. Losing the file loses no data: what
// cannot be dated is not expired by age, and has no time in an export.
const bootsName = "boots.json"

const (
	// maxBoots bounds the file: ten starts a day for most of two months, some
	// 50 kB. Beyond it the oldest boot cannot be dated any more.
	maxBoots = 512
	// bootDrift is how far off a remembered time may be, at most, before it is
	// written anew, and bootPause how long to wait between two such writes. Less is
	// what was not stated: a crystal runs wrong by one part in so many.
	bootDrift = time.Minute
	bootPause = 10 * time.Minute
	crystal   = 10_000
	// unsureBoot is the uncertainty of a time that came without one: as wide as
	// a trusted clock's may be.
	unsureBoot = time.Hour
)

// bootTime is one moment of a boot of which the wall time was trusted.
type bootTime struct {
	Boot        string             `json:"boot"`
	At          telemetry.At       `json:"at_ns"`
	Wall        time.Time          `json:"wall"`
	Uncertainty time.Duration      `json:"uncertainty_ns"`
	By          telemetry.AnchorBy `json:"by"`
}

// boots is the table of them, the oldest first; guarded by tele.wr.
type boots struct {
	list   []bootTime
	retry  telemetry.At // when the file may be written again
	unkept bool         // the last write failed
}

// readBoots reads the file in dir. What makes no sense in it is left out.
func readBoots(dir string) ([]bootTime, error) {
	raw, err := readFile(filepath.Join(dir, bootsName))
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
	for i := range list {
		if t := &list[i]; t.Uncertainty <= 0 || t.By == "" { // an older obu did not write them
			t.Uncertainty, t.By = unsureBoot, telemetry.AnchorEstimate
		}
	}
	return list[max(0, len(list)-maxBoots):], nil
}

// Boots returns when the runs were that stored into path, a buffer directory or
// a store file, as its agent noted it: one anchor a boot, oldest first. An agent
// may be running.
func Boots(path string) ([]telemetry.Anchor, error) {
	if info, err := os.Stat(path); err == nil && !info.IsDir() {
		path = filepath.Dir(path)
	}
	list, err := readBoots(path)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", filepath.Join(path, bootsName), err)
	}
	out := make([]telemetry.Anchor, len(list))
	for i, t := range list {
		id, _ := telemetry.ParseBootID(t.Boot) // parseBoots kept what parses
		out[i] = telemetry.Anchor{Boot: id, At: t.At, Wall: t.Wall, Uncertainty: t.Uncertainty, By: t.By}
	}
	return out, nil
}

// anchorNow is what is known of this boot's wall time: zero Wall when that is
// not trusted.
func (b *Buffer) anchorNow(c cut) telemetry.Anchor {
	if b.opts.Anchor != nil {
		return b.opts.Anchor()
	}
	return telemetry.Anchor{At: c.at, Wall: c.wall, Uncertainty: unsureBoot, By: telemetry.AnchorEstimate}
}

// learnBoot remembers when this boot is, once a trusted clock says so. It is
// written when it is news, not with every commit.
func (b *Buffer) learnBoot(c cut) {
	if c.at < b.boots.retry {
		return
	}
	a := b.anchorNow(c)
	if a.Wall.IsZero() {
		return
	}
	id := b.opts.Boot.String()
	list := b.boots.list
	if n := len(list); n > 0 && list[n-1].Boot == id {
		last := list[n-1]
		off := last.wall(a.At).Sub(a.Wall)
		stated := last.Uncertainty + a.Uncertainty + a.At.Sub(last.At).Abs()/crystal
		if off.Abs() <= min(stated, bootDrift) && a.Uncertainty >= last.Uncertainty/2 && !b.boots.unkept {
			return
		}
		list = list[:n-1]
	}
	list = append(slices.Clone(list), bootTime{id, a.At, a.Wall.UTC(), a.Uncertainty, a.By})
	list = list[max(0, len(list)-maxBoots):]
	b.boots.retry = c.at.Add(bootPause)
	raw, err := json.Marshal(list)
	if err == nil {
		err = replaceFile(filepath.Join(b.opts.Dir, bootsName), append(raw, '\n'))
	}
	if err != nil && !b.boots.unkept {
		b.log.Warn("when this boot is could not be stored: after a restart what it keeps will not expire by age, and may have no time in an export; it is tried again", "err", err)
	}
	b.boots.unkept = err != nil
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
