package uplink_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"obu/telemetry"
	"obu/uplink"
	"obu/uplink/brokertest"
)

// remembered keeps executed commands as the buffer does.
type remembered struct {
	mu      sync.Mutex
	replies map[string][]byte
	told    map[string]bool
}

func (r *remembered) Told(id string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.told == nil {
		r.told = make(map[string]bool)
	}
	r.told[id] = true
}

func (r *remembered) Untold(fn func(string, []byte) bool) {
	r.mu.Lock()
	list := maps.Clone(r.replies)
	maps.DeleteFunc(list, func(id string, _ []byte) bool { return r.told[id] })
	r.mu.Unlock()
	for _, id := range slices.Sorted(maps.Keys(list)) {
		if !fn(id, list[id]) {
			return
		}
	}
}

func (r *remembered) Executed(id string) ([]byte, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	reply, ok := r.replies[id]
	return reply, ok
}

func (r *remembered) Admit(time.Time) error { return nil }

func (r *remembered) Record(id string, reply []byte, _ time.Time) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.told, id)
	r.replies[id] = reply
	return nil
}

func (g *rig) command(id, name string, notAfter time.Duration) {
	p, err := json.Marshal(telemetry.Command{ID: id, Name: name, NotAfter: time.Now().Add(notAfter), Issuer: "test"})
	if err != nil {
		g.Fatal(err)
	}
	g.b.Publish("obu/v1/f1/u1/cmd", false, p)
	time.Sleep(5 * time.Second)
}

func (g *rig) replies() []telemetry.Reply {
	var out []telemetry.Reply
	for _, m := range g.b.Messages("/reply") {
		r, err := telemetry.DecodeReply(m.Payload)
		if err != nil {
			g.Errorf("reply %s: %v", m.Payload, err)
		}
		out = append(out, r)
	}
	return out
}

func TestCommands(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		known := &remembered{replies: make(map[string][]byte)}
		ran := 0
		g := newRig(t, func(c *uplink.Config) {
			c.Commands, c.Version = known, "v1.2.3"
			c.Handlers = map[string]uplink.Action{
				"count": func(context.Context, telemetry.Command) (any, error) { ran++; return ran, nil },
				"fail":  func(context.Context, telemetry.Command) (any, error) { return nil, errors.New("no camera") },
				"slow": func(ctx context.Context, _ telemetry.Command) (any, error) {
					<-ctx.Done()
					return nil, ctx.Err()
				},
			}
		}).start()
		time.Sleep(time.Second)
		g.command("1", "ping", time.Minute)
		g.command("2", "count", time.Minute)
		g.command("2", "count", time.Minute) // again: the stored reply, not executed
		g.command("3", "count", -time.Minute)
		g.command("4", "reboot-the-moon", time.Minute)
		g.command("5", "fail", time.Minute)
		g.command("6", "slow", time.Minute)
		g.command("6", "slow", time.Minute) // while it runs
		g.command("7", "ping", time.Minute) // waits for its turn
		g.b.Publish("obu/v1/f1/u1/cmd", false, []byte(`{"id":`))
		g.b.Publish("obu/v1/f1/u1/cmd", false, make([]byte, 200_000))
		time.Sleep(time.Minute)
		var got []string
		for _, r := range g.replies() {
			got = append(got, fmt.Sprintf("%s:%v:%s", r.ID, r.OK, r.Error))
		}
		want := []string{"1:true:", "2:true:", "2:true:", "3:false:expired", `4:false:unknown command "reboot-the-moon"`,
			"5:false:no camera", "6:false:context deadline exceeded", "7:true:"}
		if strings.Join(got, "\n") != strings.Join(want, "\n") {
			t.Errorf("replies\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
		if ran != 1 {
			t.Errorf("executed %d times", ran)
		}
		if r := g.replies()[0]; !strings.Contains(string(r.Result), `"version":"v1.2.3"`) {
			t.Errorf("ping answers %s", r.Result)
		}
		if s := g.u.Stats(); s.BadCommands < 2 {
			t.Errorf("%d bad commands counted", s.BadCommands)
		}
		g.stop()
		if len(known.replies) != 7 {
			t.Errorf("%d ids recorded", len(known.replies))
		}
	})
}

