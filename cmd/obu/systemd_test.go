package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"obu/buffer"
	"obu/internal/agent"
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
	words := make(chan string, 100_000)
	go func() { // always: what finds no room within a second is dropped
		for buf := make([]byte, 1000); ; {
			n, err := conn.Read(buf)
			if err != nil {
				close(words)
				return
			}
			words <- string(buf[:n])
		}
	}()
	hear := func(word string) (before []string) {
		t.Helper()
		for w := range words {
			if w == word {
				return before
			}
			before = append(before, w)
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
	endProcess(t, p, syscall.SIGHUP) // in order too: a terminal that closes, a reload
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
	for _, args := range [][]string{{"status"}, {"buffer", "stat"}, {"buffer", "ls"}} { // the technician finds it all the same
		cmd := exec.Command("obu", append(args, "-c", path)...)
		var out, errs strings.Builder
		cmd.Stdout, cmd.Stderr = &out, &errs
		if err := cmd.Run(); err != nil || args[len(args)-1] == "stat" && !strings.Contains(out.String(), "a running agent uses") || !strings.Contains(errs.String(), "obu: warning: ") ||
			!strings.Contains(errs.String(), "unknown key `bufer`") {
			t.Errorf("obu %v: %v\n%s%s", args, err, out.String(), errs.String())
		}
	}
	stopProcess(t, p)
	for _, args := range [][]string{{"status"}, {"buffer", "verify"}} { // no agent: the mistake is what to mend, the store is where it was
		out, err := exec.Command("obu", append(args, "-c", path)...).CombinedOutput()
		if (err != nil) != (args[0] == "status") || !strings.Contains(string(out), "unknown key `bufer`") {
			t.Errorf("obu %v without an agent: %v\n%s", args, err, out)
		}
	}
	if !strings.Contains(p.log.String(), "running the last good configuration, of unit sim-unit-1, from ") {
		t.Errorf("log\n%s", p.log.String())
	}
}

// TestSystemdWaitsForACopyOfTheStore: a flush that stands still because the
// whole store is being copied is alive, and so is an agent that stops with that
// on its hands; one that stands still and shows nothing is given up.
func TestSystemdWaitsForACopyOfTheStore(t *testing.T) {
	t.Setenv("WATCHDOG_USEC", "60000000")
	synctest.Test(t, func(t *testing.T) {
		var flushes, progress, copying atomic.Uint64
		var mu sync.Mutex // guards said
		var said []string
		heard := func() (words []string) {
			mu.Lock()
			defer mu.Unlock()
			words, said = said, nil
			return words
		}
		cfg := config.Default()
		started := make(chan struct{})
		w := &watch{cfg: &cfg, started: started, log: slog.New(slog.DiscardHandler),
			status: func() agent.Status {
				if copying.Load() > 0 {
					progress.Add(4 << 20)
				}
				return agent.Status{Flush: agent.FlushStatus{Flushes: flushes.Load()}, Buffer: &buffer.Stats{Progress: progress.Load()}}
			},
			tell: func(word string) { mu.Lock(); defer mu.Unlock(); said = append(said, word) }}
		ctx, cancel := context.WithCancel(t.Context())
		stop := w.start(ctx)
		close(started)
		copying.Store(1)
		time.Sleep(5 * time.Minute)
		if n := countOf(heard(), "WATCHDOG=1"); n < 5 {
			t.Errorf("alive %d times in five minutes of a copy", n)
		}
		copying.Store(0)
		time.Sleep(time.Minute)
		heard()
		time.Sleep(5 * time.Minute)
		if words := heard(); len(words) > 0 {
			t.Errorf("a flush that hangs said %v", words)
		}
		flushes.Add(1)
		copying.Store(1)
		cancel()
		time.Sleep(5 * time.Minute)
		words := heard()
		if n := countOf(words, "EXTEND_TIMEOUT_USEC=60000000"); n < 5 || !slices.Contains(words, "STOPPING=1") {
			t.Errorf("it stops with a copy on its hands and says %v", words)
		}
		copying.Store(0)
		time.Sleep(time.Minute)
		heard()
		time.Sleep(5 * time.Minute)
		stop()
		if words := heard(); len(words) > 0 {
			t.Errorf("a stop that hangs said %v", words)
		}
	})
}

// countOf counts a word.
func countOf(words []string, word string) (n int) {
	for _, w := range words {
		if w == word {
			n++
		}
	}
	return n
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

// TestSystemdThatDoesNotRead: a word that nobody takes holds nothing up, the end
// least of all.
func TestSystemdThatDoesNotRead(t *testing.T) {
	path := filepath.Join(shortDir(t), "notify")
	address := &net.UnixAddr{Name: path, Net: "unixgram"}
	conn, err := net.ListenUnixgram("unixgram", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	full, err := net.DialUnix("unixgram", nil, address)
	if err != nil {
		t.Fatal(err)
	}
	defer full.Close()
	for err = nil; err == nil; _, err = full.Write([]byte("WATCHDOG=1")) {
		if err := full.SetWriteDeadline(time.Now().Add(200 * time.Millisecond)); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("NOTIFY_SOCKET", path)
	var said strings.Builder
	told := make(chan struct{})
	go func() {
		defer close(told)
		tellSystemd(slog.New(slog.NewTextHandler(&said, &slog.HandlerOptions{Level: slog.LevelDebug})))("STOPPING=1")
	}()
	select {
	case <-told:
	case <-time.After(time.Minute):
		t.Fatal("it waits for a systemd that does not read")
	}
	if !strings.Contains(said.String(), "systemd") {
		t.Errorf("it said %q", said.String())
	}
}

// stopProcess ends obu as systemd does.
func stopProcess(t *testing.T, p *process) {
	t.Helper()
	endProcess(t, p, syscall.SIGTERM)
}

func endProcess(t *testing.T, p *process, by syscall.Signal) {
	t.Helper()
	if err := p.cmd.Process.Signal(by); err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Wait(); err != nil {
		t.Fatalf("%v ended it with %v:\n%s", by, err, p.log.String())
	}
}
