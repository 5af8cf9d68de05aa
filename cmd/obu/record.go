package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"sync"
	"time"

	"obu/can"
	"obu/internal/clock"
	"obu/internal/config"
)

// recordOptions are the flags of `obu record`.
type recordOptions struct {
	config  string
	devices []string
	cfg     can.RecorderConfig
}

// sizeFlag is a flag with a size in bytes.
type sizeFlag struct{ to *int64 }

func (s sizeFlag) Set(text string) error {
	n, err := config.ParseSize(text)
	*s.to = n.Bytes()
	return err
}

func (s sizeFlag) Get() any { return config.Size(s.bytes()) }

func (s sizeFlag) String() string {
	if s.bytes() == 0 {
		return ""
	}
	return config.Size(s.bytes()).String()
}

// bytes may be asked of the zero value, by package flag.
func (s sizeFlag) bytes() int64 {
	if s.to == nil {
		return 0
	}
	return *s.to
}

func recordCommand() *command {
	var o recordOptions
	cmd := &command{
		Use:   "record -c obu.yaml | --device can0... --out DIR",
		Short: "write what passes on the buses into candump logs",
		Long: `Records every frame, also error frames, until SIGTERM or SIGINT, and transmits
nothing. A file ends by size or age; when all of them have more than --total the
oldest is removed, and said so. The folder can be replayed: it holds a
drive.yaml. A power cut costs what --sync says. While the disk is full frames
are counted, and written again when there is room.`,
		Example: "  obu record -c obu.yaml --out drive/\n  obu record --device can0 --device can1 --out drive/ --total 8GiB\n  obu run -c obu.yaml --replay drive/",
		Args: func(cmd *command, args []string) error {
			err := atMost(0)(cmd, args)
			if err != nil {
				err = usageError{errors.New(err.Error() + ": a bus goes behind --device: --device " + args[0])}
			}
			return err
		},
		RunE: func(cmd *command, _ []string) error {
			return record(cmd.Context(), &o, cmd.ErrOrStderr())
		},
	}
	f := cmd.Flags()
	configFlag(cmd, &o.config)
	f.Func("device", "record `BUS` instead of those of the configuration; may be repeated", func(d string) error {
		o.devices = append(o.devices, d)
		return nil
	})
	f.StringVar(&o.cfg.Dir, "out", "", "`FOLDER` of the recording")
	f.Var(sizeFlag{&o.cfg.FileBytes}, "file-size", "a file ends at this `SIZE` (default 64MiB)")
	f.DurationVar(&o.cfg.FileAge, "file-age", time.Hour, "or when it is so old, a `TIME`")
	f.Var(sizeFlag{&o.cfg.TotalBytes}, "total", "the `SIZE` of all; the oldest files go (default 1GiB)")
	f.DurationVar(&o.cfg.SyncEvery, "sync", 5*time.Second, "the disk takes what was recorded every `TIME`")
	return cmd
}

func record(ctx context.Context, o *recordOptions, errw io.Writer) error {
	if o.cfg.Dir == "" {
		return usageError{errors.New("record wants --out FOLDER: where the recording goes")}
	}
	if len(o.devices) == 0 {
		p, err := findPresent(o.config)
		if err != nil {
			return err
		}
		if p.mistake != nil {
			return p.mistake
		}
		for _, c := range p.CAN {
			o.devices = append(o.devices, c.Device)
		}
		if len(o.devices) == 0 {
			return usageError{fmt.Errorf("%s names no bus under can: add one, or give --device can0", p.path)}
		}
	}
	for i, d := range o.devices {
		if err := config.CheckBus(d); err != nil {
			return usageError{fmt.Errorf("--device %s: %w", d, err)}
		}
		if slices.Contains(o.devices[:i], d) {
			return usageError{errors.New("--device " + d + " is there twice: name each bus once")}
		}
	}
	o.cfg.FileAge, o.cfg.SyncEvery = cmp.Or(o.cfg.FileAge, -1), cmp.Or(o.cfg.SyncEvery, -1) // 0 is the usual to a Recorder, and not what was meant
	clk, err := clock.System()
	if err != nil {
		return err
	}
	o.cfg.Clock, o.cfg.Log = clk, slog.New(slog.NewTextHandler(errw, nil))
	var unopened failure
	for i, d := range o.devices {
		name := d
		if len(d) > 5 && d[:5] == "unix:" { // a path is no name of a candump log
			name = fmt.Sprintf("can%d", i)
		}
		o.cfg.Buses = append(o.cfg.Buses, can.RecordedBus{Name: name, Dial: unopened.keep(can.Device(d, can.SocketOptions{Clock: clk}))})
	}
	r, err := can.NewRecorder(o.cfg)
	if err != nil {
		return usageError{err}
	}
	err = r.Run(ctx)
	s := r.Stats()
	if err != nil && s.Frames+s.Missing == 0 {
		return err
	}
	fmt.Fprintf(errw, "%s in %s, %s; %d lost before they could be written; %s", times(int(s.Frames), "frame"), times(s.Files, "file"), bytesText(float64(s.Bytes)), s.Dropped, times(int(s.Outages), "outage"))
	if s.Missing > 0 {
		fmt.Fprintf(errw, "; not written, as the disk took nothing: %s", times(int(s.Missing), "frame"))
	}
	if s.Removed > 0 {
		fmt.Fprintf(errw, "; removed for the total: %s, %s (%s)", times(s.Removed, "file"), bytesText(float64(s.RemovedBytes)), s.Removals)
	}
	fmt.Fprintln(errw)
	if err == nil && s.Frames == 0 && unopened.err != nil {
		err = fmt.Errorf("nothing was recorded: %w", unopened.err)
	}
	return err
}

// failure keeps why a bus could not be opened last.
type failure struct {
	mu  sync.Mutex // guards what follows; while the recorder runs
	err error
}

func (f *failure) keep(dial can.Dialer) can.Dialer {
	return func(ctx context.Context) (can.Bus, error) {
		bus, err := dial(ctx)
		if err != nil && ctx.Err() == nil {
			f.mu.Lock()
			f.err = err
			f.mu.Unlock()
		}
		return bus, err
	}
}
