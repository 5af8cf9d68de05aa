package buffer_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"obu/buffer"
	"obu/telemetry"
)

// secret stands in everything that a wipe has to delete.
const secret = "WVWZZZ1KZ7W000001"

// lived is a store with some of everything in it.
func lived(t *testing.T, dir string) (b *buffer.Buffer, old []telemetry.StoreID, values map[telemetry.Class]int64) {
	t.Helper()
	b = open(t, dir, func(o *buffer.Options) { o.Vehicle = secret })
	sig, _ := telemetry.Lookup("Vehicle.VehicleIdentification.VIN")
	vin := telemetry.Content{Samples: []telemetry.Sample{{Signal: sig, Value: telemetry.Text(secret)}}}
	b.Lost(telemetry.Gap{Class: telemetry.ClassTelemetry, Boot: telemetry.BootID{1}, Count: 7, Reason: telemetry.ReasonDecode, Source: secret})
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	for range 3 {
		_, err := b.Commit([]buffer.Entry{{Class: telemetry.ClassEvent, Content: vin}, {Class: telemetry.ClassTelemetry, Content: track(1)}})
		must(err)
	}
	must(b.Record("before", []byte(secret), time.Time{}))
	_, err := b.CommitChunk(secret, telemetry.Chunk{Clip: telemetry.ClipID{1}, Data: []byte(secret)})
	must(err)
	must(os.WriteFile(filepath.Join(dir, "telemetry.db.newer-1"), []byte(secret), 0o600))
	must(os.WriteFile(filepath.Join(dir, "boots.json"), []byte(`[{"boot":"`+secret+`"}]`), 0o600)) // when the car was used
	must(os.WriteFile(filepath.Join(dir, "last-good.yaml"), []byte("unit: u"), 0o600))
	return b, b.Stores(), map[telemetry.Class]int64{telemetry.ClassEvent: 4, telemetry.ClassTelemetry: 33, telemetry.ClassMedia: 1}
}

// wipedClean checks that b holds nothing but the memory of the wipe.
func wipedClean(t *testing.T, b *buffer.Buffer, dir string, old []telemetry.StoreID, values map[telemetry.Class]int64) {
	t.Helper()
	for _, id := range b.Stores() {
		if slices.Contains(old, id) {
			t.Errorf("store %s is still there", id)
		}
	}
	if _, ok := b.Executed("before"); ok {
		t.Error("an executed command is still known")
	}
	if reply, ok := b.Executed("wipe-1"); !ok || string(reply) != "done" {
		t.Errorf("the wipe's own id: %q, %v", reply, ok)
	}
	untold := 0
	b.Untold(func(id string, _ []byte) bool { untold++; return id == "wipe-1" })
	if _, _, known := b.ClipProgress(secret); known || untold != 1 {
		t.Errorf("a clip is known: %v; %d replies to tell", known, untold)
	}
	gaps := map[telemetry.Class]int64{}
	early := int64(0)
	for _, g := range eventGaps(t, b) {
		switch {
		case g.Reason != telemetry.ReasonWiped:
			t.Errorf("gap of something else: %+v", g)
		case g.FromSeq == 0:
			early += g.Count
		case g.FromSeq != 1 || !slices.Contains(old, g.Store):
			t.Errorf("gap %+v", g)
		default:
			gaps[g.Class] += g.Count
		}
	}
	for class, n := range values {
		if gaps[class] != n {
			t.Errorf("%d values of %s are listed as wiped, %d were stored", gaps[class], class, n)
		}
	}
	if early != 7 {
		t.Errorf("%d values that never had a name are listed, want the 7 of the old Gap table", early)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		raw, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil || bytes.Contains(raw, []byte(secret)) {
			t.Errorf("%s holds what was to be deleted (%v)", e.Name(), err)
		}
		if e.Name() == "wipe.json" {
			t.Error("the marker is still there")
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "last-good.yaml")); err != nil {
		t.Errorf("the configuration is gone: %v", err)
	}
}

