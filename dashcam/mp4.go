package dashcam

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"time"

	"github.com/Eyevinn/mp4ff/mp4"
)

// Bounds on what a file can make the prober do.
const (
	// maxBoxes is how many boxes of one level are looked at: more than a day
	// of one-second fragments.
	maxBoxes = 1 << 18
	// maxMvhdBytes bounds the movie header; version 1 has 120 bytes.
	maxMvhdBytes = 256
	// maxLength is the longest playing time believed of one segment.
	maxLength = 31 * 24 * time.Hour
)

// MP4 is what the boxes of a file (ISO/IEC 14496-12) say of it.
type MP4 struct {
	HasMoov bool          // a movie box stands in it, complete
	Whole   bool          // HasMoov, and every top-level box is complete
	Length  time.Duration // playing time; 0 when unknown
}

// Box is one top-level box.
type Box struct {
	Type     string // four bytes
	Offset   int64  // of its header
	Size     int64  // as it says, header included; to the end of the file when it says 0
	Header   int64  // bytes of header
	Complete bool   // all of it lies in the file
}

// isMP4 reports whether a file's ending promises boxes.
func isMP4(name string) bool {
	switch strings.ToLower(filepath.Ext(name)) {
	case ".mp4", ".mov", ".m4v":
		return true
	}
	return false
}

// Probe reads the box headers and the movie header of a file of the given
// size; media is neither read nor held. A file that is no MP4 at all is not
// Whole. The error is that of r alone, never of the content.
func Probe(r io.ReaderAt, size int64) (MP4, error) {
	m := MP4{Whole: true}
	end := int64(0)
	err := Walk(r, 0, size, func(b Box) error {
		end = b.Offset + b.Size
		m.Whole = m.Whole && b.Complete
		if b.Type != "moov" || !b.Complete {
			return nil
		}
		m.HasMoov = true
		if m.Length > 0 {
			return nil
		}
		length, err := movieLength(r, b)
		m.Length = length
		return err
	})
	m.Whole = m.Whole && m.HasMoov && end == size
	return m, err
}

// Walk calls f with each box between two offsets, in order. It stops without
// an error at the first header that cannot be one, at an incomplete box (which
// f still sees), and past maxBoxes. Errors are those of r and of f.
func Walk(r io.ReaderAt, from, to int64, f func(Box) error) error {
	for n := 0; from < to && n < maxBoxes; n++ {
		var head [16]byte
		h := head[:min(16, to-from)]
		if _, err := r.ReadAt(h, from); err != nil && !errors.Is(err, io.EOF) {
			return fmt.Errorf("read box at byte %d: %w", from, err)
		}
		b, ok := header(h, from, to)
		if !ok {
			return nil
		}
		if err := f(b); err != nil {
			return err
		}
		if !b.Complete {
			return nil
		}
		from += b.Size
	}
	return nil
}

// header decodes a box header. mp4ff refuses two legal sizes: 0, to the end of
// the file (of 32 or of 64 bits), and 64 bits on a box other than mdat.
func header(h []byte, from, to int64) (Box, bool) {
	if len(h) < 8 {
		return Box{}, false
	}
	b := Box{Type: string(h[4:8]), Offset: from, Header: 8}
	switch small := binary.BigEndian.Uint32(h); {
	case small == 0:
		b.Size = to - from
	case small == 1 && len(h) == 16:
		b.Header = 16
		switch large := binary.BigEndian.Uint64(h[8:]); {
		case large == 0:
			b.Size = to - from
		case large < 16 || large > 1<<62:
			return Box{}, false
		default:
			b.Size = int64(large)
		}
	default:
		d, err := mp4.DecodeHeader(bytes.NewReader(h))
		if err != nil {
			return Box{}, false
		}
		b.Size, b.Header = int64(d.Size), int64(d.Hdrlen)
	}
	b.Complete = b.Size <= to-from
	return b, true
}

// movieLength returns the playing time the movie header of a moov gives, 0
// when it gives none that can be believed.
func movieLength(r io.ReaderAt, moov Box) (length time.Duration, err error) {
	err = Walk(r, moov.Offset+moov.Header, moov.Offset+moov.Size, func(b Box) error {
		if b.Type != "mvhd" || !b.Complete || b.Size > maxMvhdBytes || length > 0 {
			return nil
		}
		body := make([]byte, b.Size-b.Header)
		if _, err := r.ReadAt(body, b.Offset+b.Header); err != nil && !errors.Is(err, io.EOF) {
			return fmt.Errorf("read movie header: %w", err)
		}
		h := mp4.BoxHeader{Name: b.Type, Size: uint64(b.Size), Hdrlen: int(b.Header)}
		box, err := mp4.DecodeMvhd(h, uint64(b.Offset), bytes.NewReader(body))
		if err != nil {
			return nil // no movie header after all
		}
		if mvhd, ok := box.(*mp4.MvhdBox); ok && mvhd.Timescale > 0 {
			if s := float64(mvhd.Duration) / float64(mvhd.Timescale); s < maxLength.Seconds() {
				length = time.Duration(s * float64(time.Second))
			}
		}
		return nil
	})
	return length, err
}
