package main

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"obu/internal/config"
)

// TestSystemdHears: a service is ready when its store is open, alive while it
// flushes, and says that it stops; and the configuration that reached the
// broker is kept: a wrong one later does not stop the service.
func TestSystemdHears(t *testing.T) {
	dir := shortDir(t)
	w, err := newWorld(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.close)
	notify := filepath.Join(dir, "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: notify, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	t.Setenv("NOTIFY_SOCKET", notify)
	t.Setenv("WATCHDOG_USEC", "200000")
	t.Setenv("STATE_DIRECTORY", filepath.Join(dir, "store"))
	path, sock := filepath.Join(dir, "obu.yaml"), filepath.Join(dir, "sock")
	text := fmt.Sprintf("unit: unit-1\ncan:\n  - device: unix:%s/car\nbuffer: {dir: %s/store, flush_every: 100ms}\nuplink: {broker: %q}\nstatus: {socket: %s}\n", dir, dir, w.url(), sock)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	hear := func(word string) (before []string) {
		t.Helper()
		buf := make([]byte, 1000)
		for len(before) < 1000 {
			n, err := conn.Read(buf)
			if err != nil {
				t.Fatal(err)
			}
			if string(buf[:n]) == word {
				return before
			}
			before = append(before, string(buf[:n]))
		}
		t.Fatalf("never heard %s, but %v", word, before)
		return nil
	}
	p := startProcess(t, path, sock, "--service")
	if early := hear("READY=1"); slices.Contains(early, "WATCHDOG=1") {
		t.Errorf("before it was ready it said %v", early)
	}
	hear("WATCHDOG=1")
	await(t, "the copy of the good configuration", func() bool {
		_, err := os.Stat(filepath.Join(dir, "store", "last-good.yaml"))
		return err == nil
	})
	stopProcess(t, p)
	hear("STOPPING=1")

	if err := os.WriteFile(path, []byte("unit: unit-1\nbufer: {}\nuplink: {broker: mqtt://localhost}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	p = startProcess(t, path, sock, "--service")
	hear("READY=1")
	await(t, "the warning", func() bool {
		s, ok := p.status()
		return ok && len(s.Warnings) == 1 && s.Unit == "sim-unit-1"
	})
	s, _ := p.status()
	if w := s.Warnings[0]; !strings.HasPrefix(w, "running the last good configuration, of unit sim-unit-1, from "+dir+"/store/last-good.yaml, because ") ||
		!strings.Contains(w, "obu.yaml:2: unknown key `bufer`") || !strings.Contains(w, "next: correct it (obu check -c ") || strings.Contains(w, "\n") {
		t.Errorf("warning %q", w)
	}
	stopProcess(t, p)
	if !strings.Contains(p.log.String(), "running the last good configuration, of unit sim-unit-1, from ") {
		t.Errorf("log\n%s", p.log.String())
	}
}

// TestLastGoodOfAnotherUnit: a wrong file that plainly names another unit is
// not replaced by the last good configuration: the card was moved.
func TestLastGoodOfAnotherUnit(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("STATE_DIRECTORY", dir)
	good, err := config.Parse("good.yaml", []byte("unit: unit-1\nuplink: {broker: mqtt://localhost}\n"), nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := config.SaveLastGood(dir, good); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "obu.yaml")
	for text, runs := range map[string]bool{
		"unit: unit-1\nbufer: {}\n":                        true,
		"unit: 'sim-unit-1' # as the label says\nbuffer\n": true,
		"unit: unit-2\nbufer: {}\n":                        false,
		"bufer: {}\nunit: \"unit-2\" # moved\n":            false,
		"unit: ${UNIT}\nbufer: {}\n":                       true, // nobody knows
		"bufer: {}\n":                                      true,
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		cfg, why, err := (&runOptions{config: path, service: true}).loadConfig()
		switch {
		case runs && (err != nil || cfg.Unit != "unit-1" || why == ""):
			t.Errorf("%q: %v, %q, %v", text, cfg, why, err)
		case !runs && (err == nil || !strings.Contains(err.Error(), "it is of unit unit-1, and this file names unit-2")):
			t.Errorf("%q runs as %v, %v", text, cfg, err)
		}
	}
}

// stopProcess ends obu as systemd does.
func stopProcess(t *testing.T, p *process) {
	t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Wait(); err != nil {
		t.Errorf("SIGTERM ended it with %v:\n%s", err, p.log.String())
	}
}
