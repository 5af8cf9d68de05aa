package buffer

import (
	"cmp"
	crand "crypto/rand"
	"fmt"
	"io"
	mrand "math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"testing"
)

// The damage rig wears real stores, damages images of their files in the ways
// disks and cables do, and lives on with each: see docs/decisions/0006-damage.md.
// `make damage` asks for thousands of images through the environment.
const (
	damageImages    = 240
	damageImagesEnv = "OBU_DAMAGE_IMAGES"
	damageSeedEnv   = "OBU_DAMAGE_SEED"
	damageOneEnv    = "OBU_DAMAGE_ONE" // only this image
	damageStores    = 4
	damageBugImages = 1000 // in which a seeded bug has to show, at least
)

// damageRun is a run over images of worn stores.
type damageRun struct {
	images int
	seed   uint64
	only   int // an image; -1: all
	bug    faults
	stopAt int // broken laws are enough

	mu     sync.Mutex // guards what follows
	next   int
	sum    outcome
	broken []brokenImage
}

type brokenImage struct {
	image int
	err   error
}

func newDamageRun(t *testing.T) *damageRun {
	t.Helper()
	number := func(env string, otherwise int) int {
		text := os.Getenv(env)
		if text == "" {
			return otherwise
		}
		n, err := strconv.Atoi(text)
		if err != nil {
			t.Fatalf("%s=%q is not a number", env, text)
		}
		return n
	}
	return &damageRun{
		images: number(damageImagesEnv, damageImages), seed: uint64(number(damageSeedEnv, 1)),
		only: number(damageOneEnv, -1), stopAt: 20,
	}
}

// wornStores are made once for all images of a seed, with the same ids each
// time.
func wornStores(t testing.TB, seed uint64) (worn []wornStore) {
	var key [32]byte
	copy(key[:], fmt.Sprint("damage ", seed))
	defer func(was io.Reader) { crand.Reader = was }(crand.Reader)
	crand.Reader = mrand.NewChaCha8(key)
	for i := range uint64(damageStores) {
		worn = append(worn, wear(t, seed*10+i, i%2 == 0))
	}
	return worn
}

func (r *damageRun) take() (image int, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.only >= 0 && r.next == 0 {
		r.next = r.only
	}
	if r.next >= r.images || len(r.broken) >= r.stopAt || r.only >= 0 && r.next > r.only {
		return 0, false
	}
	r.next++
	return r.next - 1, true
}

func (r *damageRun) note(image int, o outcome) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sum.add(o)
	if o.err != nil {
		r.broken = append(r.broken, brokenImage{image, o.err})
	}
}

func (r *damageRun) run(t *testing.T, worn []wornStore) {
	var wg sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), 4) {
		dir := memoryDir(t)
		wg.Go(func() {
			for {
				i, ok := r.take()
				if !ok {
					return
				}
				rnd := mrand.New(mrand.NewPCG(r.seed, uint64(i)))
				r.note(i, surviveOne(filepath.Join(dir, strconv.Itoa(i)), &worn[i%len(worn)], rnd, r.bug))
			}
		})
	}
	wg.Wait()
	slices.SortFunc(r.broken, func(a, b brokenImage) int { return cmp.Compare(a.image, b.image) })
}

// TestDamageLaws damages real files in thousands of ways and lives on with
// each: the agent goes on, every batch is delivered or in a Gap, nothing comes
// that was not written, no name has two contents, and nothing is given a name
// that was given before.
func TestDamageLaws(t *testing.T) {
	r := newDamageRun(t)
	r.run(t, wornStores(t, r.seed))
	for _, b := range r.broken {
		t.Errorf("image %d of seed %d: %v", b.image, r.seed, b.err)
	}
	if r.only < 0 && r.sum.aside == 0 {
		t.Error("no file was set aside: the test tests nothing")
	}
	fmt.Printf("damage: seed %d: %d images, %d files set aside; of %d batches owed in those %d came (%.2f %%), the rest is listed; %d acknowledged ones came as copies; %d laws broken\n",
		r.seed, r.next, r.sum.aside, r.sum.held, r.sum.came, 100*float64(r.sum.came)/float64(max(r.sum.held, 1)), r.sum.copies, len(r.broken))
}

// TestDamageNoticesBugs breaks the salvage on purpose: a rig that finds nothing
// then is worth nothing. TestDamageLaws is the control.
func TestDamageNoticesBugs(t *testing.T) {
	worn := wornStores(t, newDamageRun(t).seed)
	for name, bug := range map[string]faults{
		"what is missing is not listed":          {missingUnlisted: true},
		"a record believed without its checksum": {believeAll: true},
		"noted as moved before it was moved":     {notedBeforeMove: true},
		"names given again after a root is lost": {mintsOn: true},
	} {
		t.Run(name, func(t *testing.T) {
			r := newDamageRun(t)
			r.images, r.only, r.bug, r.stopAt = max(r.images, damageBugImages), -1, bug, 1
			r.run(t, worn)
			if len(r.broken) == 0 {
				t.Fatalf("not caught in %d images", r.next)
			}
			fmt.Printf("damage: seeded bug %q: caught by image %d: %v\n", name, r.broken[0].image, r.broken[0].err)
		})
	}
}
