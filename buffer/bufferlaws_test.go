package buffer_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"syscall"
	"testing"
	"time"

	"obu/buffer"
	"obu/telemetry"
)

// rig is one unit's life: a producer, a buffer that may be closed, crash and
// fail, and a consumer with its own books. The laws are checked against the
// books, never against the buffer's own word.
type rig struct {
	t    testing.TB
	opts buffer.Options
	b    *buffer.Buffer
	rnd  *rand.Rand
	now  telemetry.At
	id   int // of the next content

	emitted  map[telemetry.Name]int // what Commit returned: content
	received map[telemetry.Name]int
	acked    map[telemetry.Name]bool
	gaps     map[gapID]telemetry.Gap
	next     map[streamID]uint64
	copies   int
	broken   []error
}

type gapID struct {
	carrier telemetry.StoreID
	id      uint64
}

type streamID struct {
	store telemetry.StoreID
	class telemetry.Class
}

func newRig(t testing.TB, seed uint64, edit func(*buffer.Options)) *rig {
	r := &rig{
		t: t, rnd: rand.New(rand.NewPCG(seed, 1)), now: telemetry.At(time.Hour),
		emitted: map[telemetry.Name]int{}, received: map[telemetry.Name]int{}, acked: map[telemetry.Name]bool{},
		gaps: map[gapID]telemetry.Gap{}, next: map[streamID]uint64{},
	}
	r.opts = buffer.Options{
		Dir: t.TempDir(), Unit: "sim-1", Vehicle: "car", Boot: telemetry.BootID{1}, Hardware: "board-1",
		Now: func() telemetry.At { return r.now },
	}
	if edit != nil {
		edit(&r.opts)
	}
	r.open()
	t.Cleanup(func() { r.b.Close() })
	return r
}

func (r *rig) open() {
	b, err := buffer.Open(context.Background(), r.opts)
	if err != nil {
		r.t.Fatal(err)
	}
	r.b = b
}

func (r *rig) law(ok bool, format string, args ...any) {
	if !ok {
		r.broken = append(r.broken, fmt.Errorf(format, args...))
	}
}

// content makes a batch that carries its own number, of a random size.
func (r *rig) content() (telemetry.Content, int) {
	r.id++
	var c telemetry.Content
	for i := range 1 + r.rnd.IntN(3) {
		c.Anchors = append(c.Anchors, telemetry.Anchor{
			Boot: telemetry.BootID{1}, At: telemetry.At(r.id)*1e9 + telemetry.At(i)*1e6, By: telemetry.AnchorNTP,
			Wall: time.Unix(1.7e9, 0).UTC(), Uncertainty: time.Second,
		})
	}
	if r.rnd.IntN(8) == 0 { // large enough for pages of its own
		pad := make([]byte, 1200+r.rnd.IntN(9000))
		for i := range pad {
			pad[i] = byte(r.rnd.Uint32())
		}
		c.Chunks = append(c.Chunks, telemetry.Chunk{Data: pad})
	}
	return c, r.id
}

func contentID(c telemetry.Content) int {
	if len(c.Anchors) == 0 {
		return 0
	}
	return int(c.Anchors[0].At / 1e9)
}

// produce commits a few batches.
func (r *rig) produce() {
	var entries []buffer.Entry
	var ids []int
	for range r.rnd.IntN(4) {
		c, id := r.content()
		class := [...]telemetry.Class{telemetry.ClassTelemetry, telemetry.ClassTelemetry, telemetry.ClassEvent, telemetry.ClassHealth}[r.rnd.IntN(4)]
		entries, ids = append(entries, buffer.Entry{Class: class, Content: c}), append(ids, id)
	}
	names, err := r.b.Commit(entries)
	r.law(err == nil, "commit: %v", err)
	for i, n := range names {
		_, twice := r.emitted[n]
		r.law(!twice, "name %v was given twice", n)
		r.law(n.Seq != 0, "entry %d got no name", i)
		r.emitted[n] = ids[i]
	}
	r.now = r.now.Add(time.Second)
}

// consume reads from a random stream and acknowledges what the wire let
// through.
func (r *rig) consume(all bool) {
	for _, s := range r.b.Streams() {
		k := streamID{s.Store, s.Class}
		r.law(s.Next >= r.next[k], "%v: next fell from %d to %d", k, r.next[k], s.Next)
		r.next[k] = s.Next
		if s.Batches == 0 || !all && r.rnd.IntN(3) == 0 {
			continue
		}
		from := s.Floor
		if !all && r.rnd.IntN(2) == 0 { // live first
			from = s.Floor + r.rnd.Uint64N(s.Next-s.Floor)
		}
		got, err := r.b.Read(s.Store, s.Class, from, 1+r.rnd.IntN(20_000))
		r.law(err == nil, "read: %v", err)
		last := from - 1
		for _, st := range got {
			r.law(st.Seq > last, "%v: seq %d after %d", k, st.Seq, last)
			last = st.Seq
			r.receive(st)
			if all || r.rnd.IntN(4) != 0 { // else the PUBACK was lost
				r.acked[st.Name] = true
				r.b.Ack(st.Name)
			}
		}
	}
}

