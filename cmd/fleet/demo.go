package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"obu/internal/clock"
	"obu/internal/virtual"
	"obu/uplink"
)

// demoOptions are the flags of the demo.
type demoOptions struct {
	Drive   string
	Obu     string
	Seconds int
	Fast    bool
	Dir     string
	Seed    uint64
	CAN     ends // a real bus instead of a unix socket
	GPS     ends // real serial ports instead of a pseudo terminal

	limit time.Duration // of the whole showing; 0: demoLimit
}

// demoSlack is how much longer than the drive a demo may take: the start of
// all parts, the agent's back-off, what drains.
const demoSlack = 28 * time.Second

// demoLimit is when a demo gives up. Ending its processes comes on top.
func (o *demoOptions) demoLimit() time.Duration {
	if o.limit > 0 {
		return o.limit
	}
	return time.Duration(o.Seconds)*time.Second + demoSlack
}

func demoCommand() *cobra.Command {
	var o demoOptions
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "one car, the real obu, a broker and a cloud; the link is cut and comes back",
		Long: `demo shows the whole way on this machine: a virtual car with CAN, GPS and
dashcam, the agent as the real binary, an MQTT broker, and a receiver that
stands for the cloud. It cuts the link for a while and ends with the ledger:
every value the car emitted against every value that arrived.

  fleet demo                  a virtual car
  fleet demo --drive DIR      a replay folder (can*.log and others, gps.nmea, dashcam/)
  fleet demo --can can1,can0  two controllers wired together: car, unit`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usageError{fmt.Errorf("demo takes flags only; a folder to replay is named with --drive %s", args[0])}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error {
			if o.Seconds < 12 {
				return usageError{errors.New("--seconds wants at least 12")}
			}
			if o.Drive != "" {
				if err := checkDrive("--drive", o.Drive); err != nil {
					return usageError{err}
				}
			}
			if o.Fast && !cmd.Flags().Changed("seconds") {
				o.Seconds = 18
			}
			return runDemo(cmd.Context(), o, cmd.OutOrStdout())
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.Drive, "drive", "", "replay this folder instead of driving a virtual car")
	f.StringVar(&o.Obu, "obu", "", "obu binary (default bin/obu)")
	f.IntVar(&o.Seconds, "seconds", 42, "how long the car drives")
	f.BoolVar(&o.Fast, "fast", false, "drive for 18 s only")
	f.StringVar(&o.Dir, "dir", "out", "folder for the store; a sub-folder is made and removed")
	f.DurationVar(&o.limit, "limit", 0, "give up after this long (default: the drive and 28 s)")
	f.Uint64Var(&o.Seed, "seed", 42, "chooses road, driver and engine")
	f.Var(&o.CAN, "can", "two CAN interfaces of one bus, both up: the car answers on the first, the unit reads the second")
	f.Var(&o.GPS, "gps", "two serial ports with a cable between them: the car writes the first, the unit reads the second")
	return cmd
}

// demo is one showing.
type demo struct {
	demoOptions
	*screen
	fleet, unit string
	dir         string // store, clips, log
	short       string // sockets: a unix path holds 107 bytes
	broker      *child
	link        *link
	obu         *obuProcess
	session     *uplink.Session
	cloud       *cloud
	clk         *clock.Clock
	car         *virtual.Car
	expect      emission
}

// runDemo shows everything and returns nil when the ledger is clean.
func runDemo(ctx context.Context, o demoOptions, out io.Writer) (err error) {
	d := &demo{demoOptions: o, screen: newScreen(out), fleet: "sim-demo-" + randomHex(3), unit: "sim-demo"}
	defer func() { err = errors.Join(err, d.cleanUp()) }()
	ctx, stop := context.WithTimeoutCause(ctx, o.demoLimit(), fmt.Errorf("the demo took longer than %v; is this machine busy?", o.demoLimit()))
	defer stop()
	err = d.show(ctx)
	if why := context.Cause(ctx); err != nil && why != nil && !errors.Is(err, why) {
		err = fmt.Errorf("%w (%v)", why, err)
	}
	return err
}

// show shows everything, cleaning up excepted.
func (d *demo) show(ctx context.Context) error {
	if err := d.prepare(ctx); err != nil {
		return err
	}
	drive := d.live
	if d.Drive != "" {
		drive = d.replay
	}
	if err := drive(ctx); err != nil {
		return err
	}
	return d.ledger()
}

