package uplink_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"math/rand/v2"
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

// patience is how long the units of these tests wait for a receipt.
const patience = time.Minute

func byReceipt(c *uplink.Config) { c.Custody, c.ReceiptPatience = uplink.CustodyReceipt, patience }

// receipt publishes one.
func (g *rig) receipt(n telemetry.Name) {
	p, err := json.Marshal(telemetry.Receipt(n))
	if err != nil {
		g.Fatal(err)
	}
	g.b.Publish("obu/v1/f1/u1/ack", false, p)
	time.Sleep(time.Second)
}

// still checks how many batches of the telemetry class the backlog holds.
func (g *rig) still(want int, when string) {
	g.Helper()
	synctest.Wait()
	if held := g.m.held(telemetry.ClassTelemetry); held != want {
		g.Errorf("%d held %s, want %d", held, when, want)
	}
	if len(g.m.early) > 0 {
		g.Errorf("acknowledged before minted: %v", g.m.early)
	}
}

// came checks how often each of names was received.
func (g *rig) came(names []telemetry.Name, times int) {
	g.Helper()
	for _, n := range names {
		if c := g.r.count(n); c != times {
			g.Errorf("%s %d received %d times, want %d", n.Class, n.Seq, c, times)
		}
	}
}

// TestReceipts: what a receipt settles, and what it does not.
func TestReceipts(t *testing.T) {
	telem := telemetry.ClassTelemetry
	for name, c := range map[string]struct {
		say  func(g *rig, names []telemetry.Name)
		held int // of 10
		bad  int64
	}{
		"in the middle": {func(g *rig, n []telemetry.Name) { g.receipt(n[6]) }, 3, 0},
		"twice":         {func(g *rig, n []telemetry.Name) { g.receipt(n[6]); g.receipt(n[6]) }, 3, 0},
		"backwards":     {func(g *rig, n []telemetry.Name) { g.receipt(n[6]); g.receipt(n[2]) }, 3, 0},
		"for all":       {func(g *rig, n []telemetry.Name) { g.receipt(n[9]) }, 0, 0},
		"for nothing":   {func(g *rig, n []telemetry.Name) { g.receipt(telemetry.Name{Store: n[0].Store, Class: telem}) }, 10, 0},
		"unknown store": {func(g *rig, n []telemetry.Name) {
			g.receipt(telemetry.Name{Store: telemetry.StoreID{77}, Class: telem, Seq: 5})
		}, 10, 0},
		"other class": {func(g *rig, n []telemetry.Name) {
			g.receipt(telemetry.Name{Store: n[0].Store, Class: telemetry.ClassHealth, Seq: 5})
		}, 10, 0},
		"beyond next": {func(g *rig, n []telemetry.Name) {
			g.receipt(telemetry.Name{Store: n[0].Store, Class: telem, Seq: 11})
			g.receipt(telemetry.Name{Store: n[0].Store, Class: telem, Seq: 1 << 62})
			g.receipt(telemetry.Name{Store: n[0].Store, Class: telem, Seq: 1<<64 - 1})
		}, 10, 3},
		"malformed": {func(g *rig, n []telemetry.Name) {
			for _, p := range []string{``, `{"store":"zz"}`, `{"store":"0100000000000000","class":"telemetry","seq":-1}`, `[]`, strings.Repeat("{", 1000)} {
				g.b.Publish("obu/v1/f1/u1/ack", false, []byte(p))
				time.Sleep(time.Second)
			}
		}, 10, 5},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := newRig(t, byReceipt).start()
				names := g.drive(10)
				g.still(10, "before any receipt")
				c.say(g, names)
				g.still(c.held, "after it")
				if s := g.u.Stats(); s.BadCommands != c.bad || s.Awaiting > int64(c.held) {
					t.Errorf("%d counted as bad, want %d; %d awaited", s.BadCommands, c.bad, s.Awaiting)
				}
				g.came(names, 1)
				g.receipt(names[9])
				g.still(0, "after a receipt for all")
				g.stop()
			})
		})
	}
}

// TestReceiptsAreIgnoredWithPuback: nobody deletes by word of mouth unless it
// is configured.
func TestReceiptsAreIgnoredWithPuback(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, nil)
		g.b.Set(func(f *brokertest.Faults) {
			f.DropPuback = func(m brokertest.Message) bool { return strings.HasSuffix(m.Topic, "/telemetry") }
		})
		g.start()
		names := g.drive(5)
		g.receipt(names[4])
		g.still(5, "with custody puback and no PUBACK")
		g.stop()
	})
}