// TestFullCommandTable: no more ids can be remembered before one has expired,
// so a new command is refused, in words, and none is executed twice.
func TestFullCommandTable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ran := map[string]int{}
		g := newRig(t, func(c *uplink.Config) {
			c.Handlers = map[string]uplink.Action{"count": func(_ context.Context, c telemetry.Command) (any, error) {
				ran[c.ID]++
				return nil, nil
			}}
		}).start()
		time.Sleep(time.Second)
		const room, more = 256, 4
		for i := range room + more {
			g.command(fmt.Sprint(i), "count", time.Hour)
		}
		g.command("0", "count", time.Hour)
		refused := 0
		synctest.Wait()
		for _, r := range g.replies() {
			if r.Error == "too many unexpired commands" {
				refused++
			}
		}
		if refused != more || len(ran) != room || ran["0"] != 1 {
			t.Errorf("%d refused, %d executed, the first %d times", refused, len(ran), ran["0"])
		}
		time.Sleep(time.Hour)
		g.command("258", "count", time.Hour)
		synctest.Wait()
		if ran["258"] != 1 {
			t.Error("not executed when there is room again")
		}
		g.stop()
	})
}

// TestCommandFlood: more at once than can wait are refused in words as far as
// replies have room, counted, and logged in a few lines.
func TestCommandFlood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		release := make(chan struct{})
		ran := map[string]int{}
		g := newRig(t, func(c *uplink.Config) {
			c.Log = slog.New(slog.NewTextHandler(&log, nil))
			c.Handlers = map[string]uplink.Action{"wait": func(ctx context.Context, c telemetry.Command) (any, error) {
				ran[c.ID]++
				<-release
				return nil, nil
			}}
		}).start()
		time.Sleep(time.Second)
		const flood = 500
		for i := range flood {
			p, err := json.Marshal(telemetry.Command{ID: fmt.Sprint(i), Name: "wait", NotAfter: time.Now().Add(time.Hour), Issuer: "test"})
			if err != nil {
				t.Fatal(err)
			}
			g.b.Publish("obu/v1/f1/u1/cmd", false, p)
		}
		time.Sleep(10 * time.Second)
		close(release)
		time.Sleep(time.Minute)
		busy, done := 0, 0
		synctest.Wait()
		for _, r := range g.replies() {
			if ran[r.ID] > 1 || r.OK != (ran[r.ID] == 1) {
				t.Errorf("%+v, executed %d times", r, ran[r.ID])
			}
			if r.OK {
				done++
			} else if r.Error == "busy, send again" {
				busy++
			}
		}
		if done == 0 || busy == 0 || g.u.Stats().BadCommands != int64(flood-done) {
			t.Errorf("%d done, %d refused, stats %+v", done, busy, g.u.Stats())
		}
		if n := strings.Count(log.String(), "level=WARN"); n == 0 || n > 2 {
			t.Errorf("%d lines of warning:\n%s", n, log.String())
		}
		g.stop()
	})
}

// TestReplySurvivesTheSession: the session ends before the reply's PUBACK.
func TestReplySurvivesTheSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, nil)
		cut := true
		g.b.Set(func(f *brokertest.Faults) {
			f.CutBefore = func(m brokertest.Message) bool {
				defer func() { cut = cut && !strings.HasSuffix(m.Topic, "/reply") }()
				return cut && strings.HasSuffix(m.Topic, "/reply")
			}
		})
		g.start()
		time.Sleep(time.Second)
		g.command("1", "ping", time.Minute)
		time.Sleep(time.Minute)
		if n := len(g.replies()); n != 1 || len(g.b.Connects()) != 2 {
			t.Errorf("%d replies over %d sessions", n, len(g.b.Connects()))
		}
		g.stop()
	})
}

func TestStaleLinkIsPutRight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, nil)
		const topic = "obu/v1/f1/u1/link"
		g.b.Publish(topic, true, []byte(`{"state":"offline","reason":"lost","session":"old"}`))
		g.start()
		time.Sleep(time.Minute)
		g.b.Publish(topic, true, []byte(`{"state":"offline","reason":"lost","session":"old"}`)) // a late will
		time.Sleep(time.Minute)
		m, _ := g.b.Retained(topic)
		if l, err := telemetry.DecodeLink(m.Payload); err != nil || l.State != telemetry.LinkOnline {
			t.Errorf("link is %s", m.Payload)
		}
		g.b.Cut()
		synctest.Wait()
		if m, _ := g.b.Retained(topic); !strings.Contains(string(m.Payload), `"reason":"lost"`) {
			t.Errorf("after a cut the link is %s", m.Payload)
		}
		time.Sleep(time.Minute)
		g.stop()
		if m, _ := g.b.Retained(topic); !strings.Contains(string(m.Payload), `"reason":"stopped"`) {
			t.Errorf("after a stop the link is %s", m.Payload)
		}
	})
}

