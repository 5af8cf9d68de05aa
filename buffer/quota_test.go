package buffer_test

import (
	"testing"

	"obu/buffer"
	"obu/telemetry"
)

// TestTelemetryEvictsByRank: in telemetry.db history goes first, then health,
// and events last, each from its oldest on.
func TestTelemetryEvictsByRank(t *testing.T) {
	const quota = 256 << 10
	b := open(t, t.TempDir(), func(o *buffer.Options) { o.TelemetryQuota = quota })
	defer b.Close()
	fill := func(class telemetry.Class, bytes int) {
		t.Helper()
		for i := 0; i < bytes; i += 900 {
			if _, err := b.Commit([]buffer.Entry{{Class: class, Content: padded(i, 800)}}); err != nil {
				t.Fatal(err)
			}
		}
	}
	held := func() (n map[telemetry.Class]int, floor map[telemetry.Class]uint64) {
		n, floor = map[telemetry.Class]int{}, map[telemetry.Class]uint64{}
		for _, s := range b.Streams() {
			n[s.Class], floor[s.Class] = s.Batches, s.Floor
		}
		return n, floor
	}
	fill(telemetry.ClassEvent, 80<<10) // the oldest are what goes last
	fill(telemetry.ClassHealth, 80<<10)
	before, _ := held()
	fill(telemetry.ClassTelemetry, 200<<10)
	n, floor := held()
	if floor[telemetry.ClassTelemetry] == 1 || n[telemetry.ClassTelemetry] == 0 || n[telemetry.ClassHealth] != before[telemetry.ClassHealth] || floor[telemetry.ClassEvent] != 1 {
		t.Errorf("history is to go first: held %v, floors %v", n, floor)
	}
	fill(telemetry.ClassEvent, 120<<10)
	n, floor = held()
	if n[telemetry.ClassTelemetry] != 0 || floor[telemetry.ClassHealth] == 1 || n[telemetry.ClassHealth] == 0 || floor[telemetry.ClassEvent] != 1 {
		t.Errorf("then health: held %v, floors %v", n, floor)
	}
	fill(telemetry.ClassEvent, 160<<10)
	n, floor = held()
	if n[telemetry.ClassHealth] != 0 || floor[telemetry.ClassEvent] == 1 {
		t.Errorf("events last: held %v, floors %v", n, floor)
	}
}

// TestLoweredQuota: a quota that was lowered below what is stored evicts the
// oldest and goes on, on the disk; the file keeps its size and its pages are
// used again.
func TestLoweredQuota(t *testing.T) {
	dir := t.TempDir()
	quota := func(n int64) func(*buffer.Options) { return func(o *buffer.Options) { o.TelemetryQuota = n } }
	b := open(t, dir, quota(16<<20))
	fill := func(commits int) {
		t.Helper()
		for i := range commits {
			var entries []buffer.Entry
			for j := range 50 {
				entries = append(entries, buffer.Entry{Class: telemetry.ClassTelemetry, Content: padded(i*50+j, 800)})
			}
			if _, err := b.Commit(entries); err != nil {
				t.Fatal(err)
			}
		}
	}
	fill(300)
	full := b.Stats()
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	const lower = 4 << 20
	b = open(t, dir, quota(lower))
	defer b.Close()
	fill(100)
	st := b.Stats()
	if full.TelemetryUsed < 2*lower || st.TelemetryUsed > lower || st.Evicted == 0 || st.Volatile || st.Failures > 0 || st.TelemetryFile > full.TelemetryFile {
		t.Errorf("before %+v\nafter  %+v", full, st)
	}
}
