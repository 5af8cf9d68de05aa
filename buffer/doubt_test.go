package buffer_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"obu/buffer"
	"obu/telemetry"
)

// syncFails has the next commit to telemetry.db return an error although all of
// it reached the disk, whenever fail is set, and moves the clock with now.
func syncFails(fail *bool, now *telemetry.At) func(*buffer.Options) {
	return func(o *buffer.Options) {
		o.Now = func() telemetry.At { return *now }
		buffer.Break(o, buffer.Faults{AfterCommit: func(file string) error {
			if *fail && file == "telemetry.db" {
				*fail = false
				return errors.New("sync failed")
			}
			return nil
		}})
	}
}

// cameOrListed fails the test for every name that neither comes with a drain
// nor stands in a Gap.
func cameOrListed(t *testing.T, b *buffer.Buffer, names []telemetry.Name) (gaps []telemetry.Gap) {
	t.Helper()
	got, gaps := drainAll(t, b)
	missing := 0
	for _, n := range names {
		if _, came := got[n]; !came && !coveredBy(gaps, n) {
			missing++
		}
	}
	if missing > 0 {
		t.Errorf("%d of %d names neither came nor are listed", missing, len(names))
	}
	return gaps
}

// What a commit evicted that failed although it reached the disk is gone, while
// the Gap table of memory knows nothing of it.
func TestEvictedByAFailedCommitIsListed(t *testing.T) {
	fail, now := false, telemetry.At(time.Hour)
	b := open(t, t.TempDir(), syncFails(&fail, &now), func(o *buffer.Options) { o.TelemetryQuota = 256 << 10 })
	defer b.Close()
	var names []telemetry.Name
	put := func() {
		now = now.Add(time.Second)
		got, err := b.Commit([]buffer.Entry{{Class: telemetry.ClassTelemetry, Content: padded(len(names), 900)}})
		must(t, err)
		names = append(names, got...)
	}
	for b.Stats().Evicted == 0 {
		put()
	}
	for range 60 { // some of them evict
		fail = true
		put()
		now = now.Add(2 * time.Minute)
		put()
		if b.Stats().Volatile {
			t.Fatal("the disk is back and not used")
		}
	}
	for _, g := range cameOrListed(t, b, names) {
		if g.Reason == telemetry.ReasonEvicted && g.Count == telemetry.CountUnknown {
			t.Errorf("how much was evicted is known and not listed: %+v", g)
		}
	}
}

// The same of what is too old.
func TestExpiredByAFailedCommitIsListed(t *testing.T) {
	fail, now, wall := false, telemetry.At(time.Hour), time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	b := open(t, t.TempDir(), syncFails(&fail, &now), func(o *buffer.Options) {
		start := now
		o.MaxAge = 24 * time.Hour
		o.Wall = func() time.Time { return wall.Add(now.Sub(start)) }
	})
	defer b.Close()
	var names []telemetry.Name
	put := func() {
		now = now.Add(time.Second)
		got, err := b.Commit([]buffer.Entry{{Class: telemetry.ClassTelemetry, Content: track(len(names))}})
		must(t, err)
		names = append(names, got...)
	}
	for range 20 {
		put()
	}
	now = now.Add(25 * time.Hour)
	fail = true
	put()
	now = now.Add(2 * time.Minute)
	put()
	if b.Stats().Volatile {
		t.Fatal("the disk is back and not used")
	}
	gaps := cameOrListed(t, b, names)
	expired := int64(0)
	for _, g := range gaps {
		if g.Reason == telemetry.ReasonExpired {
			expired += int64(g.ToSeq - g.FromSeq + 1)
		}
	}
	if expired != 20 {
		t.Errorf("%d batches listed as expired, want 20: %+v", expired, gaps)
	}
}

