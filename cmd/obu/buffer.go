package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"text/tabwriter"
	"time"

	"obu/buffer"
	"obu/internal/agent"
	"obu/internal/config"
	"obu/telemetry"
)

func bufferCommand() *command {
	var where bufferPlace
	cmd := &command{Use: "buffer", Short: "the backlog, read-only"}
	sub := func(use, short string, run func(context.Context, *bufferPlace, io.Writer) error) *command {
		c := &command{Use: use + " [DIR]", Short: short, Args: atMost(1), RunE: func(cmd *command, args []string) error {
			if err := where.resolve(args); err != nil {
				return err
			}
			if err := where.there(cmd.Context()); err != nil {
				return where.present.blame(err)
			}
			where.present.warn(cmd.ErrOrStderr())
			return run(cmd.Context(), &where, cmd.OutOrStdout())
		}}
		configFlag(c, &where.config)
		c.Flags().StringVar(&where.socket, "socket", "", "unix `SOCKET` of the running agent (default: as configured)")
		return c
	}
	cmd.AddCommand(
		sub("stat", "what is held, what is lost, per stream", bufferStat),
		sub("ls", "every batch that is held, as JSON lines", bufferList),
		sub("verify", "check every stored value; exit 1 when one is damaged", bufferVerify),
		exportCommand(),
	)
	return cmd
}

// bufferPlace is where the backlog lies and who may be using it.
type bufferPlace struct {
	config, socket string
	dir            string
	present        present
	memory         bool // a running agent has all of it in memory, none of it on the disk
}

func (p *bufferPlace) resolve(args []string) error {
	found, err := findPresent(p.config)
	switch {
	case err != nil && p.config != "":
		return err
	case err != nil || len(args) > 0 && p.config == "" && found.mistake != nil:
		usual := config.Default() // of a folder that is named the configuration says little
		found = present{Config: &usual}
	}
	p.present = found
	p.dir = found.Buffer.Dir
	if p.socket == "" {
		p.socket = found.Status.Socket
	}
	if len(args) > 0 {
		if p.dir != args[0] {
			p.socket = filepath.Join(args[0], "obu.sock") // another unit's folder
		}
		p.dir = args[0]
	}
	return nil
}

// errNoStore: nothing that could be inspected lies in the folder.
var errNoStore = errors.New("no store")

// there reports errNoStore unless a store lies in the folder, or an agent has
// one that its disk did not take yet.
func (p *bufferPlace) there(ctx context.Context) error {
	if info, err := os.Stat(p.dir); err == nil && !info.IsDir() {
		return advised{fmt.Errorf("%s is a file, and a folder is wanted", p.dir),
			"name the folder it lies in; what is in one store file shows: obu buffer export " + p.dir + " --out DIR"}
	}
	for _, name := range [...]string{"telemetry.db", "media.db"} {
		if _, err := os.Stat(filepath.Join(p.dir, name)); !errors.Is(err, fs.ErrNotExist) {
			return nil // or something that reading it will say
		}
	}
	var s agent.Status
	if ask(ctx, p.socket, "status", &s) == nil && s.Buffer != nil {
		p.memory = true
		return nil
	}
	return fmt.Errorf("%w in %s", errNoStore, p.dir)
}

// inUse turns the store's lock into the question to ask the agent instead.
func (p *bufferPlace) inUse(err error) bool { return p.memory || errors.Is(err, buffer.ErrLocked) }

func bufferStat(ctx context.Context, p *bufferPlace, out io.Writer) error {
	r, err := buffer.Inspect(ctx, p.dir)
	if p.inUse(err) {
		return p.askStat(ctx, out, err)
	}
	if err != nil {
		return err
	}
	for _, f := range r.Files {
		if f.Err != nil {
			fmt.Fprintf(out, "%s: %d bytes, cannot be read: %v\n", f.Path, f.SizeBytes, f.Err)
			continue
		}
		fmt.Fprintf(out, "%s: %d bytes, store %s of unit %s, %d records", f.Path, f.SizeBytes, f.Store, f.Unit, f.Records)
		if !f.FlushWall.IsZero() {
			fmt.Fprintf(out, ", last commit %s", f.FlushWall.UTC().Format(time.RFC3339))
		}
		fmt.Fprintln(out)
	}
	if !r.Clean {
		fmt.Fprintln(out, "not closed in order: power or process ended; the next start checks it and lists the loss")
	}
	for _, a := range r.Aside {
		fmt.Fprintf(out, "set aside: %s\n", a)
	}
	fmt.Fprintln(out)
	if err := printStreams(out, agent.StreamsStatus(r.Streams)); err != nil {
		return err
	}
	printGaps(out, r.Gaps)
	return unsound(r.Files)
}

