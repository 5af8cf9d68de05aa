package agent_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"sync"
	"testing"

	"obu/can"
	"obu/internal/agent"
	"obu/internal/virtual"
	"obu/telemetry"
)

// carSocket is the virtual car's end of a unix bus: what the demo plugs the
// real binary into.
type carSocket struct {
	listener *can.UnixListener
	cancel   context.CancelFunc
	parts    sync.WaitGroup
}

func openCarSocket(r *rig, path string) *carSocket {
	r.Helper()
	l, err := can.ListenUnix(path, r.clk)
	if err != nil {
		r.Fatal(err)
	}
	ctx, cancel := context.WithCancel(r.Context())
	c := &carSocket{listener: l, cancel: cancel}
	c.parts.Go(func() {
		for {
			bus, err := l.Accept()
			if err != nil {
				return
			}
			c.parts.Go(func() { _ = r.car.ServeECU(ctx, quietBus{bus, &r.quiet}, virtual.ECUOptions{}) })
		}
	})
	return c
}

func (c *carSocket) close() {
	c.cancel()
	c.listener.Close()
	c.parts.Wait()
}

// TestUnixBusGoesAndReturns: over the kernel's sockets, in real time, the bus
// behind unix:PATH ends and is opened again; only its source restarts, and the
// Gap says how long it was away. Meanwhile the status socket answers.
func TestUnixBusGoesAndReturns(t *testing.T) {
	r := newRig(t, "sim-1")
	dir := t.TempDir()
	path, sock := filepath.Join(dir, "can"), filepath.Join(dir, "obu.sock")
	r.cfg.CAN[0].Device, r.cfg.Status.Socket = "unix:"+path, sock
	r.cfg.Buffer.FlushEvery /= 10
	r.deps.Devices.CAN = []agent.CANDevice{{Name: "unix:" + path, Dial: can.Device("unix:"+path, can.SocketOptions{Clock: r.clk})}}
	car := openCarSocket(r, path)
	started := make(chan struct{})
	r.deps.Started = func() { close(started) }
	a := r.start()
	<-started
	values := func(more int) func() bool {
		had, _ := r.cloud.count()
		return func() bool { n, _ := r.cloud.count(); return n >= had+more }
	}
	await(t, "the first values", values(10))
	if s := a.source("can"); s.State != "running" {
		t.Errorf("an open bus is %+v", s)
	}
	away := r.clk.Now()
	car.close()
	await(t, "the loss", func() bool { return a.source("can").State == "waiting" })
	await(t, "a second try", func() bool { return a.source("can").Attempts > 0 })
	await(t, "the gap", func() bool { _, ok := r.cloud.gap("sim-1", telemetry.ReasonBusError); return ok })
	car = openCarSocket(r, path)
	defer car.close()
	await(t, "values after its return", values(10))
	back := r.clk.Now()
	askedAgent(t, sock, "sim-1")
	r.quiet.Store(true)
	r.stopGPS()
	await(t, "drain", func() bool { return a.owed() == 0 })
	a.stop()
	if s := a.source("gps"); s.Restarts != 0 {
		t.Errorf("the receiver restarted too: %+v", s)
	}
	r.cloud.settled("sim-1", true)
	listed := false
	for _, g := range r.cloud.gaps("sim-1") {
		listed = listed || g.Source == "unix:"+path && g.From >= away && g.To > g.From && g.To <= back
	}
	if !listed {
		t.Errorf("away after %.2f s, back before %.2f s, listed %+v", away.Seconds(), back.Seconds(), r.cloud.gaps("sim-1"))
	}
	if _, err := os.Stat(sock); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket stays behind: %v", err)
	}
	if _, err := agent.Ask(t.Context(), sock, "status"); !errors.Is(err, agent.ErrNoAgent) {
		t.Errorf("asking an agent that has stopped: %v", err)
	}
}

