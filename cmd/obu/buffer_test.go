package main

import (
	"bytes"
	"encoding/json"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"obu/buffer"
	"obu/internal/agent"
	"obu/telemetry"
	"obu/uplink/brokertest"
)

// TestListingOfARunningAgentIsWhole: however much it holds, all of it is
// listed, clips too.
func TestListingOfARunningAgentIsWhole(t *testing.T) {
	t.Parallel()
	const batches, chunks = 10_500, 3
	c := newCommanded(t)
	want := fillStore(t, c.store, batches, chunks)
	c.w.broker.Set(func(f *brokertest.Faults) { f.DropPuback = func(brokertest.Message) bool { return true } })
	p := startProcess(t, c.config, c.sock)
	await(t, "status", func() bool { s, ok := p.status(); return ok && s.Buffer != nil })
	var out bytes.Buffer
	if err := bufferList(t.Context(), &bufferPlace{dir: c.store, socket: c.sock}, &out); err != nil {
		t.Fatal(err)
	}
	n := 0
	for d := json.NewDecoder(&out); d.More(); {
		var h agent.Held
		if err := d.Decode(&h); err != nil {
			t.Fatal(err)
		}
		if was, ok := want[h]; ok && !was {
			want[h] = true
			n++
		}
	}
	if n != batches+chunks {
		t.Errorf("%d of %d stored batches are listed", n, batches+chunks)
	}
	stopProcess(t, p)
}

// fillStore makes a store and returns what lies in it.
func fillStore(t *testing.T, dir string, batches, chunks int) map[agent.Held]bool {
	t.Helper()
	start := time.Now()
	b, err := buffer.Open(t.Context(), buffer.Options{Dir: dir, Unit: "sim-unit-1", Now: func() telemetry.At { return telemetry.At(time.Since(start)) }})
	if err != nil {
		t.Fatal(err)
	}
	entries := make([]buffer.Entry, batches)
	for i := range entries {
		entries[i] = buffer.Entry{Class: telemetry.ClassTelemetry, Content: telemetry.Content{Samples: []telemetry.Sample{{At: telemetry.At(i),
			Signal: telemetry.Signals()[0], Source: telemetry.Source{Bus: "can0", Method: "obd"}, Value: telemetry.Float(20)}}}}
	}
	if _, err := b.Commit(entries); err != nil {
		t.Fatal(err)
	}
	for i := range chunks {
		chunk := telemetry.Chunk{Clip: telemetry.ClipID{1}, Offset: int64(i) << 18, Data: make([]byte, 1<<18)}
		if _, err := b.CommitChunk("clip", chunk); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	held := make(map[agent.Held]bool)
	err = buffer.Each(t.Context(), dir, func(b buffer.Batch) error {
		held[agent.Held{Store: b.Store.String(), Class: b.Class.String(), Seq: b.Seq, Values: b.Values, Bytes: len(b.Blob)}] = false
		return nil
	})
	if err != nil || len(held) != batches+chunks {
		t.Fatalf("%d batches in the store: %v", len(held), err)
	}
	return held
}

// TestBufferOfAnAgentWithoutADisk: nothing of a store is on the disk, all of it
// is in the agent's memory. The tools ask the agent.
func TestBufferOfAnAgentWithoutADisk(t *testing.T) {
	t.Parallel()
	c := newCommanded(t)
	c.w.broker.Set(func(f *brokertest.Faults) { f.DropPuback = func(brokertest.Message) bool { return true } })
	small := `ulimit -f 8; exec "$0" "$@"` // no file may have the size of a new store: as a full disk
	p := startCommand(t, c.sock, exec.Command("sh", "-c", small, "obu", "run", "-c", c.config))
	await(t, "batches in memory", func() bool {
		s, ok := p.status()
		return ok && s.Buffer != nil && s.Buffer.Volatile && s.Buffer.Batches > 3
	})
	run := func(args ...string) string {
		t.Helper()
		out, err := exec.Command("obu", append(append([]string{"buffer"}, args...), "-c", c.config)...).CombinedOutput()
		if err != nil {
			t.Errorf("obu buffer %v: %v\n%s", args, err, out)
		}
		return string(out)
	}
	if out := run("stat"); !strings.Contains(out, "in memory") || !strings.Contains(out, "telemetry") {
		t.Errorf("stat:\n%s", out)
	}
	if out := run("ls"); !strings.Contains(out, `"class":"telemetry"`) {
		t.Errorf("ls:\n%s", out)
	}
	if out := run("export", "--out", filepath.Join(t.TempDir(), "out")); strings.HasPrefix(out, "0 batches") {
		t.Errorf("export:\n%s", out)
	}
	if out := run("verify"); !strings.Contains(out, "a running agent") || !strings.Contains(out, "telemetry.db: no such file; sound, ") || !strings.Contains(out, "media.db: no such file, nothing held") {
		t.Errorf("verify:\n%s", out)
	}
	c.kill(p) // a stop in order has nowhere to store what is in memory, and says so
}

// TestGapsSpeakPlainly: a loss without a seq is told by its time, one without an
// end by its beginning.
func TestGapsSpeakPlainly(t *testing.T) {
	var out strings.Builder
	printGaps(&out, []telemetry.Gap{
		{ID: 1, Class: telemetry.ClassTelemetry, From: telemetry.At(90 * time.Second), To: telemetry.At(95 * time.Second), Count: telemetry.CountUnknown, Reason: telemetry.ReasonUncleanStart},
		{ID: 2, Class: telemetry.ClassEvent, Store: telemetry.StoreID{1}, FromSeq: 7, ToSeq: 1<<53 - 1, Count: 3, Reason: telemetry.ReasonDamagedStore},
	})
	if got, want := out.String(), "gap 1: telemetry from 1m30s to 1m35s of boot 00000000000000000000000000000000, an unknown number of values, unclean-start\n"+
		"gap 2: event 0100000000000000 seq 7 and on, 3 values, damaged-store\n"; got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}
