package dashcam_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/Eyevinn/mp4ff/mp4"

	"obu/dashcam"
	"obu/internal/clock"
	"obu/telemetry"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(asNobody); dir != "" {
		os.Exit(runAsNobody(dir))
	}
	goleak.VerifyTestMain(m)
}

// vault is custody in memory. It outlives a Source, as the disk does.
type vault struct {
	mu    sync.Mutex
	files map[string]*stored
	order []string                                // names, as finished
	chunk func(key string, off int64) error       // called before each chunk, without the lock
	seen  chan struct{}                           // a token per Finish
	fault string                                  // the first breach of the contract
	clips map[telemetry.ClipID][]telemetry.Clip   // as finished
	ids   map[telemetry.ClipID]map[int64]struct{} // offsets stored
}

type stored struct {
	data []byte
	done bool
}

func newVault() *vault {
	return &vault{files: make(map[string]*stored), seen: make(chan struct{}, 1000),
		clips: make(map[telemetry.ClipID][]telemetry.Clip), ids: make(map[telemetry.ClipID]map[int64]struct{})}
}

func (v *vault) Progress(key string) (int64, bool, bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	f := v.files[key]
	if f == nil {
		return 0, false, false
	}
	return int64(len(f.data)), f.done, true
}

func (v *vault) StoreChunk(_ context.Context, key string, c telemetry.Chunk) error {
	if v.chunk != nil {
		if err := v.chunk(key, c.Offset); err != nil {
			return err
		}
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	f := v.files[key]
	if f == nil {
		f = &stored{}
		v.files[key] = f
	}
	if c.Offset != int64(len(f.data)) || len(c.Data) == 0 || f.done || c.Clip.String() != key {
		v.fault = "chunk out of order, empty, or after the manifest"
	}
	f.data = append(f.data, c.Data...)
	return nil
}

func (v *vault) Finish(_ context.Context, key string, c telemetry.Clip) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	f := v.files[key]
	switch {
	case f == nil || f.done:
		v.fault = "manifest without chunks, or twice"
	case c.SizeBytes != int64(len(f.data)) || c.SHA256 != sha256.Sum256(f.data):
		v.fault = "manifest does not fit the bytes"
	}
	if f != nil {
		f.done = true
	}
	v.order = append(v.order, c.Name)
	v.clips[c.ID] = append(v.clips[c.ID], c)
	v.seen <- struct{}{}
	return nil
}

// all returns the clips in custody, by name.
func (v *vault) all(t *testing.T) map[string]telemetry.Clip {
	t.Helper()
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.fault != "" {
		t.Fatal(v.fault)
	}
	out := make(map[string]telemetry.Clip)
	for _, cs := range v.clips {
		for _, c := range cs {
			if _, twice := out[c.Name]; twice || len(cs) > 1 {
				t.Fatalf("clip %s was delivered twice", c.Name)
			}
			out[c.Name] = c
		}
	}
	return out
}

func (v *vault) data(c telemetry.Clip) []byte {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.files[c.ID.String()].data
}

// rig is a Source on a temporary folder.
type rig struct {
	t     *testing.T
	dir   string
	vault *vault
	cfg   dashcam.Config
	src   *dashcam.Source
	log   *bytes.Buffer

	mu   sync.Mutex
	gaps []telemetry.Gap
}

func newRig(t *testing.T, change ...func(*dashcam.Config)) *rig {
	t.Helper()
	r := &rig{t: t, dir: t.TempDir(), vault: newVault(), log: new(bytes.Buffer)}
	r.cfg = dashcam.Config{Camera: "front", Dir: r.dir, Clock: clock.Virtual(), Custody: r.vault, ChunkBytes: 1000,
		Poll: true, AppearWhole: true, Log: slog.New(slog.NewTextHandler(&lockedWriter{w: r.log}, nil)),
		Lost: func(g telemetry.Gap) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.gaps = append(r.gaps, g)
		}}
	for _, f := range change {
		f(&r.cfg)
	}
	r.renew()
	return r
}

type lockedWriter struct {
	mu sync.Mutex
	w  *bytes.Buffer
}

func (l *lockedWriter) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(p)
}

// renew is what a restart of the agent does.
func (r *rig) renew() {
	r.t.Helper()
	src, err := dashcam.New(r.cfg)
	if err != nil {
		r.t.Fatal(err)
	}
	r.src = src
}

// start runs the Source; stop ends it and returns what Run said.
func (r *rig) start() (stop func() error) {
	ctx, cancel := context.WithCancel(context.Background())
	res := make(chan error, 1)
	go func() { res <- r.src.Run(ctx) }()
	return func() error { cancel(); return <-res }
}

// pass runs the Source until it has nothing left to do.
func (r *rig) pass() {
	r.t.Helper()
	stop := r.start()
	err := r.src.Drain(r.t.Context())
	for errors.Is(err, dashcam.ErrStopped) { // the Run before this one is meant
		runtime.Gosched()
		err = r.src.Drain(r.t.Context())
	}
	if err != nil {
		r.t.Error(err)
	}
	if err := stop(); err != nil {
		r.t.Error(err)
	}
}

func (r *rig) write(name string, data []byte) string {
	r.t.Helper()
	path := filepath.Join(r.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		r.t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o644); err != nil {
		r.t.Fatal(err)
	}
	return path
}

func (r *rig) lost() []telemetry.Gap {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.gaps)
}

// logged fails unless one line of the log has all the words.
func (r *rig) logged(words ...string) {
	r.t.Helper()
	for line := range strings.Lines(r.log.String()) {
		if !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(line, w) }) {
			return
		}
	}
	r.t.Errorf("no line of the log says %q:\n%s", words, r.log)
}

// box makes an MP4 box.
func box(kind string, body []byte) []byte {
	b := binary.BigEndian.AppendUint32(nil, uint32(8+len(body)))
	return append(append(b, kind...), body...)
}

// movie makes a file with the boxes of a finished segment: so much media, so
// long, different for each seed.
func movie(seed uint64, media int, length time.Duration) []byte {
	rnd := rand.New(rand.NewPCG(seed, 1))
	body := make([]byte, media)
	for i := range body {
		body[i] = byte(rnd.Uint32())
	}
	mvhd := mp4.CreateMvhd()
	mvhd.Timescale, mvhd.Duration = 1000, uint64(length.Milliseconds())
	var head bytes.Buffer
	if err := mvhd.Encode(&head); err != nil {
		panic(err)
	}
	out := box("ftyp", []byte("isom\x00\x00\x02\x00isomavc1"))
	out = append(out, box("mdat", body)...)
	return append(out, box("moov", head.Bytes())...)
}

var errVault = errors.New("disk full")
