package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"obu/can"
	"obu/uplink"
)

// Phases of a run that are bounded.
const (
	rampPerCar    = 10 * time.Millisecond // between the starts of two agents: 400 agents spread over 4 s, and so do their flushes
	drainLimit    = 60 * time.Second      // after the cars stopped
	quietAfter    = time.Second           // the receiver has everything when nothing came for so long
	quietLimit    = 20 * time.Second
	calibrateMost = 10 * time.Second // of the cars-only run
)

// options are the flags of a fleet run, and the faults tests put in.
type options struct {
	Cars   int
	Load   string
	Replay string
	For    time.Duration
	Live   time.Duration // uplink.live_every of every agent
	// Custody is uplink.custody of every agent; with receipt the receiver sends
	// receipts.
	Custody string
	Restart time.Duration // kill the receiver so long after the cars started and start it again; 0: never
	Broker  string
	Report  string
	Seed    uint64
	Dir     string

	clocks   clockFaults
	faults   faults
	noCars   bool          // skip the cars-only run: CPU time of cars counts as the agents'
	clipTime time.Duration // of the city load; 0: cityClip
}

// faults are bugs put in on purpose, to see that the check finds them.
type faults struct {
	backlog       func(uplink.Backlog) uplink.Backlog // between store and uplink
	bus           func(can.Bus) can.Bus               // between wire and agent
	swallow       time.Duration                       // once, this long after it opened, a link swallows what is sent for a while and is cut
	mute          time.Duration                       // the same, but only what comes back is swallowed: the PUBACKs
	confirmUnkept bool                                // the receiver confirms what it has not written yet
	misdate       time.Duration                       // the check takes the truth for so much later
	countCopies   bool                                // the receiver books copies as data
}

