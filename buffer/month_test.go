package buffer_test

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"obu/buffer"
	"obu/telemetry"
)

// month is thirty days of one car on real files, not synced, with the clock
// turned by hand: three drives a day, clips, weeks without a link, drains,
// restarts and crashes. Every batch it was given a name for is accounted for.
type month struct {
	*testing.T
	dir     string
	opts    buffer.Options
	b       *buffer.Buffer
	now     telemetry.At
	window  time.Duration // between commits
	each    int           // batches of telemetry in one
	seq     int
	owed    map[telemetry.Name]bool // given, not acknowledged
	gaps    []telemetry.Gap         // as delivered
	given   int
	evicted uint64
	worst   [2]float64 // of each file: its size by its quota
}

// The quotas of the month: large enough that a tenth is all a file may exceed
// them by, small enough to be filled again and again.
const (
	monthTelemetry = 10 << 20
	monthMedia     = 16 << 20
)

func (m *month) start() {
	m.Helper()
	m.opts.Boot[0]++
	m.opts.Boot[1] = byte(m.seq)
	b, err := buffer.Open(m.Context(), m.opts)
	if err != nil {
		m.Fatal(err)
	}
	m.b = b
}

func (m *month) stop(crash bool) {
	m.Helper()
	m.evicted += m.b.Stats().Evicted
	if crash {
		m.b.Crash()
	} else if err := m.b.Close(); err != nil {
		m.Fatal(err)
	}
}

// drive is some time on the road: a batch each window, health each minute, an
// event now and then, a clip every twenty minutes.
func (m *month) drive(long time.Duration, online bool) {
	m.Helper()
	for t := time.Duration(0); t < long; t += m.window {
		m.now = m.now.Add(m.window)
		m.seq++
		var entries []buffer.Entry
		for i := range m.each {
			entries = append(entries, buffer.Entry{Class: telemetry.ClassTelemetry, Content: padded(m.seq, 300+(m.seq+i)%500)})
		}
		if t%time.Minute < m.window {
			entries = append(entries, buffer.Entry{Class: telemetry.ClassHealth, Content: padded(m.seq, 200)})
		}
		if m.seq%100 == 0 {
			entries = append(entries, buffer.Entry{Class: telemetry.ClassEvent, Content: anchor(m.seq)})
		}
		names, err := m.b.Commit(entries)
		if err != nil {
			m.Fatal(err)
		}
		m.take(names...)
		if t%(20*time.Minute) < m.window {
			m.clip()
		}
		if online {
			m.fetch(60)
		}
		if m.seq%40 == 0 {
			m.look()
		}
	}
}

// clip stores one of half a megabyte; one in four is of an event.
func (m *month) clip() {
	m.Helper()
	key := fmt.Sprintf("clip-%d", m.seq)
	id, data := telemetry.ClipID{byte(m.seq), byte(m.seq >> 8), byte(m.seq >> 16)}, make([]byte, 256<<10)
	for i := range 2 {
		n, err := m.b.CommitChunk(key, telemetry.Chunk{Clip: id, Offset: int64(i) * int64(len(data)), Data: data})
		if err != nil {
			m.Fatal(err)
		}
		m.take(n)
	}
	cause := "normal"
	if m.seq%4 == 0 {
		cause = "event"
	}
	if err := m.b.FinishClip(key, telemetry.Clip{ID: id, Camera: "front", SizeBytes: 2 * int64(len(data)), Cause: cause}); err != nil {
		m.Fatal(err)
	}
}

func (m *month) take(names ...telemetry.Name) {
	for _, n := range names {
		m.owed[n] = true
	}
	m.given += len(names)
}

// fetch delivers up to n batches of each stream, and reports whether there
// were any.
func (m *month) fetch(n int) bool {
	m.Helper()
	any := false
	for _, s := range m.b.Streams() {
		got, err := m.b.Read(s.Store, s.Class, s.Floor, n<<10)
		if err != nil {
			m.Fatal(err)
		}
		for _, st := range got {
			any = true
			delete(m.owed, st.Name)
			batch, err := telemetry.DecodeBatch(st.Name, st.Blob)
			if err != nil {
				m.Fatal(err)
			}
			m.gaps = append(m.gaps, batch.Gaps...)
			m.b.Ack(st.Name)
		}
	}
	return any
}