// TestReceiptFlood: as many receipts as a broker can push; the last one counts
// and the newest state still leaves.
func TestReceiptFlood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		g := newRig(t, func(c *uplink.Config) {
			byReceipt(c)
			c.Log = slog.New(slog.NewTextHandler(&log, nil))
		}).start()
		names := g.drive(10)
		for i := range 20_000 {
			p := fmt.Sprintf(`{"store":"%s","class":"telemetry","seq":%d}`, names[0].Store, i%9) // up to 8
			if i%2 == 1 {
				p = "nonsense"
			}
			g.b.Publish("obu/v1/f1/u1/ack", false, []byte(p))
			if i%50 == 0 {
				time.Sleep(time.Millisecond) // else the broker gives the reader up
			}
		}
		g.drive(5)
		g.still(7, "after a flood of receipts up to the eighth")
		if t.Failed() {
			t.Log(log.String())
		}
		if n := strings.Count(log.String(), "level=WARN"); n == 0 || n > 2 {
			t.Errorf("%d lines of warning", n)
		}
		g.stop()
	})
}

// TestReceiptOvertakesPuback: the cloud may have a batch before the broker's
// acknowledgement is back; it is settled once and never sent again.
func TestReceiptOvertakesPuback(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, func(c *uplink.Config) { c.Custody, c.ReceiptPatience = uplink.CustodyReceipt, time.Hour })
		g.b.Set(func(f *brokertest.Faults) {
			f.DropPuback = func(m brokertest.Message) bool { return strings.HasSuffix(m.Topic, "/telemetry") }
		})
		g.start()
		names := g.drive(5)
		g.receipt(names[4])
		g.still(0, "after the receipt")
		g.b.Set(func(f *brokertest.Faults) { f.DropPuback = nil })
		g.b.Cut()
		more := g.drive(30)
		time.Sleep(5 * time.Minute) // however long it takes to connect again
		g.came(slices.Concat(names, more), 1)
		g.stop()
	})
}

// deafCloud takes everything the broker has, but not what lose says, and
// answers each second with the receipts that stand for the rest, as
// telemetry/CONTRACT.md asks.
type deafCloud struct {
	g *rig

	mu   sync.Mutex // guards what follows
	lose func(telemetry.Name) bool
	seen map[telemetry.Name]bool
}

// hear makes the cloud lose what lose says from now on.
func (c *deafCloud) hear(lose func(telemetry.Name) bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lose = lose
}

func everything(telemetry.Name) bool { return true }
func nothing(telemetry.Name) bool    { return false }

func (g *rig) listenAsCloud(lose func(telemetry.Name) bool) *deafCloud {
	c := &deafCloud{g: g, lose: lose, seen: make(map[telemetry.Name]bool)}
	g.r.attach(g.b, g.clk, func(m brokertest.Message) {
		e, err := telemetry.DecodeEnvelope(m.Payload)
		if err != nil || e.Part != nil && e.Part.Index+1 < e.Part.Of {
			return
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		for _, b := range e.Batches {
			if !c.lose(b.Name) {
				c.seen[b.Name] = true
			}
		}
	})
	return c
}

// say sends the receipt of a stream.
func (c *deafCloud) say(n telemetry.Name) {
	c.mu.Lock()
	for n.Seq = 0; c.seen[telemetry.Name{Store: n.Store, Class: n.Class, Seq: n.Seq + 1}]; n.Seq++ {
	}
	c.mu.Unlock()
	c.g.receipt(n)
}

// TestReceiptStopsBelowAHole: the broker acknowledged one batch that the cloud
// never got. Within the same session it is sent again, and little else.
func TestReceiptStopsBelowAHole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, byReceipt)
		var lost telemetry.Name
		cloud := g.listenAsCloud(func(n telemetry.Name) bool {
			if n.Seq == 5 && lost.Seq == 0 {
				lost = n
				return true
			}
			return false
		})
		g.start()
		names := g.drive(50)
		cloud.say(names[0])
		g.still(46, "with a hole at the fifth")
		for range 60 {
			names = append(names, g.drive(1)...)
			cloud.say(names[0])
		}
		time.Sleep(10 * time.Second)
		g.still(0, "after patience")
		if s := g.u.Stats(); s.Resent != 64 || s.Connects != 1 || s.Awaiting != 0 {
			t.Errorf("%d sent again over %d connects, %d awaited", s.Resent, s.Connects, s.Awaiting)
		}
		g.came(names[4:68], 2)
		g.came(names[68:], 1)
		g.stop()
	})
}

