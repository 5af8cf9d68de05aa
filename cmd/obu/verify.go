package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"obu/buffer"
	"obu/internal/agent"
	"obu/telemetry"
)

func bufferVerify(ctx context.Context, p *bufferPlace, out io.Writer) error {
	r, err := buffer.Inspect(ctx, p.dir)
	if p.inUse(err) {
		askErr := verifyRunning(ctx, p, out)
		if askErr == nil || errors.Is(askErr, errSilent) {
			return askErr
		}
		return fmt.Errorf("%w; asking it: %w", err, askErr)
	}
	if err != nil {
		return err
	}
	damaged := 0
	var unread error
	for _, f := range r.Files {
		switch {
		case errors.Is(f.Err, buffer.ErrNoFile):
			unread = f.Err
		case f.Err != nil:
			damaged++
			fmt.Fprintf(out, "%s: DAMAGED: %v\n", f.Path, f.Err)
		case len(f.Damaged) > 0:
			damaged++
			fmt.Fprintf(out, "%s: DAMAGED: %d of %d records\n", f.Path, len(f.Damaged), f.Records)
		default:
			fmt.Fprintf(out, "%s: sound, %d records\n", f.Path, f.Records)
		}
	}
	if damaged > 0 {
		fmt.Fprintln(out, "the agent sets a damaged file aside at its next start, moves back what is left in it and lists what is missing; `obu buffer export FILE` shows what is left; replace the card if it happens again")
	}
	if damaged > 0 && unread == nil {
		return errSilent
	}
	return unread
}

// verdict is what a running agent found of one file's batches. Those of a file
// that is gone are in its memory, and some of any while the disk takes no data.
func verdict(batches, damaged int, gone, inMemory bool) string {
	found := "sound,"
	if damaged > 0 {
		found = fmt.Sprintf("DAMAGED: %d of", damaged)
	}
	switch held := times(batches, "batch"); {
	case gone && batches == 0:
		return "no such file, nothing held"
	case gone:
		return fmt.Sprintf("no such file; %s %s held by the agent", found, held)
	case inMemory:
		return fmt.Sprintf("%s %s held, in it and in the agent's memory", found, held)
	default:
		return fmt.Sprintf("%s %s held", found, held)
	}
}

// verifyRunning has the agent that uses the store check what it holds, some at a
// time, so that its own work goes on.
func verifyRunning(ctx context.Context, p *bufferPlace, out io.Writer) error {
	fmt.Fprintf(out, "a running agent uses %s; it checks what it holds\n", p.dir)
	files := [...]string{"telemetry.db", "media.db"}
	var batches, damaged [len(files)]int
	err := askEach(ctx, p.socket, "verify", func(v agent.Verified) (uint64, error) {
		i := 0
		if v.Class == telemetry.ClassMedia {
			i = 1
		}
		batches[i] += v.Batches
		damaged[i] += len(v.Damaged)
		for _, seq := range v.Damaged {
			fmt.Fprintf(out, "damaged: %s seq %d\n", v.Class, seq)
		}
		return v.Seq, nil
	})
	if err != nil {
		return err
	}
	var s agent.Status
	inMemory := ask(ctx, p.socket, "status", &s) == nil && s.Buffer != nil && s.Buffer.Volatile
	if inMemory {
		fmt.Fprintf(out, "the disk takes no data%s: what came since is in memory, bounded; next: %s\n", because(s.Buffer.VolatileError), diskCure)
	}
	for i, name := range files {
		path := filepath.Join(p.dir, name)
		_, err := os.Stat(path)
		fmt.Fprintf(out, "%s: %s\n", path, verdict(batches[i], damaged[i], errors.Is(err, fs.ErrNotExist), inMemory && i == 0))
	}
	if damaged[0]+damaged[1] > 0 {
		fmt.Fprintln(out, "the agent lists a damaged batch as lost when its turn to be sent comes; nothing else is to be done, once; replace the card if it happens again")
		return errSilent
	}
	return nil
}
