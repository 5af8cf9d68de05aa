package main

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
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
	config, sock := filepath.Join(dir, "obu.yaml"), filepath.Join(dir, "sock")
	text := fmt.Sprintf("unit: unit-1\ncan:\n  - device: unix:%s/car\nbuffer: {dir: %s/store, flush_every: 100ms}\nuplink: {broker: %q}\nstatus: {socket: %s}\n", dir, dir, w.url(), sock)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
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
	p := startProcess(t, config, sock, "--service")
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

	if err := os.WriteFile(config, []byte("unit: unit-1\nbufer: {}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	p = startProcess(t, config, sock, "--service")
	hear("READY=1")
	await(t, "the warning", func() bool {
		s, ok := p.status()
		return ok && len(s.Warnings) == 1 && s.Unit == "sim-unit-1"
	})
	stopProcess(t, p)
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
