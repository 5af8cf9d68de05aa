package acceptance_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"obu/buffer"
	"obu/internal/clock"
	"obu/telemetry"
	"obu/uplink"
)

// day is the outage of the drain benchmark in seconds, one batch each.
const day = 86400

// round trip of the links of the drain benchmark, one way.
const drainDelay = 30 * time.Millisecond

// TestDrain is the drain benchmark: a day of the track load after an outage,
// by the real obu and by a mosquitto bridge that carries the same values as one
// JSON message a second, over the same links, in one run. It prints the table
// of docs/benchmarks.md and fails only when something is missing.
func TestDrain(t *testing.T) {
	if os.Getenv("OBU_BROKERS") != "drain" {
		t.Skip("not asked for: run make drain")
	}
	obu, err := filepath.Abs("../../bin/obu")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(obu); err != nil {
		t.Fatalf("%v: make drain builds it", err)
	}
	seconds := day
	if s := os.Getenv("OBU_DRAIN_SECONDS"); s != "" {
		if seconds, err = strconv.Atoi(s); err != nil {
			t.Fatal(err)
		}
	}
	rows := []string{"| what | link, 60 ms round trip | messages | wall s | CPU s | peak RSS MB | its own of it MB | MB up | link used |", "|---|---|---|---|---|---|---|---|---|"}
	for _, rate := range [...]int{0, 1_250_000, 125_000} {
		t.Run(fmt.Sprintf("obu at %d B/s", rate), func(t *testing.T) {
			rows = append(rows, drainObu(t, obu, seconds, rate).row("obu", rate))
			t.Log(rows[len(rows)-1])
		})
	}
	for _, b := range [...]struct {
		what   string
		rate   int
		window int
	}{{"bridge, window unlimited", 0, 0}, {"bridge, window unlimited", 1_250_000, 0}, {"bridge, 20 in flight (default)", 0, 20}} {
		t.Run(fmt.Sprintf("%s at %d B/s", b.what, b.rate), func(t *testing.T) {
			rows = append(rows, drainBridge(t, seconds, b.rate, b.window).row(b.what, b.rate))
			t.Log(rows[len(rows)-1])
		})
	}
	t.Logf("%d one-second batches\n%s", seconds, strings.Join(rows, "\n"))
}

// drained is what one drain took.
type drained struct {
	Messages int64
	Wall     time.Duration // from the first byte after the outage to the last
	CPU      time.Duration
	RSS      int64 // peak, bytes, with the pages of files that are mapped
	Own      int64 // peak of the anonymous part as sampled, bytes: what the kernel cannot take back
	Up       int64 // bytes
}

func (d drained) row(what string, rate int) string {
	link, used := "unlimited", "-"
	if rate > 0 {
		link = fmt.Sprintf("%g Mbit/s", float64(rate)*8/1e6)
		used = fmt.Sprintf("%.0f %%", 100*float64(d.Up)/(float64(rate)*d.Wall.Seconds()))
	}
	return fmt.Sprintf("| %s | %s | %d | %.1f | %.2f | %.1f | %.1f | %.2f | %s |", what, link, d.Messages, d.Wall.Seconds(), d.CPU.Seconds(),
		float64(d.RSS)/1e6, float64(d.Own)/1e6, float64(d.Up)/1e6, used)
}

// drainObu fills a store, starts the real binary on it without a network, and
// lets it through.
func drainObu(t *testing.T, obu string, seconds, rate int) drained {
	dir := t.TempDir()
	store := filepath.Join(dir, "store")
	want := fill(t, store, seconds)
	b := newMosquitto(t, settings{Plain: true, Deep: true})
	b.Start()
	c := consume(&consumer{t: t, url: b.URL(), unit: "u1"})
	c.subscribed()
	c.expect(want)
	link := (&wan{Delay: drainDelay, Rate: rate}).open(t, hostOf(b))
	link.down.Store(true)
	clips := filepath.Join(dir, "clips")
	if err := os.Mkdir(clips, 0o755); err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(dir, "obu.sock")
	conf := write(t, filepath.Join(dir, "obu.yaml"), "unit: u1", "vehicle: van", "fleet: f1", "dashcam: [{camera: front, dir: "+clips+"}]",
		"buffer: {dir: "+store+"}", "status: {socket: "+socket+"}", "uplink:", "  broker: "+link.URL(), "  username: u1", "  password: "+passwordOf("u1"),
		"  history_rate: unlimited", "  reconnect_max: 2s")
	p := launch(t, exec.Command(obu, "run", "-c", conf))
	if !await(time.Minute, func() bool { _, err := net.Dial("unix", socket); return err == nil }) {
		t.Fatalf("obu does not start:\n%s", p.said)
	}
	time.Sleep(time.Second)
	d := measured(t, p, link, func() bool { return c.account().Missing == 0 })
	a := c.account()
	if a.Missing > 0 || a.Wrong > 0 || a.Holes > 0 {
		t.Errorf("%+v", a)
	}
	c.mu.Lock()
	d.Messages = c.messages
	c.mu.Unlock()
	return d
}