// prepare starts broker, link and cloud.
func (d *demo) prepare(ctx context.Context) (err error) {
	binary, err := findObu(d.Obu)
	if err != nil {
		return err
	}
	d.Obu = binary
	if err := os.MkdirAll(d.Dir, 0o755); err != nil {
		return fmt.Errorf("make folder: %w", err)
	}
	if d.dir, err = os.MkdirTemp(d.Dir, "demo-"); err != nil {
		return fmt.Errorf("make folder: %w", err)
	}
	if d.dir, err = filepath.Abs(d.dir); err != nil {
		return fmt.Errorf("make folder: %w", err)
	}
	if d.short, err = os.MkdirTemp("", "obu"); err != nil {
		return fmt.Errorf("make folder for sockets: %w", err)
	}
	if d.broker, err = startChild("broker"); err != nil {
		return err
	}
	if d.link, err = newLink(d.broker.first); err != nil {
		return err
	}
	if d.clk, err = clock.System(); err != nil {
		return fmt.Errorf("read the kernel's clock: %w", err)
	}
	zero := monotonic() - time.Duration(d.clk.Now())
	d.expect = emission{Unit: d.unit, Boot: d.clk.Boot(), Zero: zero}
	if d.cloud, err = newCloud(d.screen, filepath.Join(d.dir, "received"), zero); err != nil {
		return err
	}
	d.session, err = uplink.Connect(ctx, uplink.SessionConfig{Broker: d.broker.first, ClientID: d.fleet + "-cloud", MaxInbound: maxMessage})
	if err != nil {
		return fmt.Errorf("connect the cloud: %w", err)
	}
	if err := d.session.Subscribe(ctx, "obu/v1/"+d.fleet+"/#", d.cloud.take); err != nil {
		return fmt.Errorf("subscribe: %w", err)
	}
	return nil
}

// cleanUp ends every part and removes what the demo made.
func (d *demo) cleanUp() (err error) {
	if d.obu != nil {
		err = d.obu.stop()
	}
	if d.session != nil {
		d.session.Close()
	}
	if d.link != nil {
		err = errors.Join(err, d.link.Close())
	}
	if d.broker != nil {
		err = errors.Join(err, d.broker.stop(nil))
	}
	if d.cloud != nil {
		err = errors.Join(err, d.cloud.in.assembler.Close())
	}
	for _, dir := range []string{d.dir, d.short} {
		if dir != "" {
			err = errors.Join(err, os.RemoveAll(dir))
		}
	}
	return err
}

func (d *demo) socket() string { return filepath.Join(d.short, "obu.sock") }

// startAgent writes obu.yaml and starts the binary.
func (d *demo) startAgent(c demoConfig, more ...string) error {
	c.fleet, c.unit, c.broker = d.fleet, d.unit, d.link.URL
	c.dir, c.socket = filepath.Join(d.dir, "store"), d.socket()
	path := filepath.Join(d.dir, "obu.yaml")
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("write obu.yaml: %w", err)
	}
	if err := errors.Join(c.write(f), f.Close()); err != nil {
		return fmt.Errorf("write obu.yaml: %w", err)
	}
	d.obu, err = startObu(d.Obu, c.socket, filepath.Join(d.dir, "obu.log"), append([]string{"run", "-c", path}, more...)...)
	return err
}

// live shows a virtual car.
func (d *demo) live(ctx context.Context) error {
	d.car = virtual.New(virtual.Config{Seed: d.Seed, Clock: d.clk, Start: time.Now().UTC()})
	d.expect.Journal, d.expect.Live = d.car.Journal(), true
	d.cloud.startsAt(d.clk.Now())
	d.text(bold, "One car, the real agent, a broker and a cloud, all on this machine.")
	d.text(dim, "car    %s, VIN %s: OBD-II on %s, GPS on %s, dashcam in a folder", d.unit, d.car.VIN,
		cmp.Or(d.CAN.String(), "a unix bus"), cmp.Or(d.GPS.String(), "a pseudo terminal"))
	d.text(dim, "agent  %s run -c obu.yaml", d.Obu)
	d.text(dim, "cloud  every line below is what it received over MQTT\n")

	driving, park := context.WithCancel(ctx)
	plugged, unplug := context.WithCancel(context.WithoutCancel(ctx))
	var parts sync.WaitGroup
	defer func() { park(); unplug(); parts.Wait() }()
	start, err := d.devices(plugged, driving, &parts)
	if err != nil {
		return err
	}
	if err := d.obu.awaitRunning(ctx, 3); err != nil {
		return err
	}
	start()
	total := time.Duration(d.Seconds) * time.Second
	if err := d.story(ctx, total*2/5, total*3/10, total*3/10); err != nil {
		return err
	}
	park()
	d.car.SwitchOff()
	d.line(plain, "the car is parked; what is left drains")
	return d.drain(ctx)
}

// devices plugs the car in and starts the agent. The function it returns
// starts GPS and dashcam: once the agent has its devices open, so that nothing
// is said to nobody. They end with driving, the devices with plugged.
func (d *demo) devices(plugged, driving context.Context, parts *sync.WaitGroup) (start func(), err error) {
	bus, err := d.plugCAN(plugged, parts)
	if err != nil {
		return nil, err
	}
	line, port, err := d.plugGPS(plugged)
	if err != nil {
		return nil, err
	}
	clips := filepath.Join(d.dir, "camera")
	if err := os.MkdirAll(clips, 0o755); err != nil {
		return nil, fmt.Errorf("make camera folder: %w", err)
	}
	err = d.startAgent(demoConfig{can: bus, gps: port, clips: clips})
	return func() {
		parts.Go(func() { _ = d.car.WriteGPS(driving, line, virtual.GPSOptions{Latency: 80 * time.Millisecond}) })
		parts.Go(func() {
			if err := d.car.RecordClips(driving, clips, virtual.DashcamOptions{First: time.Second, Every: 14 * time.Second, Length: 6 * time.Second}); err != nil {
				d.line(red, "dashcam: %v", err)
			}
		})
	}, err
}
