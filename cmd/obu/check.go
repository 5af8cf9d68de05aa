package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"obu/can"
	"obu/dashcam"
	"obu/gps"
	"obu/internal/agent"
	"obu/internal/clock"
	"obu/internal/config"
	"obu/telemetry"
	"obu/uplink"
)

// finding is one line of `obu check`: Next says what to do about a failure.
type finding struct {
	Check string `json:"check"`
	OK    bool   `json:"ok"`
	Text  string `json:"text"`
	Next  string `json:"next,omitempty"`
}

// checkReport is what `obu check --json` prints.
type checkReport struct {
	OK       bool      `json:"ok"`
	Version  string    `json:"version"`
	Findings []finding `json:"findings"`
}

func checkCommand() *command {
	var path string
	var asJSON bool
	cmd := &command{
		Use:   "check -c obu.yaml",
		Short: "is everything there? pass or fail, and what to do next",
		Long: `Looks at the configuration, each device, the folder of the store and the broker.
Devices in use by a running agent are asked of that agent. It sends nothing to
the vehicle. Exit code 0: all passed, 1: something to do.`,
		Args: atMost(0),
		RunE: func(cmd *command, _ []string) error {
			r := check(cmd.Context(), path)
			out := cmd.OutOrStdout()
			if asJSON {
				enc := json.NewEncoder(out)
				enc.SetIndent("", "  ")
				if err := enc.Encode(r); err != nil {
					return err
				}
			} else {
				printCheck(out, r)
			}
			if !r.OK {
				return errSilent
			}
			return nil
		},
	}
	configFlag(cmd, &path)
	cmd.Flags().BoolVar(&asJSON, "json", false, "as one JSON object")
	return cmd
}

func printCheck(out io.Writer, r checkReport) {
	failed := 0
	for _, f := range r.Findings {
		mark := "pass"
		if !f.OK {
			mark, failed = "FAIL", failed+1
		}
		fmt.Fprintf(out, "%s  %-14s %s\n", mark, f.Check, f.Text)
		if f.Next != "" {
			fmt.Fprintf(out, "      %-14s -> %s\n", "", f.Next)
		}
	}
	if failed > 0 {
		fmt.Fprintf(out, "\n%d of %d to do\n", failed, len(r.Findings))
		return
	}
	fmt.Fprintf(out, "\nall %d passed\n", len(r.Findings))
}

func check(ctx context.Context, path string) checkReport {
	r := checkReport{OK: true, Version: version}
	add := func(name, good string, err error) {
		f := finding{Check: name, OK: err == nil, Text: good}
		if err != nil {
			f.Text, f.Next, r.OK = err.Error(), hint(err), false
		}
		r.Findings = append(r.Findings, f)
	}
	path, err := findConfig(path)
	if err != nil {
		add("configuration", "", err)
		return r
	}
	cfg, err := config.Load(path)
	if err == nil {
		err = cfg.RequireUnit()
	}
	add("configuration", path, err)
	if err != nil {
		return r
	}
	running := runningAgent(ctx, cfg)
	for _, c := range cfg.CAN {
		text, err := checkSource(running, "can", c.Device, func() (string, error) { return checkCAN(ctx, c) })
		add("can "+c.Device, text, err)
	}
	if cfg.GPS != nil {
		text, err := checkSource(running, "gps", cfg.GPS.Name, func() (string, error) { return checkGPS(ctx, cfg.GPS) })
		add("gps "+cfg.GPS.Device, text, err)
	}
	for _, d := range cfg.Dashcam {
		text, err := checkFolder(d.Dir)
		add("dashcam "+d.Camera, text, err)
	}
	text, err := checkStore(cfg)
	add("store", text, err)
	text, err = checkBroker(ctx, cfg)
	add("broker", text, err)
	return r
}

// runningAgent returns what an agent on this configuration says, nil when none
// runs.
func runningAgent(ctx context.Context, cfg *config.Config) *agent.Status {
	var s agent.Status
	if ask(ctx, cfg.Status.Socket, "status", &s) != nil {
		return nil
	}
	return &s
}

// checkSource asks the running agent about a device it holds, else tries it.
func checkSource(running *agent.Status, kind, name string, try func() (string, error)) (string, error) {
	if running == nil {
		return try()
	}
	for _, s := range running.Sources {
		if s.Kind != kind || s.Name != name {
			continue
		}
		if s.State != "running" {
			return "", advised{fmt.Errorf("the running agent has lost it: %s", orDash(s.Error)), s.Next}
		}
		return "the running agent reads it" + statsLine(s.Stats), nil
	}
	return "", errors.New("the running agent does not know this device: restart it after a change of the configuration")
}

// advised is an error that brings its next step with it, from the agent.
type advised struct {
	error
	next string
}

// listenFor is how long check listens to a bus or a receiver.
const listenFor = 3 * time.Second

// errNothingHeard: the device opens but says nothing.
var errNothingHeard = errors.New("nothing heard")

