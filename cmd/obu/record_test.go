package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"obu/can"
	"obu/internal/agent"
	"obu/internal/clock"
)

// TestRecordPlaysBack records a car's bus in several files and replays the
// folder through the agent: every frame is read again.
func TestRecordPlaysBack(t *testing.T) {
	dir := t.TempDir()
	clk, err := clock.System()
	if err != nil {
		t.Fatal(err)
	}
	l, err := can.ListenUnix(filepath.Join(dir, "bus"), clk)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	const frames = 400
	go func() {
		bus, err := l.Accept()
		if err != nil {
			return
		}
		for i := range frames {
			if bus.Send(can.Frame{ID: 0x7E8, Len: 8, Data: [64]byte{3, 0x41, 0x0D, byte(i)}}) != nil {
				return
			}
		}
	}()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	out := filepath.Join(dir, "rec")
	var said bytes.Buffer
	ended := make(chan int)
	go func() {
		ended <- run(ctx, []string{"record", "--device", "unix:" + filepath.Join(dir, "bus"), "--out", out, "--file-size", "8KiB", "--sync", "100ms"}, nil, &said, &said)
	}()
	for ctx.Err() == nil {
		logs, _ := filepath.Glob(filepath.Join(out, "*.log"))
		n := 0
		for _, f := range logs {
			b, _ := os.ReadFile(f)
			n += bytes.Count(b, []byte{'\n'})
		}
		if n >= frames {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	cancel()
	if code := <-ended; code != 0 || !strings.Contains(said.String(), fmt.Sprintf("%d frames in 3 files", frames)) {
		t.Fatalf("exit %d:\n%s", code, &said)
	}
	d, err := agent.ReadDrive(out)
	if err != nil || len(d.CAN) != 3 || d.CAN[2].Offset < d.CAN[1].Offset || time.Since(d.Start).Abs() > time.Hour {
		t.Fatalf("%+v, %v", d, err)
	}

	w, err := newWorld(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer w.close()
	conf := filepath.Join(dir, "obu.yaml")
	text := fmt.Sprintf("unit: a\nvehicle: b\nfleet: c\nbuffer: {dir: %s}\nuplink: {broker: %q}\nstatus: {socket: %s}\n", filepath.Join(dir, "store"), w.url(), filepath.Join(dir, "sock"))
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	said.Reset()
	if code := run(t.Context(), []string{"run", "-c", conf, "--replay", out, "--speed", "0"}, nil, &said, &said); code != 0 || !strings.Contains(said.String(), "recording has ended") {
		t.Errorf("replay: exit %d:\n%s", code, &said)
	}
	for _, wrong := range [][]string{{"record", "--device", "can0"}, {"record", "--device", "can0", "--out", out, "--total", "1MiB"}, {"record", "--device", "can0", "--out", out, "--total", "1"}} {
		said.Reset()
		if code := run(t.Context(), wrong, nil, &said, &said); code != 2 {
			t.Errorf("%v: exit %d, %s", wrong, code, &said)
		}
	}
}
