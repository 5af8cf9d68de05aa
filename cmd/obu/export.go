package main

import (
	"bufio"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"obu/buffer"
	"obu/internal/agent"
	"obu/telemetry"
	"obu/telemetry/ledger"
)

func exportCommand() *command {
	var where bufferPlace
	var out string
	c := &command{
		Use:   "export [DIR|FILE] --out DIR",
		Short: "write the backlog into files; of a damaged FILE what is left in it",
		Long: `Writes records.jsonl, one record a line in the shape of obu tail, and the bytes
of clips into clips/. It deletes nothing and asks the agent while one runs. FILE
is one store file, such as telemetry.db.damaged-1.`,
		Example: "  obu buffer export --out backlog/\n  obu buffer export /var/lib/obu/telemetry.db.damaged-1 --out left/",
		Args:    atMost(1),
		RunE: func(cmd *command, args []string) error {
			if out == "" {
				return usageError{errors.New("obu buffer export wants --out, for example --out backlog/")}
			}
			if err := where.resolve(args); err != nil {
				return err
			}
			if info, err := os.Stat(where.dir); err != nil || info.IsDir() {
				if err := where.there(cmd.Context()); err != nil {
					return where.present.blame(err)
				}
			}
			where.present.warn(cmd.ErrOrStderr())
			return bufferExport(cmd.Context(), &where, out, cmd.OutOrStdout())
		},
	}
	configFlag(c, &where.config)
	c.Flags().StringVar(&where.socket, "socket", "", "unix `SOCKET` of the running agent (default: as configured)")
	c.Flags().StringVar(&out, "out", "", "folder to write into; it must be empty or new")
	return c
}

func bufferExport(ctx context.Context, p *bufferPlace, out string, report io.Writer) error {
	x, err := newExporter(out)
	if err != nil {
		return err
	}
	if x.boots, err = buffer.Boots(p.dir); err != nil {
		fmt.Fprintf(report, "times may be missing: %v\n", err)
		if h := hint(err); h != "" {
			fmt.Fprintf(report, "next: %s\n", h)
		}
	}
	missing, err := x.all(ctx, p)
	if cerr := x.close(); x.failed == nil {
		x.failed = cerr
	}
	if x.failed != nil || err != nil && x.batches == 0 {
		x.remove()
		return errors.Join(x.failed, err)
	}
	fmt.Fprintf(report, "%s, %s into %s; %s\n", times(x.batches, "batch"), times(x.records, "record"), filepath.Join(out, recordsName), x.clipsText())
	for _, g := range missing {
		fmt.Fprintf(report, "missing: %s %s, damaged\n", g.Class, placeOf(g))
	}
	if x.undecoded > 0 {
		fmt.Fprintf(report, "%s cannot be decoded: is it of a newer obu?\n", times(x.undecoded, "batch"))
		if err == nil {
			err = errSilent
		}
	}
	return err
}

const (
	recordsName = "records.jsonl"
	clipsName   = "clips"
)

// exporter writes what it is given into a folder.
type exporter struct {
	dir     string
	file    *os.File
	out     *bufio.Writer
	book    ledger.Ledger      // the anchors, for wall times
	boots   []telemetry.Anchor // noted beside the store: those that were delivered
	line    []byte
	clips   map[telemetry.ClipID]int64 // bytes written
	finals  map[telemetry.ClipID]telemetry.Clip
	whole   int
	batches int
	records int

	undecoded int
	failed    error // why it cannot go on writing
	made      bool  // the folder was not there
}