// TestCloudThatLostAnHour: the receiver was restarted and has nothing of what
// it did not confirm. It gets everything back soon, whatever the patience.
func TestCloudThatLostAnHour(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, byReceipt)
		cloud := g.listenAsCloud(everything)
		g.start()
		names := g.drive(3600)
		spent := g.u.Stats().Resent
		if spent > 64*8 {
			t.Errorf("%d batches sent again to nobody within the hour", spent)
		}
		cloud.hear(nothing)
		began := time.Now()
		for g.m.held(telemetry.ClassTelemetry) > 0 && time.Since(began) < 2*time.Hour {
			cloud.say(names[0])
			time.Sleep(time.Second)
		}
		g.still(0, "in the end")
		if d := time.Since(began); d > 5*time.Minute {
			t.Errorf("the cloud had everything only after %v", d)
		} else {
			t.Logf("after %v, %d batches sent again", d, g.u.Stats().Resent-spent)
		}
		if n := g.u.Stats().Resent - spent; n > 2*3600 {
			t.Errorf("%d batches sent again for 3600 lost", n)
		}
		g.stop()
	})
}

// TestNoReceiptsEver: a fleet that was configured for receipts and has nobody
// who sends them costs a bounded trickle of copies, over sessions too.
func TestNoReceiptsEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, byReceipt).start()
		names := g.drive(500)
		for range 24 {
			time.Sleep(time.Hour)
			g.b.Cut()
		}
		g.still(500, "without any receipt")
		if s := g.u.Stats(); s.Resent > 64*40 || s.Resent < 64*20 {
			t.Errorf("%d batches sent again within a day", s.Resent)
		}
		time.Sleep(5 * time.Minute)
		g.receipt(names[499])
		g.still(0, "after one receipt for all")
		g.stop()
	})
}

// TestReceiptsOfARetiredStore: the old store of a unit that began a new one
// drains by receipts of its own.
func TestReceiptsOfARetiredStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, byReceipt).start()
		old := g.drive(5)
		g.m.retire(telemetry.StoreID{7})
		fresh := g.drive(5)
		g.receipt(fresh[4])
		g.still(5, "after a receipt for the new store")
		g.receipt(old[3])
		g.still(1, "after a receipt for the old one")
		g.receipt(old[4])
		g.still(0, "after the last")
		g.receipt(old[4]) // gone
		g.came(slices.Concat(old, fresh), 1)
		g.stop()
	})
}

// TestReceiptsAfterARestart: what waits for a receipt is known to the running
// agent alone. The next one sends it again, and believes no receipt for what
// it has not sent itself.
func TestReceiptsAfterARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, byReceipt).start()
		names := g.drive(10)
		g.receipt(names[2])
		g.drive(1)
		g.cancel()
		<-g.ended
		c := config(g.clk, g.m, g.b)
		byReceipt(&c)
		u, err := uplink.New(c)
		if err != nil {
			t.Fatal(err)
		}
		g.u = u
		g.b.Set(func(f *brokertest.Faults) { f.DropPuback = func(brokertest.Message) bool { return true } })
		g.start()
		time.Sleep(5 * time.Second)
		g.b.Set(func(f *brokertest.Faults) { f.DropPuback = nil })
		g.b.Cut()
		time.Sleep(5 * time.Minute)
		g.came(names[:3], 1)
		g.still(8, "after the restart")
		g.receipt(names[9])
		g.still(1, "after a receipt for what was sent again")
		g.stop()
	})
}

// TestReceiptForWhatWasNotSent: a receipt may run ahead over batches that only
// a widened Gap lists. They are sent all the same.
func TestReceiptForWhatWasNotSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, func(c *uplink.Config) {
			byReceipt(c)
			c.LiveEvery = 30 * time.Second
		}).start()
		names := g.drive(10)
		g.receipt(names[9])
		if held := g.m.held(telemetry.ClassTelemetry); held < 5 {
			t.Errorf("%d held: what never left was deleted", held)
		}
		more := g.drive(60)
		g.came(names, 1)
		g.receipt(more[20])
		g.still(39, "after a receipt for what was sent")
		g.stop()
	})
}

// TestReceiptsOfParts: a chunk that travels in parts waits for its receipt as
// a whole, and is sent again as a whole.
func TestReceiptsOfParts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, byReceipt)
		cloud := g.listenAsCloud(everything)
		g.start()
		rng := rand.New(rand.NewPCG(1, 2))
		var names []telemetry.Name
		for range 6 {
			names = append(names, g.m.commit(telemetry.ClassMedia, chunk(rng, 256<<10))...)
		}
		g.u.Notify()
		time.Sleep(30 * time.Second)
		if held := g.m.held(telemetry.ClassMedia); held != 6 {
			t.Errorf("%d chunks held before any receipt", held)
		}
		cloud.hear(nothing)
		for range 300 {
			cloud.say(names[0])
			time.Sleep(time.Second)
		}
		if held := g.m.held(telemetry.ClassMedia); held != 0 {
			t.Errorf("%d chunks held in the end", held)
		}
		if lost := g.r.missing(names); len(lost) > 0 {
			t.Errorf("never came whole: %s", span(lost))
		}
		if s := g.u.Stats(); s.Resent != 6 {
			t.Errorf("%d chunks sent again", s.Resent)
		}
		g.stop()
	})
}
