package buffer_test

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"time"

	"obu/buffer"
	"obu/telemetry"
)

// TestEvictionIsSaid: whoever reads the journal learns that a quota is used up,
// of which file, and what to do; once an hour, however many commits evict.
func TestEvictionIsSaid(t *testing.T) {
	var log bytes.Buffer
	now := telemetry.At(time.Hour)
	b := open(t, t.TempDir(), func(o *buffer.Options) {
		o.TelemetryQuota, o.MediaQuota = 256<<10, 1<<20
		o.Log = slog.New(slog.NewTextHandler(&log, nil))
		o.Now = func() telemetry.At { return now }
	})
	defer b.Close()
	clip := int64(0)
	fill := func() {
		t.Helper()
		for i := range 40 {
			if _, err := b.Commit([]buffer.Entry{{Class: telemetry.ClassTelemetry, Content: padded(i, 16<<10)}}); err != nil {
				t.Fatal(err)
			}
			if _, err := b.CommitChunk("front", telemetry.Chunk{Clip: telemetry.ClipID{1}, Offset: clip, Data: make([]byte, 64<<10)}); err != nil {
				t.Fatal(err)
			}
			clip += 64 << 10
			now = now.Add(time.Second)
		}
	}
	said := func(file, key string) (n int) {
		for line := range strings.Lines(log.String()) {
			if strings.Contains(line, "deleted undelivered") && strings.Contains(line, file) && strings.Contains(line, key) && strings.Contains(line, "next=") {
				n++
			}
		}
		return n
	}
	for hour := range 2 {
		fill()
		if s := b.Stats(); s.Evicted == 0 {
			t.Fatalf("nothing was evicted: %+v", s)
		}
		if n, m := said("telemetry.db", "buffer.telemetry_quota"), said("media.db", "buffer.media_quota"); n != hour+1 || m != hour+1 {
			t.Errorf("hour %d: said %d times of history and %d of clips\n%s", hour, n, m, log.String())
		}
		now = now.Add(time.Hour)
	}
}