// fleetCommand is the root: a run of N cars.
func fleetCommand() *cobra.Command {
	var o options
	cmd := &cobra.Command{
		Use:   "fleet --cars N",
		Short: "hundreds of virtual cars with real agents, and a ledger of every value",
		Long: `fleet drives virtual cars against the agent, in one process, with a broker and
a receiver beside it, and compares every value the cars emitted with what came.

  fleet --cars 400 --load track --for 60s     10 signals and a fix a second each
  fleet --cars 20 --load city --for 60s       235 samples a second each, and clips
  fleet --cars 4 --live-every 10s --for 60s   what the economical profile sends
  fleet --cars 4 --custody receipt --restart-receiver 20s --for 60s
                                              the receiver confirms what it keeps, is killed, and misses nothing
  fleet --cars 20 --gps-late 800ms --crystal 80 --rtc-error 20h --suspend 1h --for 60s
                                              receivers, crystals and clocks as they are: is every record dated right?
  fleet --cars 5 --replay DIR                 every car replays the folder
  fleet demo                                  one car, the real obu, a cut link`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usageError{fmt.Errorf("unknown command %q; `fleet --help` shows what there is", args[0])}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := o.valid(); err != nil {
				return usageError{err}
			}
			return fleetMain(cmd.Context(), o, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	f := cmd.Flags()
	f.IntVar(&o.Cars, "cars", 0, "how many cars")
	f.StringVar(&o.Load, "load", loadTrack, "what each car sends: track or city")
	f.StringVar(&o.Replay, "replay", "", "folder every car replays instead of driving")
	f.DurationVar(&o.For, "for", 30*time.Second, "how long the cars drive")
	f.DurationVar(&o.Live, "live-every", time.Second, "how often the newest state leaves each agent")
	f.StringVar(&o.Custody, "custody", custodyPuback, "what ends the custody of an agent: puback or receipt")
	f.DurationVar(&o.Restart, "restart-receiver", 0, "kill the receiver after this time and start it again (with --custody receipt)")
	f.StringVar(&o.Broker, "broker", "", "broker URL; without it one is started")
	f.StringVar(&o.Report, "report", "", "file for the report as JSON, - for standard output")
	f.Uint64Var(&o.Seed, "seed", 1, "chooses roads, drivers and engines")
	o.clocks.flags(f)
	f.StringVar(&o.Dir, "dir", "out", "folder for stores, on a real disk; a sub-folder is made and removed")
	return cmd
}

// fleetMain runs, prints, and judges.
func fleetMain(ctx context.Context, o options, out, progress io.Writer) error {
	r, err := runFleet(ctx, o, progress)
	if err != nil {
		return err
	}
	if o.Report != "-" {
		r.print(out)
	}
	if o.Report != "" {
		if err := r.write(o.Report, out); err != nil {
			return err
		}
	}
	if !r.clean() {
		return errUnclean
	}
	return nil
}

// fleetRun is one run in progress.
type fleetRun struct {
	options
	fleet    string // of the topics: a name of its own, so that runs never meet
	dir      string
	url      string
	broker   *child // nil with --broker
	receiver *child
	followed chan struct{} // closed when the receiver said its last word
	units    []*unit
	progress io.Writer
	report   report

	mu  sync.Mutex
	got received // under mu; the receiver's last word
}

// runFleet does everything and returns the report.
func runFleet(ctx context.Context, o options, progress io.Writer) (*report, error) {
	r := &fleetRun{options: o, progress: progress,
		report: report{Cars: o.Cars, Load: o.Load, Custody: o.Custody, LiveEvery: o.Live.Seconds(), Seconds: o.For.Seconds(), Seed: o.Seed}}
	if o.Replay != "" {
		r.report.Load = "replay"
	}
	if err := r.prepare(ctx); err != nil {
		return nil, errors.Join(err, r.cleanUp())
	}
	err := r.measure(ctx)
	if err == nil {
		err = r.check()
	}
	if err := errors.Join(err, r.cleanUp()); err != nil {
		return nil, err
	}
	return &r.report, nil
}

// prepare makes the folder and starts the children.
func (r *fleetRun) prepare(ctx context.Context) (err error) {
	if err := os.MkdirAll(r.Dir, 0o755); err != nil {
		return fmt.Errorf("make folder: %w", err)
	}
	if r.dir, err = os.MkdirTemp(r.Dir, "fleet-"); err != nil {
		return fmt.Errorf("make folder: %w", err)
	}
	if r.dir, err = filepath.Abs(r.dir); err != nil {
		return fmt.Errorf("make folder: %w", err)
	}
	if isMemory(r.dir) {
		r.note("the stores lie in memory: commits cost nothing here; --dir names a folder on a disk")
	}
	if r.Load == loadCity && r.Replay == "" {
		r.note("city values are fed past the poller: asking for one parameter at a time over OBD-II cannot reach 235 samples/s")
	}
	r.fleet = "sim-" + randomHex(4)
	if r.url = r.Broker; r.url == "" {
		if r.broker, err = startChild("broker"); err != nil {
			return err
		}
		r.url = r.broker.first
	}
	return r.startReceiver()
}

// startReceiver starts the receiver on its spool, new or left by one before.
func (r *fleetRun) startReceiver() error {
	receiver, err := startChild("receive", "--broker", r.url, "--fleet", r.fleet, "--spool", r.spoolPath(), "--custody", r.Custody,
		fmt.Sprintf("--confirm-unkept=%v", r.faults.confirmUnkept))
	if err != nil {
		return err
	}
	followed := make(chan struct{})
	r.receiver, r.followed = receiver, followed
	go func() {
		defer close(followed)
		receiver.follow(func(line []byte) {
			var got received
			if json.Unmarshal(line, &got) == nil {
				r.mu.Lock()
				r.got = got
				r.mu.Unlock()
			}
		})
	}()
	return nil
}

func (r *fleetRun) spoolPath() string { return filepath.Join(r.dir, "received.spool") }

func (r *fleetRun) note(text string) { r.report.Notes = append(r.report.Notes, text) }

func (r *fleetRun) say(format string, a ...any) { fmt.Fprintf(r.progress, "fleet: "+format+"\n", a...) }

// heard returns the receiver's last word.
func (r *fleetRun) heard() received {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.got
}

// endChildren stops receiver and broker, in that order.
func (r *fleetRun) endChildren() (err error) {
	if r.receiver != nil {
		err = r.receiver.stop(r.followed)
		r.receiver = nil
	}
	if r.broker != nil {
		err = errors.Join(err, r.broker.stop(nil))
		r.broker = nil
	}
	return err
}

// cleanUp ends what runs and removes the folder.
func (r *fleetRun) cleanUp() error {
	err := r.endChildren()
	if r.dir != "" {
		err = errors.Join(err, os.RemoveAll(r.dir))
	}
	return err
}

// awaitQuiet waits until nothing came for a while.
func (r *fleetRun) awaitQuiet(ctx context.Context) {
	last, since, start := r.heard(), time.Now(), time.Now()
	for time.Since(since) < quietAfter && time.Since(start) < quietLimit && sleep(ctx, sayEvery/2) {
		if now := r.heard(); now != last {
			last, since = now, time.Now()
		}
	}
}

func randomHex(n int) string {
	b := make([]byte, n)
	rand.Read(b) // never fails
	return hex.EncodeToString(b)
}
