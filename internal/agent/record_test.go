package agent_test

import (
	"compress/gzip"
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"obu/can"
	"obu/internal/clock"
	"obu/internal/virtual"
)

var (
	record = flag.Bool("record", false, "record the drives of testdata/drives anew with the virtual car")
	update = flag.Bool("update", false, "write want.jsonl of the drives of testdata/drives anew")
)

// drives is where the recordings of the virtual car lie.
const drives = "../../testdata/drives"

// TestRecordDrives writes the recordings that TestDrives replays.
func TestRecordDrives(t *testing.T) {
	if !*record {
		t.Skip("skipped: writes testdata/drives anew; run with -record, then -update")
	}
	recordDrive(t, filepath.Join(drives, "city-short"), 7, time.Minute)
}

// recordDrive lets a virtual car drive and records it as a technician would:
// candump on its bus beside a tester, the receiver's sentences, the camera's
// folder. What the car says it emitted is returned.
func recordDrive(t *testing.T, dir string, seed uint64, lasts time.Duration) *virtual.Journal {
	t.Helper()
	for _, d := range []string{dir, filepath.Join(dir, "dashcam")} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Error(err)
		}
	}
	log, err := os.Create(filepath.Join(dir, "can0.log.gz"))
	must(err)
	nmea, err := os.Create(filepath.Join(dir, "gps.nmea"))
	must(err)
	var journal *virtual.Journal
	synctest.Test(t, func(t *testing.T) {
		clk := clock.Virtual()
		car := virtual.New(virtual.Config{Seed: seed, Clock: clk, Start: launch})
		journal = car.Journal()
		ctx, cancel := context.WithTimeout(t.Context(), lasts)
		defer cancel()
		var parts sync.WaitGroup
		ours, theirs := can.Pair(clk)
		parts.Go(func() {
			must(car.ServeECU(ctx, ours, virtual.ECUOptions{Gearbox: true, Latency: 5 * time.Millisecond}))
		})
		parts.Go(func() { must(car.WriteGPS(ctx, nmea, virtual.GPSOptions{Latency: 40 * time.Millisecond})) })
		parts.Go(func() {
			must(car.RecordClips(ctx, filepath.Join(dir, "dashcam"), virtual.DashcamOptions{First: 5 * time.Second, Length: 10 * time.Second, SizeBytes: 16 << 10}))
		})
		z := gzip.NewWriter(log)
		d := &dump{w: z, clk: clk}
		parts.Go(func() { d.listen(theirs) })
		must(d.ask(ctx, theirs))
		parts.Wait()
		must(z.Close())
	})
	must(log.Close())
	must(nmea.Close())
	must(os.WriteFile(filepath.Join(dir, "drive.yaml"), []byte(driveYAML), 0o644))
	return journal
}

// driveYAML: the tester's first request was half a second into the drive, the
// first epoch a second, the camera's first frame five.
const driveYAML = `# A minute of the make-believe car, made by: go test ./internal/agent -run TestRecordDrives -record
start: 2026-05-04T06:00:00Z
vehicle: virtual-7
can:
  - file: can0.log.gz
    offset: 500ms
gps:
  file: gps.nmea
  offset: 1040ms
dashcam:
  dir: dashcam
  camera: front
  offset: 5s
`

// dump writes what passes on a bus as candump -L does.
type dump struct {
	clk *clock.Clock
	mu  sync.Mutex // guards w
	w   io.Writer
}

func (d *dump) frame(f can.Frame) {
	d.mu.Lock()
	defer d.mu.Unlock()
	at := launch.Add(time.Duration(d.clk.Now()))
	fmt.Fprintf(d.w, "(%d.%06d) can0 %s\n", at.Unix(), at.Nanosecond()/1000, f)
}

func (d *dump) listen(bus can.Bus) {
	for {
		f, err := bus.Receive()
		if err != nil {
			return
		}
		d.frame(f)
	}
}

// ask is the tester: the VIN first, then some parameters in turn until ctx
// ends. The last answer is waited for.
func (d *dump) ask(ctx context.Context, bus can.Bus) error {
	send := func(id uint32, data ...byte) error {
		f := can.Frame{ID: id, Len: 8}
		copy(f.Data[:], data)
		d.frame(f)
		return bus.Send(f)
	}
	time.Sleep(500 * time.Millisecond)
	if err := send(0x7DF, 2, 9, 2); err != nil {
		return err
	}
	time.Sleep(50 * time.Millisecond)
	if err := send(0x7E0, 0x30, 0, 0); err != nil { // flow control
		return err
	}
	turn := [...]byte{0x0C, 0x0D, 0x04, 0x11, 0x0C, 0x0D, 0x10, 0x05, 0x0C, 0x0D, 0x2F, 0xA6, 0x42, 0xA4}
	end, _ := ctx.Deadline()
	for n := 0; time.Until(end) > 300*time.Millisecond; n++ {
		time.Sleep(150 * time.Millisecond)
		if err := send(0x7DF, 2, 1, turn[n%len(turn)]); err != nil {
			return err
		}
	}
	<-ctx.Done()
	return nil
}
