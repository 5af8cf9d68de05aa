package can_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"obu/can"
	"obu/can/canlog"
	"obu/can/link"
	"obu/internal/clock"
)

// recorded plays frames into a recording and returns what the recorder did.
func recorded(t *testing.T, cfg can.RecorderConfig, play func(can.Bus)) can.RecorderStats {
	t.Helper()
	clk := clock.Virtual()
	in, car := can.Pair(clk)
	cfg.Clock = clk
	cfg.Buses = []can.RecordedBus{{Name: "can0", Dial: func(context.Context) (can.Bus, error) { return in, nil }}}
	r, err := can.NewRecorder(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- r.Run(ctx) }()
	play(car)
	synctest.Wait()
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	return r.Stats()
}

// logLines reads every log of a folder, oldest first.
func logLines(t *testing.T, dir string) (entries []canlog.Entry, files int) {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "can-*.log"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		f, err := os.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		log := canlog.NewReader(f)
		for {
			e, err := log.Next()
			if err != nil {
				break
			}
			entries = append(entries, e)
		}
		f.Close()
	}
	return entries, len(names)
}

// TestRecordingReadsBack: every shape of frame is in the log as it was on the
// bus, with its time to the microsecond.
func TestRecordingReadsBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "new")
		frames := append(shapes(), can.Frame{ID: 0x1ABCDEF0, Extended: true, FD: true, Len: 12})
		st := recorded(t, can.RecorderConfig{Dir: dir}, func(car can.Bus) {
			for _, f := range frames {
				time.Sleep(1500 * time.Microsecond)
				car.Send(f)
			}
		})
		got, _ := logLines(t, dir)
		if len(got) != len(frames) || st.Frames != uint64(len(frames)) || st.Files != 1 {
			t.Fatalf("%d lines, %+v", len(got), st)
		}
		for i, e := range got {
			want := frames[i]
			want.At = 0
			if e.Frame != want || e.Interface != "can0" {
				t.Errorf("recorded %+v\n on the bus %+v", e.Frame, want)
			}
			if i > 0 && e.Stamp.Nanos-got[i-1].Stamp.Nanos != 1_500_000 {
				t.Errorf("line %d: %v behind %v", i, e.Stamp, got[i-1].Stamp)
			}
		}
	})
}

// TestRecordingIsBounded: files end by size, the oldest go, and at no moment
// the folder has more than its total; what went is told.
func TestRecordingIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		cfg := can.RecorderConfig{Dir: dir, FileBytes: 4096, TotalBytes: 4 * 4096, SyncEvery: time.Second}
		most := int64(0)
		var number byte
		play := func(car can.Bus) {
			for range 100 {
				for range 20 {
					number++
					car.Send(can.Frame{ID: 0x123, Len: 8, Data: [64]byte{number}})
				}
				time.Sleep(time.Second)
				synctest.Wait()
				most = max(most, logBytes(t, dir))
			}
		}
		st := recorded(t, cfg, play)
		if most > 4*4096 || most < 3*4096 {
			t.Errorf("the folder had up to %d bytes", most)
		}
		if st.Frames != 2000 || st.Removed == 0 || !strings.HasPrefix(st.Removals, "can-000001.log to can-0000") {
			t.Errorf("%+v", st)
		}
		got, files := logLines(t, dir)
		if files != st.Files || int64(st.Bytes)+st.RemovedBytes != int64(2000*len("(946684800.000000) can0 123#0000000000000000\n")) {
			t.Errorf("%d files, %+v", files, st)
		}
		for i, e := range got { // the newest 2,000 mod 256, without a hole
			if want := byte(2000 - len(got) + 1 + i); e.Data[0] != want {
				t.Fatalf("line %d holds frame %d, want %d", i, e.Data[0], want)
			}
		}
		// Another run goes on behind it, within the same bound.
		st = recorded(t, cfg, play)
		if logBytes(t, dir) > 4*4096 || st.Removed == 0 || strings.HasPrefix(st.Removals, "can-000001.log") {
			t.Errorf("after another run %d bytes, %+v", logBytes(t, dir), st)
		}
	})
}