// askStat is bufferStat of a store that the running agent has locked.
func (p *bufferPlace) askStat(ctx context.Context, out io.Writer, locked error) error {
	var s agent.Status
	if err := ask(ctx, p.socket, "status", &s); err != nil {
		return p.unanswered(locked, err)
	}
	fmt.Fprintf(out, "a running agent uses %s; this is what it says\n", p.dir)
	if b := s.Buffer; b != nil {
		if b.Volatile {
			fmt.Fprintf(out, "the disk takes no data%s: what came since is in memory, bounded; next: %s\n", because(b.VolatileError), diskCure)
		}
		if b.Salvaged > 0 || b.Salvaging > 0 {
			fmt.Fprintf(out, "salvage: %s moved back so far, %s to go\n", times(int(b.Salvaged), "batch"), times(b.Salvaging, "store"))
		}
		fmt.Fprintf(out, "%s: %d bytes\n", filepath.Join(p.dir, "telemetry.db"), b.TelemetryFile)
		fmt.Fprintf(out, "%s: %d bytes\n", filepath.Join(p.dir, "media.db"), b.MediaFile)
	}
	fmt.Fprintln(out)
	if err := printStreams(out, s.Streams); err != nil {
		return err
	}
	var gaps []telemetry.Gap
	if err := ask(ctx, p.socket, "gaps", &gaps); err != nil {
		return fmt.Errorf("what is lost cannot be told: %w", err)
	}
	printGaps(out, gaps)
	return nil
}

// unanswered is the error of a store whose agent does not say what is in it.
func (p *bufferPlace) unanswered(locked, asked error) error {
	if locked == nil { // it was in its memory, and is not any more
		return asked
	}
	return fmt.Errorf("%w; asking it: %w", locked, asked)
}

// unsound returns what is wrong with files: all that could be read of them was
// shown.
func unsound(files []buffer.FileReport) error {
	var errs []error
	for _, f := range files {
		switch {
		case f.Err != nil:
			errs = append(errs, fmt.Errorf("%s cannot be read: %w", f.Path, f.Err))
		case len(f.Damaged) > 0:
			errs = append(errs, fmt.Errorf("%s: %d of %d records: %w", f.Path, len(f.Damaged), f.Records, buffer.ErrDamaged))
		}
	}
	return errors.Join(errs...)
}

func countText(n int64) string {
	if n == telemetry.CountUnknown {
		return "an unknown number of"
	}
	return fmt.Sprint(n)
}

func printStreams(out io.Writer, streams []agent.StreamStatus) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "store\tclass\tfloor\tnext\tbatches\tvalues\tbytes\t")
	for _, s := range streams {
		fmt.Fprintf(w, "%s\t%s\t%d\t%d\t%d\t%d\t%d\t\n", s.Store, s.Class, s.Floor, s.Next, s.Batches, s.Values, s.Bytes)
	}
	return w.Flush()
}

func bufferList(ctx context.Context, p *bufferPlace, out io.Writer) error {
	enc := json.NewEncoder(out)
	err := buffer.Each(ctx, p.dir, func(b buffer.Batch) error {
		return enc.Encode(agent.Held{Store: b.Store.String(), Class: b.Class.String(), Seq: b.Seq, Values: b.Values, Bytes: len(b.Blob)})
	})
	if !p.inUse(err) {
		if err == nil {
			return nil
		}
		return fmt.Errorf("list %s: %w", p.dir, err)
	}
	askErr := askEach(ctx, p.socket, "ls", func(h agent.Held) (uint64, error) { return h.Seq, enc.Encode(h) })
	if askErr != nil {
		return p.unanswered(err, askErr)
	}
	return nil
}
