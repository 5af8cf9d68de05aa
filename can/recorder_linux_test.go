package can_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"obu/can"
	"obu/can/canlog"
	"obu/can/link"
	"obu/internal/clock"
)

// smallDisk is a file system of size bytes.
func smallDisk(t *testing.T, size string) string {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("obu-test", dir, "tmpfs", 0, "size="+size); err != nil {
		t.Skipf("needs root to mount a small tmpfs: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// fill leaves no free byte on a disk.
func fill(t *testing.T, path string) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for block := make([]byte, 4096); err == nil; {
		_, err = f.Write(block)
	}
	if !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
}

// TestRecordingOutlivesAFullDisk: what is not written is counted, what is
// written reads back, the recording goes on when there is room, and each turn
// is said once.
func TestRecordingOutlivesAFullDisk(t *testing.T) {
	disk := smallDisk(t, "256k")
	dir, ballast := filepath.Join(disk, "rec"), filepath.Join(disk, "ballast")
	synctest.Test(t, func(t *testing.T) {
		var said bytes.Buffer
		sent := 0
		send := func(car can.Bus, n int) {
			for range n {
				car.Send(can.Frame{ID: 0x123, Len: 2, Data: [64]byte{byte(sent >> 8), byte(sent)}})
				sent++
				time.Sleep(20 * time.Millisecond)
			}
		}
		cfg := can.RecorderConfig{Dir: dir, FileBytes: 16 << 10, TotalBytes: 64 << 10, SyncEvery: time.Second, Log: slog.New(slog.NewTextHandler(&said, nil))}
		st := recorded(t, cfg, func(car can.Bus) {
			send(car, 500)
			fill(t, ballast)
			send(car, 2000)
			if err := os.Remove(ballast); err != nil {
				t.Error(err)
			}
			send(car, 500)
		})
		if st.Frames+st.Missing != uint64(sent) || st.Missing < 1500 || st.Missing > 2100 {
			t.Errorf("%d sent, %+v", sent, st)
		}
		names, err := filepath.Glob(filepath.Join(dir, "can-*.log"))
		if err != nil || len(names) != st.Files {
			t.Errorf("%d files (%v), %+v", len(names), err, st)
		}
		var text strings.Builder
		for _, name := range names {
			b, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			text.Write(b)
			listed, err := os.ReadFile(filepath.Join(dir, "drive.yaml"))
			if err != nil || !bytes.Contains(listed, []byte(filepath.Base(name))) {
				t.Errorf("drive.yaml (%v) has no %s:\n%s", err, name, listed)
			}
		}
		lines := uint64(0)
		for log := canlog.NewReader(strings.NewReader(text.String())); ; lines++ {
			if _, err := log.Next(); err == io.EOF {
				break
			} else if err != nil {
				t.Fatal(err)
			}
		}
		if lines != st.Frames {
			t.Errorf("%d lines read back, %+v", lines, st)
		}
		if strings.Count(said.String(), "does not take the recording") != 1 || strings.Count(said.String(), "takes the recording again") != 1 {
			t.Errorf("said:\n%s", &said)
		}
	})
}

// TestRecordingMakesRoomOnAFullDisk: the total bound is kept where the list of
// the files cannot be written either.
func TestRecordingMakesRoomOnAFullDisk(t *testing.T) {
	disk := smallDisk(t, "64k")
	synctest.Test(t, func(t *testing.T) {
		dir := filepath.Join(disk, "rec")
		st := recorded(t, can.RecorderConfig{Dir: dir, FileBytes: 12 << 10, TotalBytes: 48 << 10, SyncEvery: time.Second}, func(car can.Bus) {
			for i := range 3000 {
				if i == 1000 {
					fill(t, filepath.Join(disk, "ballast"))
				}
				car.Send(can.Frame{ID: 0x123, Len: 8})
				time.Sleep(20 * time.Millisecond)
			}
		})
		if st.Frames+st.Missing != 3000 || st.Removed < 5 || st.Bytes > 48<<10 {
			t.Errorf("%+v", st)
		}
	})
}

// TestRecordingOnADiskThatStaysFull ends with what is wrong.
func TestRecordingOnADiskThatStaysFull(t *testing.T) {
	disk := smallDisk(t, "64k")
	dir := filepath.Join(disk, "rec")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	fill(t, filepath.Join(disk, "ballast"))
	synctest.Test(t, func(t *testing.T) {
		clk := clock.Virtual()
		in, car := can.Pair(clk)
		r, err := can.NewRecorder(can.RecorderConfig{Dir: dir, Clock: clk, Buses: []can.RecordedBus{{Name: "can0", Dial: func(context.Context) (can.Bus, error) { return in, nil }}}})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		go func() {
			for range 100 {
				car.Send(can.Frame{ID: 1})
				time.Sleep(100 * time.Millisecond)
			}
		}()
		if err := r.Run(ctx); !errors.Is(err, can.ErrRecording) || !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("ended with %v", err)
		}
		if st := r.Stats(); st.Frames != 0 || st.Missing != 100 || st.Files != 0 {
			t.Errorf("%+v", st)
		}
	})
}

// TestTwoRecordersInOneFolder: the second is told, the first goes on.
func TestTwoRecordersInOneFolder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := can.RecorderConfig{Dir: t.TempDir()}
		second := func() error {
			r, err := can.NewRecorder(can.RecorderConfig{Dir: cfg.Dir, Clock: clock.Virtual(), Buses: []can.RecordedBus{{Name: "can1", Dial: func(context.Context) (can.Bus, error) { return nil, link.ErrNoDevice }}}})
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			return r.Run(ctx)
		}
		st := recorded(t, cfg, func(car can.Bus) {
			car.Send(can.Frame{ID: 1})
			synctest.Wait()
			if err := second(); !errors.Is(err, can.ErrFolderInUse) || !strings.Contains(err.Error(), cfg.Dir) {
				t.Errorf("second recorder: %v", err)
			}
			car.Send(can.Frame{ID: 2})
		})
		if st.Frames != 2 || st.Files != 1 {
			t.Errorf("%+v", st)
		}
		if err := second(); err != nil {
			t.Errorf("after the first has ended: %v", err)
		}
	})
}
