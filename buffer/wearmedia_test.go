package buffer_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"obu/buffer"
	"obu/telemetry"
)

// ourMedia is media.db as a wearStore: a commit is one chunk.
type ourMedia struct {
	*ourStore
	stored int64
}

func (s *ourMedia) path() string { return filepath.Join(s.dir, "media.db") }

func (s *ourMedia) commit(acks []uint64, contents ...telemetry.Content) (first uint64, payload int64) {
	s.t.Helper()
	s.now = s.now.Add(time.Second)
	for _, seq := range acks {
		n := s.last
		n.Seq = seq
		s.b.Ack(n)
	}
	c := contents[0].Chunks[0]
	c.Offset = s.stored
	s.stored += int64(len(c.Data))
	var err error
	if s.last, err = s.b.CommitChunk("clip", c); err != nil {
		s.t.Fatal(err)
	}
	return s.last.Seq, int64(len(c.Data))
}

func (s *ourMedia) pages() int64 {
	_, media := s.b.PagesWritten()
	return media
}

// TestWearMedia is TestWear of 256 KiB chunks, one a commit.
func TestWearMedia(t *testing.T) {
	if os.Getenv("OBU_WEAR") == "" {
		t.Skip("skipped: takes minutes and root; run it with make wear")
	}
	const small, large = 8, 2048 // chunks that wait: 2 MiB and 512 MiB
	for _, c := range []struct {
		name    string
		backlog int
		fifo    bool
	}{
		{"filling an empty store", 0, false},
		{fmt.Sprintf("one in, the oldest acknowledged, %d wait", small), small, true},
		{fmt.Sprintf("one in, the oldest acknowledged, %d wait", large), large, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			measure := func(open func(dir string) wearStore) wearFigures {
				d := newWearDisk(t, 4<<30, os.Getenv("OBU_WEAR_MOUNT"))
				s := open(d.dir)
				defer s.close()
				data := make([]byte, 256<<10)
				rnd := rand.NewChaCha8([32]byte{})
				chunk := func() telemetry.Content {
					_, _ = rnd.Read(data)
					return telemetry.Content{Chunks: []telemetry.Chunk{{Clip: telemetry.ClipID{1}, Data: data}}}
				}
				oldest := uint64(1)
				for range c.backlog {
					s.commit(nil, chunk())
				}
				var f wearFigures
				put := func(i int) {
					var acks []uint64
					if c.fifo {
						acks = append(acks, oldest)
						oldest++
					}
					_, payload := s.commit(acks, chunk())
					f.payload += payload
					f.commits++
					d.second(i, s.path())
				}
				for i := range 60 {
					put(i)
				}
				f = wearFigures{}
				device, page := d.written(), s.pages()
				for i := range 600 {
					put(i)
				}
				f.device, f.page = d.written()-device, (s.pages()-page)*4096
				return f
			}
			ours := measure(func(dir string) wearStore {
				return &ourMedia{ourStore: openOurs(t, dir, func(o *buffer.Options) { o.MediaQuota = 3 << 30 })}
			})
			plain := measure(func(dir string) wearStore { return openPlain(t, filepath.Join(dir, "plain.db")) })
			t.Logf("| %s | %.1f | %.3f | %.3f | %.2f | %.1f |", c.name, float64(ours.page)/4096/float64(ours.commits),
				float64(ours.page)/float64(ours.payload), float64(ours.device)/float64(ours.payload),
				float64(plain.device)/float64(plain.payload), float64(plain.device)/float64(ours.device))
		})
	}
}
