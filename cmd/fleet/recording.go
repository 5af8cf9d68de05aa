package main

import (
	"compress/gzip"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"time"

	"obu/can"
	"obu/gps"
	"obu/internal/agent"
	"obu/internal/virtual"
	"obu/telemetry"
)

// recording is what a replay folder says.
type recording struct {
	journal *virtual.Journal
	lasts   time.Duration
}

// readRecording returns what a replay folder says, decoded without the agent:
// every OBD answer, every epoch, every clip; and how long it lasts.
func readRecording(dir string) (*virtual.Journal, time.Duration, error) {
	d, err := agent.ReadDrive(dir)
	if err != nil {
		return nil, 0, err
	}
	j := virtual.NewJournal()
	var lasts time.Duration
	for _, c := range d.CAN {
		end, err := readAnswers(j, within(dir, c.File), c)
		if err != nil {
			return nil, 0, err
		}
		lasts = max(lasts, end)
	}
	if d.GPS != nil {
		end, err := readFixes(j, within(dir, d.GPS.File))
		if err != nil {
			return nil, 0, err
		}
		lasts = max(lasts, end+d.GPS.Offset)
	}
	if d.Dashcam != nil {
		if err := readClips(j, within(dir, d.Dashcam.Dir)); err != nil {
			return nil, 0, err
		}
	}
	return j, lasts, nil
}

func within(dir, name string) string {
	if filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(dir, name)
}

// readAnswers journals the OBD answers of a candump log, at their time on the
// drive's timeline.
func readAnswers(j *virtual.Journal, path string, c agent.DriveCAN) (time.Duration, error) {
	info, err := can.InspectLog(path)
	if err != nil {
		return 0, err
	}
	f, err := os.Open(path)
	if err != nil {
		return 0, fmt.Errorf("open CAN log: %w", err)
	}
	defer f.Close()
	_, err = can.DecodeOBD(f, func(r can.Record) error {
		if (c.Interface == "" || c.Interface == r.Bus) && r.Value.Kind() != telemetry.KindNone && r.Quality != telemetry.QualityUnsupported {
			at := telemetry.At(r.T.Nanos-info.First.Nanos) + telemetry.At(c.Offset)
			j.Read(virtual.SeriesKey{Signal: r.Signal.Name, Address: r.Source}, at, r.Value)
		}
		return nil
	}, nil)
	if err != nil {
		return 0, fmt.Errorf("decode %s: %w", path, err)
	}
	return time.Duration(info.Last.Nanos-info.First.Nanos) + c.Offset, nil
}

// readFixes journals the epochs of an NMEA log.
func readFixes(j *virtual.Journal, path string) (time.Duration, error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, fmt.Errorf("open NMEA log: %w", err)
	}
	defer f.Close()
	var r io.Reader = f
	if strings.HasSuffix(path, ".gz") {
		if r, err = gzip.NewReader(f); err != nil {
			return 0, fmt.Errorf("open %s: %w", path, err)
		}
	}
	var first, last time.Time
	_, err = gps.Decode(r, func(f telemetry.Fix) {
		if first.IsZero() {
			first = f.UTC
		}
		if !f.UTC.IsZero() {
			last = f.UTC
		}
		j.Locate(virtual.Position{At: telemetry.At(max(0, last.Sub(first))), UTC: f.UTC, Valid: f.Valid, LatDeg: f.LatDeg, LonDeg: f.LonDeg,
			AltM: f.AltM, SpeedMPS: f.SpeedMPS, CourseDeg: f.CourseDeg, HDOP: f.HDOP, Sats: f.Sats})
	})
	if err != nil {
		return 0, fmt.Errorf("decode %s: %w", path, err)
	}
	return max(0, last.Sub(first)), nil
}

// readClips journals the segments of a folder.
func readClips(j *virtual.Journal, dir string) error {
	return filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() || !strings.EqualFold(filepath.Ext(path), ".mp4") {
			return err
		}
		f, err := os.Open(path)
		if err != nil {
			return fmt.Errorf("open clip: %w", err)
		}
		h := sha256.New()
		size, err := io.Copy(h, f)
		if err := errors.Join(err, f.Close()); err != nil {
			return fmt.Errorf("read clip: %w", err)
		}
		if size > 0 {
			j.Film(virtual.Recording{Name: filepath.Base(path), SizeBytes: size, SHA256: [32]byte(h.Sum(nil))})
		}
		return nil
	})
}

// replay shows a recorded drive.
func (d *demo) replay(ctx context.Context) error {
	j, lasts, err := readRecording(d.Drive)
	if err != nil {
		return err
	}
	d.expect.Journal, d.expect.Boot = j, telemetry.BootID{} // a replay's boot is the agent's own secret
	speed := max(1, lasts.Seconds()/float64(d.Seconds))
	d.cloud.plays(speed)
	values, fixes, clips := j.Counts()
	d.text(bold, "A recorded drive, the real agent, a broker and a cloud, all on this machine.")
	d.text(dim, "drive  %s: %s, %s OBD values, %s epochs, %d clips", d.Drive, lasts.Round(time.Second), thousands(int64(values)), thousands(int64(fixes)), clips)
	d.text(dim, "agent  %s run --replay %s --speed %.3g", d.Obu, d.Drive, speed)
	d.text(dim, "cloud  every line below is what it received over MQTT\n")
	err = d.startAgent(demoConfig{history: int(math.Ceil(speed))}, "--replay", d.Drive, "--speed", fmt.Sprintf("%.3f", speed))
	if err != nil {
		return err
	}
	total := time.Duration(d.Seconds) * time.Second
	if lasts > 0 {
		total = min(total, lasts)
	}
	if err := d.story(ctx, total*2/5, total*3/10, total*3/10); err != nil {
		return err
	}
	d.line(plain, "the recording ends; what is left drains")
	select {
	case <-d.obu.done:
	case <-ctx.Done():
		h := d.held(context.WithoutCancel(ctx))
		return fmt.Errorf("%w; the agent still stores %d values in %d batches", context.Cause(ctx), h.values, h.batches)
	}
	if !d.recordingIsOver() {
		return d.obu.failure("ended")
	}
	sleep(ctx, 500*time.Millisecond)
	return nil
}