func checkCAN(ctx context.Context, c config.CAN) (string, error) {
	clk, err := clock.System()
	if err != nil {
		return "", err
	}
	bus, err := can.Device(c.Device, can.SocketOptions{Clock: clk})(ctx)
	if err != nil {
		return "", err
	}
	defer bus.Close()
	stop := time.AfterFunc(listenFor, func() { bus.Close() })
	defer stop.Stop()
	frames, bad := 0, 0
	for {
		f, err := bus.Receive()
		if err != nil {
			break // closed after listenFor
		}
		frames++
		if f.Error {
			bad++
		}
	}
	switch {
	case bad > 0:
		return "", fmt.Errorf("%d error frames among %d in %v: wrong bit rate, or a wiring fault", bad, frames, listenFor)
	case frames == 0:
		return "opens; no frame in " + listenFor.String() + " (normal with the ignition off, and on a diagnostic connector behind a gateway)", nil
	}
	return fmt.Sprintf("opens; %.0f frames/s", float64(frames)/listenFor.Seconds()), nil
}

func checkGPS(ctx context.Context, g *config.GPS) (string, error) {
	clk, err := clock.System()
	if err != nil {
		return "", err
	}
	var best telemetry.Fix
	src, err := gps.New(gps.Config{Name: g.Name, Clock: clk,
		Open: func(context.Context) (io.ReadCloser, error) { return gps.OpenSerial(g.Device, g.Baud) },
		Emit: func(f telemetry.Fix) { best = f }})
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, listenFor)
	defer cancel()
	if err := src.Run(ctx); err != nil {
		return "", err
	}
	s := src.Stats()
	switch {
	case s.Bytes == 0:
		return "", fmt.Errorf("%w in %v: is the receiver powered, and is this its port?", errNothingHeard, listenFor)
	case s.Sentences == 0:
		return "", fmt.Errorf("%d bytes but no NMEA sentence at %d baud: try another gps.baud (4800, 9600, 38400, 115200)", s.Bytes, g.Baud)
	case s.Valid == 0:
		return fmt.Sprintf("speaks NMEA; no fix yet, %d satellites: give the antenna a free view of the sky", max(best.Sats, 0)), nil
	}
	return fmt.Sprintf("%s fix, %d satellites, HDOP %.1f", best.Mode, best.Sats, best.HDOP), nil
}

func checkFolder(dir string) (string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return "", fmt.Errorf("%w: %w", dashcam.ErrNoFolder, err)
	}
	return fmt.Sprintf("%s, %d entries", dir, len(entries)), nil
}

func checkStore(cfg *config.Config) (string, error) {
	dir := cfg.Buffer.Dir
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return "", err
	}
	probe := filepath.Join(dir, ".obu-check")
	if err := os.WriteFile(probe, []byte("probe"), 0o600); err != nil {
		return "", err
	}
	defer os.Remove(probe)
	var fs unix.Statfs_t
	if err := unix.Statfs(dir, &fs); err != nil {
		return "", fmt.Errorf("look at free space of %s: %w", dir, err)
	}
	free := fs.Bavail * uint64(fs.Bsize) //nolint:unconvert // its type differs between platforms
	var used int64
	for _, name := range [...]string{"telemetry.db", "media.db"} {
		if st, err := os.Stat(filepath.Join(dir, name)); err == nil {
			used += st.Size()
		}
	}
	want := cfg.Buffer.TelemetryQuota.Bytes()
	if len(cfg.Dashcam) > 0 {
		want += cfg.Buffer.MediaQuota.Bytes()
	}
	if have := int64(free) + used; have < want {
		return "", fmt.Errorf("%s has room for %s, the quotas want %s: lower buffer.telemetry_quota or media_quota, or use a larger card",
			dir, bytesText(float64(have)), bytesText(float64(want)))
	}
	return fmt.Sprintf("%s, writable, %s free", dir, bytesText(float64(free))), nil
}

// checkBroker connects as a tool, with the unit's credentials and a client id
// of its own, and reads the unit's command topic as the agent will.
func checkBroker(ctx context.Context, cfg *config.Config) (string, error) {
	u := cfg.Uplink
	sc := uplink.SessionConfig{Broker: u.Broker, ClientID: cfg.Unit + "-" + toolClientID("check"), Username: u.Username, Password: u.Password}
	if u.TLS != nil {
		sc.TLS = uplink.TLS{CAFile: u.TLS.CA, CertFile: u.TLS.Cert, KeyFile: u.TLS.Key, ServerName: u.TLS.ServerName}
	}
	began := time.Now()
	s, err := uplink.Connect(ctx, sc)
	if err != nil {
		return "", err
	}
	defer s.Close()
	topic := "obu/v1/" + cfg.Fleet + "/" + cfg.Unit + "/cmd"
	if err := s.Subscribe(ctx, topic, func(string, []byte, bool) {}); err != nil {
		return "", fmt.Errorf("read %s: %w", topic, err)
	}
	return fmt.Sprintf("%s reached in %v, may read %s", uplink.Address(u.Broker), time.Since(began).Round(time.Millisecond), topic), nil
}
