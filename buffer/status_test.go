package buffer_test

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"obu/buffer"
	"obu/telemetry"
)

// TestRunwayIsBoundedByTheDisk: a quota that the disk cannot give is no runway.
func TestRunwayIsBoundedByTheDisk(t *testing.T) {
	b := open(t, t.TempDir(), func(o *buffer.Options) { o.TelemetryQuota, o.VolatileBytes = 100<<20, 1<<20 })
	defer b.Close()
	for _, c := range []struct {
		name string
		s    buffer.Stats
		want int64
	}{
		{"the quota is next", buffer.Stats{TelemetryQuota: 100, TelemetryUsed: 40, TelemetryFile: 50, DiskFree: 1000}, 60},
		{"the disk is next", buffer.Stats{TelemetryQuota: 1000, TelemetryUsed: 40, TelemetryFile: 50, DiskFree: 30}, 40},
		{"the disk is full", buffer.Stats{TelemetryQuota: 1000, TelemetryUsed: 50, TelemetryFile: 50}, 0},
		{"the disk does not say", buffer.Stats{TelemetryQuota: 1000, TelemetryUsed: 50, TelemetryFile: 50, DiskFree: -1}, 950},
		{"memory only", buffer.Stats{Volatile: true, VolatileBytes: 1 << 19, TelemetryQuota: 1000, DiskFree: 1000}, 1 << 19},
	} {
		if got := b.RoomOf(c.s); got != c.want {
			t.Errorf("%s: room for %d bytes, want %d", c.name, got, c.want)
		}
	}
	if s := b.Stats(); s.DiskFree <= 0 {
		t.Errorf("disk has %d bytes free", s.DiskFree)
	}
}

// TestStatsTellOfADiskThatFails: since when telemetry lives in memory, and what
// the disk said.
func TestStatsTellOfADiskThatFails(t *testing.T) {
	now, full := telemetry.At(0), false
	b := open(t, t.TempDir(), func(o *buffer.Options) {
		o.Now = func() telemetry.At { return now }
		buffer.Break(o, buffer.Faults{BeforeCommit: func(string) error {
			if full {
				return unix.ENOSPC
			}
			return nil
		}})
	})
	defer b.Close()
	commit := func() buffer.Stats {
		t.Helper()
		if _, err := b.Commit([]buffer.Entry{{Class: telemetry.ClassTelemetry, Content: anchor(1)}}); err != nil {
			t.Fatal(err)
		}
		return b.Stats()
	}
	if s := commit(); s.Volatile || s.VolatileS != 0 || s.VolatileError != "" {
		t.Errorf("at first %+v", s)
	}
	full = true
	commit()
	now = now.Add(10 * time.Second)
	if s := commit(); s.RunwayS < 1 { // 0 would mean unknown
		t.Errorf("runway %v s", s.RunwayS)
	}
	if s := b.Stats(); !s.Volatile || s.VolatileS != 10 || !strings.Contains(s.VolatileError, unix.ENOSPC.Error()) {
		t.Errorf("while the disk is full: %v for %v s, %q", s.Volatile, s.VolatileS, s.VolatileError)
	}
	full, now = false, now.Add(2*time.Minute)
	if s := commit(); s.Volatile || s.VolatileS != 0 || s.VolatileError != "" {
		t.Errorf("afterwards %+v", s)
	}
}

