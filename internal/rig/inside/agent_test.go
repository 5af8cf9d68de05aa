package inside_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"obu/internal/agent"
)

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

// startUnit starts the shipped binary with its sources and broker in YAML, and
// its store in a folder. It returns the status socket.
func startUnit(t testing.TB, sources, broker, store string) (socket string) {
	t.Helper()
	cmd, socket := launch(t, fmt.Sprintf("%s\nbuffer: {dir: %s}\nuplink: {broker: %q, reconnect_max: 1s, history_rate: unlimited}\n", sources, store, broker))
	t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt) // an error says that it has ended, and Wait tells why
		if err := cmd.Wait(); err != nil {
			t.Error("obu:", err)
		}
	})
	return socket
}

// launch starts the shipped binary with what the configuration says beside the
// unit's name and its socket; the caller ends it.
func launch(t testing.TB, settings string) (cmd *exec.Cmd, socket string) {
	t.Helper()
	dir := t.TempDir()
	socket = filepath.Join(dir, "obu.sock")
	conf := filepath.Join(dir, "obu.yaml")
	text := fmt.Sprintf("unit: rig\nvehicle: van\nfleet: rig\nstatus: {socket: %s}\n%s", socket, settings)
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd = exec.Command("/bin/obu", "run", "-c", conf)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return cmd, socket
}

// noBroker is where nobody listens.
const noBroker = "mqtt://127.0.0.1:1"

// canSource is the configuration of one bus.
func canSource(bus string) string {
	return fmt.Sprintf("can:\n  - device: %s\n    bitrate: 500000\n    obd: {period: 200ms, pids: [\"0C\", \"0D\", \"04\", \"05\", \"11\"]}", bus)
}

// await waits for a status of the unit that is as it should be.
func await(t testing.TB, socket string, limit time.Duration, good func(*agent.Status) bool) {
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

// running reports whether the only source runs.
func running(s *agent.Status) bool { return len(s.Sources) == 1 && s.Sources[0].State == "running" }

// waits reports whether the only source says why it does not run.
func waits(s *agent.Status) bool {
	return len(s.Sources) == 1 && s.Sources[0].State != "running" && s.Sources[0].Error != ""
}

// values returns how many values were taken since the start.
func values(t testing.TB, socket string) (n uint64) {
	t.Helper()
	await(t, socket, time.Minute, func(s *agent.Status) bool { n = s.Batcher.Values; return true })
	return n
}
