package agent_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"obu/buffer"
	"obu/internal/clock"
	"obu/telemetry"
)

// order sends a command and returns the reply.
func (r *rig) order(id, name, args string) telemetry.Reply {
	r.Helper()
	p, err := json.Marshal(telemetry.Command{ID: id, Name: name, NotAfter: launch.AddDate(1, 0, 0), Issuer: "test", Args: json.RawMessage(args)})
	if err != nil {
		r.Fatal(err)
	}
	r.broker.Publish("obu/v1/test/sim-1/cmd", false, p)
	var reply telemetry.Reply
	await(r.T, "reply to "+id, func() bool {
		for _, m := range r.broker.Messages("/reply") {
			if got, err := telemetry.DecodeReply(m.Payload); err == nil && got.ID == id {
				reply = got
			}
		}
		return reply.ID != ""
	})
	return reply
}

// left returns how many fixes the cloud was told were left out.
func (c *cloud) left(unit string) (n int64) {
	for _, g := range c.gaps(unit) {
		if g.Reason == telemetry.ReasonPrivate {
			if g.Class != telemetry.ClassTelemetry || g.Source != "gps" || g.FromSeq != 0 || g.Count < 0 {
				c.t.Errorf("gap %+v", g)
			}
			n += g.Count
		}
	}
	return n
}

// TestPrivateMode: from the reply on no position reaches the disk or the wire,
// over a restart too; what is left out is listed to the last fix, and all else
// goes on, time included.
func TestPrivateMode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, "sim-1")
		a := r.start()
		time.Sleep(30 * time.Second)
		if s := a.Status(); s.Private != nil {
			t.Fatalf("private without being asked: %+v", s.Private)
		}
		if reply := r.order("1", "private", `{"on":true}`); !reply.OK || !strings.Contains(string(reply.Result), `"on":true`) {
			t.Fatalf("reply %+v", reply)
		}
		time.Sleep(3 * time.Second)
		_, before := r.cloud.count()
		samples, _ := r.cloud.count()
		time.Sleep(time.Minute)
		s := a.Status()
		if s.Private == nil || s.Private.By != "command" || s.Private.Since == nil || s.Private.Dropped < 55 || !s.Time.Trusted {
			t.Errorf("status %+v, time %+v", s.Private, s.Time)
		}
		if now, fixes := r.cloud.count(); fixes != before || now < samples+5*50 {
			t.Errorf("in private mode %d fixes came, and %d other values", fixes-before, now-samples)
		}
		if v := r.cloud.health["Vehicle.Obu.IsPrivate"]; v != telemetry.Bool(true) {
			t.Errorf("IsPrivate is %v", v)
		}
		r.unplugBroker()
		r.broker.Cut()
		time.Sleep(time.Minute)
		a.stop()
		noPosition(t, r.cfg.Buffer.Dir)
		b := r.start()
		time.Sleep(time.Minute)
		if b.Status().Private == nil {
			t.Error("a restart ended private mode")
		}
		r.plugBroker()
		await(t, "connection", func() bool { return b.Status().Uplink.Connected })
		if reply := r.order("2", "private", `{"on":false}`); !reply.OK {
			t.Errorf("reply %+v", reply)
		}
		time.Sleep(30 * time.Second)
		_, after := r.cloud.count()
		if after < before+25 || b.Status().Private != nil {
			t.Errorf("%d fixes came after private mode, status %+v", after-before, b.Status().Private)
		}
		time.Sleep(2 * time.Minute) // the row goes out once a minute
		r.hush()
		await(t, "drain", func() bool { return b.owed() == 0 })
		b.stop()
		all := len(r.car.Journal().Positions())
		_, came := r.cloud.count()
		if left := r.cloud.left("sim-1"); left < 175 || came+int(left) != all {
			t.Errorf("%d epochs: %d came and %d are listed as left out", all, came, left)
		}
		r.cloud.settled("sim-1", true)
	})
}

// noPosition looks through everything that is stored.
func noPosition(t *testing.T, dir string) {
	t.Helper()
	n := 0
	err := buffer.Each(t.Context(), dir, func(b buffer.Batch) error {
		content, err := telemetry.DecodeBatch(b.Name, b.Blob)
		if err != nil {
			return err
		}
		n++
		if len(content.Fixes) > 0 {
			return fmt.Errorf("%s %d holds %+v", b.Class, b.Seq, content.Fixes[0])
		}
		return nil
	})
	if err != nil || n == 0 {
		t.Errorf("%d batches looked at: %v", n, err)
	}
}

// TestPrivateForAWhile: a time limit ends by itself.
func TestPrivateForAWhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, "sim-1")
		a := r.start()
		time.Sleep(30 * time.Second)
		if reply := r.order("1", "private", `{"on":true,"for":"1m"}`); !reply.OK || !strings.Contains(string(reply.Result), `"until":"2026-`) {
			t.Errorf("reply %+v", reply)
		}
		if s := a.Status(); s.Private == nil || s.Private.Until == nil {
			t.Errorf("status %+v", s.Private)
		}
		time.Sleep(2 * time.Minute)
		r.hush()
		await(t, "drain", func() bool { return a.owed() == 0 })
		_, came := r.cloud.count()
		if left := r.cloud.left("sim-1"); left < 55 || left > 65 || came+int(left) != len(r.car.Journal().Positions()) || a.Status().Private != nil {
			t.Errorf("%d left out, %d came of %d; status %+v", left, came, len(r.car.Journal().Positions()), a.Status().Private)
		}
		a.stop()
	})
}