// look holds the files, their handles and the memory against their bounds.
func (m *month) look() {
	m.Helper()
	st := m.b.Stats()
	if st.Volatile || st.MediaFailing || st.Failures > 0 || st.Gaps > buffer.MaxGapRows ||
		st.TelemetryUsed > monthTelemetry || st.MediaUsed > monthMedia {
		m.Fatalf("day %d: %+v", m.now/telemetry.At(24*time.Hour), st)
	}
	m.worst[0] = max(m.worst[0], float64(st.TelemetryFile)/monthTelemetry)
	m.worst[1] = max(m.worst[1], float64(st.MediaFile)/monthMedia)
	open := map[string]int{}
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		m.Skipf("skipped: open files are counted in /proc: %v", err)
	}
	for _, fd := range fds {
		if to, err := os.Readlink("/proc/self/fd/" + fd.Name()); err == nil && strings.HasPrefix(to, m.dir) {
			open[filepath.Base(to)]++
		}
	}
	if open["telemetry.db"] != 1 || open["media.db"] > 1 || len(open) > 3 { // and the directory's lock
		m.Fatalf("open files: %v", open)
	}
}

// TestMonth: thirty days of a car keep the files within a tenth of their
// quotas, one handle each, memory bounded, and every batch delivered or listed.
// With OBU_MONTH (make month) a batch each second, else eight each minute.
func TestMonth(t *testing.T) {
	m := &month{T: t, dir: t.TempDir(), window: time.Minute, each: 8, owed: map[telemetry.Name]bool{}}
	if os.Getenv("OBU_MONTH") != "" {
		m.window, m.each = time.Second, 1
	}
	m.opts = buffer.Options{Dir: m.dir, Unit: "sim-1", TelemetryQuota: monthTelemetry, MediaQuota: monthMedia,
		Now: func() telemetry.At { return m.now }}
	buffer.Break(&m.opts, buffer.Faults{NoSync: true})
	var heap uint64
	for day := range 30 {
		online := day < 3 || day == 6 || day > 25 // else no link
		for k, long := range []time.Duration{time.Hour, 30 * time.Minute, 90 * time.Minute} {
			m.start()
			m.drive(long, online)
			m.stop(day%5 == 4 && k == 2)
			m.now = m.now.Add(5 * time.Hour)
		}
		var ms runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&ms)
		heap = max(heap, ms.HeapAlloc)
	}
	m.start()
	for m.fetch(1 << 10) {
		if _, err := m.b.Commit(nil); err != nil {
			t.Fatal(err)
		}
	}
	m.look()
	m.stop(false)
	unlisted := 0
	for n := range m.owed {
		if !listed(m.gaps, n) {
			unlisted++
		}
	}
	t.Logf("%d batches, %d evicted, %d gaps told; files at most %.3f and %.3f of their quotas; heap %.1f MB",
		m.given, m.evicted, len(m.gaps), m.worst[0], m.worst[1], float64(heap)/1e6)
	if unlisted > 0 || m.evicted == 0 {
		t.Errorf("%d of %d batches neither came nor are listed; %d evicted", unlisted, m.given, m.evicted)
	}
	if m.worst[0] > 1.1 || m.worst[1] > 1.1 {
		t.Errorf("files of %.3f and %.3f of their quotas", m.worst[0], m.worst[1])
	}
	if heap > 64<<20 {
		t.Errorf("%d bytes of heap", heap)
	}
}

func listed(gaps []telemetry.Gap, n telemetry.Name) bool {
	for _, g := range gaps {
		if g.Class == n.Class && g.Store == n.Store && g.FromSeq != 0 && g.FromSeq <= n.Seq && n.Seq <= g.ToSeq {
			return true
		}
	}
	return false
}