// measured opens the link, waits for the end and says what it took.
func measured(t *testing.T, p *process, link *wan, done func() bool) drained {
	t.Helper()
	before := cpu(t, p)
	var own int64
	link.reset()
	link.down.Store(false)
	if !await(15*time.Minute, func() bool {
		if p.ended() {
			return true
		}
		own = max(own, memory(t, p, "RssAnon:"))
		return done()
	}) || p.ended() {
		t.Fatalf("no end of the drain:\n%s", p.said)
	}
	d := drained{CPU: cpu(t, p) - before, RSS: memory(t, p, "VmHWM:"), Own: own, Up: link.up.Load()}
	d.Wall = time.Duration(link.last.Load() - link.first.Load())
	return d
}

// fill stores a day of the track load and returns its content by name.
func fill(t *testing.T, dir string, seconds int) map[telemetry.Name]uint64 {
	t.Helper()
	clk := clock.Virtual()
	car := &car{t: t, clk: clk, want: make(map[telemetry.Name]uint64)}
	var err error
	if car.buf, err = buffer.Open(t.Context(), buffer.Options{Dir: dir, Unit: "u1", Vehicle: "van", Boot: clk.Boot(), Now: clk.Now}); err != nil {
		t.Fatal(err)
	}
	trip := newTrip(3)
	var entries []buffer.Entry
	for i := range seconds {
		entries = append(entries, buffer.Entry{Class: telemetry.ClassTelemetry, Content: trip.second()})
		if len(entries) == 1000 || i == seconds-1 {
			if _, err := car.buf.Commit(entries); err != nil {
				t.Fatal(err)
			}
			entries = entries[:0]
		}
	}
	car.note()
	if err := car.buf.Close(); err != nil {
		t.Fatal(err)
	}
	return car.want
}

// drainBridge does the same with a mosquitto on the unit that bridges to the
// broker, with a persistent session and an unlimited queue.
func drainBridge(t *testing.T, seconds, rate, window int) drained {
	b := newMosquitto(t, settings{Plain: true, Deep: true})
	b.Start()
	link := (&wan{Delay: drainDelay, Rate: rate}).open(t, hostOf(b))
	link.down.Store(true)
	port := freePort(t)
	dir := t.TempDir()
	conf := []string{"max_queued_messages 0", "max_queued_bytes 0", fmt.Sprintf("max_inflight_messages %d", window),
		"persistence true", "persistence_location " + dir + "/", "allow_anonymous true", fmt.Sprintf("listener %d 127.0.0.1", port),
		"connection cloud", "address " + link.Address(), "topic # out 1", "cleansession false", "remote_username cloud", "remote_password pw-cloud",
		"remote_clientid bridge", "restart_timeout 1", "notifications false", "try_private false"}
	if os.Geteuid() == 0 {
		conf = append([]string{"user root"}, conf...)
	}
	p := launch(t, exec.Command(need(t, "mosquitto", "mosquitto", "/usr/sbin/mosquitto"), "-c", write(t, filepath.Join(dir, "bridge.conf"), conf...)))
	p.listens(port)
	var got atomic.Int64
	s := visit(t, b, "counter", "cloud")
	if err := s.Subscribe(t.Context(), "track/#", func(string, []byte, bool) { got.Add(1) }); err != nil {
		t.Fatal(err)
	}
	load(t, "mqtt://"+loopback(port), seconds)
	d := measured(t, p, link, func() bool { return got.Load() >= int64(seconds) })
	d.Messages = got.Load()
	return d
}

// load gives a bridge the same values, one JSON message a second.
func load(t *testing.T, url string, seconds int) {
	t.Helper()
	s, err := uplink.Connect(t.Context(), uplink.SessionConfig{Broker: url, ClientID: "sensor"})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	trip := newTrip(3)
	var left sync.WaitGroup
	window := make(chan struct{}, 32)
	for range seconds {
		m := jsonSecond(trip.second())
		window <- struct{}{}
		left.Go(func() {
			defer func() { <-window }()
			if err := s.Publish(context.Background(), "track/u1", false, m); err != nil {
				t.Error(err)
			}
		})
	}
	left.Wait()
}

// jsonSecond is one second of samples as a plain JSON message.
func jsonSecond(c telemetry.Content) []byte {
	type point struct {
		T float64 `json:"t"`
		V float64 `json:"v"`
	}
	m := make(map[string]any)
	for _, s := range c.Samples {
		m[s.Signal.Name] = point{s.At.Seconds(), s.Value.Float()}
	}
	f := c.Fixes[0]
	m["fix"] = map[string]any{"t": f.At.Seconds(), "utc": f.UTC, "lat": f.LatDeg, "lon": f.LonDeg, "alt": f.AltM, "speed": f.SpeedMPS,
		"course": f.CourseDeg, "hdop": f.HDOP, "sats": f.Sats}
	b, _ := json.Marshal(m) // cannot fail: numbers and a time
	return b
}

// cpu is what a process has used so far, from /proc/PID/stat.
func cpu(t *testing.T, p *process) time.Duration {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	f := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:]))
	user, _ := strconv.ParseInt(f[11], 10, 64)
	system, _ := strconv.ParseInt(f[12], 10, 64)
	return time.Duration(user+system) * 10 * time.Millisecond // USER_HZ is 100 on every Linux
}

// memory is a line of /proc/PID/status in bytes: "VmHWM:" is the largest resident
// set so far, "RssAnon:" the anonymous part of it now.
func memory(t *testing.T, p *process, line string) int64 {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(b), line)
	f := strings.Fields(rest)
	if len(f) == 0 {
		return 0 // it has just ended
	}
	kb, _ := strconv.ParseInt(f[0], 10, 64)
	return kb << 10
}