// TestPrivateByConfiguration: no command can end it.
func TestPrivateByConfiguration(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, "sim-1")
		r.cfg.GPS.Private = true
		a := r.start()
		time.Sleep(30 * time.Second)
		if reply := r.order("1", "private", `{"on":false}`); reply.OK || !strings.Contains(reply.Error, "gps.private") {
			t.Errorf("reply %+v", reply)
		}
		time.Sleep(30 * time.Second)
		if s := a.Status(); s.Private == nil || s.Private.By != "configuration" {
			t.Errorf("status %+v", s.Private)
		}
		a.stop()
		if _, fixes := r.cloud.count(); fixes > 0 {
			t.Errorf("%d fixes came", fixes)
		}
	})
}

// TestPrivateCommandRefuses what it would not do.
func TestPrivateCommandRefuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, "sim-1")
		a := r.start()
		time.Sleep(time.Second)
		for i, args := range []string{`null`, `{}`, `{"on":"yes"}`, `{"on":true,"dashcam":true}`, `{"on":true,"for":"soon"}`, `{"on":true,"for":"-1h"}`, `{"on":false,"for":"1h"}`} {
			if reply := r.order(fmt.Sprint(i), "private", args); reply.OK || reply.Error == "" {
				t.Errorf("%s: reply %+v", args, reply)
			}
		}
		if a.Status().Private != nil {
			t.Error("a refused command switched it on")
		}
		a.stop()
	})
}

// TestPrivateOrderOfAnEarlierBoot: what an order of before a power cut means.
func TestPrivateOrderOfAnEarlierBoot(t *testing.T) {
	for name, c := range map[string]struct {
		file string
		want bool
	}{
		"off":                     {`{"on":false}`, false},
		"on":                      {`{"on":true,"boot":"01000000000000000000000000000000"}`, true},
		"limit not passed":        {`{"on":true,"boot":"01000000000000000000000000000000","until_ns":60000000000,"until":"2026-05-05T00:00:00Z"}`, true},
		"limit passed":            {`{"on":true,"boot":"01000000000000000000000000000000","until_ns":60000000000,"until":"2026-05-04T00:00:00Z"}`, false},
		"limit, time was unknown": {`{"on":true,"boot":"01000000000000000000000000000000","until_ns":60000000000}`, true},
		"damaged":                 {`{"on":fal`, true},
		"empty":                   {``, true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, "sim-1")
				if err := os.WriteFile(filepath.Join(r.cfg.Buffer.Dir, "private.json"), []byte(c.file), 0o600); err != nil {
					t.Fatal(err)
				}
				a := r.start()
				time.Sleep(20 * time.Second)
				if got := a.Status().Private != nil; got != c.want {
					t.Errorf("private %v, want %v", got, c.want)
				}
				a.stop()
			})
		})
	}
}

// TestPipesBesideTheStore: a pipe in buffer.dir with the name of a file that the
// agent reads keeps it from neither start nor stop. The book of the budget begins
// anew, and private mode is on, as when the order cannot be read.
func TestPipesBesideTheStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, "sim-1")
		for _, name := range []string{"private.json", "budget.json", "boots.json", "session.json"} {
			if err := unix.Mkfifo(filepath.Join(r.cfg.Buffer.Dir, name), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		a := r.start()
		time.Sleep(20 * time.Second)
		if a.Status().Private == nil {
			t.Error("positions are kept though nobody can say that they may be")
		}
		a.stop()
		if list, err := buffer.Boots(r.cfg.Buffer.Dir); err != nil || len(list) != 1 || list[0].By == "" || list[0].Uncertainty > time.Hour {
			t.Errorf("boots kept: %+v, %v", list, err)
		}
	})
}

// TestPrivateModeOnAFullDisk: it works, and says that a restart ends it.
func TestPrivateModeOnAFullDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, "sim-1")
		a := r.start()
		time.Sleep(5 * time.Second)
		if err := os.Mkdir(filepath.Join(r.cfg.Buffer.Dir, "private.json.new"), 0o700); err != nil { // nothing can be written there
			t.Fatal(err)
		}
		reply := r.order("1", "private", `{"on":true}`)
		if !reply.OK || !bytes.Contains(reply.Result, []byte("until the agent restarts")) || a.Status().Private == nil {
			t.Errorf("reply %+v %s", reply, reply.Result)
		}
		a.stop()
	})
}

// TestPrivateLimitOutlastsABatteryClock: after a restart the clock that a
// battery kept does not end private mode, however late it says it is.
func TestPrivateLimitOutlastsABatteryClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, "sim-1", clock.WithWallAt(time.Date(2060, 1, 1, 0, 0, 0, 0, time.UTC)))
		r.deps.Devices.GPS, r.cfg.GPS = nil, nil // nobody tells the time
		order := `{"on":true,"boot":"01000000000000000000000000000000","until_ns":60000000000,"until":"2026-05-04T07:00:00Z"}`
		if err := os.WriteFile(filepath.Join(r.cfg.Buffer.Dir, "private.json"), []byte(order), 0o600); err != nil {
			t.Fatal(err)
		}
		a := r.start()
		time.Sleep(20 * time.Second)
		if s := a.Status(); s.Private == nil || s.Time.By != string(telemetry.AnchorRTC) {
			t.Errorf("private mode %+v by the time %+v", s.Private, s.Time)
		}
		a.stop()
	})
}