// askedAgent checks what the status socket answers.
func askedAgent(t *testing.T, sock, unit string) {
	t.Helper()
	body, err := agent.Ask(t.Context(), sock, "status")
	if err != nil {
		t.Fatal(err)
	}
	var s agent.Status
	if err := json.Unmarshal(body, &s); err != nil || s.Unit != unit || len(s.Sources) != 2 || !s.Uplink.Connected || len(s.Streams) == 0 {
		t.Errorf("status %s (%v)", body, err)
	}
	for _, key := range regexp.MustCompile(`"([^"]*)":`).FindAllStringSubmatch(string(body), -1) {
		if key[1] != strings.ToLower(key[1]) {
			t.Errorf("status key %q is not snake_case", key[1])
		}
	}
	store := s.Streams[0].Store.String()
	if body, err = agent.Ask(t.Context(), sock, "ls "+store+" telemetry 1"); err != nil || body[0] != '[' {
		t.Errorf("ls: %s, %v", body, err)
	}
	if body, err = agent.Ask(t.Context(), sock, "verify "+store+" telemetry 1"); err != nil || body[0] != '[' {
		t.Errorf("verify: %s, %v", body, err)
	}
	for question, want := range map[string]string{"what": "ask status, gaps, ls STORE", "verify": "want STORE CLASS SEQ", "ls": "want STORE CLASS SEQ", "ls x telemetry 1": `store "x"`, "export " + store + " gps 1": `class "gps"`} {
		if _, err := agent.Ask(t.Context(), sock, question); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", question, err)
		}
	}
	conn, err := net.Dial("unix", sock)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = conn.Write([]byte(strings.Repeat("x", 1000))) // no newline: hung up on
	_, _ = conn.Read(make([]byte, 1))
	conn.Close()
}

// TestContractShowsTheStatus: the example in the contract is a status, no key
// more, no key less.
func TestContractShowsTheStatus(t *testing.T) {
	text, err := os.ReadFile("../../telemetry/CONTRACT.md")
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile("(?ms)^```json status\n(.*?)^```").FindSubmatch(text)
	if m == nil {
		t.Fatal("CONTRACT.md shows no status")
	}
	var s agent.Status
	d := json.NewDecoder(bytes.NewReader(m[1]))
	d.DisallowUnknownFields()
	if err := d.Decode(&s); err != nil {
		t.Fatalf("the example is not what `obu status --json` prints: %v", err)
	}
	again, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	var want, got any
	if err := errors.Join(json.Unmarshal(m[1], &want), json.Unmarshal(again, &got)); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(want, got) {
		t.Errorf("example\n%s\nis written as\n%s", m[1], again)
	}
}

// TestSocketOfAnotherStays: two agents configured with one socket: the second
// does its work without, says so, and the first keeps answering; a file that
// is no socket is not deleted.
func TestSocketOfAnotherStays(t *testing.T) {
	one, two := newRig(t, "sim-1"), newRig(t, "sim-2")
	sock := filepath.Join(t.TempDir(), "obu.sock")
	one.cfg.Status.Socket, two.cfg.Status.Socket = sock, sock
	one.start()
	answers := func() bool { _, err := agent.Ask(t.Context(), sock, "status"); return err == nil }
	await(t, "an answer", answers)
	var said lines
	two.deps.Log = said.logger()
	b := two.start()
	await(t, "the warning", func() bool { return strings.Contains(said.String(), "another agent answers there") })
	b.stop()
	if !answers() {
		t.Error("the first agent's socket is gone")
	}

	file := filepath.Join(t.TempDir(), "notes.txt")
	if err := os.WriteFile(file, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	two.cfg.Status.Socket = file
	b = two.start()
	await(t, "the warning", func() bool { return strings.Contains(said.String(), "no socket is in the way") })
	b.stop()
	if text, err := os.ReadFile(file); err != nil || string(text) != "mine" {
		t.Errorf("the file is now %q, %v", text, err)
	}
}
