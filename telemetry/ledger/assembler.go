package ledger

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"obu/telemetry"
)

// Bounds on what a sender can make an Assembler keep.
const (
	// MaxClipBytes is the largest clip that is put together. A day of video
	// in one file is smaller.
	MaxClipBytes = 256 << 30
	// MaxOpenClips is how many clips may be incomplete at once; past it the
	// one untouched for longest is abandoned and its file removed.
	MaxOpenClips = 1024
	// maxDoneClips is how many finished clips are remembered, so that bytes
	// which arrive a second time under other names start no second file.
	maxDoneClips = 8192
	// maxNameBytes bounds each part of a path made from a sender's words.
	maxNameBytes = 100
)

// Finished is a clip of which every byte and the manifest have arrived.
type Finished struct {
	Unit string
	Path string // of the file, below the Assembler's directory
	Clip telemetry.Clip
	OK   bool     // the bytes have the SHA-256 the manifest promises
	Got  [32]byte // the SHA-256 they do have
}

// Assembler puts clips back together from the chunks and manifests in fresh
// batches, in whatever order they arrive. A clip grows under a temporary name
// in DIR/.incoming; when it is whole its SHA-256 is verified and it is moved
// to DIR/<unit>/<camera>/<name>, or to <name>.mismatch when the bytes are not
// those of the manifest. Clips half received by an earlier Assembler on the
// same directory are carried on.
//
// Every word of a sender is reduced to harmless file names, and the directory
// is opened as an os.Root, so that nothing outside of it can be reached. One
// file is open at a time. An Assembler has one owner and is not safe for
// concurrent use.
type Assembler struct {
	dir   string
	root  *os.Root
	clips map[clipKey]*incoming
	done  map[clipKey]bool
	ring  []clipKey // of done, oldest first
	tick  uint64
}

type clipKey struct {
	unit string
	id   telemetry.ClipID
}

type incoming struct {
	path     string // of the temporary file, below the root
	have     runs   // byte ranges written
	manifest *telemetry.Clip
	adopted  bool // the file is older than this Assembler: have is not all there is
	touched  uint64
}

// incomingDir is where incomplete clips grow.
const incomingDir = ".incoming"