// eventGaps are the rows on their way.
func eventGaps(t *testing.T, b *buffer.Buffer) (out []telemetry.Gap) {
	t.Helper()
	for _, s := range b.Streams() {
		if s.Class != telemetry.ClassEvent {
			continue
		}
		got, err := b.Read(s.Store, s.Class, 1, 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range got {
			batch, err := telemetry.DecodeBatch(r.Name, r.Blob)
			if err != nil {
				t.Fatal(err)
			}
			if n := len(batch.Samples); n > 0 {
				t.Errorf("%d samples", n)
			}
			out = append(out, batch.Gaps...)
		}
	}
	return out
}

func TestWipe(t *testing.T) {
	dir := t.TempDir()
	b, old, values := lived(t, dir)
	if b.Wiped() {
		t.Error("wiped before it was asked to")
	}
	if err := b.Wipe("wipe-1", []byte("done"), time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	b = open(t, dir)
	if !b.Wiped() {
		t.Error("not wiped")
	}
	wipedClean(t, b, dir, old, values)
	names, err := b.Commit([]buffer.Entry{{Class: telemetry.ClassTelemetry, Content: track(2)}})
	if err != nil || names[0].Seq != 1 {
		t.Errorf("%v, %v", names, err)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	b = open(t, dir)
	if b.Wiped() || b.Stats().Batches < 2 {
		t.Errorf("wiped again: %v, %+v", b.Wiped(), b.Stats())
	}
	b.Told("wipe-1")
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	b = open(t, dir)
	b.Untold(func(id string, _ []byte) bool { t.Errorf("%s is told again", id); return true })
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestWipeIsFinishedAfterAPowerCut: the power goes before the store was closed,
// after each of its files was deleted, and before the marker was.
func TestWipeIsFinishedAfterAPowerCut(t *testing.T) {
	origin := t.TempDir()
	b, old, values := lived(t, origin)
	if err := b.Wipe("wipe-1", []byte("done"), time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	image := os.DirFS(origin)
	var names []string
	for i := 0; ; i++ {
		dir := t.TempDir()
		if err := os.CopyFS(dir, image); err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			entries, err := os.ReadDir(dir)
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range entries {
				if e.Name() != "wipe.json" && e.Name() != "last-good.yaml" {
					names = append(names, e.Name())
				}
			}
		}
		for _, gone := range names[:i] {
			if err := os.Remove(filepath.Join(dir, gone)); err != nil {
				t.Fatal(err)
			}
		}
		marker, err := os.ReadFile(filepath.Join(dir, "wipe.json"))
		if err != nil {
			t.Fatal(err)
		}
		c := open(t, dir)
		wipedClean(t, c, dir, old, values)
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "wipe.json"), marker, 0o600); err != nil { // its deletion was not on disk yet
			t.Fatal(err)
		}
		c = open(t, dir)
		wipedClean(t, c, dir, old, values)
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
		if i == len(names) {
			break
		}
	}
	if len(names) < 4 {
		t.Errorf("only %v were deleted", names)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestSpoiledOrderIsAnOrder: the owner's word stands although it cannot be
// read to its end.
func TestSpoiledOrderIsAnOrder(t *testing.T) {
	dir := t.TempDir()
	b, old, _ := lived(t, dir)
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "wipe.json"), []byte(`{"comm`), 0o600); err != nil {
		t.Fatal(err)
	}
	b = open(t, dir)
	if s := b.Stores(); len(s) == 0 || slices.Contains(old, s[0]) || b.Stats().Batches != 0 {
		t.Errorf("stores %v, %d batches", s, b.Stats().Batches)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestWipeThatCannotBeOrdered deletes nothing.
func TestWipeThatCannotBeOrdered(t *testing.T) {
	dir := t.TempDir()
	b, old, _ := lived(t, dir)
	if err := os.Mkdir(filepath.Join(dir, "wipe.json.new"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := b.Wipe("wipe-1", nil, time.Time{}); err == nil {
		t.Error("ordered without a marker")
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if err := b.Wipe("wipe-1", nil, time.Time{}); !errors.Is(err, buffer.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
	b = open(t, dir)
	if s := b.Stores(); b.Wiped() || !slices.Equal(s, old) {
		t.Errorf("stores %v, were %v", s, old)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestWipeOnAFailingDisk: what was to be deleted and cannot be is not opened.
func TestWipeOnAFailingDisk(t *testing.T) {
	dir := t.TempDir()
	b, _, _ := lived(t, dir)
	if err := b.Wipe("wipe-1", []byte("done"), time.Time{}); err != nil {
		t.Fatal(err)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	stuck := filepath.Join(dir, "telemetry.db.damaged-1")
	if err := os.MkdirAll(filepath.Join(stuck, "x"), 0o700); err != nil { // cannot be removed as a file
		t.Fatal(err)
	}
	_, err := buffer.Open(context.Background(), buffer.Options{Dir: dir, Unit: "sim-1", Now: func() telemetry.At { return 1 }})
	if err == nil {
		t.Error("opened a store that was to be wiped")
	}
	if err := os.RemoveAll(stuck); err != nil {
		t.Fatal(err)
	}
	b = open(t, dir)
	if !b.Wiped() {
		t.Error(fmt.Sprint("not wiped: ", b.Stores()))
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
}
