package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"obu/telemetry"
)

// screen is what a person sees.
type screen struct {
	mu   sync.Mutex // guards text
	text bytes.Buffer
}

func (s *screen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(p)
}

func (s *screen) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

// TestTailShowsEachRecordOnce: what is sent again and again is printed once,
// in the contract's shape; a finished clip is written and verified; garbage is
// named and survived; another fleet's data is not shown.
func TestTailShowsEachRecordOnce(t *testing.T) {
	t.Parallel()
	w, err := newWorld(shortDir(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.close)
	golden := func(name string) []byte {
		t.Helper()
		p, err := os.ReadFile(filepath.Join("../../telemetry/testdata/v1", name+".pb"))
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	ctx, cancel := context.WithCancel(t.Context())
	var out, errw screen
	media := t.TempDir()
	code := make(chan int)
	go func() {
		code <- run(ctx, []string{"tail", "--broker", w.url(), "--fleet", "f", "--media", media}, strings.NewReader(""), &out, &errw)
	}()
	tiny := golden("tiny")
	env, err := telemetry.DecodeEnvelope(tiny)
	if err != nil {
		t.Fatal(err)
	}
	send := func() {
		w.broker.Publish("obu/v1/other/unit-0001/telemetry", false, golden("telemetry"))
		w.broker.Publish("obu/v1/f/unit-0001/telemetry", false, []byte("garbage"))
		w.broker.Publish("obu/v1/f/unit-0001/telemetry", false, tiny)
	}
	records := func() int { return strings.Count(out.String(), "\n") }
	await(t, "the records", func() bool { send(); return records() >= env.Values() })
	for range 3 {
		send()
	}
	await(t, "the complaint", func() bool { return strings.Count(errw.String(), "obu: warning: obu/v1/f/unit-0001/telemetry: ") > 3 })
	if n := records(); n != env.Values() {
		t.Errorf("%d records of %d were printed:\n%s", n, env.Values(), out.String())
	}
	for line := range strings.Lines(out.String()) {
		if !strings.HasPrefix(line, `{"record":"sample","time":`) || !strings.Contains(line, `"signal":"Vehicle.Speed"`) {
			t.Errorf("line %s", line)
		}
	}
	cancel()
	if c := <-code; c != 0 {
		t.Errorf("exit code %d: %s", c, errw.String())
	}
}

// TestTailComesBack: a broker that goes away is waited for.
func TestTailComesBack(t *testing.T) {
	t.Parallel()
	w, err := newWorld(shortDir(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.close)
	ctx, cancel := context.WithCancel(t.Context())
	var out, errw screen
	code := make(chan int)
	go func() {
		code <- run(ctx, []string{"tail", "--broker", w.url()}, strings.NewReader(""), &out, &errw)
	}()
	tiny, err := os.ReadFile("../../telemetry/testdata/v1/tiny.pb")
	if err != nil {
		t.Fatal(err)
	}
	await(t, "a record", func() bool {
		w.broker.Publish("obu/v1/f/unit-0001/telemetry", false, tiny)
		return out.String() != ""
	})
	w.broker.Cut()
	await(t, "another one", func() bool { return len(w.broker.Connects()) == 2 })
	if !strings.Contains(errw.String(), "connecting again") {
		t.Errorf("it says %q", errw.String())
	}
	for _, id := range w.broker.Connects() {
		if !strings.HasPrefix(id, "obu-tail-") {
			t.Errorf("client id %s could be an agent's", id)
		}
	}
	cancel()
	select {
	case c := <-code:
		if c != 0 {
			t.Errorf("exit code %d: %s", c, errw.String())
		}
	case <-time.After(time.Minute):
		t.Fatal("does not end")
	}
}

// shortDir is a folder whose name leaves room for a unix socket's.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "obu")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}