// NewAssembler returns an Assembler that writes below dir, which is made when
// it does not exist.
func NewAssembler(dir string) (*Assembler, error) {
	if err := os.MkdirAll(filepath.Join(dir, incomingDir), 0o777); err != nil {
		return nil, fmt.Errorf("make clip directory: %w", err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("open clip directory: %w", err)
	}
	return &Assembler{dir: dir, root: root, clips: make(map[clipKey]*incoming), done: make(map[clipKey]bool)}, nil
}

// Close releases the directory. Incomplete clips stay, for the next Assembler.
func (a *Assembler) Close() error { return a.root.Close() }

// Take writes the chunks of a fresh batch and notes its manifests. It returns
// the clips that became whole by it. What cannot be written is reported in
// err, joined; everything else is taken all the same.
func (a *Assembler) Take(b telemetry.Batch) (finished []Finished, err error) {
	for i := range b.Chunks {
		f, e := a.takeChunk(b.Unit, b.Chunks[i])
		finished, err = collect(finished, f), errors.Join(err, e)
	}
	for i := range b.Clips {
		f, e := a.takeClip(b.Unit, b.Clips[i])
		finished, err = collect(finished, f), errors.Join(err, e)
	}
	return finished, err
}

func collect(fs []Finished, f *Finished) []Finished {
	if f == nil {
		return fs
	}
	return append(fs, *f)
}

// Waiting returns how many clips are incomplete.
func (a *Assembler) Waiting() int { return len(a.clips) }

func (a *Assembler) takeChunk(unit string, c telemetry.Chunk) (*Finished, error) {
	k := clipKey{unit, c.Clip}
	if a.done[k] || len(c.Data) == 0 {
		return nil, nil
	}
	if c.Offset < 0 || c.Offset > MaxClipBytes-int64(len(c.Data)) {
		return nil, fmt.Errorf("take chunk of clip %v: offset %d is out of range", c.Clip, c.Offset)
	}
	in := a.incoming(k)
	if in.manifest != nil && c.Offset+int64(len(c.Data)) > in.manifest.SizeBytes {
		return nil, fmt.Errorf("take chunk of clip %v: byte %d lies past its size of %d",
			c.Clip, c.Offset+int64(len(c.Data)), in.manifest.SizeBytes)
	}
	lo, hi := uint64(c.Offset), uint64(c.Offset)+uint64(len(c.Data))-1
	if in.have.covers(lo, hi) {
		return nil, nil
	}
	if err := a.write(in, c); err != nil {
		return nil, fmt.Errorf("write clip %v: %w", c.Clip, err)
	}
	in.have.addRange(lo, hi)
	if in.have.len() > MaxRuns {
		a.abandon(k)
		return nil, fmt.Errorf("put clip %v together: abandoned, it comes in more than %d pieces", c.Clip, MaxRuns)
	}
	return a.finish(k, in)
}

func (a *Assembler) takeClip(unit string, c telemetry.Clip) (*Finished, error) {
	k := clipKey{unit, c.ID}
	if a.done[k] {
		return nil, nil
	}
	if c.SizeBytes < 0 || c.SizeBytes > MaxClipBytes {
		return nil, fmt.Errorf("take manifest of clip %v: size %d is out of range", c.ID, c.SizeBytes)
	}
	in := a.incoming(k)
	in.manifest = &c
	return a.finish(k, in)
}

// incoming returns the clip's state, new or carried on from a file.
func (a *Assembler) incoming(k clipKey) *incoming {
	a.tick++
	in := a.clips[k]
	if in == nil {
		for len(a.clips) >= MaxOpenClips {
			a.abandonOldest()
		}
		in = &incoming{path: filepath.Join(incomingDir, SafeName(k.unit)+"-"+unitTag(k.unit)+"-"+k.id.String())}
		_, err := a.root.Lstat(in.path)
		in.adopted = err == nil
		a.clips[k] = in
	}
	in.touched = a.tick
	return in
}

// unitTag tells units apart whose safe names are the same.
func unitTag(unit string) string {
	h := sha256.Sum256([]byte(unit))
	return hex.EncodeToString(h[:4])
}

func (a *Assembler) abandonOldest() {
	var oldest clipKey
	at := ^uint64(0)
	for k, in := range a.clips {
		if in.touched < at {
			oldest, at = k, in.touched
		}
	}
	a.abandon(oldest)
}

func (a *Assembler) abandon(k clipKey) {
	// A file that cannot be removed is overwritten when the clip comes again.
	_ = a.root.Remove(a.clips[k].path)
	delete(a.clips, k)
}

func (a *Assembler) write(in *incoming, c telemetry.Chunk) (err error) {
	f, err := a.root.OpenFile(in.path, os.O_CREATE|os.O_WRONLY, 0o666)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	_, err = f.WriteAt(c.Data, c.Offset)
	return err
}

// finish verifies and moves a clip when all of it is there, else returns nil.
func (a *Assembler) finish(k clipKey, in *incoming) (*Finished, error) {
	m := in.manifest
	if m == nil {
		return nil, nil
	}
	whole := m.SizeBytes == 0 || in.have.covers(0, uint64(m.SizeBytes)-1)
	if !whole && !in.adopted {
		return nil, nil
	}
	if fi, err := a.root.Stat(in.path); !whole && (err != nil || fi.Size() != m.SizeBytes) {
		return nil, nil
	}
	size, sum, err := a.hash(in.path)
	if err != nil && !(m.SizeBytes == 0 && errors.Is(err, fs.ErrNotExist)) {
		return nil, fmt.Errorf("verify clip %v: %w", m.ID, err)
	}
	ok := size == m.SizeBytes && sum == m.SHA256
	if !ok && !whole {
		return nil, nil // more is to come
	}
	if m.SizeBytes == 0 {
		if err := a.write(in, telemetry.Chunk{}); err != nil {
			return nil, fmt.Errorf("write clip %v: %w", m.ID, err)
		}
	}
	path, err := a.place(k, in, ok)
	if err != nil {
		return nil, fmt.Errorf("keep clip %v: %w", m.ID, err)
	}
	delete(a.clips, k)
	a.remember(k)
	return &Finished{Unit: k.unit, Path: filepath.Join(a.dir, path), Clip: *m, OK: ok, Got: sum}, nil
}

func (a *Assembler) hash(path string) (size int64, sum [32]byte, err error) {
	h := sha256.New()
	f, err := a.root.Open(path)
	if err != nil {
		return 0, [32]byte(h.Sum(nil)), err
	}
	defer f.Close()
	size, err = io.Copy(h, f)
	return size, [32]byte(h.Sum(nil)), err
}

// place moves a whole clip to its final name. A name that another clip has
// already is made its own with the clip's id.
func (a *Assembler) place(k clipKey, in *incoming, ok bool) (string, error) {
	dir := filepath.Join(SafeName(k.unit), SafeName(in.manifest.Camera))
	if err := a.root.MkdirAll(dir, 0o777); err != nil {
		return "", err
	}
	name := SafeName(in.manifest.Name)
	if !ok {
		name += ".mismatch"
	}
	if _, err := a.root.Lstat(filepath.Join(dir, name)); err == nil {
		if size, sum, err := a.hash(filepath.Join(dir, name)); err != nil || size != in.manifest.SizeBytes || sum != in.manifest.SHA256 {
			ext := filepath.Ext(name)
			name = strings.TrimSuffix(name, ext) + "-" + k.id.String()[:8] + ext
		}
	}
	path := filepath.Join(dir, name)
	return path, a.root.Rename(in.path, path)
}

func (a *Assembler) remember(k clipKey) {
	if len(a.ring) >= maxDoneClips {
		delete(a.done, a.ring[0])
		a.ring = slices.Delete(a.ring, 0, 1)
	}
	a.ring = append(a.ring, k)
	a.done[k] = true
}
