package buffer_test

import (
	"testing"

	"obu/buffer"
	"obu/telemetry"
)

// track is a one-second batch of ten signals and a fix.
func track(i int) telemetry.Content {
	at := telemetry.At(i) * 1e9
	var c telemetry.Content
	for k, s := range telemetry.Signals()[:10] {
		c.Samples = append(c.Samples, telemetry.Sample{
			At: at + telemetry.At(k)*1e6, Signal: s, Source: telemetry.Source{Bus: "can0", Address: "7E8", Method: "obd"},
			Value: telemetry.Float(float64(20 + (i+k)%50)),
		})
	}
	f := telemetry.NoFix()
	f.At, f.LatDeg, f.LonDeg, f.Valid, f.Mode, f.Receiver = at, 52.1+float64(i)*1e-5, 13.2, true, telemetry.Mode3D, "gps"
	c.Fixes = []telemetry.Fix{f}
	return c
}

// TestPagesPerCommit states what a commit costs; docs/decisions/0001 quotes
// it. A change that makes it dearer has to say so there.
func TestPagesPerCommit(t *testing.T) {
	for _, c := range [...]struct {
		name    string
		backlog int
		ack     bool
		want    float64 // pages of 4 KiB per commit, mean; splits of leaves are the fraction
	}{
		{"steady: one batch in, one acknowledged", 0, true, 2},
		{"offline: one batch in, an hour of backlog", 3600, false, 5.2},
		{"draining: one in, one out, an hour of backlog", 3600, true, 7.3},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := open(t, t.TempDir())
			defer b.Close()
			commit := func(i int) telemetry.Name {
				n, err := b.Commit([]buffer.Entry{{Class: telemetry.ClassTelemetry, Content: track(i)}})
				if err != nil {
					t.Fatal(err)
				}
				return n[0]
			}
			var backlog []buffer.Entry
			for i := range c.backlog {
				backlog = append(backlog, buffer.Entry{Class: telemetry.ClassTelemetry, Content: track(i)})
			}
			if _, err := b.Commit(backlog); err != nil {
				t.Fatal(err)
			}
			n := commit(1)
			if c.backlog > 0 {
				n.Seq = 1
			}
			const rounds = 60
			pages, _ := b.Pages(func() {
				for i := range rounds {
					if c.ack {
						b.Ack(n)
						n.Seq++
					}
					commit(i)
				}
			})
			t.Logf("%.2f pages a commit, %.1f MB an hour at one commit a second", float64(pages)/rounds, float64(pages)/rounds*4096*3600/1e6)
			if float64(pages) > c.want*rounds {
				t.Errorf("%d pages in %d commits, want at most %.1f each", pages, rounds, c.want)
			}
		})
	}
}

func TestPagesPerChunk(t *testing.T) {
	b := open(t, t.TempDir())
	defer b.Close()
	const size, rounds = 256 << 10, 20
	data := make([]byte, size)
	var names []telemetry.Name
	put := func(i int) {
		n, err := b.CommitChunk("k", telemetry.Chunk{Clip: telemetry.ClipID{1}, Offset: int64(i) * size, Data: data})
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, n)
	}
	for i := range rounds {
		put(i)
	}
	_, pages := b.Pages(func() {
		for i := range rounds {
			b.Ack(names[i])
			put(rounds + i)
		}
	})
	amp := float64(pages) * 4096 / (size * rounds)
	t.Logf("%.2f pages a chunk of 64: amplification %.3f", float64(pages)/rounds, amp)
	if amp > 1.12 {
		t.Errorf("amplification %.3f, want at most 1.12", amp)
	}
}

func BenchmarkCommit(b *testing.B) {
	buf, err := buffer.Open(b.Context(), buffer.Options{Dir: b.TempDir(), Now: func() telemetry.At { return 1 }})
	if err != nil {
		b.Fatal(err)
	}
	defer buf.Close()
	e := []buffer.Entry{{Class: telemetry.ClassTelemetry, Content: track(1)}}
	b.ReportAllocs()
	var i int
	pages, _ := buf.Pages(func() {
		for b.Loop() {
			n, err := buf.Commit(e)
			if err != nil {
				b.Fatal(err)
			}
			buf.Ack(n...)
			i++
		}
	})
	b.ReportMetric(float64(pages)/float64(i), "pages/op")
}

func BenchmarkDrain(b *testing.B) {
	buf, err := buffer.Open(b.Context(), buffer.Options{Dir: b.TempDir(), Now: func() telemetry.At { return 1 }})
	if err != nil {
		b.Fatal(err)
	}
	defer buf.Close()
	const hour = 3600
	entries := make([]buffer.Entry, hour)
	for i := range entries {
		entries[i] = buffer.Entry{Class: telemetry.ClassTelemetry, Content: track(i)}
	}
	b.ReportAllocs()
	for b.Loop() {
		b.StopTimer()
		names, err := buf.Commit(entries)
		if err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
		for from := names[0].Seq; from <= names[hour-1].Seq; {
			got, err := buf.Read(names[0].Store, telemetry.ClassTelemetry, from, 120<<10)
			if err != nil || len(got) == 0 {
				b.Fatal(err, len(got))
			}
			for _, st := range got {
				buf.Ack(st.Name)
			}
			from = got[len(got)-1].Seq + 1
			if _, err := buf.Commit(nil); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N)/hour, "us/batch")
}

// BenchmarkAckOfADay: what a receipt for a day of one-second batches costs the
// caller of Ack. The disk follows with the commits.
func BenchmarkAckOfADay(b *testing.B) {
	const day = 86_400
	entries := make([]buffer.Entry, day)
	for i := range entries {
		entries[i] = buffer.Entry{Class: telemetry.ClassTelemetry, Content: telemetry.Content{Samples: track(1).Samples[:1]}}
	}
	for b.Loop() {
		b.StopTimer()
		buf := open(b, b.TempDir())
		names, err := buf.Commit(entries)
		if err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
		buf.Ack(names...)
		b.StopTimer()
		if err := buf.Close(); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
}