func newExporter(dir string) (*exporter, error) {
	entries, err := os.ReadDir(dir)
	if len(entries) > 0 {
		return nil, usageError{fmt.Errorf("%s is not empty: name another folder with --out", dir)}
	}
	made := errors.Is(err, fs.ErrNotExist)
	if err != nil && !made {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Join(dir, clipsName), 0o700); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(filepath.Join(dir, recordsName), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	return &exporter{dir: dir, made: made, file: f, out: bufio.NewWriter(f), clips: map[telemetry.ClipID]int64{}, finals: map[telemetry.ClipID]telemetry.Clip{}}, nil
}

// all passes over the backlog twice: an anchor tells the time of what was stored
// before it. An error that leaves failed as it is concerns a part of the
// backlog; the others were exported.
func (x *exporter) all(ctx context.Context, p *bufferPlace) ([]telemetry.Gap, error) {
	each := func(fn func(telemetry.Name, []byte) error) ([]telemetry.Gap, error) {
		missing, err := buffer.Export(ctx, p.dir, func(b buffer.Batch) error { return fn(b.Name, b.Blob) })
		if p.inUse(err) {
			askErr := askEach(ctx, p.socket, "export", func(b agent.Exported) (uint64, error) {
				return b.Seq, fn(telemetry.Name{Store: b.Store, Class: b.Class, Seq: b.Seq}, b.Blob)
			})
			if askErr != nil {
				return nil, p.unanswered(err, askErr)
			}
			err = nil
		}
		return missing, err
	}
	_, _ = each(func(n telemetry.Name, blob []byte) error { // the second pass meets the same errors
		if n.Class == telemetry.ClassEvent {
			if env, ok := envelopeOf(n, blob); ok {
				x.knowBoots(env.Unit)
				x.book.Take(env)
			}
		}
		return nil
	})
	return each(func(n telemetry.Name, blob []byte) error {
		x.failed = x.take(n, blob)
		return x.failed
	})
}

// envelopeOf is a stored batch as if it had come alone over the wire.
func envelopeOf(n telemetry.Name, blob []byte) (telemetry.Envelope, bool) {
	b, err := telemetry.DecodeBatch(n, blob)
	if err != nil {
		return telemetry.Envelope{}, false
	}
	return telemetry.Envelope{Unit: b.Unit, Vehicle: b.Vehicle, Store: n.Store, Class: n.Class, Boot: b.Boot,
		Simulated: b.Simulated, History: true, Floor: 1, Next: n.Seq + 1, Batches: []telemetry.Batch{b}}, true
}

// knowBoots enters what was noted of the boots into the book of a unit, once. Any
// unit's will do: a boot has one id and one time.
func (x *exporter) knowBoots(unit string) {
	if slices.Contains(x.book.Units(), unit) {
		return
	}
	x.book.Take(telemetry.Envelope{Unit: unit, History: true, Floor: 1, Next: 2,
		Batches: []telemetry.Batch{{Name: telemetry.Name{Seq: 1}, Content: telemetry.Content{Anchors: x.boots}}}})
}

func (x *exporter) take(n telemetry.Name, blob []byte) error {
	env, ok := envelopeOf(n, blob)
	if !ok {
		x.undecoded++
		return nil
	}
	x.knowBoots(env.Unit)
	wall := func(boot telemetry.BootID, at telemetry.At) time.Time {
		w, _, _ := x.book.WallTime(env.Unit, boot, at)
		return w
	}
	var err error
	if x.line, err = telemetry.AppendLines(x.line[:0], &env, wall); err != nil {
		return err
	}
	x.batches++
	for _, c := range x.line {
		if c == '\n' {
			x.records++
		}
	}
	for _, b := range env.Batches {
		for _, c := range b.Chunks {
			if err := x.chunk(c); err != nil {
				return err
			}
		}
		for _, c := range b.Clips {
			x.finals[c.ID] = c
		}
	}
	_, err = x.out.Write(x.line)
	return err
}

func (x *exporter) clipPath(id telemetry.ClipID) string {
	return filepath.Join(x.dir, clipsName, id.String())
}

// chunk writes a clip's bytes where they belong in its file; what is missing of
// it is a hole there.
func (x *exporter) chunk(c telemetry.Chunk) error {
	f, err := os.OpenFile(x.clipPath(c.Clip), os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(c.Data, c.Offset)
	x.clips[c.Clip] += int64(len(c.Data))
	return errors.Join(err, f.Close())
}

// close ends the files: a clip that is whole gets the ending of its name on the
// camera, any other ".part".
func (x *exporter) close() error {
	err := errors.Join(x.out.Flush(), x.file.Close())
	for id := range x.clips {
		end := ".part"
		if final, ok := x.finals[id]; ok && x.sums(id, final) {
			x.whole++
			if end = filepath.Ext(filepath.Base(final.Name)); end == "" {
				end = ".clip"
			}
		}
		err = errors.Join(err, os.Rename(x.clipPath(id), x.clipPath(id)+end))
	}
	return err
}

// remove takes an export that failed away again, so that it can be repeated;
// the folder was empty.
func (x *exporter) remove() {
	_ = os.RemoveAll(filepath.Join(x.dir, clipsName))
	_ = os.Remove(filepath.Join(x.dir, recordsName))
	if x.made {
		_ = os.Remove(x.dir)
	}
}

func (x *exporter) sums(id telemetry.ClipID, final telemetry.Clip) bool {
	f, err := os.Open(x.clipPath(id))
	if err != nil {
		return false
	}
	defer f.Close()
	h := sha256.New()
	n, err := io.Copy(h, f)
	return err == nil && n == final.SizeBytes && [32]byte(h.Sum(nil)) == final.SHA256
}

func (x *exporter) clipsText() string {
	if len(x.clips) == 0 {
		return "no clips"
	}
	return fmt.Sprintf("%s into %s, %d whole", times(len(x.clips), "clip"), filepath.Join(x.dir, clipsName), x.whole)
}