func (r *rig) receive(st telemetry.Stored) {
	b, err := telemetry.DecodeBatch(st.Name, st.Blob)
	r.law(err == nil, "decode %v: %v", st.Name, err)
	r.law(b.Unit == "sim-1" && b.Values() == st.Values, "%v: unit %q, %d values, said %d", st.Name, b.Unit, b.Values(), st.Values)
	id := contentID(b.Content)
	if was, seen := r.received[st.Name]; seen {
		r.copies++
		r.law(was == id, "%v stands for contents %d and %d", st.Name, was, id)
	}
	r.received[st.Name] = id
	for _, g := range b.Gaps {
		k := gapID{st.Store, g.ID}
		if old, ok := r.gaps[k]; !ok || old.Version < g.Version {
			r.gaps[k] = g
		}
	}
}

// drain consumes until nothing is held and nothing is owed.
func (r *rig) drain() {
	for range 10_000 {
		r.consume(true)
		if _, err := r.b.Commit(nil); err != nil {
			r.law(false, "commit: %v", err)
			return
		}
		held := 0
		for _, s := range r.b.Streams() {
			held += s.Batches
		}
		if held == 0 && r.b.Stats().Gaps == 0 {
			return
		}
		r.now = r.now.Add(time.Second)
	}
	r.law(false, "the drain does not end: %+v", r.b.Streams())
}

func (r *rig) covered(n telemetry.Name) bool {
	for _, g := range r.gaps {
		if g.Covers(n) {
			return true
		}
	}
	return false
}

// settle checks the books after a drain: nothing missing that no Gap lists,
// and every seq of every stream accounted for.
func (r *rig) settle() {
	for n, id := range r.emitted {
		got, ok := r.received[n]
		r.law(ok || r.covered(n), "%v is missing and in no gap", n)
		r.law(!ok || got == id, "%v: content %d came as %d", n, id, got)
	}
	for _, g := range r.gaps {
		r.law(g.Reason != telemetry.ReasonDamagedStore, "a sound store was given up: %+v", g)
	}
	for k, next := range r.next {
		for seq := uint64(1); seq < next; seq++ {
			n := telemetry.Name{Store: k.store, Class: k.class, Seq: seq}
			_, ok := r.received[n]
			r.law(ok || r.covered(n), "hole at %v", n)
		}
	}
}

// violations returns what was broken, at most a few.
func (r *rig) violations() error { return errors.Join(r.broken[:min(len(r.broken), 5)]...) }

// live runs the rig for a number of flushes, with life(i) in between.
func (r *rig) live(flushes int, life func(i int)) {
	for i := range flushes {
		r.produce()
		r.consume(false)
		if life != nil {
			life(i)
		}
		if len(r.broken) > 0 {
			return
		}
	}
	r.drain()
	r.settle()
}

func TestLawsPlain(t *testing.T) {
	r := newRig(t, 1, nil)
	r.live(300, func(i int) {
		if i%50 == 49 { // a restart
			if err := r.b.Close(); err != nil {
				t.Fatal(err)
			}
			r.open()
		}
	})
	if err := r.violations(); err != nil {
		t.Fatal(err)
	}
	if len(r.gaps) != 0 {
		t.Fatalf("gaps without a fault: %+v", r.gaps)
	}
	if len(r.next) != 3 {
		t.Fatalf("a clean restart made another store: %v", r.next)
	}
	t.Logf("%d emitted, %d received, %d copies", len(r.emitted), len(r.received), r.copies)
}

func TestLawsCrash(t *testing.T) {
	r := newRig(t, 2, nil)
	crashes := 0
	r.live(300, func(i int) {
		if i%30 == 29 {
			r.b.Crash()
			crashes++
			if i%60 == 59 { // power cut: another boot
				r.opts.Boot[0]++
			}
			r.open()
		}
	})
	if err := r.violations(); err != nil {
		t.Fatal(err)
	}
	unclean := 0
	for _, g := range r.gaps {
		if g.Reason == telemetry.ReasonUncleanStart && g.Class == telemetry.ClassTelemetry {
			unclean++
		}
	}
	if unclean != crashes {
		t.Fatalf("%d crashes, %d listed", crashes, unclean)
	}
}

func TestLawsTinyQuota(t *testing.T) {
	r := newRig(t, 3, func(o *buffer.Options) { o.TelemetryQuota = 384 << 10 })
	for range 400 { // an outage: nothing is consumed
		r.produce()
	}
	st := r.b.Stats()
	if st.Evicted == 0 || st.TelemetryUsed > 384<<10 || st.TelemetryFile > 2<<20 {
		t.Fatalf("stats %+v", st)
	}
	for _, s := range r.b.Streams() {
		if s.Class == telemetry.ClassEvent && s.Floor != 1 {
			t.Errorf("events were evicted while telemetry was left: floor %d", s.Floor)
		}
	}
	r.live(200, nil)
	if err := r.violations(); err != nil {
		t.Fatal(err)
	}
	if len(r.gaps) == 0 || len(r.gaps) > 8 {
		t.Fatalf("%d gaps: %+v", len(r.gaps), r.gaps)
	}
}

