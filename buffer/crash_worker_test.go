//go:build linux && (amd64 || arm64)

package buffer_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"obu/buffer/crashdisk"
)

// A worker is a process that opens images of one log, one after the other. One
// that an image kills breaks a law, and another goes on with the next point.

// The environment of a worker.
const (
	perPointEnv = "OBU_CRASH_PER_POINT"
)

// workerChild reads points of the log in its last argument, rising, one a
// line, and answers "i label" before each image, "v text" for a broken law and "d
// images" at the end of the point.
func workerChild() {
	log, err := crashdisk.Load(os.Args[len(os.Args)-1])
	if err != nil {
		panic(err)
	}
	seed, _ := strconv.ParseUint(os.Getenv(seedEnv), 10, 64)
	perPoint, _ := strconv.Atoi(os.Getenv(perPointEnv))
	root, err := os.MkdirTemp(imageHome(), "obu-crash-")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(root)
	w := &worker{log: log, root: root, disk: crashdisk.NewDisk(log.Base), ledger: newLedger(), seed: seed, variants: crashdisk.Variants{PerPoint: perPoint, Seed: seed}}
	w.ledger.foresee(marksOf(log.Ops))
	in := bufio.NewScanner(os.Stdin)
	for in.Scan() {
		point, err := strconv.Atoi(in.Text())
		if err != nil {
			panic(err)
		}
		w.at(point)
	}
}

type worker struct {
	log      *crashdisk.Log
	root     string
	disk     *crashdisk.Disk
	ledger   *ledger
	applied  int
	marks    int
	seed     uint64
	variants crashdisk.Variants
}

// at cuts the power after the first n operations.
func (w *worker) at(n int) {
	for ; w.applied < n; w.applied++ {
		op := w.log.Ops[w.applied]
		w.disk.Apply(w.applied, op)
		if op.Kind == crashdisk.Mark {
			w.ledger.note(decodeMark(op.Data))
			w.marks++
		}
	}
	ways := w.variants.At(w.disk, n, w.marks)
	for i, s := range ways {
		fmt.Println("i", s.Label)
		img := w.disk.Image(s)
		if err := img.WriteTo(w.root); err != nil {
			panic(err)
		}
		seededIDs(w.seed, fmt.Sprint(n, " ", i))
		for _, law := range w.ledger.examine(w.root, (n+i)%2 == 0) {
			fmt.Println("v", strings.ReplaceAll(law, "\n", " "))
		}
	}
	fmt.Println("d", len(ways))
}

// imageHome is where images are written: memory, if there is any.
func imageHome() string {
	if info, err := os.Stat("/dev/shm"); err == nil && info.IsDir() {
		return "/dev/shm"
	}
	return os.TempDir()
}

// verdict is what a pool found.
type verdict struct {
	points, images int
	broken         []string
}

// pool examines points of a log in as many processes as there are processors.
type pool struct {
	path     string // of the log
	perPoint int
	seed     uint64
	workers  int
	stopAt   int // broken laws are enough

	mu     sync.Mutex // guards what follows
	points []int      // still to do, rising
	found  verdict
}

func (p *pool) run(t *testing.T) verdict {
	var wg sync.WaitGroup
	for range p.workers {
		wg.Go(func() { p.work(t) })
	}
	wg.Wait()
	return p.found
}

func (p *pool) take() (int, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.points) == 0 || len(p.found.broken) >= p.stopAt {
		return 0, false
	}
	n := p.points[0]
	p.points = p.points[1:]
	return n, true
}

func (p *pool) breaks(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.found.broken = append(p.found.broken, fmt.Sprintf(format, args...))
}

// work keeps one worker busy and replaces it when an image kills it.
func (p *pool) work(t *testing.T) {
	var w *workerProcess
	defer func() {
		if w != nil {
			w.stop()
		}
	}()
	for {
		n, ok := p.take()
		if !ok {
			return
		}
		if w == nil {
			w = p.start(t)
		}
		if label, err := p.ask(w, n); err != nil {
			p.breaks("point %d, %s: opening the image kills the process: %v: %s", n, label, err, w.stop())
			w = nil
		}
	}
}

type workerProcess struct {
	cmd  *exec.Cmd
	in   io.WriteCloser
	out  *bufio.Scanner
	last *strings.Builder // words
}

