package agent

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"obu/can"
	"obu/can/canlog"
	"obu/dashcam"
	"obu/gps"
	"obu/internal/clock"
	"obu/telemetry"
)

// DriveFiles are the recordings that a replay folder may hold beside dashcam/,
// for messages.
const DriveFiles = "can*.log (or .asc, .trc, .crtd, .csv; plain or .gz), gps.nmea (or .gz)"

// ErrNoDrive: the folder holds nothing to replay. Cure: it wants one of
// DriveFiles or a folder dashcam/.
var ErrNoDrive = errors.New("nothing to replay in folder")

// ErrFile: a replay wants a folder. Cure: name the one the file lies in.
var ErrFile = errors.New("is a file")

// Drive is a replay folder: recordings of one drive and how they lie on one
// clock. drive.yaml is optional; without it every recording starts at the
// common zero.
type Drive struct {
	Dir     string        `yaml:"-"`
	Start   time.Time     `yaml:"start"`   // wall time of the common zero; default: the first recording's own
	Vehicle string        `yaml:"vehicle"` // default: none
	CAN     []DriveCAN    `yaml:"can"`
	GPS     *DriveFile    `yaml:"gps"`
	Dashcam *DriveDashcam `yaml:"dashcam"`
}

// DriveCAN is one log of frames; each interface in it is one bus.
type DriveCAN struct {
	File      string        `yaml:"file"`
	Interface string        `yaml:"interface"` // only this one; default: all
	Offset    time.Duration `yaml:"offset"`    // of the log's first line to the common zero
}

// DriveFile is an NMEA log.
type DriveFile struct {
	File   string        `yaml:"file"`
	Offset time.Duration `yaml:"offset"` // of the first epoch to the common zero
}

// DriveDashcam is a folder of segments.
type DriveDashcam struct {
	Dir    string        `yaml:"dir"`
	Camera string        `yaml:"camera"`
	Offset time.Duration `yaml:"offset"` // of the first segment's start to the common zero
}

// ReadDrive reads drive.yaml of a replay folder and fills in what it leaves
// out from the files that are there. Nothing is opened yet.
func ReadDrive(dir string) (*Drive, error) {
	if st, err := os.Stat(dir); err == nil && !st.IsDir() {
		return nil, fmt.Errorf("%s %w: name the folder it lies in, %s", dir, ErrFile, filepath.Dir(dir))
	}
	d := &Drive{Dir: dir}
	path := filepath.Join(dir, "drive.yaml")
	text, err := os.ReadFile(path)
	switch {
	case err == nil:
		if err := parseDrive(path, text, d); err != nil {
			return nil, err
		}
	case !errors.Is(err, fs.ErrNotExist):
		return nil, err
	}
	if err := d.discover(); err != nil {
		return nil, err
	}
	if len(d.CAN) == 0 && d.GPS == nil && d.Dashcam == nil {
		return nil, fmt.Errorf("%w %s%s", ErrNoDrive, dir, d.binaries())
	}
	return d, nil
}

// binaries says which logs of the folder are none that is read.
func (d *Drive) binaries() string {
	for _, pattern := range []string{"*.blf", "*.mf4", "*.mdf", "*.pcap", "*.pcapng"} {
		if all, _ := filepath.Glob(filepath.Join(d.Dir, pattern)); len(all) > 0 {
			return ": " + filepath.Base(all[0]) + " is a binary log; write it as text (candump, ASC) with the program that made it"
		}
	}
	return ""
}

// discover adds the files that drive.yaml does not name.
func (d *Drive) discover() error {
	entries, err := os.ReadDir(d.Dir)
	if err != nil {
		return fmt.Errorf("read replay folder: %w", err)
	}
	listed := func(name string) bool {
		return slices.ContainsFunc(d.CAN, func(c DriveCAN) bool { return c.File == name })
	}
	for _, e := range entries {
		name := e.Name()
		switch {
		case e.IsDir() && name == "dashcam" && d.Dashcam == nil:
			d.Dashcam = &DriveDashcam{Dir: name}
		case isLog(name) && !listed(name):
			d.CAN = append(d.CAN, DriveCAN{File: name})
		case (name == "gps.nmea" || name == "gps.nmea.gz") && d.GPS == nil:
			d.GPS = &DriveFile{File: name}
		}
	}
	if d.GPS != nil {
		d.GPS.File = cmp.Or(d.GPS.File, "gps.nmea")
	}
	if d.Dashcam != nil {
		d.Dashcam.Dir, d.Dashcam.Camera = cmp.Or(d.Dashcam.Dir, "dashcam"), cmp.Or(d.Dashcam.Camera, "front")
	}
	return nil
}

// isLog reports whether a file of a replay folder is a log of a bus; what
// program wrote it shows in it.
func isLog(name string) bool {
	name, _ = strings.CutSuffix(name, ".gz")
	return strings.HasPrefix(name, "can") && slices.Contains([]string{".log", ".asc", ".trc", ".crtd", ".csv"}, filepath.Ext(name))
}

