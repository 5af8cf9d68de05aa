package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"obu/telemetry"
	"obu/uplink/brokertest"
)

// commanded is the real binary with a broker, and what it replied.
type commanded struct {
	*testing.T
	w            *world
	store        string
	config, sock string
}

func newCommanded(t *testing.T) *commanded {
	t.Helper()
	dir := shortDir(t)
	w, err := newWorld(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.close)
	c := &commanded{T: t, w: w, store: filepath.Join(dir, "store"), config: filepath.Join(dir, "obu.yaml"), sock: filepath.Join(dir, "sock")}
	text := fmt.Sprintf("unit: unit-1\ncan:\n  - device: unix:%s/car\n    obd: {period: 100ms, pids: [0C]}\nbuffer: {dir: %s, flush_every: 100ms}\nuplink: {broker: %q, history_rate: unlimited}\nstatus: {socket: %s}\n",
		dir, c.store, w.url(), c.sock)
	if err := os.WriteFile(c.config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return c
}

func (c *commanded) start() *process {
	p := startProcess(c.T, c.config, c.sock)
	await(c.T, "connection", func() bool {
		s, ok := p.status()
		return ok && s.Uplink != nil && s.Uplink.Connected && s.Uplink.Echo == "seen" && len(s.Streams) > 0
	})
	return p
}

func (c *commanded) kill(p *process) {
	c.Helper()
	if err := p.cmd.Process.Kill(); err != nil {
		c.Fatal(err)
	}
	_ = p.cmd.Wait()
	if strings.Contains(p.log.String(), "panic") {
		c.Errorf("log:\n%s", p.log.String())
	}
}

func (c *commanded) send(id, name, args string) {
	raw, err := json.Marshal(telemetry.Command{ID: id, Name: name, NotAfter: time.Now().Add(time.Hour), Issuer: "test", Args: json.RawMessage(args)})
	if err != nil {
		c.Fatal(err)
	}
	c.w.broker.Publish("obu/v1/default/sim-unit-1/cmd", false, raw)
}

// replies waits until there are n of one command and returns them.
func (c *commanded) replies(id string, n int) (out []string) {
	c.Helper()
	await(c.T, fmt.Sprintf("reply %d to %s", n, id), func() bool {
		out = nil
		for _, m := range c.w.broker.Messages("/reply") {
			if r, err := telemetry.DecodeReply(m.Payload); err == nil && r.ID == id {
				out = append(out, string(m.Payload))
			}
		}
		return len(out) >= n
	})
	return out
}

// TestKillBeforeTheReply: the binary is killed when it has executed a command
// and the broker does not have the reply. The next one tells it, as it was, and
// executes nothing again.
func TestKillBeforeTheReply(t *testing.T) {
	t.Parallel()
	c := newCommanded(t)
	p := c.start()
	tried := make(chan struct{}, 64)
	c.w.broker.Set(func(f *brokertest.Faults) {
		f.CutBefore = func(m brokertest.Message) bool {
			is := strings.HasSuffix(m.Topic, "/reply")
			if is {
				select {
				case tried <- struct{}{}:
				default:
				}
			}
			return is
		}
	})
	c.send("k1", "private", `{"on":true}`)
	<-tried
	c.kill(p)
	path := filepath.Join(c.store, "private.json")
	before, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	c.w.broker.Set(func(f *brokertest.Faults) { f.CutBefore = nil })
	p = c.start()
	first := c.replies("k1", 1)[0]
	c.send("k1", "private", `{"on":true}`)
	again := c.replies("k1", 2)
	if again[1] != first || !strings.Contains(first, `"ok":true`) {
		t.Errorf("replies %q", again)
	}
	after, err := os.Stat(path)
	if err != nil || !after.ModTime().Equal(before.ModTime()) || !os.SameFile(before, after) {
		t.Errorf("executed again: %v", err)
	}
	if s, ok := p.status(); !ok || s.Private == nil {
		t.Error("private mode did not survive")
	}
	stopProcess(t, p)
}

// TestKillInAWipe kills the binary at some moment after a wipe was ordered: the
// next one finishes it, or tells that it did not begin.
func TestKillInAWipe(t *testing.T) {
	t.Parallel()
	c := newCommanded(t)
	wiped := 0
	for i, wait := range []time.Duration{0, 20 * time.Millisecond, 100 * time.Millisecond, 400 * time.Millisecond, time.Hour} {
		p := c.start()
		s, _ := p.status()
		id := fmt.Sprint("w", i)
		c.send(id, "wipe", `{"unit":"sim-unit-1"}`)
		if wait == time.Hour { // as soon as it cannot be undone
			await(t, "marker", func() bool {
				_, err := os.Stat(filepath.Join(c.store, "wipe.json"))
				now, ok := p.status()
				return err == nil || ok && len(now.Streams) > 0 && now.Streams[0].Store != s.Streams[0].Store
			})
		} else {
			time.Sleep(wait)
		}
		c.kill(p)
		p = c.start()
		c.send(id, "wipe", `{"unit":"sim-unit-1"}`) // the issuer has no reply yet
		reply, err := telemetry.DecodeReply([]byte(c.replies(id, 1)[0]))
		if err != nil {
			t.Fatal(err)
		}
		now, _ := p.status()
		begun := strings.HasPrefix(reply.Error, "interrupted")
		same := false
		for _, st := range now.Streams {
			same = same || st.Store == s.Streams[0].Store
		}
		switch {
		case reply.OK && !same:
			wiped++
		case !begun:
			t.Errorf("reply %+v, old store still there: %v", reply, same)
		}
		stopProcess(t, p)
	}
	if wiped < 2 {
		t.Errorf("wiped %d times of 5", wiped)
	}
	if _, err := os.Stat(filepath.Join(c.store, "wipe.json")); err == nil {
		t.Error("the marker is still there")
	}
}
