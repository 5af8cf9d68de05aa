package buffer_test

import (
	"cmp"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"obu/buffer"
	"obu/telemetry"
)

// wearStore is a store under measurement.
type wearStore interface {
	// commit stores contents and deletes what acks names, in one durable
	// transaction; names are numbers that rise by one.
	commit(acks []uint64, contents ...telemetry.Content) (first uint64, payload int64)
	pages() int64 // written by bbolt since it was opened
	path() string
	close()
}

// ourStore is the buffer on a clock that the measurement turns.
type ourStore struct {
	t    *testing.T
	b    *buffer.Buffer
	dir  string
	now  telemetry.At
	last telemetry.Name
}

func openOurs(t *testing.T, dir string, edit ...func(*buffer.Options)) *ourStore {
	t.Helper()
	s := &ourStore{t: t, dir: dir}
	s.b = open(t, dir, append(edit, func(o *buffer.Options) { o.Now = func() telemetry.At { return s.now } })...)
	return s
}

func (s *ourStore) path() string { return filepath.Join(s.dir, "telemetry.db") }

func (s *ourStore) commit(acks []uint64, contents ...telemetry.Content) (first uint64, payload int64) {
	s.t.Helper()
	names := make([]telemetry.Name, len(acks))
	for i, seq := range acks {
		names[i] = s.last
		names[i].Seq = seq
	}
	s.b.Ack(names...)
	entries := make([]buffer.Entry, len(contents))
	for i, c := range contents {
		entries[i] = buffer.Entry{Class: telemetry.ClassTelemetry, Content: c}
		payload += int64(len(encodeFor(s.t, c)))
	}
	got, err := s.b.Commit(entries)
	if err != nil {
		s.t.Fatal(err)
	}
	if st := s.b.Stats(); st.Volatile || st.Evicted > 0 {
		s.t.Fatalf("the measurement went wrong: %+v", st)
	}
	if len(got) > 0 {
		s.last, first = got[len(got)-1], got[0].Seq
	}
	return first, payload
}

func (s *ourStore) pages() int64 {
	telemetry, _ := s.b.PagesWritten()
	return telemetry
}

func (s *ourStore) close() {
	if err := s.b.Close(); err != nil {
		s.t.Error(err)
	}
}

// wearCase is one hour of one way of living.
type wearCase struct {
	name    string
	window  int // seconds a batch holds, and between commits
	backlog int // batches held before
	live    bool
	drain   int // of the backlog acknowledged with each commit
}

// day is 24 hours without a link.
const day = 24 * 3600

var wearCases = []wearCase{
	{"1 s, live acknowledged, no backlog", 1, 0, true, 0},
	{"1 s, live acknowledged, 24 h wait", 1, day, true, 0},
	{"1 s, live and one of history, 24 h wait", 1, day, true, 1},
	{"1 s, live and 640 of history (64 KiB/s), 24 h wait", 1, day, true, 640},
	{"1 s, offline, from empty", 1, 0, false, 0},
	{"1 s, offline, 24 h wait", 1, day, false, 0},
	{"10 s, live acknowledged, no backlog", 10, 0, true, 0},
	{"10 s, live acknowledged, 24 h wait", 10, day / 10, true, 0},
	{"10 s, live and one of history, 24 h wait", 10, day / 10, true, 1},
	{"10 s, offline, from empty", 10, 0, false, 0},
	{"10 s, offline, 24 h wait", 10, day / 10, false, 0},
}

// wearFigures is what one hour cost.
type wearFigures struct {
	commits               int
	device, page, payload int64
	seconds               int
}

func (f wearFigures) perHour(bytes int64) float64 {
	return float64(bytes) / float64(f.seconds) * 3600 / 1e6
}

