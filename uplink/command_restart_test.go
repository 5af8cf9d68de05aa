package uplink_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"obu/telemetry"
	"obu/uplink"
	"obu/uplink/brokertest"
)

// restart ends the running uplink and starts one that knows only what the
// backlog and the commands kept.
func (g *rig) restart(edit func(*uplink.Config)) {
	g.cancel()
	<-g.ended
	c := config(g.clk, g.m, g.b)
	edit(&c)
	u, err := uplink.New(c)
	if err != nil {
		g.Fatal(err)
	}
	g.u = u
	g.start()
	time.Sleep(time.Minute)
}

// TestReplySurvivesARestart: the broker never took the reply; the next run
// tells it, the same, and executes nothing again.
func TestReplySurvivesARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		known := &remembered{replies: make(map[string][]byte)}
		ran := 0
		edit := func(c *uplink.Config) {
			c.Commands = known
			c.Handlers = map[string]uplink.Action{"count": func(context.Context, telemetry.Command) (any, error) { ran++; return ran, nil }}
		}
		g := newRig(t, edit)
		g.b.Set(func(f *brokertest.Faults) {
			f.CutBefore = func(m brokertest.Message) bool { return strings.HasSuffix(m.Topic, "/reply") }
		})
		g.start()
		time.Sleep(time.Second)
		g.command("00", "count", time.Hour)
		if n := len(g.replies()); n > 0 || ran != 1 {
			t.Errorf("%d replies came, %d executed: the test shows nothing", n, ran)
		}
		for i := range 40 { // and more than are kept in memory
			id := fmt.Sprintf("%02d", i+1)
			if err := known.Record(id, []byte(`{"id":"`+id+`","ok":true,"result":1}`), time.Time{}); err != nil {
				t.Error(err)
			}
		}
		executed := 41
		g.b.Set(func(f *brokertest.Faults) { f.CutBefore = nil })
		g.restart(edit)
		got := make(map[string]string)
		for _, r := range g.replies() {
			if old, twice := got[r.ID]; twice || !r.OK {
				t.Errorf("reply %s again or not ok: %s, %s %s", r.ID, old, r.Result, r.Error)
			}
			got[r.ID] = string(r.Result)
		}
		if len(got) != executed || ran != 1 {
			t.Errorf("%d replies of %d, executed %d times", len(got), executed, ran)
		}
		g.restart(edit)
		if n := len(g.replies()); n != executed {
			t.Errorf("%d replies after another restart: told ones came again", n-executed)
		}
		g.stop()
	})
}

// TestCommandCutShort: it began and the power went. It is not executed again,
// and the issuer is told so.
func TestCommandCutShort(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		known := &remembered{replies: make(map[string][]byte)}
		began := 0
		edit := func(c *uplink.Config) {
			c.Commands = known
			c.Handlers = map[string]uplink.Action{"act": func(ctx context.Context, c telemetry.Command) (any, error) {
				began++
				if reply, ok := known.Executed(c.ID); !ok || len(reply) > 0 {
					t.Error("it begins and its id is not recorded")
				}
				<-ctx.Done()
				return nil, uplink.ErrReplyLater // the power goes: nothing is recorded any more
			}}
		}
		g := newRig(t, edit).start()
		time.Sleep(time.Second)
		g.command("1", "act", time.Hour)
		g.command("2", "act", time.Hour)
		g.restart(edit)
		g.command("1", "act", time.Hour)
		if r := g.replies(); len(r) != 2 || r[0].ID != "1" || r[0].OK || !strings.HasPrefix(r[0].Error, "interrupted") || r[1].Error != r[0].Error {
			t.Errorf("replies %+v", r)
		}
		if began != 1 {
			t.Errorf("executed %d times", began)
		}
		g.stop()
	})
}
