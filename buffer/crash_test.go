//go:build linux && (amd64 || arm64)

package buffer_test

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"obu/buffer/crashdisk"
)

// The crash rig records what a life of the buffer does to a disk, cuts the
// power at every operation in many ways, opens each disk that leaves and holds
// it against the laws: see docs/crash.md. `make crash` runs all of it.
const (
	crashFullEnv = "OBU_CRASH"      // set: every point, see TestCrashEveryPoint
	crashSeedEnv = "OBU_CRASH_SEED" // another life
)

// How much is tried.
const (
	samplePoints    = 100 // of a life, in make test
	samplePerPt     = 3
	fullPerPoint    = 12
	fullRecovered   = 12 // recoveries from a cut that are cut themselves
	sampleBugPoints = 60
	bugPoints       = 400
	bugPerPoint     = 4
	minImages       = 20_000
)

func crashSeed(t *testing.T) uint64 {
	t.Helper()
	seed := uint64(1)
	if text := os.Getenv(crashSeedEnv); text != "" {
		var err error
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatalf("%s=%q is not a number", crashSeedEnv, text)
		}
	}
	return seed
}

func newPool(perPoint int, seed uint64) *pool {
	return &pool{perPoint: perPoint, seed: seed, workers: runtime.NumCPU(), stopAt: 20}
}

// TestCrashPoints cuts the power at a sample of the points of a life, of the
// recovery from one of these cuts, and of a life with a camera beside it.
func TestCrashPoints(t *testing.T) {
	seed := crashSeed(t)
	r := recordLife(t, "long", "", seed, 0, crashdisk.Image{}, nil)
	v := r.examine(t, newPool(samplePerPt, seed), samplePoints)
	point := r.start + len(r.log.Ops)/3
	img, marks := r.cutIn(point, seed)
	again := recordLife(t, "again", "", seed, 1, img, marks)
	w := again.examine(t, newPool(samplePerPt, seed), samplePoints/4)
	busy := recordLife(t, "busy", "", seed, 0, crashdisk.Image{}, nil)
	u := busy.examine(t, newPool(samplePerPt, seed), samplePoints/4)
	t.Logf("seed %d: %d operations, %d points, %d images", seed, len(r.log.Ops)+len(again.log.Ops)+len(busy.log.Ops), v.points+w.points+u.points, v.images+w.images+u.images)
	for _, b := range slices.Concat(v.broken, w.broken, u.broken) {
		t.Error(b)
	}
	if v.images < samplePoints {
		t.Errorf("only %d images: the test tests nothing", v.images)
	}
}

// TestCrashInFirstSeconds: what the first commit took survives, although the
// directory, and the one above it, are as new as the store.
func TestCrashInFirstSeconds(t *testing.T) {
	r := recordLife(t, "first", "", 1, 0, crashdisk.Image{}, nil)
	for _, b := range r.examine(t, newPool(samplePerPt, 1), 0).broken {
		t.Error(b)
	}
}

// TestCrashNoticesBugs breaks the buffer on purpose: a rig that finds nothing
// then is worth nothing. It may not find anything in the same life unbroken.
func TestCrashNoticesBugs(t *testing.T) {
	full, seed := os.Getenv(crashFullEnv) != "", crashSeed(t)
	points := sampleBugPoints
	if full {
		points = bugPoints
	}
	examine := func(t *testing.T, bug string) (verdict, int) {
		r := recordLife(t, "short", bug, seed, 0, crashdisk.Image{}, nil)
		p := newPool(bugPerPoint, seed)
		p.stopAt = 1
		return r.examine(t, p, points), len(r.log.Ops)
	}
	for _, bug := range crashBugs {
		if bug.late && !full {
			continue
		}
		t.Run(bug.name, func(t *testing.T) {
			v, ops := examine(t, bug.name)
			if len(v.broken) == 0 {
				t.Fatalf("not caught in %d images of %d operations", v.images, ops)
			}
			t.Logf("caught by image %d of %d operations: %s", v.images, ops, v.broken[0])
			if full {
				fmt.Printf("crash: seeded bug %q: caught by image %d\n", bug.name, v.images)
			}
		})
	}
	if !full {
		return // TestCrashPoints is the control
	}
	t.Run("no bug", func(t *testing.T) {
		if v, _ := examine(t, ""); len(v.broken) > 0 {
			t.Fatalf("the buffer as it is breaks a law: %s", v.broken[0])
		}
	})
}

// TestCrashEveryPoint is `make crash`: every point of a life in many ways, of
// one with a camera beside it, and of recoveries from cuts spread over the
// first.
func TestCrashEveryPoint(t *testing.T) {
	if os.Getenv(crashFullEnv) == "" {
		t.Skipf("every point takes minutes: make crash (it sets %s)", crashFullEnv)
	}
	seed, start := crashSeed(t), time.Now()
	r := recordLife(t, "long", "", seed, 0, crashdisk.Image{}, nil)
	busy := recordLife(t, "busy", "", seed, 0, crashdisk.Image{}, nil)
	ops, total := r.operations()+busy.operations(), verdict{}
	add := func(v verdict) {
		total.points += v.points
		total.images += v.images
		total.broken = append(total.broken, v.broken...)
	}
	add(r.examine(t, newPool(fullPerPoint, seed), 0))
	add(busy.examine(t, newPool(fullPerPoint, seed), 0))
	for i := range fullRecovered {
		point := r.start + (2*i+1)*len(r.log.Ops)/(2*fullRecovered)
		img, marks := r.cutIn(point, seed+uint64(i))
		again := recordLife(t, "again", "", seed, i+1, img, marks)
		ops += again.operations()
		add(again.examine(t, newPool(fullPerPoint, seed+uint64(i)), 0))
	}
	aside := 0
	for _, b := range total.broken {
		t.Error(b)
		if strings.Contains(b, "set aside") {
			aside++
		}
	}
	fmt.Printf("crash: seed %d: %d operations on the disk, cut after each and after each of %d promises, %d images opened, %d set aside, %d violations, %.0f images/s\n",
		seed, ops, total.points-ops, total.images, aside, len(total.broken), float64(total.images)/time.Since(start).Seconds())
	if total.images < minImages {
		t.Errorf("%d images, at least %d are promised", total.images, minImages)
	}
}