// TestWear measures what the block device is given to write; docs/benchmarks.md
// quotes it. It wants root and some minutes: make wear.
func TestWear(t *testing.T) {
	if os.Getenv("OBU_WEAR") == "" {
		t.Skip("skipped: takes minutes and root; run it with make wear")
	}
	only := os.Getenv("OBU_WEAR_ONLY")
	options := os.Getenv("OBU_WEAR_MOUNT") // of the ext4: "lazytime", "commit=30"
	t.Logf("mount options %q", options)
	for _, c := range wearCases {
		t.Run(c.name, func(t *testing.T) {
			if !strings.Contains(c.name, only) {
				t.Skip("skipped: not asked for")
			}
			ours := c.measure(t, options, func(dir string) wearStore { return openOurs(t, dir) })
			if os.Getenv("OBU_WEAR_OURS") != "" {
				t.Logf("| %s | %.2f | %.1f | %.1f | %.1f |", c.name, float64(ours.page)/4096/float64(ours.commits),
					ours.perHour(ours.device), ours.perHour(ours.device-ours.page), float64(ours.device)/float64(ours.payload))
				return
			}
			plain := c.measure(t, options, func(dir string) wearStore { return openPlain(t, filepath.Join(dir, "plain.db")) })
			t.Logf("| %s | %.2f | %.1f | %.1f | %.1f | %.1f | %.2f |", c.name, float64(ours.page)/4096/float64(ours.commits),
				ours.perHour(ours.device), ours.perHour(ours.device-ours.page), float64(ours.device)/float64(ours.payload),
				plain.perHour(plain.device), float64(plain.device)/float64(ours.device))
		})
	}
}

// measure lives one hour, or as long as the backlog lasts.
func (c wearCase) measure(t *testing.T, options string, open func(dir string) wearStore) wearFigures {
	d := newWearDisk(t, 512<<20, options)
	s := open(d.dir)
	defer s.close()
	for left := c.backlog; left > 0; {
		n := min(left, 3600)
		list := make([]telemetry.Content, n)
		for i := range list {
			list[i] = window(left+i, c.window)
		}
		s.commit(nil, list...)
		left -= n
	}
	var oldest, last uint64 = 1, 0
	var f wearFigures
	live := func(i int) {
		if o, ok := s.(*ourStore); ok {
			o.now = o.now.Add(time.Duration(c.window) * time.Second)
		}
		var acks []uint64
		if c.live && last > 0 {
			acks = append(acks, last)
		}
		for range c.drain {
			if oldest <= uint64(c.backlog) {
				acks = append(acks, oldest)
				oldest++
			}
		}
		n, payload := s.commit(acks, window(i, c.window))
		last = n
		f.payload += payload
		f.commits++
		if pace := pace(); pace > 0 {
			time.Sleep(pace * time.Duration(c.window))
			return
		}
		for sec := range c.window {
			d.second(i*c.window+sec, s.path())
		}
	}
	rounds := min(cmp.Or(atoi(os.Getenv("OBU_WEAR_SECONDS")), 3600)/c.window, 3600)
	const warmUp = 60
	if c.drain > 1 { // while there is something to drain
		rounds = min(rounds, c.backlog/c.drain-warmUp)
	}
	for i := range warmUp {
		live(i)
	}
	f = wearFigures{seconds: rounds * c.window}
	device, page := d.written(), s.pages()
	for i := range rounds {
		live(i)
	}
	f.device, f.page = d.written()-device, (s.pages()-page)*4096
	return f
}

// pace is how long a second lasts: nothing unless asked for, to see that the
// file system's clock is imitated well.
func pace() time.Duration {
	d, _ := time.ParseDuration(os.Getenv("OBU_WEAR_PACE"))
	return d
}

func atoi(s string) int { n, _ := strconv.Atoi(s); return n }

// window is the track load of some seconds in one batch.
func window(i, seconds int) telemetry.Content {
	if seconds == 1 {
		return track(i)
	}
	var c telemetry.Content
	for k := range seconds {
		one := track(i*seconds + k)
		c.Samples, c.Fixes = append(c.Samples, one.Samples...), append(c.Fixes, one.Fixes...)
	}
	return c
}