// TestMediaThatFailsShows: status tells that clips stay on the camera, the log
// once an outage, and neither is taken back by a delete that went through.
func TestMediaThatFailsShows(t *testing.T) {
	var said bytes.Buffer
	now, full := telemetry.At(0), false
	b := open(t, t.TempDir(), func(o *buffer.Options) {
		o.Now, o.Log = func() telemetry.At { return now }, slog.New(slog.NewTextHandler(&said, nil))
		buffer.Break(o, buffer.Faults{BeforeCommit: func(file string) error {
			if full && file == "media.db" {
				return unix.ENOSPC
			}
			return nil
		}})
	})
	defer b.Close()
	at := int64(0)
	chunk := func() (telemetry.Name, error) {
		n, err := b.CommitChunk("cam/a", telemetry.Chunk{Clip: telemetry.ClipID{1}, Offset: at, Data: clipBytes(1, 0)})
		if err == nil {
			at += clipChunk
		}
		return n, err
	}
	commit := func() {
		t.Helper()
		if _, err := b.Commit([]buffer.Entry{{Class: telemetry.ClassTelemetry, Content: anchor(1)}}); err != nil {
			t.Fatal(err)
		}
	}
	first, err := chunk()
	if err != nil || b.Stats().MediaFailing {
		t.Fatalf("at first: %v, %+v", err, b.Stats())
	}
	for outage := 1; outage <= 2; outage++ {
		full = true
		for range 5 {
			if _, err := chunk(); !errors.Is(err, buffer.ErrDiskFailed) {
				t.Fatalf("full disk: %v", err)
			}
			now = now.Add(time.Second)
		}
		if s := b.Stats(); !s.MediaFailing || s.MediaFailingS != 5 || !strings.Contains(s.MediaError, unix.ENOSPC.Error()) {
			t.Errorf("full disk: %v for %v s, %q", s.MediaFailing, s.MediaFailingS, s.MediaError)
		}
		if n := strings.Count(said.String(), "does not take data"); n != outage {
			t.Errorf("said %d times in %d outages:\n%s", n, outage, said.String())
		}
		full = false
		b.Ack(first)
		commit() // deletes: no proof that a chunk fits
		if !b.Stats().MediaFailing {
			t.Error("a delete took the warning back")
		}
		if outage == 1 { // a chunk fits
			if _, err := chunk(); err != nil {
				t.Fatal(err)
			}
		} else { // none comes: the disk is tried
			now = now.Add(2 * time.Minute)
			commit()
		}
		if s := b.Stats(); s.MediaFailing || s.MediaError != "" || s.MediaFailingS != 0 {
			t.Errorf("after outage %d: %+v", outage, s)
		}
	}
	if n := strings.Count(said.String(), "takes data again"); n != 2 {
		t.Errorf("said %d times that it works again", n)
	}
}

// TestGapsListedOutlastsTheirDelivery: the Gap table empties as rows are
// delivered, the count of what was listed does not, and a transaction that
// failed does not count twice.
func TestGapsListedOutlastsTheirDelivery(t *testing.T) {
	fail := false
	b := open(t, t.TempDir(), func(o *buffer.Options) {
		buffer.Break(o, buffer.Faults{BeforeCommit: func(string) error {
			if fail {
				return unix.ENOSPC
			}
			return nil
		}})
	})
	defer b.Close()
	lose := func(source string) {
		b.Lost(telemetry.Gap{Class: telemetry.ClassTelemetry, Boot: telemetry.BootID{1}, From: 1, To: 2, Count: 1, Reason: telemetry.ReasonDecode, Source: source})
	}
	check := func(when string, listed uint64, gaps int) {
		t.Helper()
		if _, err := b.Commit(nil); err != nil {
			t.Fatal(err)
		}
		if s := b.Stats(); s.GapsListed != listed || s.Gaps != gaps {
			t.Errorf("%s: %d listed, %d not delivered; want %d, %d", when, s.GapsListed, s.Gaps, listed, gaps)
		}
	}
	check("at first", 0, 0)
	lose("can0")
	lose("gps")
	check("after two losses", 2, 2)
	drainAll(t, b)
	check("delivered", 2, 0)
	fail = true
	lose("can1")
	check("with a failing disk", 3, 1)
}

// TestOpenNamesBatchesOfAnotherUnit: a renamed unit, or a folder that two
// units share, delivers what it finds, and says so.
func TestOpenNamesBatchesOfAnotherUnit(t *testing.T) {
	dir := t.TempDir()
	start := func(unit string) (*buffer.Buffer, *bytes.Buffer) {
		said := new(bytes.Buffer)
		return open(t, dir, func(o *buffer.Options) {
			o.Unit, o.Log = unit, slog.New(slog.NewTextHandler(said, nil))
		}), said
	}
	const text = "batches of another unit"
	b, said := start("van-1")
	if _, err := b.Commit([]buffer.Entry{{Class: telemetry.ClassTelemetry, Content: anchor(1)}, {Class: telemetry.ClassTelemetry, Content: anchor(2)}}); err != nil {
		t.Fatal(err)
	}
	b.Close()
	if strings.Contains(said.String(), text) {
		t.Errorf("its own backlog: %s", said)
	}
	for range 2 { // at each start, as long as they wait
		b, said = start("van-2")
		if n := strings.Count(said.String(), text); n != 1 || !strings.Contains(said.String(), "belong_to=van-1") || !strings.Contains(said.String(), "batches=2") {
			t.Errorf("said %d times:\n%s", n, said)
		}
		b.Close()
	}
	b, _ = start("van-2")
	drainAll(t, b)
	if _, err := b.Commit(nil); err != nil {
		t.Fatal(err)
	}
	b.Close()
	b, said = start("van-2")
	defer b.Close()
	if strings.Contains(said.String(), text) {
		t.Errorf("after delivery: %s", said)
	}
}
