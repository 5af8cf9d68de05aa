//go:build linux && (amd64 || arm64)

package buffer_test

import (
	"context"
	crand "crypto/rand"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"obu/buffer"
	"obu/buffer/crashdisk"
	"obu/telemetry"
)

// A life is what the crash rig records: one unit's use of its buffer, in a
// process of its own, on virtual time.
type life struct {
	notes notes
	root  string
	b     *buffer.Buffer
	boot  telemetry.BootID
	clock atomic.Int64 // time since boot
	rnd   *rand.Rand
	bug   buffer.Faults
	id    int // of the last content
	clip  int // of the last clip

	volatile map[telemetry.Name]int // committed to memory, not acknowledged
}

// The environment of a life's process.
const (
	lifeScriptEnv = "OBU_CRASH_SCRIPT"
	lifeBugEnv    = "OBU_CRASH_BUG"
	lifeStartEnv  = "OBU_CRASH_START" // number of the first content, clip and boot, in this distance
	lifeStep      = 100_000
)

// crashBug is a way to break the buffer, or what it relies on.
type crashBug struct {
	name  string
	fault buffer.Faults
	order string // to the disk
	late  bool   // it shows late in a life, so make test leaves it to make crash
}

// crashBugs are what the rig has to notice.
var crashBugs = []crashBug{
	{name: "NoSync", fault: buffer.Faults{NoSync: true}},
	{name: "delete before PUBACK", fault: buffer.Faults{DeleteBeforeAck: true}},
	{name: "seq outside the transaction", fault: buffer.Faults{SeqOutsideTx: true}},
	{name: "file created without directory fsync", fault: buffer.Faults{NoDirSync: true}},
	{name: "pages and the page that leads to them synced at once", order: "!halfsync"},
	{name: "a batch named and not stored", late: true, fault: buffer.Faults{DropEvery: 17}},
	{name: "an eviction that is not listed", late: true, fault: buffer.Faults{EvictUnlisted: true}},
	{name: "a loss of media.db listed from memory alone", late: true, fault: buffer.Faults{OwedInMemory: true}},
	{name: "a file in use not marked as such", late: true, fault: buffer.Faults{StaysClean: true}},
}

// detRand is a source of store ids that a seed repeats.
type detRand struct{ *rand.ChaCha8 }

func (d detRand) Read(p []byte) (int, error) { return d.ChaCha8.Read(p) }

func seededIDs(seed uint64, salt string) {
	var key [32]byte
	copy(key[:], fmt.Sprintf("%d %s", seed, salt))
	crand.Reader = detRand{rand.NewChaCha8(key)}
}

// lifeChild is the process of a life on the crash disk in its last argument.
func lifeChild() {
	root := os.Args[len(os.Args)-1]
	seed, _ := strconv.ParseUint(os.Getenv(seedEnv), 10, 64)
	start, _ := strconv.Atoi(os.Getenv(lifeStartEnv))
	script := os.Getenv(lifeScriptEnv)
	seededIDs(seed, script)
	f, err := os.OpenFile(filepath.Join(root, crashdisk.MarksName), os.O_WRONLY, 0)
	if err != nil {
		panic(err)
	}
	l := &life{
		notes: notes{f}, root: root, rnd: rand.New(rand.NewPCG(seed, 4)),
		boot: telemetry.BootID{byte(start + 1)}, id: start * lifeStep, clip: start * 100,
		volatile: map[telemetry.Name]int{},
	}
	l.clock.Store(int64(time.Minute))
	for _, bug := range crashBugs {
		if bug.name == os.Getenv(lifeBugEnv) {
			l.bug = bug.fault
			if bug.order != "" {
				l.notes.order(bug.order)
			}
		}
	}
	switch script {
	case "long":
		l.long()
	case "again":
		l.again()
	case "short":
		l.short()
	case "busy":
		l.busy()
	case "first":
		l.open()
		l.flushes(2, nil)
	default:
		panic("no script " + script)
	}
	os.Exit(0)
}

// long is a life with everything in it.
func (l *life) long() {
	l.open()
	l.flushes(20, l.consume)
	l.film(3, "event", true)
	l.record()
	l.evicting(func() { l.flushes(100, nil) }) // no network: the quotas are reached
	l.evicting(func() {
		for range 3 {
			l.film(4, "normal", true)
		}
	})
	l.lost()
	l.flushes(30, l.consume)
	l.close()
	l.open() // a restart
	l.flushes(15, l.consume)
	l.film(2, "normal", false)
	l.kill()
	l.open()
	l.resume(3)
	l.flushes(15, l.consume)
	l.record()
	l.close()
	l.boot[0]++ // a reboot
	l.open()
	l.flushes(5, l.consume)
	l.failing("!failsync telemetry.db", "", 15)
	l.flushes(10, l.consume)
	l.failing("!full", "!room", 20)
	l.film(2, "normal", true)
	l.notes.mark(mark{Kind: markFaulty})
	l.notes.order("!failsync media.db")
	l.film(2, "manual", true)
	l.flushes(18, l.consume)
	l.resume(2)
	l.drain()
	l.close()
}

