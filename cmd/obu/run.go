package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"obu/can"
	"obu/can/dbc"
	"obu/can/link"
	"obu/gps"
	"obu/internal/agent"
	"obu/internal/clock"
	"obu/internal/config"
	"obu/uplink"
)

// runOptions are the flags of `obu run`.
type runOptions struct {
	config  string
	replay  string
	speed   float64
	asReal  bool
	service bool
}

func runCommand() *command {
	var o runOptions
	cmd := &command{
		Use:   "run -c obu.yaml",
		Short: "the agent: read, keep, send",
		Long: `Runs until SIGTERM, SIGHUP or SIGINT, which store what is in memory first. The
configuration and the DBC files are read at the start: restart it to take new
ones into use (systemctl restart obu); nothing is lost by that.

With --replay the recordings of a folder take the place of the devices
(can*.log and others, gps.nmea, dashcam/, drive.yaml); the run ends when everything
read was delivered. A replay is marked simulated and its unit gets "sim-" in
front unless --as-real is given; its store is a folder of its own, replay in
buffer.dir, and the unit's backlog is left alone.`,
		Example: "  obu run -c /etc/obu/obu.yaml\n  obu run -c obu.yaml --replay drive/ --speed 10",
		Args:    atMost(0),
		RunE: func(cmd *command, _ []string) error {
			if o.speed < 0 {
				return usageError{fmt.Errorf("--speed %v: want 0 (as fast as possible), 1 (as recorded) or another factor", o.speed)}
			}
			if o.replay == "" && cmd.Changed("speed") {
				return usageError{errors.New("--speed goes with --replay")}
			}
			return runAgent(cmd.Context(), o, cmd.ErrOrStderr())
		},
	}
	f := cmd.Flags()
	configFlag(cmd, &o.config)
	f.StringVar(&o.replay, "replay", "", "read the recordings of folder `DIR` instead of the devices")
	f.Float64Var(&o.speed, "speed", 1, "replay `N` times as fast as recorded; 0: as fast as possible")
	f.BoolVar(&o.asReal, "as-real", false, "do not mark a replay or a virtual car as simulated")
	f.BoolVar(&o.service, "service", false, "run the last good configuration when the present one is wrong, and report why")
	return cmd
}

// configPaths are tried in this order when -c is not given.
var configPaths = [...]string{"obu.yaml", "/etc/obu/obu.yaml"}

func configFlag(cmd *command, path *string) {
	const usage = "configuration `FILE` (default obu.yaml here, else /etc/obu/obu.yaml)"
	cmd.Flags().StringVar(path, "c", "", shortFor+"config")
	cmd.Flags().StringVar(path, "config", "", usage)
}

// errNoConfig: no configuration is named and none lies where it is looked for.
var errNoConfig = errors.New("no configuration")

// findConfig returns path, or the first of configPaths that exists.
func findConfig(path string) (string, error) {
	if path != "" {
		return path, nil
	}
	for _, p := range configPaths {
		if _, err := os.Stat(p); err == nil {
			return p, nil
		}
	}
	return "", fmt.Errorf("%w: neither %s nor %s exists", errNoConfig, configPaths[0], configPaths[1])
}

func runAgent(ctx context.Context, o runOptions, errw io.Writer) error {
	limitMemory()
	cfg, why, err := o.loadConfig()
	if err != nil {
		return err
	}
	if o.replay == "" {
		if err := cfg.RequireUnit(); err != nil {
			return err
		}
	}
	log := newLog(errw, cfg.Log.Level)
	if why != "" {
		log.Error(why)
	}
	files := startFiles(o.config, cfg) // before they are read: a change in between is told
	var read func(string) (*dbc.File, error)
	kept := keptDatabases{dir: filepath.Join(stateDir(), "dbc"), log: log}
	if o.service {
		read = kept.read
	}
	databases, trouble := readDatabases(cfg, log, read)
	trouble = errors.Join(append(kept.wrong, trouble)...)
	switch {
	case trouble != nil && !o.service:
		return trouble
	case trouble != nil: // a unit far away has to stay in reach: what else it can do goes on
		log.Error("a DBC file is wrong; the agent goes on with what it has", "error", trouble)
		why = strings.TrimPrefix(why+"; "+trouble.Error(), "; ")
	}
	zones, trouble := readZones(cfg.Geofence)
	switch {
	case trouble != nil && !o.service:
		return trouble
	case trouble != nil:
		log.Error("the zones are wrong; the agent goes on without them", "error", trouble, "next", nextStep(trouble))
		why = strings.TrimPrefix(why+"; "+trouble.Error(), "; ")
	}
	deps := agent.Deps{Log: log, Version: version, Hint: nextStep, Warning: why, Changed: func() []string { return changed(files) }, Databases: databases, Zones: zones}
	if o.replay != "" {
		scratch, err := os.MkdirTemp("", "obu-replay-*")
		if err != nil {
			return err
		}
		defer os.RemoveAll(scratch)
		err = o.replayDevices(cfg, &deps, scratch, log)
		if err != nil {
			return err
		}
	} else if err := o.liveDevices(cfg, &deps, log); err != nil {
		return err
	}
	started := make(chan struct{})
	deps.Started = func() { close(started) }
	a, err := agent.New(*cfg, deps)
	if err != nil {
		return err
	}
	log.Info("obu starts", "version", version, "unit", cfg.Unit, "vehicle", cfg.Vehicle, "broker", uplink.Address(cfg.Uplink.Broker),
		"buffer", cfg.Buffer.Dir, "simulated", deps.Devices.Simulated)
	w := &watch{status: a.Status, tell: tellSystemd(log), cfg: cfg, log: log, started: started, keep: o.service && why == ""}
	defer w.start(ctx)()
	err = a.Run(ctx)
	if err == nil {
		log.Info("obu has stopped; what is not delivered yet is stored")
	}
	return err
}