// TestLostPubackDoesNotBlock: the broker never acknowledges one packet.
func TestLostPubackDoesNotBlock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, nil)
		n := 0
		g.b.Set(func(f *brokertest.Faults) { f.DropPuback = func(brokertest.Message) bool { n++; return n == 10 } })
		g.start()
		names := g.drive(120)
		if held := g.m.held(telemetry.ClassTelemetry); held != 0 {
			t.Errorf("%d batches stuck", held)
		}
		copies := 0
		for _, n := range names {
			copies += g.r.count(n) - 1
		}
		if s := g.u.Stats(); s.Failures["no-puback"] != 1 || copies != 1 {
			t.Errorf("failures %v, %d copies", s.Failures, copies)
		}
		g.stop()
	})
}

// TestStopIsQuick: not even a broker that stopped reading holds a stop up.
func TestStopIsQuick(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, link := range []brokertest.Link{{}, {Delay: time.Millisecond, Buffer: 2048}} {
			g := newRig(t, nil)
			g.b.Set(func(f *brokertest.Faults) { f.Link = link })
			g.start()
			g.drive(5)
			g.b.Set(func(f *brokertest.Faults) { f.Stall = true })
			for range 10 {
				g.m.commit(telemetry.ClassTelemetry, fat(g, 500))
				g.u.Notify()
				time.Sleep(time.Second)
			}
			began := time.Now()
			g.cancel()
			<-g.ended
			if d := time.Since(began); d > 5*time.Second {
				t.Errorf("link %+v: stop took %v", link, d)
			}
			g.b.Set(func(f *brokertest.Faults) { f.Stall = false })
			g.b.Close()
		}
	})
}

func TestRetiredStoreDrainsAsHistory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, nil)
		var names []telemetry.Name
		for range 5 {
			names = append(names, g.m.commit(telemetry.ClassTelemetry, g.m.speed(1))...)
		}
		g.m.vehicle = "van-2" // moved to another car: the old batches stay van-1's
		g.m.retire(telemetry.StoreID{7})
		g.start()
		names = append(names, g.drive(5)...)
		if lost := g.r.missing(names); len(lost) > 0 {
			t.Errorf("not delivered: %s", span(lost))
		}
		for _, a := range g.r.arrivals(telemetry.ClassTelemetry) {
			if old := a.Store == (telemetry.StoreID{1}); a.history != old {
				t.Errorf("%v: history %v", a.Name, a.history)
			}
		}
		g.stop()
	})
}

// TestFormatForOlderConsumers: format 1 is what leaves where it is set, and the
// newest one where nothing is.
func TestFormatForOlderConsumers(t *testing.T) {
	for set, want := range map[int]byte{0: telemetry.Format, 1: 1, 3: 3} {
		synctest.Test(t, func(t *testing.T) {
			g := newRig(t, func(c *uplink.Config) { c.Format = set }).start()
			if lost := g.r.missing(g.drive(20)); len(lost) > 0 {
				t.Errorf("not delivered: %s", span(lost))
			}
			for _, m := range g.b.Messages("/telemetry") {
				if m.Payload[0] != 0x08 || m.Payload[1] != want {
					t.Fatalf("set to %d: envelope begins with %x", set, m.Payload[:2])
				}
			}
			g.stop()
		})
	}
}

func TestGroupedLiveAndJSON(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, func(c *uplink.Config) { c.LiveEvery, c.Encoding = 10*time.Second, uplink.JSON }).start()
		names := g.drive(101)[:100] // the last one waits for its group
		if lost := g.r.missing(names); len(lost) > 0 {
			t.Errorf("not delivered: %s", span(lost))
		}
		if p := len(g.b.Messages("/telemetry")); p < 10 || p > 12 {
			t.Errorf("%d packets for 101 s of batches at 10 s", p)
		}
		for _, m := range g.b.Messages("/telemetry") {
			if m.Payload[0] != '{' {
				t.Fatalf("not JSON: %q", m.Payload[:20])
			}
		}
		g.stop()
	})
}

func TestNewChecksTheConfiguration(t *testing.T) {
	for name, edit := range map[string]func(*uplink.Config){
		"broker":     func(c *uplink.Config) { c.Broker = "http://x" },
		"fleet":      func(c *uplink.Config) { c.Fleet = "a/b" },
		"unit":       func(c *uplink.Config) { c.Unit = "" },
		"encoding":   func(c *uplink.Config) { c.Encoding = "xml" },
		"format":     func(c *uplink.Config) { c.Format = telemetry.FormatTrack + 1 },
		"custody":    func(c *uplink.Config) { c.Custody = "hope" },
		"max_packet": func(c *uplink.Config) { c.MaxPacket = 10 },
		"backlog":    func(c *uplink.Config) { c.Backlog = nil },
	} {
		g := newRig(t, nil)
		c := config(g.clk, g.m, g.b)
		edit(&c)
		if _, err := uplink.New(c); !errors.Is(err, uplink.ErrConfig) || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
