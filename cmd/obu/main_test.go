package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"obu/can"
	"obu/internal/agent"
	"obu/internal/clock"
	"obu/internal/virtual"
	"obu/uplink/brokertest"
)

// The test binary is obu too: scripts and the tests beside them run it by name.
func TestMain(m *testing.M) { testscript.Main(m, map[string]func(){"obu": main}) }

// world is what a script finds: a broker at $BROKER, and a car whose bus is the
// unix socket $CAR.
type world struct {
	broker   *brokertest.Broker
	listener net.Listener
	car      *virtual.Car
	bus      *can.UnixListener
	cancel   context.CancelFunc
	parts    sync.WaitGroup
}

func newWorld(dir string) (*world, error) {
	w := &world{broker: brokertest.New()}
	var err error
	if w.listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		return nil, err
	}
	clk := clock.Virtual()
	if w.bus, err = can.ListenUnix(filepath.Join(dir, "car"), clk); err != nil {
		return nil, errors.Join(err, w.listener.Close())
	}
	w.car = virtual.New(virtual.Config{Seed: 3, Clock: clk, Start: time.Now()})
	ctx, cancel := context.WithCancel(context.Background())
	w.cancel = cancel
	w.parts.Go(func() { _ = w.broker.Serve(w.listener) })
	w.parts.Go(func() {
		for {
			bus, err := w.bus.Accept()
			if err != nil {
				return
			}
			w.parts.Go(func() { _ = w.car.ServeECU(ctx, bus, virtual.ECUOptions{}) })
		}
	})
	return w, nil
}

func (w *world) url() string { return "mqtt://" + w.listener.Addr().String() }

func (w *world) close() {
	w.cancel()
	w.bus.Close()
	w.listener.Close()
	w.broker.Close()
	w.parts.Wait()
}

// TestScripts runs every command as a technician does.
func TestScripts(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(env *testscript.Env) error {
			dir, err := os.MkdirTemp("", "obu") // a unix socket's path is short
			if err != nil {
				return err
			}
			w, err := newWorld(dir)
			if err != nil {
				return err
			}
			env.Defer(func() { w.close(); os.RemoveAll(dir) })
			drives, err := filepath.Abs("../../testdata/drives/city-short")
			if err != nil {
				return err
			}
			if err := os.Symlink(drives, filepath.Join(env.WorkDir, "drive")); err != nil {
				return err
			}
			env.Setenv("BROKER", w.url())
			env.Setenv("HOSTPORT", w.listener.Addr().String())
			env.Setenv("CAR", filepath.Join(dir, "car"))
			env.Setenv("SOCKET", filepath.Join(dir, "obu.sock"))
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits": exits, "expand": expand, "await": awaitStatus, "jsonkeys": jsonKeys, "truncate": truncate, "garbage": garbage,
		},
	})
}

// exits runs a command and wants its exit code: exits 2 obu frob.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE COMMAND...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	got := 0
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		got = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

// expand replaces $NAME in files by the script's variables.
func expand(ts *testscript.TestScript, _ bool, args []string) {
	for _, name := range args {
		path := ts.MkAbs(name)
		ts.Check(os.WriteFile(path, []byte(os.Expand(ts.ReadFile(name), ts.Getenv)), 0o600))
	}
}

// awaitStatus waits until the running agent's status, as JSON, holds a text.
func awaitStatus(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 1 {
		ts.Fatalf("usage: await TEXT")
	}
	var last string
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		body, err := agent.Ask(context.Background(), ts.Getenv("SOCKET"), "status")
		if last = string(body); err == nil && strings.Contains(last, args[0]) {
			return
		}
	}
	ts.Fatalf("no %s in the agent's status: %s", args[0], last)
}

// jsonKeys wants the last output to be JSON, one value or one a line, in which
// each object has exactly these keys at its top.
func jsonKeys(ts *testscript.TestScript, _ bool, args []string) {
	d := json.NewDecoder(strings.NewReader(ts.ReadFile("stdout")))
	n := 0
	for ; d.More(); n++ {
		var m map[string]json.RawMessage
		ts.Check(d.Decode(&m))
		for _, k := range args {
			if _, ok := m[k]; !ok && !strings.HasPrefix(k, "?") {
				ts.Fatalf("object %d has no key %q", n, k)
			}
			delete(m, strings.TrimPrefix(k, "?"))
		}
		if len(m) > 0 {
			ts.Fatalf("object %d has more keys: %v", n, m)
		}
	}
	if n == 0 {
		ts.Fatalf("no JSON on standard output")
	}
}

// truncate cuts a file: truncate FILE BYTES.
func truncate(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: truncate FILE BYTES")
	}
	n, err := strconv.ParseInt(args[1], 10, 64)
	ts.Check(err)
	if n < 0 { // so many fewer
		info, err := os.Stat(ts.MkAbs(args[0]))
		ts.Check(err)
		n += info.Size()
	}
	ts.Check(os.Truncate(ts.MkAbs(args[0]), n))
}

// garbage writes a file of bytes that mean nothing: garbage FILE BYTES.
func garbage(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: garbage FILE BYTES")
	}
	n, err := strconv.Atoi(args[1])
	ts.Check(err)
	text, rnd := make([]byte, n), rand.New(rand.NewPCG(1, 2))
	for i := range text {
		text[i] = byte(rnd.Uint32())
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), text, 0o600))
}

// TestContractShowsTheCheck: the example in the contract is what `obu check
// --json` prints.
func TestContractShowsTheCheck(t *testing.T) {
	text, err := os.ReadFile("../../telemetry/CONTRACT.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "```json check\n")
	example, _, _ := strings.Cut(rest, "\n```")
	var r checkReport
	d := json.NewDecoder(strings.NewReader(example))
	d.DisallowUnknownFields()
	if err := d.Decode(&r); err != nil {
		t.Fatalf("%v in %q", err, example)
	}
	if again, err := json.Marshal(r); err != nil || string(again) != example {
		t.Errorf("example\n%s\nis written as\n%s (%v)", example, again, err)
	}
}

// TestNamesThatStay pins the commands and flags scripts and technicians rely
// on: names are added, never renamed.
func TestNamesThatStay(t *testing.T) {
	want := map[string]string{
		"obu": "", "obu run": "as-real c config replay service speed", "obu check": "c config json", "obu status": "c config json socket",
		"obu decode": "", "obu decode can": "dbc j1939 obd uds vss", "obu decode nmea": "",
		"obu tail":   "broker ca cert fleet key media password server-name unit username",
		"obu buffer": "", "obu buffer stat": "c config socket", "obu buffer ls": "c config socket", "obu buffer verify": "c config socket", "obu buffer export": "c config out socket",
		"obu record": "c config device file-age file-size out sync total",
		"obu config": "", "obu config example": "", "obu config schema": "", "obu config show": "c config", "obu version": "",
	}
	got := map[string]string{}
	var walk func(c *command)
	walk = func(c *command) {
		if c.Hidden {
			return
		}
		var names []string
		c.Flags().VisitAll(func(f *flag.Flag) { names = append(names, f.Name) })
		got[c.CommandPath()] = strings.Join(names, " ")
		if c.Short == "" {
			t.Errorf("%s says nothing of itself", c.CommandPath())
		}
		for _, s := range c.subs {
			walk(s)
		}
	}
	walk(newRoot())
	for path, flags := range want {
		if g, ok := got[path]; !ok || g != flags {
			t.Errorf("%s has flags %q, want %q", path, g, flags)
		}
		delete(got, path)
	}
	for path := range got {
		t.Errorf("%s is not in the list", path)
	}
}
