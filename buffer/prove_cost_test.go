package buffer

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"obu/buffer/wreck"
	"obu/telemetry"
)

// proveCostEnv is where the store is built: a directory on a real disk.
const proveCostEnv = "OBU_PROVE_DIR"

// TestProofCost measures what the proof of a full store reads before every
// opening, and what the opening reads after it: on a slow card that is how long
// a start takes. What the kernel read from the disk is in /proc/self/io.
func TestProofCost(t *testing.T) {
	home := os.Getenv(proveCostEnv)
	if home == "" {
		t.Skipf("builds and reads stores of 64 MiB: make proof (it sets %s)", proveCostEnv)
	}
	dir, err := os.MkdirTemp(home, "obu-proof-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	now := telemetry.At(time.Hour)
	o := Options{Dir: dir, Unit: "sim-1", Boot: telemetry.BootID{1}, Now: func() telemetry.At { return now }, TelemetryQuota: 64 << 20, MediaQuota: 64 << 20, faults: &faults{noSync: true, movable: true}}
	b, err := Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	pad := make([]byte, 420) // with the rest what a second of a car takes
	for i := 0; b.Stats().TelemetryUsed < 60<<20; i++ {
		var entries []Entry
		for k := range 2000 {
			now = now.Add(time.Second)
			pad[k%len(pad)] = byte(i)
			entries = append(entries, Entry{Class: telemetry.Classes[k%3], Content: telemetry.Content{Chunks: []telemetry.Chunk{{Data: pad}}}})
		}
		if _, err := b.Commit(entries); err != nil {
			t.Fatal(err)
		}
	}
	chunk := make([]byte, 256<<10)
	for i := int64(0); b.Stats().MediaUsed < 60<<20; i++ {
		chunk[i%1000]++
		if _, err := b.CommitChunk("cam/a", telemetry.Chunk{Clip: telemetry.ClipID{3}, Offset: i * int64(len(chunk)), Data: chunk}); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	for _, name := range [...]string{"telemetry.db", "media.db"} {
		proofCost(t, filepath.Join(dir, name))
	}
	forget(t, dir)
	fmt.Println(measured("opening and index of telemetry.db without a proof", func() {
		f := &file{name: "telemetry.db", path: filepath.Join(dir, "telemetry.db"), quota: o.TelemetryQuota}
		err := f.openDB()
		if err == nil {
			_, err = f.load(false)
		}
		if err != nil {
			t.Fatal(err)
		}
		_ = f.closeDB()
	}))
	forget(t, dir)
	fmt.Println(measured("start, closed in order", func() {
		if b, err = Open(t.Context(), o); err != nil {
			t.Fatal(err)
		}
	}))
	b.Crash()
	forget(t, dir)
	fmt.Println(measured("start, not closed in order", func() {
		if b, err = Open(t.Context(), o); err != nil {
			t.Fatal(err)
		}
	}))
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
}

// proofCost measures the proof of one file.
func proofCost(t *testing.T, path string) {
	forget(t, filepath.Dir(path))
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	for _, cache := range []string{"cold", "warm"} {
		fmt.Println(measured(fmt.Sprintf("proof of %s, %d bytes, %s", filepath.Base(path), info.Size(), cache), func() {
			if _, err := wreck.Prove(f, info.Size()); err != nil {
				t.Fatal(err)
			}
		}))
	}
}

// forget drops the kernel's copy of the files.
func forget(t *testing.T, dir string) {
	for _, name := range [...]string{"telemetry.db", "media.db"} {
		f, err := os.Open(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if err := unix.Fdatasync(int(f.Fd())); err != nil {
			t.Fatal(err)
		}
		f.Close()
		dropCache(filepath.Join(dir, name))
	}
}

// measured runs fn and says what it took: time, and bytes read by calls and from
// the disk.
func measured(what string, fn func()) string {
	calls, disk := readSoFar()
	start := time.Now()
	fn()
	took := time.Since(start)
	c, d := readSoFar()
	return fmt.Sprintf("proof: %s: %.2f s, %d bytes in read calls, %d from the disk", what, took.Seconds(), c-calls, d-disk)
}

func readSoFar() (calls, disk int64) {
	raw, err := os.ReadFile("/proc/self/io")
	if err != nil {
		return 0, 0
	}
	var skip int64
	_, _ = fmt.Sscanf(string(raw), "rchar: %d\nwchar: %d\nsyscr: %d\nsyscw: %d\nread_bytes: %d", &calls, &skip, &skip, &skip, &disk)
	return calls, disk
}