// simulatedPrefix begins the name of every make-believe unit.
const simulatedPrefix = "sim-"

// simulate gives a make-believe car a name of its own.
func (o *runOptions) simulate(cfg *config.Config) {
	if cfg.Unit == "" {
		cfg.Unit = "replay"
	}
	if !o.asReal && !strings.HasPrefix(cfg.Unit, simulatedPrefix) {
		cfg.Unit = simulatedPrefix + cfg.Unit
	}
}

func (o *runOptions) replayDevices(cfg *config.Config, deps *agent.Deps, scratch string, log *slog.Logger) error {
	drive, err := agent.ReadDrive(o.replay)
	if errors.Is(err, agent.ErrFile) {
		return usageError{err}
	}
	if err != nil {
		return err
	}
	clk, dev, err := drive.Open(o.speed, scratch, log, clock.WithLog(log))
	if err != nil {
		return err
	}
	dev.Simulated = !o.asReal
	o.simulate(cfg)
	tellStrangers(cfg, dev.CAN, log)
	if drive.Vehicle != "" {
		cfg.Vehicle = drive.Vehicle
	}
	// The unit's own backlog must not travel under a make-believe name.
	cfg.Buffer.Dir = filepath.Join(cfg.Buffer.Dir, "replay")
	log.Info("a replay keeps a store of its own and leaves the unit's alone", "buffer", cfg.Buffer.Dir)
	deps.Clock, deps.Devices, deps.Finite, deps.DrainFor = clk, dev, true, 10*time.Minute
	return nil
}

// tellStrangers names the buses of a recording that no entry of can is about,
// and the entries without a bus: what the entry says is applied to nothing.
func tellStrangers(cfg *config.Config, recorded []agent.CANDevice, log *slog.Logger) {
	names := make([]string, 0, len(recorded))
	for _, d := range recorded {
		names = append(names, d.Name)
		if !slices.ContainsFunc(cfg.CAN, func(c config.CAN) bool { return c.Device == d.Name }) {
			log.Warn("no entry of can is about this bus of the recording: OBD-II answers alone are read from it", "bus", d.Name,
				"next", "for DBC files, J1939 or UDS give it an entry in the configuration of this replay: - device: "+d.Name)
		}
	}
	if len(names) == 0 {
		return
	}
	for _, c := range cfg.CAN {
		if !slices.Contains(names, c.Device) {
			log.Warn("the recording has no bus of this entry of can: nothing of it is applied", "device", c.Device,
				"next", "the recording has "+strings.Join(names, ", ")+": write one of them as device in the configuration of this replay")
		}
	}
}

// busFilters are what a bus of the configuration needs to hear.
func busFilters(c *config.CAN, all []can.Database) []can.Filter {
	more := can.ECUFilters(agent.ECUs(c.UDS))
	if c.J1939.Enabled {
		more = append(more, can.J1939Filter)
	}
	return can.Filters(c.Device, all, more...)
}

// liveDevices opens nothing yet: it says how each device of the configuration
// is opened, and again after it was lost.
func (o *runOptions) liveDevices(cfg *config.Config, deps *agent.Deps, log *slog.Logger) error {
	opts := []clock.Option{clock.WithLog(log), clock.WithBuild(builtAt()), agent.KeepTime(cfg.Buffer.Dir)}
	if cfg.Clock.Set {
		opts = append(opts, clock.WithSet(clock.SetSystem))
	}
	if cfg.Clock.Chrony != "" {
		opts = append(opts, clock.Offer(clock.Chrony(cfg.Clock.Chrony, log)))
	}
	clk, err := clock.System(opts...)
	if err != nil {
		return err
	}
	deps.Clock = clk
	for _, c := range cfg.CAN {
		filters := busFilters(&c, deps.Databases[c.Device])
		d := agent.CANDevice{Name: c.Device, Dial: can.Device(c.Device, can.SocketOptions{Clock: clk, Filters: filters})}
		if c.Manage {
			d.Managed = &can.Managed{Link: link.New(c.Device), Dial: d.Dial, Hear: can.Device(c.Device, can.SocketOptions{Clock: clk})}
		}
		deps.Devices.CAN = append(deps.Devices.CAN, d)
		if strings.HasPrefix(c.Device, "unix:") {
			deps.Devices.Simulated = !o.asReal
		}
	}
	if deps.Devices.Simulated {
		o.simulate(cfg)
	}
	if g := cfg.GPS; g != nil {
		deps.Devices.GPS = &agent.GPSDevice{Name: g.Name, Open: receiver(g, log.With("gps", g.Name)).Open}
		if g.PPS != "" {
			pulses := gps.PPS{Path: g.PPS, Edge: gps.Edge(g.PPSEdge), Clock: clk, Log: log}
			deps.Devices.GPS.PPS = &agent.PPSDevice{Name: g.PPS, Run: pulses.Run}
		}
	}
	for _, d := range cfg.Dashcam {
		deps.Devices.Dashcam = append(deps.Devices.Dashcam, agent.DashcamDevice{Camera: d.Camera, Dir: d.Dir})
	}
	return nil
}

func newLog(w io.Writer, level string) *slog.Logger {
	var l slog.Level
	if err := l.UnmarshalText([]byte(level)); err != nil {
		l = slog.LevelInfo
	}
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: l}))
}