func logBytes(t *testing.T, dir string) (sum int64) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if info, err := e.Info(); err == nil && strings.HasSuffix(e.Name(), ".log") {
			sum += info.Size()
		}
	}
	return sum
}

// TestRecordingRotatesByAge, and drive.yaml says where each file begins.
func TestRecordingRotatesByAge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		recorded(t, can.RecorderConfig{Dir: dir, FileAge: time.Minute}, func(car can.Bus) {
			for range 5 {
				car.Send(can.Frame{ID: 0x123, Len: 8})
				time.Sleep(25 * time.Second)
			}
		})
		text, err := os.ReadFile(filepath.Join(dir, "drive.yaml"))
		want := "  - {file: can-000001.log, offset: 0s}\n  - {file: can-000002.log, offset: 1m15s}\n"
		if err != nil || !strings.HasSuffix(string(text), want) {
			t.Errorf("drive.yaml (%v):\n%s", err, text)
		}
	})
}

// TestRecordingIsSynced: what was recorded is in the file SyncEvery later,
// while the recorder runs on.
func TestRecordingIsSynced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		recorded(t, can.RecorderConfig{Dir: dir, SyncEvery: 2 * time.Second}, func(car can.Bus) {
			car.Send(can.Frame{ID: 0x123, Len: 8})
			time.Sleep(2100 * time.Millisecond)
			if got, _ := logLines(t, dir); len(got) != 1 {
				t.Errorf("%d lines in the file", len(got))
			}
		})
	})
}

// TestRecorderOutlivesItsBus: a bus that goes away is opened again, and what
// the kernel dropped is counted; a folder that takes nothing ends it.
func TestRecorderOutlivesItsBus(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		clk, dir := clock.Virtual(), t.TempDir()
		dials := 0
		dial := func(context.Context) (can.Bus, error) {
			if dials++; dials == 2 {
				return nil, link.ErrNoDevice
			}
			in, car := can.Pair(clk)
			go func() {
				for range 1000 { // more than a Pair holds
					car.Send(can.Frame{ID: 0x123})
				}
				time.Sleep(10 * time.Second)
				car.Close()
			}()
			return in, nil
		}
		r, err := can.NewRecorder(can.RecorderConfig{Dir: dir, Clock: clk, Buses: []can.RecordedBus{{Name: "can0", Dial: dial}}})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		if err := r.Run(ctx); err != nil {
			t.Error(err)
		}
		st := r.Stats()
		if dials < 3 || st.Outages < 2 || st.Frames+st.Dropped != uint64(dials-1)*1000 {
			t.Errorf("%d dials, %+v", dials, st)
		}
		file := filepath.Join(dir, "drive.yaml")
		bad, err := can.NewRecorder(can.RecorderConfig{Dir: file, Clock: clk, Buses: []can.RecordedBus{{Name: "can0", Dial: dial}}})
		if err != nil {
			t.Fatal(err)
		}
		if err := bad.Run(t.Context()); !errors.Is(err, can.ErrRecording) {
			t.Errorf("recorded into a file: %v", err)
		}
		time.Sleep(10 * time.Second) // the cars end
	})
}

// TestRecordingOfManyFiles: a folder holds no more files than can be listed anew
// each time one ends.
func TestRecordingOfManyFiles(t *testing.T) {
	dir := t.TempDir()
	bus, car := can.Pair(clock.Virtual())
	car.Close()
	cfg := can.RecorderConfig{Dir: dir, Clock: clock.Virtual(), FileAge: time.Second,
		Buses: []can.RecordedBus{{Name: "can0", Dial: func(context.Context) (can.Bus, error) { return bus, nil }}}}
	for n := range can.MaxLogFiles + 5 {
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("can-%06d.log", n+1)), []byte("(1.000000) can0 123#00\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	r, err := can.NewRecorder(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := r.Run(ctx); err != nil {
		t.Fatal(err)
	}
	if st := r.Stats(); st.Files != can.MaxLogFiles-1 || st.Removed != 6 || st.Removals != "can-000001.log to can-000006.log" {
		t.Errorf("%+v", st)
	}
	cfg.FileBytes, cfg.TotalBytes = 4096, 1<<30
	if _, err := can.NewRecorder(cfg); err == nil {
		t.Error("a recording of 262,144 files is accepted")
	}
}
