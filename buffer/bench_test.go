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
	const hour, day = 3600, 24 * 3600
	for _, c := range [...]struct {
		name    string
		backlog int // seconds
		window  int // seconds a commit holds
		ack     bool
		drain   int     // further batches acknowledged from the head with each commit
		want    float64 // pages of 4 KiB per commit, mean; splits of leaves are the fraction
	}{
		{"steady: one batch in, one acknowledged", 0, 1, true, 0, 2},
		{"offline, an hour of backlog", hour, 1, false, 0, 3.5},
		{"an hour of backlog, live acknowledged", hour, 1, true, 0, 3.1},
		{"a day of backlog draining, 100 batches a second", day, 1, true, 100, 3.3},
		{"10 s windows, steady", 0, 10, true, 0, 3},
		{"10 s windows offline, a day of backlog", day, 10, false, 0, 5},
		{"10 s windows, a day of backlog, live acknowledged", day, 10, true, 0, 4},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.backlog == day && testing.Short() {
				t.Skip("skipped: -short")
			}
			now := telemetry.At(0)
			b := open(t, t.TempDir(), func(o *buffer.Options) { o.Now = func() telemetry.At { return now } })
			defer b.Close()
			var backlog []buffer.Entry
			for i := 0; i < c.backlog; i += c.window {
				backlog = append(backlog, buffer.Entry{Class: telemetry.ClassTelemetry, Content: seconds(i, c.window)})
			}
			head, err := b.Commit(backlog)
			if err != nil {
				t.Fatal(err)
			}
			const rounds = 200
			pages, _ := b.Pages(func() {
				for i := range rounds {
					now += telemetry.At(c.window) * 1e9
					n, err := b.Commit([]buffer.Entry{{Class: telemetry.ClassTelemetry, Content: seconds(c.backlog+i*c.window, c.window)}})
					if err != nil {
						t.Fatal(err)
					}
					if c.ack {
						b.Ack(n...)
					}
					if c.drain > 0 {
						b.Ack(head[:c.drain]...)
						head = head[c.drain:]
					}
				}
			})
			each := float64(pages) / rounds
			t.Logf("%.2f pages a commit, %.1f MB an hour at one commit in %d s", each, each*4096*3600/1e6/float64(c.window), c.window)
			if each > c.want {
				t.Errorf("%.2f pages a commit, want at most %.1f", each, c.want)
			}
		})
	}
}

// seconds is n one-second batches as one.
func seconds(from, n int) telemetry.Content {
	var c telemetry.Content
	for i := range n {
		s := track(from + i)
		c.Samples, c.Fixes = append(c.Samples, s.Samples...), append(c.Fixes, s.Fixes...)
	}
	return c
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
