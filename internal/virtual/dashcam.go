package virtual

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/Eyevinn/mp4ff/mp4"
)

// DashcamOptions says what the dashcam records.
type DashcamOptions struct {
	First     time.Duration // until the first clip starts
	Every     time.Duration // from the start of one clip to the next; 0: one clip only
	Length    time.Duration // of a clip; the file grows as long
	SizeBytes int           // of the media data, about; default 256 KiB
	Camera    byte          // 'F' front (default), 'R' rear
}

// RecordClips records clips into dir, named as BlackVue cameras name them,
// until ctx ends. Each grows over its length, gets its index (moov) last and
// is then journalled. A clip that was growing when ctx ends stays unfinished,
// as after a power cut, and is not journalled.
func (c *Car) RecordClips(ctx context.Context, dir string, o DashcamOptions) error {
	if o.SizeBytes <= 0 {
		o.SizeBytes = 256 << 10
	}
	if o.Camera == 0 {
		o.Camera = 'F'
	}
	r := rng(c.seed ^ 0x636c6970)
	start := c.clk.Now().Add(o.First)
	for {
		if !pause(ctx, start.Sub(c.clk.Now())) {
			return nil
		}
		if err := c.film(ctx, dir, &r, o); err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return fmt.Errorf("record clip: %w", err)
		}
		if o.Every <= 0 {
			<-ctx.Done()
			return nil
		}
		start = start.Add(o.Every)
	}
}

// film records one clip.
func (c *Car) film(ctx context.Context, dir string, r *rng, o DashcamOptions) (err error) {
	began := c.UTC(c.clk.Now())
	name := fmt.Sprintf("%s_N%c.mp4", began.Format("20060102_150405"), o.Camera)
	f, err := os.OpenFile(filepath.Join(dir, name), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer func() {
		if cerr := f.Close(); err == nil {
			err = cerr
		}
	}()
	sum := sha256.New()
	w := io.MultiWriter(f, sum)
	head, tail, err := clipFrame(o.SizeBytes, o.Length, began)
	if err != nil {
		return err
	}
	if _, err := w.Write(head); err != nil {
		return err
	}
	const parts = 10
	for part := range parts {
		if !pause(ctx, o.Length/parts) {
			return ctx.Err()
		}
		if _, err := w.Write(footage(r, o.SizeBytes*(part+1)/parts-o.SizeBytes*part/parts)); err != nil {
			return err
		}
	}
	if _, err := w.Write(tail); err != nil {
		return err
	}
	rec := Recording{At: c.clk.Now(), Name: name, SizeBytes: int64(len(head) + o.SizeBytes + len(tail))}
	sum.Sum(rec.SHA256[:0])
	c.journal.Film(rec)
	return nil
}

// footage returns n bytes that do not compress, as video does not.
func footage(r *rng, n int) []byte {
	out := make([]byte, 0, n+8)
	for len(out) < n {
		v := r.next()
		out = append(out, byte(v), byte(v>>8), byte(v>>16), byte(v>>24), byte(v>>32), byte(v>>40), byte(v>>48), byte(v>>56))
	}
	return out[:n]
}

// clipFrame returns what stands before and after size bytes of media data in
// an MP4 file (ISO 14496-12): ftyp and the head of mdat, and moov.
func clipFrame(size int, length time.Duration, began time.Time) (head, tail []byte, err error) {
	var front, back bytes.Buffer
	if err := mp4.NewFtyp("isom", 0x200, []string{"isom", "avc1"}).Encode(&front); err != nil {
		return nil, nil, err
	}
	n := uint32(size + 8)
	front.Write([]byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n), 'm', 'd', 'a', 't'})

	const timescale = 1000
	moov := mp4.NewMoovBox()
	mvhd := mp4.CreateMvhd()
	mvhd.Timescale, mvhd.Duration = timescale, uint64(length.Milliseconds())
	mvhd.SetCreationTimeS(began.Unix())
	moov.AddChild(mvhd)
	trak := mp4.CreateEmptyTrak(1, timescale, "video", "und")
	trak.Tkhd.Duration, trak.Mdia.Mdhd.Duration = mvhd.Duration, mvhd.Duration
	stbl := trak.Mdia.Minf.Stbl
	stbl.Stts.SampleCount, stbl.Stts.SampleTimeDelta = []uint32{1}, []uint32{uint32(mvhd.Duration)}
	if err := stbl.Stsc.AddEntry(1, 1, 1); err != nil {
		return nil, nil, err
	}
	stbl.Stsz.SampleNumber, stbl.Stsz.SampleSize = 1, []uint32{uint32(size)}
	stbl.Stco.ChunkOffset = []uint32{uint32(front.Len())}
	moov.AddChild(trak)
	if err := moov.Encode(&back); err != nil {
		return nil, nil, err
	}
	return front.Bytes(), back.Bytes(), nil
}
