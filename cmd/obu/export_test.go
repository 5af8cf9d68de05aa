package main

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"obu/buffer"
	"obu/telemetry"
	"obu/uplink/brokertest"
)

// TestExportTellsWhatItHadToLeave: one of two files is no store any more. What
// the other holds is written and counted, and the command fails with the name
// of the first.
func TestExportTellsWhatItHadToLeave(t *testing.T) {
	t.Parallel()
	dir, out := t.TempDir(), filepath.Join(t.TempDir(), "out")
	fillStore(t, dir, 5, 3)
	if err := os.WriteFile(filepath.Join(dir, "telemetry.db"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	p := &bufferPlace{dir: dir, socket: filepath.Join(dir, "obu.sock")}
	var report bytes.Buffer
	err := bufferExport(t.Context(), p, out, &report)
	if !errors.Is(err, buffer.ErrDamaged) || !strings.Contains(err.Error(), "telemetry.db") {
		t.Errorf("the error is %v", err)
	}
	if !strings.Contains(report.String(), "3 batches") {
		t.Errorf("the report is %q", report.String())
	}
	records, err := os.ReadFile(filepath.Join(out, recordsName))
	if err != nil || bytes.Count(records, []byte("\n")) != 3 {
		t.Errorf("%v, records:\n%s", err, records)
	}
	var list bytes.Buffer
	if err := bufferList(t.Context(), p, &list); !errors.Is(err, buffer.ErrDamaged) || strings.Count(list.String(), "\n") != 3 {
		t.Errorf("ls: %v\n%s", err, list.String())
	}
}

// TestExportOfNothing: of what is no store nothing is said to be exported.
func TestExportOfNothing(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "telemetry.db.damaged-1")
	if err := os.WriteFile(path, []byte("text"), 0o600); err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(t.TempDir(), "out")
	for range 2 { // the first leaves nothing that is in the way of the second
		var report bytes.Buffer
		err := bufferExport(t.Context(), &bufferPlace{dir: path}, out, &report)
		if !errors.Is(err, buffer.ErrDamaged) || report.Len() > 0 {
			t.Fatalf("%v, report %q", err, report.String())
		}
		if h := hint(err); !strings.Contains(h, "is a store file") {
			t.Errorf("the hint for a file that is no store is %q", h)
		}
	}
}

// TestStoreFileWhereAFolderIsWanted: a technician who names what was set aside is
// told the command that reads it.
func TestStoreFileWhereAFolderIsWanted(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	fillStore(t, dir, 1, 1)
	path := filepath.Join(dir, "telemetry.db")
	err := (&bufferPlace{dir: path, socket: filepath.Join(dir, "none")}).there(t.Context())
	if err == nil || !strings.Contains(err.Error(), path+" is a file") || !strings.Contains(hint(err), "obu buffer export "+path) {
		t.Errorf("%v; hint %q", err, hint(err))
	}
}

// TestExportKnowsWhenABootWas: the anchor of a boot was delivered and deleted
// long ago. Its records have a time all the same, in an export of the folder, in
// one of a single file, and while an agent runs.
func TestExportKnowsWhenABootWas(t *testing.T) {
	t.Parallel()
	c := newCommanded(t)
	dir := c.store
	begin := time.Date(2026, 5, 4, 6, 0, 0, 0, time.UTC)
	now := telemetry.At(time.Minute)
	b, err := buffer.Open(t.Context(), buffer.Options{Dir: dir, Unit: "sim-unit-1", Boot: telemetry.BootID{1},
		Now: func() telemetry.At { return now }, Wall: func() time.Time { return begin.Add(time.Duration(now)) }})
	if err != nil {
		t.Fatal(err)
	}
	commit := func(c telemetry.Class, content telemetry.Content) telemetry.Name {
		t.Helper()
		names, err := b.Commit([]buffer.Entry{{Class: c, Content: content}})
		if err != nil {
			t.Fatal(err)
		}
		return names[0]
	}
	b.Ack(commit(telemetry.ClassEvent, telemetry.Content{Anchors: []telemetry.Anchor{{Boot: telemetry.BootID{1}, At: now, Wall: begin.Add(time.Minute), By: telemetry.AnchorGNSS}}}))
	commit(telemetry.ClassTelemetry, telemetry.Content{Samples: []telemetry.Sample{{At: telemetry.At(90 * time.Second),
		Signal: telemetry.Signals()[0], Source: telemetry.Source{Bus: "can0", Method: "obd"}, Value: telemetry.Float(20)}}})
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	export := func(what string) {
		t.Helper()
		out := filepath.Join(t.TempDir(), "out")
		if err := bufferExport(t.Context(), &bufferPlace{dir: what, socket: c.sock}, out, io.Discard); err != nil {
			t.Fatal(err)
		}
		records, err := os.ReadFile(filepath.Join(out, recordsName))
		if err != nil || !bytes.HasPrefix(records, []byte(`{"record":"sample","time":"2026-05-04T06:01:30`)) {
			t.Errorf("%s: %v\n%s", what, err, records)
		}
	}
	export(dir)
	export(filepath.Join(dir, "telemetry.db"))
	c.w.broker.Set(func(f *brokertest.Faults) { f.DropPuback = func(brokertest.Message) bool { return true } })
	p := startProcess(t, c.config, c.sock)
	await(t, "status", func() bool { s, ok := p.status(); return ok && s.Buffer != nil })
	export(dir)
	stopProcess(t, p)
}
