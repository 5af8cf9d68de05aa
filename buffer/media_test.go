package buffer_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"testing"
	"time"

	"obu/buffer"
	"obu/telemetry"
)

// TestClipResumes: a clip cut by a restart goes on where custody ends, and
// arrives whole.
func TestClipResumes(t *testing.T) {
	dir := t.TempDir()
	b := open(t, dir)
	if _, err := os.Stat(dir + "/media.db"); !errors.Is(err, os.ErrNotExist) {
		t.Error("media.db was made for a unit without a camera")
	}
	id := telemetry.ClipID{9}
	var want []byte
	for i := range int64(6) {
		stored, done, ok := b.ClipProgress("cam/a")
		if stored != i*clipChunk || done || ok != (i > 0) {
			t.Fatalf("progress %d %v %v before chunk %d", stored, done, ok, i)
		}
		p := clipBytes(1, i)
		want = append(want, p...)
		if _, err := b.CommitChunk("cam/a", telemetry.Chunk{Clip: id, Offset: stored, Data: p}); err != nil {
			t.Fatal(err)
		}
		switch i {
		case 1:
			b.Close()
			b = open(t, dir)
		case 3:
			b.Crash()
			b = open(t, dir)
		}
	}
	for _, off := range [...]int64{clipChunk, 100 * clipChunk} {
		if _, err := b.CommitChunk("cam/a", telemetry.Chunk{Clip: id, Offset: off}); !errors.Is(err, buffer.ErrOffset) {
			t.Errorf("chunk at %d: %v", off, err)
		}
	}
	m := telemetry.Clip{ID: id, Camera: "cam", Name: "a", SizeBytes: int64(len(want)), Cause: "event"}
	for range 2 { // finishing twice is the same clip
		if err := b.FinishClip("cam/a", m); err != nil {
			t.Fatal(err)
		}
	}
	b.Close()
	b = open(t, dir)
	defer b.Close()
	if stored, done, ok := b.ClipProgress("cam/a"); stored != int64(len(want)) || !done || !ok {
		t.Fatalf("after finish: %d %v %v", stored, done, ok)
	}
	got, _ := drainAll(t, b)
	file := make([]byte, len(want))
	manifests := 0
	for _, batch := range got {
		for _, c := range batch.Chunks {
			copy(file[c.Offset:], c.Data)
		}
		for _, c := range batch.Clips {
			manifests++
			if c != m {
				t.Errorf("manifest %+v", c)
			}
		}
	}
	if !bytes.Equal(file, want) || manifests == 0 {
		t.Errorf("the clip did not arrive whole; %d manifests", manifests)
	}
}

// TestMediaEvictsByRank: over the quota the chunks nobody asked for go first,
// those of an incident last, and all of it is listed, across a crash too.
func TestMediaEvictsByRank(t *testing.T) {
	dir := t.TempDir()
	small := func(o *buffer.Options) { o.MediaQuota = 2 << 20 }
	b := open(t, dir, small)
	names := map[telemetry.Name]byte{}
	put := func(clip byte, cause string) {
		key := fmt.Sprint("k", clip)
		for i := range int64(10) {
			n, err := b.CommitChunk(key, telemetry.Chunk{Clip: telemetry.ClipID{clip}, Offset: i * clipChunk, Data: clipBytes(uint64(clip), i)})
			if err != nil {
				t.Fatal(err)
			}
			names[n] = clip
		}
		if err := b.FinishClip(key, telemetry.Clip{ID: telemetry.ClipID{clip}, SizeBytes: 10 * clipChunk, Cause: cause}); err != nil {
			t.Fatal(err)
		}
	}
	put(1, "event")
	for clip := byte(2); clip < 20; clip++ {
		put(clip, "normal")
		if clip == 10 {
			b.Crash() // before the losses reached telemetry.db
			b = open(t, dir, small)
		}
	}
	defer func() { b.Close() }()
	if st := b.Stats(); st.MediaUsed > 2<<20 || st.MediaFile > 5<<20 {
		t.Errorf("stats %+v", st)
	}
	got, gaps := drainAll(t, b)
	incident := 0
	for n, clip := range names {
		_, ok := got[n]
		if ok == coveredBy(gaps, n) {
			t.Errorf("%v of clip %d: arrived %v, listed %v", n, clip, ok, !ok)
		}
		if ok && clip == 1 {
			incident++
		}
	}
	if incident != 10 {
		t.Errorf("%d of 10 chunks of the incident are left", incident)
	}
	var lost int64
	last := map[uint64]telemetry.Gap{}
	for _, g := range gaps {
		if g.Reason == telemetry.ReasonEvicted && last[g.ID].Version < g.Version {
			last[g.ID] = g
		}
	}
	for _, g := range last {
		lost += g.Count
	}
	if arrived := countMedia(got); lost+arrived != int64(len(names)) {
		t.Errorf("%d stored, %d arrived, %d listed", len(names), arrived, lost)
	}
}