// again is what a unit does after a power cut.
func (l *life) again() {
	l.open()
	l.flushes(4, l.consume)
	l.film(2, "event", true)
	l.flushes(4, l.consume)
	l.close()
}

// busy is a camera beside everything else.
func (l *life) busy() {
	l.open()
	l.notes.mark(mark{Kind: markParallel})
	var camera sync.WaitGroup
	camera.Go(func() {
		for range 14 {
			l.clip++
			l.shoot(3, "normal", true, nil)
		}
	})
	l.flushes(60, l.consume)
	camera.Wait()
	l.flushes(5, l.consume)
	l.close()
}

// short is enough to break a law when the buffer is broken.
func (l *life) short() {
	l.open()
	l.flushes(20, l.consume)
	l.film(3, "normal", true)
	l.evicting(func() { l.flushes(90, nil) })
	l.evicting(func() { l.film(12, "normal", true) })
	l.flushes(10, l.consume)
	l.close()
	l.open()
	l.flushes(5, l.consume)
}

func (l *life) now() telemetry.At { return telemetry.At(l.clock.Load()) }

func (l *life) check(err error) {
	if err != nil {
		panic(err)
	}
}

func (l *life) open() {
	l.clock.Add(int64(time.Second))
	l.notes.mark(mark{Kind: markOpening, Boot: l.boot, Now: l.now()})
	b, err := buffer.Open(context.Background(), crashOptions(l.root, l.boot, l.now, l.bug))
	l.check(err)
	l.b = b
	l.notes.mark(mark{Kind: markOpened, Boot: l.boot, Now: l.now()})
}

func (l *life) close() {
	l.notes.mark(mark{Kind: markClosing, Now: l.now()})
	l.check(l.b.Close())
	l.notes.mark(mark{Kind: markClosed, Now: l.now()})
}

func (l *life) kill() {
	l.b.Crash()
	l.notes.mark(mark{Kind: markKilled, Now: l.now()})
}

// flushes commits what a second brings, n times, with what else happens then.
func (l *life) flushes(n int, also func()) {
	for range n {
		l.clock.Add(int64(time.Second))
		var entries []buffer.Entry
		var ids []int
		for range 1 + l.rnd.IntN(3) {
			l.id++
			class := [...]telemetry.Class{telemetry.ClassTelemetry, telemetry.ClassTelemetry, telemetry.ClassTelemetry, telemetry.ClassEvent, telemetry.ClassHealth}[l.rnd.IntN(5)]
			entries, ids = append(entries, buffer.Entry{Class: class, Content: numbered(l.id)}), append(ids, l.id)
		}
		l.commit(entries, ids)
		if also != nil {
			also()
		}
	}
}

func (l *life) commit(entries []buffer.Entry, ids []int) {
	l.notes.mark(mark{Kind: markBegin, Now: l.now(), IDs: ids})
	names, err := l.b.Commit(entries)
	l.check(err)
	m := mark{Kind: markCommit, Now: l.now(), Volatile: l.b.Stats().Volatile, Slowest: l.slowest()}
	for i, n := range names {
		m.Held = append(m.Held, promise{n, ids[i]})
		if m.Volatile {
			l.volatile[n] = ids[i]
		}
	}
	l.notes.mark(m)
	if !m.Volatile && len(l.volatile) > 0 {
		m := mark{Kind: markStable}
		for n, id := range l.volatile {
			m.Held = append(m.Held, promise{n, id})
		}
		l.notes.mark(m)
		clear(l.volatile)
	}
}

func (l *life) slowest() time.Duration {
	return time.Duration(l.b.Stats().SlowestCommitMS*float64(time.Millisecond)) + time.Millisecond
}

