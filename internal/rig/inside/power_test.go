package inside_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"obu/internal/agent"
	"obu/internal/virtual"
	"obu/telemetry"
)

// disk is the machine's own disk, which outlives it.
const disk = "/disk"

// kernelWord returns the value of key=value on the kernel's command line.
func kernelWord(t testing.TB, key string) string {
	t.Helper()
	b, err := os.ReadFile("/proc/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for w := range strings.FieldsSeq(string(b)) {
		if v, ok := strings.CutPrefix(w, key+"="); ok {
			return v
		}
	}
	t.Fatalf("no %s= on the kernel's command line", key)
	return ""
}

// startUnit starts obu on the store that lies on the disk.
func startUnit(t testing.TB, bus string) (socket string) {
	t.Helper()
	dir := t.TempDir()
	socket = filepath.Join(dir, "obu.sock")
	conf := filepath.Join(dir, "obu.yaml")
	text := fmt.Sprintf(`unit: rig
vehicle: van
fleet: rig
can:
  - device: %s
    bitrate: 500000
    obd: {period: 200ms, pids: ["0C", "0D", "04", "05", "11"]}
buffer: {dir: %s/store}
uplink: {broker: "%s", reconnect_max: 1s, history_rate: unlimited}
status: {socket: %s}
`, bus, disk, kernelWord(t, "broker"), socket)
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("/bin/obu", "run", "-c", conf)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt) // an error says that it has ended, and Wait tells why
		if err := cmd.Wait(); err != nil {
			t.Error("obu:", err)
		}
	})
	return socket
}

// status waits for a status of the unit that is as it should be.
func status(t testing.TB, socket string, limit time.Duration, good func(*agent.Status) bool) {
	t.Helper()
	var body []byte
	for end := time.Now().Add(limit); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		var err error
		if body, err = agent.Ask(t.Context(), socket, "status"); err != nil {
			continue // it is not up yet
		}
		var s agent.Status
		if err := json.Unmarshal(body, &s); err != nil {
			t.Fatal(err)
		}
		if good(&s) {
			return
		}
	}
	t.Fatalf("the unit did not get there in %v; its last status:\n%s", limit, body)
}

// TestDriveUntilTheCut drives until somebody takes the power away.
func TestDriveUntilTheCut(t *testing.T) {
	name := vcan(t, "vcan0")
	car := virtual.New(virtual.Config{Seed: 7, Clock: system(t), Start: time.Now().UTC()})
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	b := dial(t, name, nil)
	done := make(chan error, 1)
	go func() { done <- car.ServeECU(ctx, b, virtual.ECUOptions{Gearbox: true}) }()
	socket := startUnit(t, name)
	status(t, socket, time.Minute, func(s *agent.Status) bool {
		return len(s.Sources) == 1 && s.Sources[0].State == "running"
	})
	fmt.Println("\nRIG RUNNING")
	t.Error("the car has ended: ", <-done)
}

// TestDrainAfterTheCuts sends what the disk still holds.
func TestDrainAfterTheCuts(t *testing.T) {
	socket := startUnit(t, vcan(t, "vcan0"))
	status(t, socket, 2*time.Minute, func(s *agent.Status) bool {
		held := 0
		for _, st := range s.Streams {
			if st.Class != telemetry.ClassHealth {
				held += st.Batches
			}
		}
		return s.Uplink.Connected && held == 0 && s.Batcher.Held == 0
	})
}