// The losses of media.db that a failed commit took are not in the Gap table:
// they are to be taken again.
func TestMediaLossesOfAFailedCommitAreListed(t *testing.T) {
	fail, now := false, telemetry.At(time.Hour)
	b := open(t, t.TempDir(), syncFails(&fail, &now), func(o *buffer.Options) { o.MediaQuota = 2 << 20 })
	defer b.Close()
	var names []telemetry.Name
	for i := range int64(60) {
		n, err := b.CommitChunk("clip", telemetry.Chunk{Clip: telemetry.ClipID{1}, Offset: i * (100 << 10), Data: make([]byte, 100<<10)})
		must(t, err)
		names = append(names, n)
	}
	fail = true
	_, err := b.Commit(nil)
	must(t, err)
	if !b.Stats().Volatile {
		t.Fatal("the commit did not fail")
	}
	now = now.Add(2 * time.Minute)
	_, err = b.Commit(nil)
	must(t, err)
	cameOrListed(t, b, names)
}

// A batch that is found spoiled when a disk that was full takes data again is
// listed.
func TestSpoiledWhileTheDiskWasFullIsListed(t *testing.T) {
	dir := t.TempDir()
	full, now := false, telemetry.At(time.Hour)
	b := open(t, dir, func(o *buffer.Options) {
		o.Now = func() telemetry.At { return now }
		buffer.Break(o, buffer.Faults{BeforeCommit: func(string) error {
			if full {
				return syscall.ENOSPC
			}
			return nil
		}})
	})
	defer b.Close()
	var names []telemetry.Name
	put := func() {
		now = now.Add(time.Second)
		got, err := b.Commit([]buffer.Entry{{Class: telemetry.ClassTelemetry, Content: track(len(names))}})
		must(t, err)
		names = append(names, got...)
	}
	for range 5 {
		put()
	}
	spoilRecord(t, filepath.Join(dir, "telemetry.db"), now) // the fifth
	full = true
	put()
	full = false
	now = now.Add(2 * time.Minute)
	put()
	if b.Stats().Volatile {
		t.Fatal("the disk is back and not used")
	}
	if gaps := cameOrListed(t, b, names); !coveredBy(gaps, names[4]) {
		t.Errorf("%v was spoiled and is not listed: %+v", names[4], gaps)
	}
}

// spoilRecord overwrites the version of every record stored at a time.
func spoilRecord(t *testing.T, path string, at telemetry.At) {
	t.Helper()
	raw, err := os.ReadFile(path)
	must(t, err)
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	must(t, err)
	defer f.Close()
	want := binary.LittleEndian.AppendUint64(nil, uint64(at))
	want = append(want, 1) // the boot
	hits := 0
	for i := 0; ; i++ {
		n := bytes.Index(raw[i:], want)
		if n < 0 {
			break
		}
		i += n
		_, err := f.WriteAt([]byte{0xff}, int64(i-8))
		must(t, err)
		hits++
	}
	if hits == 0 {
		t.Fatal("no record of that time in the file")
	}
}

// What was written counts since Open, however often the file is opened again.
func TestWrittenBytesOutliveAReopening(t *testing.T) {
	fail, now := "", telemetry.At(time.Hour)
	b := open(t, t.TempDir(), func(o *buffer.Options) {
		o.Now = func() telemetry.At { return now }
		buffer.Break(o, buffer.Faults{AfterCommit: func(file string) error {
			if file == fail {
				fail = ""
				return errors.New("sync failed")
			}
			return nil
		}})
	})
	defer b.Close()
	offset := int64(0)
	put := func() {
		now = now.Add(time.Minute)
		_, err := b.Commit([]buffer.Entry{{Class: telemetry.ClassTelemetry, Content: track(1)}})
		must(t, err)
		offset, _, _ = b.ClipProgress("clip")
		_, err = b.CommitChunk("clip", telemetry.Chunk{Clip: telemetry.ClipID{1}, Offset: offset, Data: make([]byte, 100)})
		if err != nil && !errors.Is(err, buffer.ErrDiskFailed) && !errors.Is(err, buffer.ErrOffset) {
			t.Fatal(err)
		}
	}
	was := b.Stats()
	for i := range 20 {
		fail = map[int]string{5: "telemetry.db", 10: "media.db"}[i]
		put()
		s := b.Stats()
		if s.DiskBytesTelemetry < was.DiskBytesTelemetry || s.DiskBytesMedia < was.DiskBytesMedia {
			t.Errorf("after %d: %d and %d bytes written, before %d and %d", i, s.DiskBytesTelemetry, s.DiskBytesMedia, was.DiskBytesTelemetry, was.DiskBytesMedia)
		}
		was = s
	}
}