func countMedia(got map[telemetry.Name]telemetry.Batch) int64 {
	var n int64
	for name := range got {
		if name.Class == telemetry.ClassMedia {
			n++
		}
	}
	return n
}

// TestMediaAcksReachDisk: acknowledged chunks leave the disk with a Commit even
// when no new ones come.
func TestMediaAcksReachDisk(t *testing.T) {
	dir := t.TempDir()
	b := open(t, dir)
	n, err := b.CommitChunk("k", telemetry.Chunk{Data: clipBytes(1, 0)})
	if err != nil {
		t.Fatal(err)
	}
	b.Ack(n)
	if _, err := b.Commit(nil); err != nil {
		t.Fatal(err)
	}
	b.Crash()
	if err := buffer.Each(t.Context(), dir, func(b buffer.Batch) error { return fmt.Errorf("still holds %v", b.Name) }); err != nil {
		t.Error(err)
	}
}

// TestCommandsAreRemembered: across restarts, and bounded. A full table takes
// no new command before one it holds has expired for certain: a forgotten one
// would be executed again.
func TestCommandsAreRemembered(t *testing.T) {
	dir := t.TempDir()
	start := time.Unix(1.7e9, 0)
	wall := time.Time{} // not trusted
	clock := func(o *buffer.Options) { o.Wall = func() time.Time { return wall } }
	b := open(t, dir, clock)
	if _, ok := b.Executed("a"); ok {
		t.Error("knows a command it never saw")
	}
	record := func(id string, reply string, notAfter time.Time) {
		t.Helper()
		if err := b.Admit(start); err != nil {
			t.Fatal(err)
		}
		if err := b.Record(id, []byte(reply), notAfter); err != nil {
			t.Fatal(err)
		}
	}
	record("expires", "", start.Add(time.Minute))
	record("a", "pong", start.Add(time.Hour))
	if err := b.Record("big", make([]byte, 1<<20), start); !errors.Is(err, buffer.ErrTooLarge) {
		t.Errorf("big reply: %v", err)
	}
	b.Crash()
	b = open(t, dir, clock)
	for i := range buffer.MaxCommands - 2 {
		record(fmt.Sprint(i), "", start.Add(time.Hour))
	}
	known := func(want map[string]bool) {
		t.Helper()
		for id, yes := range want {
			if _, ok := b.Executed(id); ok != yes {
				t.Errorf("%s is known: %v", id, ok)
			}
		}
	}
	later := start.Add(10 * time.Minute)
	for _, c := range []struct{ now, wall time.Time }{
		{later, time.Time{}}, // nothing vouches for the time
		{later, start},       // the wall clock has not got that far
		{start, later},       // the time commands are checked against has not
		{start.Add(time.Second), start.Add(time.Second)},
	} {
		wall = c.wall
		if err := b.Admit(c.now); !errors.Is(err, buffer.ErrTooManyCommands) {
			t.Errorf("full, at %v, trusted %v: %v", c.now, c.wall, err)
		}
	}
	if err := b.Record("new", nil, start.Add(time.Hour)); !errors.Is(err, buffer.ErrTooManyCommands) {
		t.Errorf("recorded into a full table: %v", err)
	}
	if err := b.Record("a", []byte("pong"), start.Add(time.Hour)); err != nil {
		t.Errorf("one it knows: %v", err)
	}
	known(map[string]bool{"expires": true, "a": true, "0": true, "new": false})
	wall, start = later, later
	record("new", "", start.Add(time.Hour))
	want := map[string]bool{"expires": false, "a": true, "0": true, "253": true, "new": true}
	known(want)
	b.Crash()
	b = open(t, dir, clock)
	defer b.Close()
	known(want)
}

// TestClipMemoryIsBounded: more clips than any camera's card holds leave the
// newest in memory, so that a card full of segments is not taken again after
// every restart, and nothing grows.
func TestClipMemoryIsBounded(t *testing.T) {
	b := open(t, t.TempDir())
	defer b.Close()
	total := buffer.MaxDoneClips + 20 // each more costs a walk over all
	for i := range total {
		b.Remember(i, true)
		b.Remember(i, true) // finished again
	}
	for i := range 2 * buffer.MaxOpenClips {
		b.Remember(total+i, false)
	}
	if clips, ranks := b.Clips(); clips != buffer.MaxDoneClips+buffer.MaxOpenClips || ranks != clips {
		t.Errorf("%d clips, %d ranks", clips, ranks)
	}
	for i, want := range map[int]bool{0: false, 19: false, 20: true, total - 1: true, total: false, total + 2*buffer.MaxOpenClips - 1: true} {
		if _, _, ok := b.ClipProgress(fmt.Sprintf("clip-%d", i)); ok != want {
			t.Errorf("clip %d is remembered: %v", i, ok)
		}
	}
}