func (d *Drive) path(name string) string {
	if filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(d.Dir, name)
}

// maxDrive is the longest recording that is replayed. Longer ones have a line
// with a wrong time in them, and would be replayed for years.
const maxDrive = 31 * 24 * time.Hour

// ErrSpan: a log's first and last time lie further apart than any drive lasts.
// Cure: cut out the line whose time is wrong; `obu decode can --obd` shows them.
var ErrSpan = errors.New("a line has a wrong time")

// driveBus is one interface of one log.
type driveBus struct {
	DriveCAN
	path string
}

// busesAndStart looks into the recordings: which interfaces there are, and
// what the wall time of the common zero was.
func (d *Drive) busesAndStart() (buses []driveBus, start time.Time, err error) {
	start = d.Start
	for _, c := range d.CAN {
		info, err := can.InspectLog(d.path(c.File))
		if err != nil {
			return nil, start, err
		}
		if info.Frames == 0 {
			return nil, start, fmt.Errorf("%s: no frame in it: %w", d.path(c.File), canlog.ErrLine)
		}
		if span := time.Duration(info.Last.Nanos - info.First.Nanos); span > maxDrive || span < 0 {
			return nil, start, fmt.Errorf("%s: spans %v to %v: %w", d.path(c.File), info.First, info.Last, ErrSpan)
		}
		if start.IsZero() && info.First.Time().Year() > 1980 {
			start = info.First.Time().Add(-c.Offset)
		}
		names := make([]string, 0, len(info.Interfaces))
		for name := range info.Interfaces {
			if c.Interface == "" || c.Interface == name {
				names = append(names, name)
			}
		}
		slices.Sort(names)
		for _, name := range names {
			b := driveBus{DriveCAN: c, path: d.path(c.File)}
			b.Interface = name
			buses = append(buses, b)
		}
	}
	if start.IsZero() && d.GPS != nil {
		start, err = d.firstUTC()
	}
	return buses, start, err
}

var errEnough = errors.New("enough")

func (d *Drive) firstUTC() (time.Time, error) {
	clk := clock.Replay(0, time.Time{})
	log, err := gps.OpenLog(d.path(d.GPS.File), clk, 0)
	if err != nil {
		return time.Time{}, err
	}
	defer log.Close()
	var first time.Time
	stop := &stopReader{r: log}
	_, err = gps.Decode(stop, func(f telemetry.Fix) {
		if first.IsZero() && !f.UTC.IsZero() {
			first = f.UTC.Add(-d.GPS.Offset)
			stop.done = true
		}
	})
	if err != nil && !errors.Is(err, errEnough) {
		return time.Time{}, err
	}
	return first, nil
}

// stopReader ends a decode as soon as it has what was looked for.
type stopReader struct {
	r    io.Reader
	done bool
}

func (s *stopReader) Read(p []byte) (int, error) {
	if s.done {
		return 0, errEnough
	}
	return s.r.Read(p)
}

// Open returns the clock and the devices of the drive at speed times real
// time; 0 is as fast as possible. Segments are dripped into scratch, which the
// caller removes. Every recording joins the clock's timeline at once; the
// agent starts it.
func (d *Drive) Open(speed float64, scratch string, log *slog.Logger, opts ...clock.Option) (*clock.Clock, Devices, error) {
	buses, start, err := d.busesAndStart()
	if err != nil {
		return nil, Devices{}, err
	}
	clk := clock.Replay(speed, start, opts...)
	dev := Devices{Simulated: true}
	for _, b := range buses {
		dev.CAN = append(dev.CAN, CANDevice{Name: b.Interface, Dial: func(context.Context) (can.Bus, error) {
			return can.OpenLog(b.path, clk, can.LogOptions{Interface: b.Interface, Offset: telemetry.At(b.Offset), Log: log})
		}})
	}
	if d.GPS != nil {
		dev.GPS = &GPSDevice{Name: "gps", Open: func(context.Context) (io.ReadCloser, error) {
			return gps.OpenLog(d.path(d.GPS.File), clk, telemetry.At(d.GPS.Offset))
		}}
	}
	if d.Dashcam != nil {
		dir := filepath.Join(scratch, "dashcam")
		if err := os.MkdirAll(dir, 0o750); err != nil {
			return nil, Devices{}, err
		}
		from, offset := d.path(d.Dashcam.Dir), telemetry.At(d.Dashcam.Offset)
		dev.Dashcam = append(dev.Dashcam, DashcamDevice{Camera: d.Dashcam.Camera, Dir: dir,
			Drip: func(ctx context.Context, placed func(context.Context, string) error) error {
				return dashcam.Drip(ctx, dashcam.DripConfig{From: from, To: dir, Clock: clk, Offset: offset, Placed: placed})
			}})
	}
	return clk, dev, nil
}