// consume reads from some streams and acknowledges in no order.
func (l *life) consume() {
	for _, s := range l.b.Streams() {
		if s.Batches == 0 || l.rnd.IntN(3) == 0 {
			continue
		}
		from := s.Floor
		if l.rnd.IntN(3) == 0 { // live first
			from += l.rnd.Uint64N(s.Next - s.Floor)
		}
		got, err := l.b.Read(s.Store, s.Class, from, 1+l.rnd.IntN(3000))
		if errors.Is(err, buffer.ErrDiskFailed) {
			continue // media.db is closed until its back-off has passed
		}
		l.check(err)
		l.rnd.Shuffle(len(got), func(i, j int) { got[i], got[j] = got[j], got[i] })
		l.ack(got[:l.rnd.IntN(len(got)+1)]) // the others' PUBACK was lost
	}
}

func (l *life) ack(got []telemetry.Stored) {
	if len(got) == 0 {
		return
	}
	m := mark{Kind: markAck}
	var names []telemetry.Name
	for _, st := range got {
		b, err := telemetry.DecodeBatch(st.Name, st.Blob)
		l.check(err)
		m.Held = append(m.Held, promise{st.Name, idOf(b.Content)})
		m.Gaps = append(m.Gaps, b.Gaps...)
		for _, c := range b.Clips {
			m.Clips = append(m.Clips, c.ID)
		}
		names = append(names, st.Name)
		delete(l.volatile, st.Name)
	}
	l.notes.mark(m)
	l.b.Ack(names...)
}

// drain consumes until nothing is left.
func (l *life) drain() {
	for range 100 {
		l.clock.Add(int64(time.Second))
		held := 0
		for _, s := range l.b.Streams() {
			held += s.Batches
			got, err := l.b.Read(s.Store, s.Class, s.Floor, 1<<20)
			l.check(err)
			l.ack(got)
		}
		if held == 0 && l.b.Stats().Gaps == 0 {
			return
		}
		l.commit(nil, nil)
	}
	panic("the drain does not end")
}

// film takes a new clip of some parts into custody; resume goes on with the
// last one, up to parts.
func (l *life) film(parts int64, cause string, finish bool) {
	l.clip++
	l.shoot(parts, cause, finish, func() { l.flushes(1, nil) })
}

func (l *life) resume(parts int64) {
	l.shoot(parts, "normal", true, func() { l.flushes(1, nil) })
}

func (l *life) shoot(parts int64, cause string, finish bool, between func()) {
	key := fmt.Sprint("cam/", l.clip)
	stored, done, _ := l.b.ClipProgress(key)
	for i := stored / clipChunk; i < parts && !done; i++ {
		id := chunkID(l.clip, i)
		l.notes.mark(mark{Kind: markTry, Now: l.now(), IDs: []int{id}})
		name, err := l.b.CommitChunk(key, contentOf(id).Chunks[0])
		if errors.Is(err, buffer.ErrDiskFailed) {
			return // the camera keeps it
		}
		l.check(err)
		l.notes.mark(mark{Kind: markChunk, Held: []promise{{name, id}}, Clip: l.clip, Stored: (i + 1) * clipChunk})
		if between != nil && i%2 == 0 {
			between()
		}
	}
	if !finish {
		return
	}
	m := telemetry.Clip{ID: clipIDOf(l.clip), Camera: "cam", Name: key, SizeBytes: parts * clipChunk, Cause: cause}
	l.check(l.b.FinishClip(key, m))
	l.notes.mark(mark{Kind: markFinish, Clip: l.clip, Slowest: l.slowest()})
}

// evicting does what has to reach a quota.
func (l *life) evicting(fill func()) {
	before := l.b.Stats().Evicted
	fill()
	if l.b.Stats().Evicted == before {
		panic("the life has no eviction in it where it should")
	}
}

func (l *life) record() {
	id := fmt.Sprint("cmd-", l.id)
	l.check(l.b.Record(id, []byte("pong"), time.Time{}))
	l.notes.mark(mark{Kind: markRecord, Command: id})
}

// lost lists a loss of a source.
func (l *life) lost() {
	g := telemetry.Gap{
		Class: telemetry.ClassTelemetry, Boot: l.boot, From: l.now(), To: l.now().Add(time.Second), Count: 7,
		Reason: telemetry.ReasonDecode, Source: "can0",
	}
	l.b.Lost(g)
	l.flushes(1, nil)
	l.notes.mark(mark{Kind: markLost, Gaps: []telemetry.Gap{g}})
}

// failing lets the disk fail for some seconds: the store retires, and comes
// back.
func (l *life) failing(order, end string, flushes int) {
	l.notes.mark(mark{Kind: markFaulty})
	l.notes.order(order)
	l.flushes(flushes/2, l.consume)
	if end != "" {
		l.notes.order(end)
	}
	l.flushes(flushes/2, l.consume)
	if l.b.Stats().Volatile {
		panic("the disk works and the store is still in memory")
	}
}
