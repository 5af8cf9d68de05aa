package agent_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"obu/internal/agent"
	"obu/telemetry"
	"obu/uplink/brokertest"
)

// TestWipeCommand: the owner deletes everything that waits; the unit begins
// anew, says what is lost, and does it once.
func TestWipeCommand(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, "sim-1")
		var mu sync.Mutex // guards what follows
		var link, birth []string
		replied, late := time.Time{}, 0
		old := map[telemetry.StoreID]bool{}
		r.broker.OnMessage(func(m brokertest.Message) {
			r.cloud.take(m)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case strings.HasSuffix(m.Topic, "/link"):
				link = append(link, string(m.Payload))
			case strings.HasSuffix(m.Topic, "/birth"):
				birth = append(birth, string(m.Payload))
			}
			if env, err := telemetry.DecodeEnvelope(m.Payload); err == nil && !replied.IsZero() && old[env.Store] {
				late++
			}
		})
		r.unplugBroker()
		a := r.start()
		time.Sleep(2 * time.Minute)
		r.broker.Set(func(f *brokertest.Faults) {
			f.DropPuback = func(m brokertest.Message) bool { return !strings.HasSuffix(m.Topic, "/link") }
		})
		r.plugBroker()
		await(t, "connection", func() bool { return a.Status().Uplink.Connected })
		mu.Lock()
		for _, s := range a.Status().Streams {
			old[s.Store] = true
		}
		mu.Unlock()
		for i, args := range []string{`null`, `{}`, `{"unit":"sim-2"}`, `{"unit":"sim-1","fleet":true}`} {
			if reply := r.order(fmt.Sprint(i), "wipe", args); reply.OK || reply.Error == "" {
				t.Errorf("%s: %+v", args, reply)
			}
		}
		if n := held(a.Status(), "telemetry"); n < 100 {
			t.Fatalf("%d batches wait: the test shows nothing", n)
		}
		r.broker.Set(func(f *brokertest.Faults) { f.DropPuback = nil })
		reply := r.order("w", "wipe", `{"unit":"sim-1"}`)
		mu.Lock()
		replied = time.Now()
		if !reply.OK || !strings.Contains(string(reply.Result), "wiped") {
			t.Errorf("reply %+v %s", reply, reply.Result)
		}
		i := slices.Index(birth, "")
		if i < 0 || i != len(birth)-2 || !slices.Contains(link, "") || link[len(link)-1] == "" {
			t.Errorf("retained messages: birth %q, link %q", birth, link)
		}
		mu.Unlock()
		time.Sleep(time.Minute)
		s := a.Status()
		for _, st := range s.Streams {
			if old[st.Store] {
				t.Errorf("an old store is still there: %+v", st)
			}
		}
		again := r.order("w", "wipe", `{"unit":"sim-1"}`)
		time.Sleep(time.Minute)
		if now := a.Status(); again.At == nil || !again.At.Equal(*reply.At) || len(now.Streams) == 0 || now.Streams[0].Store != s.Streams[0].Store {
			t.Errorf("the same command again: %+v, stores %+v", again, now.Streams)
		}
		r.hush()
		await(t, "drain", func() bool { return a.owed() == 0 })
		a.stop()
		mu.Lock()
		defer mu.Unlock()
		if late > 0 {
			t.Errorf("%d envelopes of the old store after the reply", late)
		}
		lists := int64(0)
		for _, g := range r.cloud.gaps("sim-1") {
			if g.Reason != telemetry.ReasonWiped {
				t.Errorf("gap of something else: %+v", g)
			}
			if g.FromSeq > 0 && g.Class == telemetry.ClassTelemetry {
				lists += g.Count
			}
		}
		if lists < 100 {
			t.Errorf("%d values are listed as wiped", lists)
		}
		r.cloud.mu.Lock()
		defer r.cloud.mu.Unlock()
		if h := r.cloud.book.Holes(); len(h) > 0 {
			t.Errorf("holes: %+v", h)
		}
	})
}

// TestDiskFiguresBeginAnewAfterAWipe: what the disk was given before it is not
// laid on the minutes since.
func TestDiskFiguresBeginAnewAfterAWipe(t *testing.T) {
	f := newFakeSys(t)
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, "sim-1")
		r.cfg.Buffer.Dir = f.dir
		r.quiet.Store(true)
		a := r.start(func(a *agent.Agent) { a.DiskFrom(f.sys, f.mounts) })
		time.Sleep(11 * time.Minute)
		if d := a.Status().Disk; d == nil || d.PerDay == nil || *d.PerDay != 0 {
			t.Fatalf("before it: %+v", d)
		}
		f.counted(1000 + 1<<20)
		if reply := r.order("w", "wipe", `{"unit":"sim-1"}`); !reply.OK {
			t.Fatalf("reply %+v", reply)
		}
		time.Sleep(11 * time.Minute)
		if d := a.Status().Disk; d == nil || d.Written == nil || *d.Written != 0 || d.PerDay == nil || *d.PerDay != 0 {
			t.Errorf("after it: %+v", d)
		}
		a.stop()
	})
}