func (p *pool) start(t *testing.T) *workerProcess {
	cmd := exec.Command(os.Args[0], p.path)
	cmd.Env = append(os.Environ(), childMode+"="+childCrashWorker, fmt.Sprintf("%s=%d", seedEnv, p.seed),
		fmt.Sprintf("%s=%d", perPointEnv, p.perPoint), "GORACE=atexit_sleep_ms=0")
	w := &workerProcess{cmd: cmd, last: &strings.Builder{}}
	cmd.Stderr = w.last
	var err error
	if w.in, err = cmd.StdinPipe(); err != nil {
		t.Error(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Error(err)
	}
	w.out = bufio.NewScanner(out)
	w.out.Buffer(nil, 1<<20)
	if err := cmd.Start(); err != nil {
		t.Error(err)
	}
	return w
}

// stop ends the worker and returns its last words.
func (w *workerProcess) stop() string {
	w.in.Close()
	for w.out.Scan() {
	}
	_ = w.cmd.Wait()
	words := w.last.String()
	return words[:min(len(words), 600)]
}

var errWorkerDied = errors.New("the process died")

// ask has a point examined; label is the last image begun.
func (p *pool) ask(w *workerProcess, n int) (label string, err error) {
	if _, err := fmt.Fprintf(w.in, "%d\n", n); err != nil {
		return "", errWorkerDied
	}
	var broken []string
	for w.out.Scan() {
		kind, rest, _ := strings.Cut(w.out.Text(), " ")
		switch kind {
		case "i":
			label = rest
		case "v":
			broken = append(broken, fmt.Sprintf("point %d, %s: %s", n, label, rest))
		case "d":
			images, _ := strconv.Atoi(rest)
			p.mu.Lock()
			p.found.images += images
			p.found.points++
			p.found.broken = append(p.found.broken, broken...)
			p.mu.Unlock()
			return label, nil
		}
	}
	return label, errWorkerDied
}

// recording is a life and its log.
type recording struct {
	log   *crashdisk.Log
	start int // points before it belong to the life that ended in the log's base
}

// operations counts what the life did to the disk, its notes left out.
func (r recording) operations() (n int) {
	for _, op := range r.log.Ops[r.start:] {
		if op.Kind != crashdisk.Mark {
			n++
		}
	}
	return n
}

// recordLife records what a life does to a disk that holds base, of which
// marks is known.
func recordLife(t *testing.T, script, bug string, seed uint64, start int, base crashdisk.Image, marks []mark) recording {
	t.Helper()
	root := t.TempDir()
	disk, err := crashdisk.Mount(root, base, seed)
	if err != nil {
		t.Skipf("needs root and /dev/fuse to record a disk: %v", err)
	}
	cmd := exec.Command(os.Args[0], root)
	cmd.Env = append(os.Environ(), childMode+"="+childCrashLife, fmt.Sprintf("%s=%d", seedEnv, seed), lifeScriptEnv+"="+script,
		lifeBugEnv+"="+bug, fmt.Sprintf("%s=%d", lifeStartEnv, start), "GORACE=atexit_sleep_ms=0")
	out, runErr := cmd.CombinedOutput()
	log, err := disk.Close()
	if err != nil {
		t.Fatal(err)
	}
	if runErr != nil && bug == "" {
		t.Fatalf("the life %s (seed %d) failed: %v\n%s", script, seed, runErr, out)
	}
	var before []crashdisk.Op
	for _, m := range marks {
		before = append(before, crashdisk.Op{Kind: crashdisk.Mark, Data: encodeMark(m)})
	}
	log.Ops = append(before, log.Ops...)
	return recording{log, len(before)}
}

// examine cuts the power at points of a recording: all of them, or as many as
// sample says, spread evenly.
func (r recording) examine(t *testing.T, p *pool, sample int) verdict {
	t.Helper()
	p.path = filepath.Join(t.TempDir(), "log")
	if err := r.log.Save(p.path); err != nil {
		t.Fatal(err)
	}
	all := len(r.log.Ops) - r.start
	if sample == 0 || sample > all {
		sample = all
	}
	for i := range sample {
		p.points = append(p.points, r.start+(i*all)/sample+1)
	}
	p.points = slices.Compact(p.points)
	return p.run(t)
}

// cutIn takes a disk that a cut left out of a recording, and what is known of
// it.
func (r recording) cutIn(point int, seed uint64) (crashdisk.Image, []mark) {
	d := crashdisk.NewDisk(r.log.Base)
	for i, op := range r.log.Ops[:point] {
		d.Apply(i, op)
	}
	v := crashdisk.Variants{PerPoint: 12, Seed: seed}
	ways := v.At(d, point, 0)
	img := d.Image(ways[len(ways)-1])
	return img, append(marksOf(r.log.Ops[:point]), mark{Kind: markPowerCut})
}
