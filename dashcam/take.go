package dashcam

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"obu/telemetry"
)

// sampleBytes is how much of a file's start, middle and end goes into its key.
const sampleBytes = 4 << 10

// take brings one segment into custody. It returns an error only when custody
// failed; whatever is wrong with the file is settled here.
func (s *Source) take(ctx context.Context, f *file) error {
	if f.info.Size() == 0 {
		f.state = failed
		s.say(slog.LevelWarn, "file", f.path, "segment is empty: the camera lost power while it began it, or its card is full; check the card")
		return nil
	}
	r, err := os.Open(filepath.Join(s.cfg.Dir, f.path))
	if err != nil {
		s.openFailed(f, err)
		return nil
	}
	defer r.Close()
	info, err := r.Stat()
	if err != nil {
		return s.readFailed(f, err)
	}
	if !unchanged(info, f.info) {
		s.restart(f, info)
		return nil
	}
	m, err := s.probe(r, f)
	if err != nil {
		return s.readFailed(f, err)
	}
	if !m.Whole && f.state != unfinished {
		f.state = unfinished
		return nil
	}
	id, err := clipID(r, s.cfg.Camera, info)
	if err != nil {
		return s.readFailed(f, err)
	}
	stored, isDone, ok := s.cfg.Custody.Progress(id.String())
	if ok && isDone {
		f.state = done
		return nil
	}
	clip := telemetry.Clip{ID: id, Camera: s.cfg.Camera, Name: f.name.File, At: s.cfg.Clock.Now(), Start: f.name.Start,
		Length: m.Length, SizeBytes: info.Size(), Cause: f.name.Cause}
	if !m.Whole {
		clip.Cause += telemetry.CauseIncomplete
	}
	f.stored = min(max(stored, 0), info.Size())
	return s.copy(ctx, r, f, clip)
}

// probe looks into a file whose format says whether it is finished. Of the
// others nothing but resting is known.
func (s *Source) probe(r io.ReaderAt, f *file) (MP4, error) {
	if !isMP4(f.path) {
		return MP4{Whole: true}, nil
	}
	return Probe(r, f.info.Size())
}

// clipID names a file by what does not change when the camera renames it:
// size, time of modification, and samples of its content. Reading all of it
// twice would cost the camera's card and the unit's CPU as much again.
func clipID(r io.ReaderAt, camera string, info fs.FileInfo) (telemetry.ClipID, error) {
	size := info.Size()
	h := sha256.New()
	fmt.Fprintf(h, "%q", camera) // a hash takes every write
	var num [16]byte
	binary.BigEndian.PutUint64(num[:8], uint64(size))
	binary.BigEndian.PutUint64(num[8:], uint64(info.ModTime().UnixNano()))
	h.Write(num[:])
	for _, off := range []int64{0, size / 2, max(size-sampleBytes, 0)} {
		if _, err := io.Copy(h, io.NewSectionReader(r, off, min(sampleBytes, size-off))); err != nil {
			return telemetry.ClipID{}, fmt.Errorf("read byte %d: %w", off, err)
		}
	}
	return telemetry.ClipID(h.Sum(nil)[:16]), nil
}

// copy hands the bytes on from where custody stands, hashes all of them, and
// finishes the clip if the file rested meanwhile.
func (s *Source) copy(ctx context.Context, r *os.File, f *file, clip telemetry.Clip) error {
	key, h := clip.ID.String(), sha256.New()
	buf := make([]byte, min(int64(s.cfg.ChunkBytes), clip.SizeBytes))
	from := f.stored
	for off := int64(0); off < clip.SizeBytes; {
		if ctx.Err() != nil {
			return nil
		}
		end := clip.SizeBytes
		if off < from {
			end = from
		}
		b := buf[:min(int64(len(buf)), end-off)]
		if _, err := r.ReadAt(b, off); err != nil {
			return s.cutShort(f, r, fmt.Errorf("read byte %d: %w", off, err))
		}
		h.Write(b)
		if off >= from {
			if err := s.cfg.Custody.StoreChunk(ctx, key, telemetry.Chunk{Clip: clip.ID, Offset: off, Data: b}); err != nil {
				return fmt.Errorf("store %s at byte %d: %w", f.path, off, err)
			}
			f.stored = off + int64(len(b))
			s.count(func(st *Stats) { st.Bytes += int64(len(b)) })
		}
		off += int64(len(b))
	}
	info, err := r.Stat()
	if err != nil {
		return s.readFailed(f, err)
	}
	if !unchanged(info, f.info) {
		s.restart(f, info)
		return nil
	}
	return s.finish(ctx, f, clip, h)
}

func (s *Source) finish(ctx context.Context, f *file, clip telemetry.Clip, h hash.Hash) error {
	clip.SHA256 = [32]byte(h.Sum(nil))
	if err := s.cfg.Custody.Finish(ctx, clip.ID.String(), clip); err != nil {
		return fmt.Errorf("finish %s: %w", f.path, err)
	}
	incomplete := f.state == unfinished
	f.state = done
	s.count(func(st *Stats) {
		st.Clips++
		st.LastName = clip.Name
		if incomplete {
			st.Incomplete++
		}
	})
	if incomplete {
		s.say(slog.LevelWarn, "file", f.path, "segment was never finished by the camera (power cut?), it is delivered as it is", "bytes", clip.SizeBytes)
		return nil
	}
	s.log.Info("clip is in custody", "file", f.path, "bytes", clip.SizeBytes, "length", clip.Length)
	return nil
}

// restart begins a file anew that changed between index and manifest. Its
// bytes are still there, unless it has become shorter.
func (s *Source) restart(f *file, info fs.FileInfo) {
	if info.Size() < f.info.Size() {
		s.lose(f, "segment was cut short before it was in custody; check what else writes to the camera's folder", "now", info.Size())
	} else {
		s.count(func(st *Stats) { st.Restarted++ })
		s.say(slog.LevelWarn, "file", f.path, "segment changed while it was read and is begun anew; if this repeats, raise dashcam.settle above the camera's writing pauses",
			"was", f.info.Size(), "now", info.Size())
	}
	f.info, f.since, f.state, f.stored, f.failures = info, time.Now(), waiting, 0, 0
}

// cutShort settles a read that failed: the file may have been truncated.
func (s *Source) cutShort(f *file, r *os.File, err error) error {
	if info, statErr := r.Stat(); statErr == nil && !unchanged(info, f.info) {
		s.restart(f, info)
		return nil
	}
	return s.readFailed(f, err)
}

// openFailed settles a file that cannot be opened. One that is gone is booked
// by the next look.
func (s *Source) openFailed(f *file, err error) {
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	if f.state != unreadable {
		s.say(slog.LevelError, "file", f.path, "segment cannot be opened, it waits; let the agent's user read it (group, or the mount's umask)", "err", err)
	}
	f.state, f.retry = unreadable, time.Now().Add(s.cfg.Rescan)
}

// readFailed settles a file the card does not give: another attempt later,
// and after readAttempts a listed loss. It fails when the card is gone.
func (s *Source) readFailed(f *file, err error) error {
	if gone := s.sameRoot(); gone != nil {
		return gone
	}
	f.failures++
	if f.failures >= readAttempts {
		s.lose(f, "segment cannot be read and is given up; check or replace the camera's card", "err", err)
		f.state = failed
		return nil
	}
	s.say(slog.LevelWarn, "file", f.path, "segment cannot be read through, it is tried again; if this repeats, check the camera's card",
		"attempt", f.failures, "of", readAttempts, "err", err)
	f.state, f.retry = unreadable, time.Now().Add(s.cfg.Rescan)
	return nil
}