// TestLawsDiskFails lets the disk refuse for a while, again and again, before
// the write or after it.
func TestLawsDiskFails(t *testing.T) {
	for name, after := range map[string]bool{"before": false, "after": true} {
		for _, errno := range []error{syscall.ENOSPC, syscall.EIO} {
			t.Run(name+"/"+errno.Error(), func(t *testing.T) {
				failing := false
				hook := func(string) error {
					if failing {
						return errno
					}
					return nil
				}
				r := newRig(t, 4, func(o *buffer.Options) {
					f := buffer.Faults{BeforeCommit: hook}
					if after {
						f = buffer.Faults{AfterCommit: hook}
					}
					buffer.Break(o, f)
				})
				volatile := 0
				r.live(150, func(i int) {
					failing = i%50 > 20 && i%50 < 30
					if r.b.Stats().Volatile {
						volatile++
					}
				})
				if err := r.violations(); err != nil {
					t.Fatal(err)
				}
				if volatile == 0 || r.b.Stats().Volatile || len(r.gaps) != 0 {
					t.Fatalf("volatile %d, stats %+v, gaps %+v", volatile, r.b.Stats(), r.gaps)
				}
				checkContents(t, r)
			})
		}
	}
}

// checkContents looks for content that came under two names.
func checkContents(t *testing.T, r *rig) {
	t.Helper()
	names := map[int]telemetry.Name{}
	for n, id := range r.received {
		if other, twice := names[id]; twice && id != 0 {
			t.Errorf("content %d came as %v and %v", id, n, other)
		}
		names[id] = n
	}
}

func TestLawsVolatileBound(t *testing.T) {
	failing := false
	r := newRig(t, 5, func(o *buffer.Options) {
		o.VolatileBytes = 64 << 10
		buffer.Break(o, buffer.Faults{BeforeCommit: func(string) error {
			if failing {
				return syscall.ENOSPC
			}
			return nil
		}})
	})
	r.produce()
	failing = true
	for range 300 {
		r.produce()
	}
	if st := r.b.Stats(); !st.Volatile || st.VolatileBytes > 80<<10 || st.Evicted == 0 {
		t.Fatalf("stats %+v", st)
	}
	r.live(50, func(i int) { failing = i < 25 })
	if err := r.violations(); err != nil {
		t.Fatal(err)
	}
	for _, g := range r.gaps {
		if g.Reason != telemetry.ReasonDiskFailed {
			t.Errorf("gap %+v", g)
		}
	}
	if len(r.gaps) == 0 {
		t.Error("evictions from memory are not listed")
	}
}

// TestLawsConcurrent has readers and an acknowledger beside the writer.
func TestLawsConcurrent(t *testing.T) {
	r := newRig(t, 6, func(o *buffer.Options) { o.Now = func() telemetry.At { return 1 } })
	stop := make(chan struct{})
	var wg sync.WaitGroup
	var mu sync.Mutex
	for range 2 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				for _, s := range r.b.Streams() {
					got, err := r.b.Read(s.Store, s.Class, s.Floor, 4096)
					mu.Lock()
					r.law(err == nil, "read: %v", err)
					for _, st := range got {
						r.receive(st)
					}
					mu.Unlock()
					for _, st := range got {
						r.b.Ack(st.Name)
					}
				}
			}
		})
	}
	for range 80 {
		c, id := r.content()
		names, err := r.b.Commit([]buffer.Entry{{Class: telemetry.ClassTelemetry, Content: c}})
		mu.Lock()
		r.law(err == nil, "commit: %v", err)
		r.emitted[names[0]] = id
		mu.Unlock()
	}
	close(stop)
	wg.Wait()
	r.drain()
	r.settle()
	if err := r.violations(); err != nil {
		t.Fatal(err)
	}
}

// TestLawsNoticeBugs breaks the buffer on purpose: a suite that passes then is
// worth nothing.
func TestLawsNoticeBugs(t *testing.T) {
	for name, bug := range map[string]buffer.Faults{
		"seq outside the transaction": {SeqOutsideTx: true},
		"drop a batch":                {DropEvery: 17},
		"delete before acknowledge":   {DeleteBeforeAck: true},
		"evict without a gap":         {EvictUnlisted: true},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, 7, func(o *buffer.Options) {
				buffer.Break(o, bug)
				if bug.EvictUnlisted {
					o.TelemetryQuota = 64 << 10
				}
			})
			if bug.DeleteBeforeAck {
				r.cutInPacket()
			}
			for range 120 { // an outage
				r.produce()
			}
			r.live(300, func(i int) {
				if i%40 == 39 {
					r.b.Crash()
					r.open()
				}
			})
			if len(r.broken) == 0 {
				t.Fatal("no law was broken")
			}
			t.Logf("noticed: %v", r.broken[0])
		})
	}
}

// cutInPacket reads what then never arrives: it must still be there.
func (r *rig) cutInPacket() {
	r.produce()
	for _, s := range r.b.Streams() {
		_, _ = r.b.Read(s.Store, s.Class, s.Floor, 1<<20)
	}
}
