package buffer_test

import (
	"context"
	"testing"
	"time"

	"obu/buffer"
	"obu/telemetry"
)

func open(t testing.TB, dir string, edit ...func(*buffer.Options)) *buffer.Buffer {
	t.Helper()
	start := time.Now()
	o := buffer.Options{
		Dir: dir, Unit: "sim-1", Vehicle: "car", Boot: telemetry.BootID{1},
		Now: func() telemetry.At { return telemetry.At(time.Since(start)) },
	}
	for _, e := range edit {
		e(&o)
	}
	b, err := buffer.Open(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func anchor(i int) telemetry.Content {
	return telemetry.Content{Anchors: []telemetry.Anchor{{At: telemetry.At(i) * telemetry.At(time.Millisecond), By: telemetry.AnchorNTP}}}
}

func TestCommitReadAck(t *testing.T) {
	dir := t.TempDir()
	b := open(t, dir)
	names, err := b.Commit([]buffer.Entry{{Class: telemetry.ClassTelemetry, Content: anchor(1)}, {Class: telemetry.ClassTelemetry, Content: anchor(2)}})
	if err != nil || len(names) != 2 || names[1].Seq != 2 {
		t.Fatalf("names %v, %v", names, err)
	}
	got, err := b.Read(names[0].Store, telemetry.ClassTelemetry, 1, 1<<20)
	if err != nil || len(got) != 2 || got[0].Name != names[0] {
		t.Fatalf("read %v, %v", got, err)
	}
	b.Ack(names[0])
	if got, _ := b.Read(names[0].Store, telemetry.ClassTelemetry, 1, 1<<20); len(got) != 1 || got[0].Seq != 2 {
		t.Fatalf("read after ack %v", got)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	b = open(t, dir)
	defer b.Close()
	s := b.Streams()
	if len(s) != 1 || s[0].Floor != 2 || s[0].Next != 3 || s[0].Batches != 1 || !s[0].Current {
		t.Fatalf("streams %+v", s)
	}
}
