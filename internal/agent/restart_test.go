package agent_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"obu/internal/agent"
	"obu/internal/clock"
	"obu/internal/virtual"
	"obu/telemetry"
)

// TestTimeHealsOverRestarts: a unit that woke up in 1970 gets fixes for some
// minutes, then none, and is killed again and again: a moment after the last
// fix, while the leap seconds are unknown, after a sleep, which may have come
// before the first fix. It knows the time as
// soon as it is back, and of every record the true time lies within the stated
// uncertainty.
func TestTimeHealsOverRestarts(t *testing.T) {
	seeds := uint64(8)
	if testing.Short() {
		seeds = 4
	}
	for seed := range seeds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { healsOverRestarts(t, seed) })
		})
	}
}

func healsOverRestarts(t *testing.T, seed uint64) {
	r := newHealRig(t, seed)
	between := func(lo, hi time.Duration) time.Duration { return lo + time.Duration(r.rng.Int64N(int64(hi-lo))) }
	b := healBoot{UnitClock: virtual.UnitClock{DriftPPM: r.rng.Float64()*160 - 80, Wall: time.Unix(0, 0)},
		sky: between(0, 3*time.Minute), dark: 8 * time.Minute, pulse: seed%4 == 3,
		kills: []kill{{between(time.Second, 10*time.Second), between(time.Minute, 5*time.Minute)}, {between(time.Second, 10*time.Minute), 2 * time.Minute}}}
	o := virtual.GPSOptions{ColdSecond: time.Second}
	lasts := between(9*time.Minute, 12*time.Minute)
	switch seed % 4 {
	case 0: // asleep before its first fix
		b.Suspends = []virtual.Suspend{{After: 40 * time.Second, Length: between(3*time.Minute, 15*time.Minute), Error: -900 * time.Millisecond}}
		b.sky = b.Suspends[0].Length + between(time.Minute, 3*time.Minute)
		b.dark = b.Suspends[0].Length + 8*time.Minute
	case 1: // asleep between its last fix and the first kill
		b.Suspends = []virtual.Suspend{{After: 8*time.Minute + 30*time.Second, Length: between(time.Hour, 9*time.Hour), Error: between(-900*time.Millisecond, 900*time.Millisecond)}}
	case 2: // killed before the leap seconds are learnt, at times a moment before
		o.Leaps, o.LeapsAfter = 18*time.Second, 6*time.Minute
		b.dark = 30 * time.Minute
		lasts = b.sky + between(5*time.Minute, o.LeapsAfter-5*time.Second)
		b.kills[0].away, b.leaps = 3*time.Second, b.sky+o.LeapsAfter
	case 3: // and the dark lasts long
		b.kills[1].runs = 20 * time.Minute
	}
	r.boot(lasts, b, o, true)
	r.check()
	if got := r.order[0]; got.came < 600 || got.worst > got.good(0) {
		t.Errorf("%d records, good to %v, want %v", got.came, got.worst, got.good(0))
	}
}

// TestFullDiskLeavesNoLastGoodTime: what could not be written is not left
// behind, and the older time stays.
func TestFullDiskLeavesNoLastGoodTime(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "last-good-time")
	// A folder that is not empty in its place fails the rename, as a full disk
	// fails the write before it.
	if err := os.MkdirAll(filepath.Join(path, "x"), 0o755); err != nil {
		t.Fatal(err)
	}
	fixes(clock.Virtual(agent.KeepTime(dir)))
	if files, _ := os.ReadDir(dir); len(files) != 1 {
		t.Errorf("left behind: %v", files)
	}
	if err := os.RemoveAll(path); err != nil {
		t.Fatal(err)
	}
	// A disk that is full: /dev/full takes no byte.
	if err := os.Symlink("/dev/full", path+".new"); err != nil {
		t.Fatal(err)
	}
	fixes(clock.Virtual(agent.KeepTime(dir)))
	if files, _ := os.ReadDir(dir); len(files) != 0 {
		t.Errorf("left behind: %v", files)
	}
	fixes(clock.Virtual(agent.KeepTime(dir)))
	text, err := os.ReadFile(path)
	first, _, _ := strings.Cut(string(text), "\n")
	if _, bad := time.Parse(time.RFC3339, first); err != nil || bad != nil {
		t.Errorf("kept %q, %v, %v", text, err, bad)
	}
}

// TestDamagedMemoryKeepsTheTime: of a file whose second line is damaged, or
// missing as older versions left it, the first one counts.
func TestDamagedMemoryKeepsTheTime(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "last-good-time")
	for _, rest := range []string{"", "\n", "\n{\"anchors\":[{\"At\":", "\n\x00\x00\x00", "\n{\"anchors\":[{}],\"unsure\":7}\n"} {
		if err := os.WriteFile(path, []byte("2031-05-04T12:00:00Z"+rest), 0o600); err != nil {
			t.Fatal(err)
		}
		c := clock.Virtual(agent.ReadTime(dir), clock.WithWallAt(time.Unix(0, 0)))
		if got := c.VerifyTime(); got.Year() != 2031 || c.Wall().Trusted {
			t.Errorf("%q: certificates are verified at %v, the time is %+v", rest, got, c.Wall())
		}
	}
}

// fixes shows a clock a receiver until it is anchored.
func fixes(c *clock.Clock) {
	for i := range 4 {
		f := telemetry.NoFix()
		f.At, f.Valid, f.Mode, f.Receiver = telemetry.At(i)*telemetry.At(time.Second), true, telemetry.Mode3D, "gps"
		f.UTC = time.Date(2026, 6, 1, 12, 0, i, 0, time.UTC)
		c.Observe(f)
	}
	c.Anchors()
}
