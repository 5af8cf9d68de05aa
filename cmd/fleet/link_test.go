package main

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"obu/buffer"
	"obu/internal/agent"
	"obu/internal/clock"
	"obu/internal/config"
	"obu/telemetry"
	"obu/uplink"
	"obu/uplink/brokertest"
)

// linkCase is one row of docs/benchmarks.md, Live first.
type linkCase struct {
	name  string
	load  string // what the car does
	day   bool   // 24 h of that load wait
	media int    // chunks of 256 KiB that wait
	rate  int    // bytes/s of the link
}

// TestLinkFigures measures live first with every part real: the agent with its
// store, 24 h of backlog in it, mosquitto, and a link of 1 or 2 Mbit/s with a
// round trip of 100 ms. It prints the rows of docs/benchmarks.md and holds the
// goals with a margin for a busy machine.
func TestLinkFigures(t *testing.T) {
	if os.Getenv("OBU_LINK") == "" {
		t.Skip("the figures of live first take some minutes: make link")
	}
	fmt.Println("| case | backlog | newest after CONNACK | live p50 | live p99 | link used | took |\n|---|---|---|---|---|---|---|")
	for _, c := range []linkCase{
		{"track, 24 h", loadTrack, true, 0, 125_000},
		{"city, 24 h", loadCity, true, 0, 125_000},
		{"track, media upload", loadTrack, false, 40, 250_000},
	} {
		t.Run(c.name, func(t *testing.T) { c.measure(t) })
	}
}

const linkDay = 86_400 // one-second batches

func (c linkCase) measure(t *testing.T) {
	dir := t.TempDir()
	o := options{Cars: 1, Load: c.load, Live: time.Second, Custody: custodyPuback}
	it := newCar(1, &o, dir)
	for _, d := range []string{filepath.Join(dir, "store"), it.clips} {
		if d != "" {
			if err := os.MkdirAll(d, 0o755); err != nil {
				t.Fatal(err)
			}
		}
	}
	old := c.fill(t, it.unit, filepath.Join(dir, "store"))
	link, err := brokertest.NewProxy(linkBroker(t), brokertest.Link{Up: c.rate, Down: c.rate, Delay: 50 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	defer link.Close()
	link.Cut()
	w := &linkWatch{clk: it.clk, old: old, want: linkDay, link: link, done: make(chan struct{})}
	if !c.day {
		w.want = c.media << 18
	}
	watch, err := uplink.Connect(t.Context(), uplink.SessionConfig{Broker: "mqtt://" + link.Target(), ClientID: "watch"})
	if err != nil {
		t.Fatal(err)
	}
	defer watch.Close()
	if err := watch.Subscribe(t.Context(), "obu/v1/link/#", func(_ string, p []byte, _ bool) { w.take(p) }); err != nil {
		t.Fatal(err)
	}
	cfg := agentConfig(it, &o, "link", "mqtt://"+link.Addr, filepath.Join(dir, "store"))
	cfg.Uplink.HistoryRate, cfg.Uplink.ReconnectMax = config.Unlimited, config.Duration(2*time.Second)
	a, err := agent.New(cfg, agent.Deps{Devices: it.devices(), Clock: it.clk, Version: "fleet"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { _ = it.drive(ctx) })
	wg.Go(func() { it.serve(ctx) })
	wg.Go(func() {
		if err := a.Run(ctx); err != nil {
			t.Errorf("agent: %v", err)
		}
	})
	time.Sleep(10 * time.Second) // the car drives without a network
	link.Restore()
	select {
	case <-w.done:
	case <-time.After(10 * time.Minute):
		t.Errorf("not drained within 10 min: %d of %d", w.got, w.want)
	}
	stop()
	wg.Wait()
	w.report(t, c)
}

// fill puts the backlog of an earlier run into the store and returns its boot.
func (c linkCase) fill(t *testing.T, unit, dir string) telemetry.BootID {
	began := time.Now()
	boot := clock.Virtual().Boot()
	now := telemetry.At(0)
	b, err := buffer.Open(t.Context(), buffer.Options{Dir: dir, Unit: unit, Vehicle: "car-" + unit, Boot: boot, Simulated: true,
		Now: func() telemetry.At { return now }})
	if err != nil {
		t.Fatal(err)
	}
	var entries []buffer.Entry
	add := func(e buffer.Entry, most int) {
		if e.Content.Values() > 0 {
			entries = append(entries, e)
		}
		if len(entries) >= most {
			if _, err := b.Commit(entries); err != nil {
				t.Fatal(err)
			}
			entries = nil
		}
	}
	if c.day {
		day := newDay(c.load)
		for range linkDay {
			now = now.Add(time.Second)
			add(buffer.Entry{Class: telemetry.ClassTelemetry, Content: day.second(now)}, 600)
		}
	}
	rng := rand.NewChaCha8([32]byte{1})
	for i := range c.media {
		data := make([]byte, 256<<10)
		_, _ = rng.Read(data)
		if _, err := b.CommitChunk("old", telemetry.Chunk{Clip: telemetry.ClipID{1}, Offset: int64(i) << 18, Data: data}); err != nil {
			t.Fatal(err)
		}
	}
	if len(entries) > 0 {
		if _, err := b.Commit(entries); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	t.Logf("store filled in %v", time.Since(began).Round(time.Second))
	return boot
}

// day makes seconds of a drive: quantities that wander a step or two at a time,
// as often as the load has them.
type day struct {
	rng  *rand.Rand
	sigs []*telemetry.Signal
	hz   []int
	at   []int64 // in steps
	lat  int64   // in 1e-7 degrees
}

func newDay(load string) *day {
	d := &day{rng: rand.New(rand.NewPCG(4, 2)), lat: 500000000}
	names := []string{"Vehicle.OBD.EngineLoad", "Vehicle.Powertrain.CombustionEngine.EngineCoolant.Temperature",
		"Vehicle.Powertrain.CombustionEngine.Speed", "Vehicle.Speed", "Vehicle.OBD.TimingAdvance", "Vehicle.OBD.IntakeTemp",
		"Vehicle.OBD.MAF", "Vehicle.OBD.ThrottlePosition", "Vehicle.OBD.FuelLevel", "Vehicle.OBD.ControlModuleVoltage"}
	if load == loadCity { // 40 signals, 235 samples a second: the rates of internal/virtual
		for _, name := range []string{"ShortTermFuelTrim1", "LongTermFuelTrim1", "ShortTermFuelTrim2", "LongTermFuelTrim2", "FuelPressure",
			"O2.Sensor2.Voltage", "O2.Sensor2.ShortTermFuelTrim", "RunTime", "DistanceWithMIL", "CommandedEVAP", "DistanceSinceDTCClear",
			"BarometricPressure", "O2WR.Sensor1.Lambda", "O2WR.Sensor1.Current", "Catalyst.Bank1.Temperature1", "Catalyst.Bank2.Temperature1",
			"Catalyst.Bank1.Temperature2", "Catalyst.Bank2.Temperature2", "AbsoluteLoad", "CommandedEquivalenceRatio", "RelativeThrottlePosition",
			"AcceleratorPositionD", "RunTimeMIL", "TimeSinceDTCCleared", "EthanolPercent", "EVAPVaporPressureAbsolute",
			"RelativeAcceleratorPosition", "HybridBatteryRemaining", "FuelRate"} {
			names = append(names, "Vehicle.OBD."+name)
		}
		names = append(names, "Vehicle.Exterior.AirTemperature")
	}
	for i, name := range names {
		s, _ := telemetry.Lookup(name)
		hz := 1
		if load == loadCity {
			switch {
			case i < 16:
				hz = 10
			case i < 27:
				hz = 5
			case i < 34:
				hz = 2
			}
		}
		d.sigs, d.hz, d.at = append(d.sigs, s), append(d.hz, hz), append(d.at, 100)
	}
	return d
}

func (d *day) second(now telemetry.At) telemetry.Content {
	var c telemetry.Content
	for i, s := range d.sigs {
		for k := range d.hz[i] {
			d.at[i] = max(0, d.at[i]+d.rng.Int64N(5)-2)
			at := now.Add(time.Duration(k)*time.Second/time.Duration(d.hz[i]) - time.Second + time.Duration(d.rng.IntN(8))*time.Millisecond)
			c.Samples = append(c.Samples, telemetry.Sample{At: at, Signal: s, Source: telemetry.Source{Bus: "can0", Address: "7E8", Method: "obd"},
				Value: telemetry.Float(s.Step.Value(d.at[i]))})
		}
	}
	d.lat += d.rng.Int64N(2400)
	f := telemetry.NoFix()
	f.At, f.Receiver, f.Mode, f.Valid, f.Quality, f.Sats = now, "gps", telemetry.Mode3D, true, 1, 9
	f.LatDeg, f.LonDeg, f.AltM = float64(d.lat)/1e7, 8+float64(d.rng.Int64N(2400))/1e7, 120+math.Floor(10*d.rng.Float64())/10
	f.SpeedMPS, f.CourseDeg, f.HDOP = 12.5, 45, 0.9
	c.Fixes = append(c.Fixes, f)
	return c
}

// linkWatch is what the receiver sees.
type linkWatch struct {
	clk  *clock.Clock
	old  telemetry.BootID
	want int // batches of history, or bytes of media
	link *brokertest.Proxy
	done chan struct{}

	mu     sync.Mutex
	got    int
	seen   map[uint64]bool
	first  time.Time
	end    time.Time
	up     int64 // bytes that crossed the link until then
	lags   []time.Duration
	oldest bool // history came before the newest state
}

func (w *linkWatch) take(payload []byte) {
	now, at := time.Now(), w.clk.Now()
	e, err := telemetry.DecodeEnvelope(payload)
	if err != nil {
		return // birth, link
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.seen == nil {
		w.seen = make(map[uint64]bool)
	}
	var newest telemetry.At
	for i := range e.Batches {
		b := &e.Batches[i]
		switch {
		case e.Class == telemetry.ClassMedia:
			for _, ch := range b.Chunks {
				w.got += len(ch.Data)
			}
		case e.Class == telemetry.ClassTelemetry && e.Boot == w.old:
			w.oldest = w.oldest || w.first.IsZero()
			if !w.seen[b.Seq] {
				w.seen[b.Seq] = true
				if w.want == linkDay {
					w.got++
				}
			}
		case e.Class == telemetry.ClassTelemetry && !e.History && w.end.IsZero():
			if w.first.IsZero() {
				w.first = now
			}
			newest = max(newest, newestOf(b))
		}
	}
	if newest > 0 { // how old the state is that this message brings
		w.lags = append(w.lags, at.Sub(newest))
	}
	if w.got >= w.want && w.end.IsZero() {
		w.end = now
		w.up, _ = w.link.Bytes()
		close(w.done)
	}
}

func newestOf(b *telemetry.Batch) (at telemetry.At) {
	for i := range b.Samples {
		at = max(at, b.Samples[i].At)
	}
	for i := range b.Fixes {
		at = max(at, b.Fixes[i].At)
	}
	return at
}

func (w *linkWatch) report(t *testing.T, c linkCase) {
	w.mu.Lock()
	defer w.mu.Unlock()
	answers := w.link.Answers()
	if len(answers) == 0 || w.first.IsZero() || w.end.IsZero() || len(w.lags) == 0 {
		t.Fatalf("%d connects, %d live, %d of %d", len(answers), len(w.lags), w.got, w.want)
	}
	connack := answers[len(answers)-1]
	newest, took := w.first.Sub(connack), w.end.Sub(connack)
	slices.Sort(w.lags)
	p50, p99 := w.lags[len(w.lags)/2], w.lags[len(w.lags)*99/100]
	used := float64(w.up) / (float64(c.rate) * took.Seconds())
	backlog := fmt.Sprintf("%d batches", w.want)
	if !c.day {
		backlog = fmt.Sprintf("%.0f MB of clips", float64(w.want)/1e6)
	}
	fmt.Printf("| %s | %s | %.2f s | %.2f s | %.2f s | %.1f %% of %d kbit/s | %.0f s |\n", c.name, backlog, newest.Seconds(), p50.Seconds(), p99.Seconds(),
		100*used, c.rate*8/1000, took.Seconds())
	if w.oldest {
		t.Error("history came before the newest state")
	}
	limit := 3 * time.Second
	if !c.day {
		limit = 2 * time.Second
	}
	if newest > 2*time.Second || p99 > limit || used < 0.90 {
		t.Errorf("goals: newest within 2 s of CONNACK, live p99 below %v, link used to 90 %%", limit)
	}
}

// linkBroker starts mosquitto and returns its host:port.
func linkBroker(t *testing.T) string {
	const path = "/usr/sbin/mosquitto"
	if _, err := os.Stat(path); err != nil {
		t.Skipf("no %s: the figures need a real broker (apt-get install mosquitto)", path)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address, port := l.Addr().String(), l.Addr().(*net.TCPAddr).Port
	l.Close()
	conf := filepath.Join(t.TempDir(), "mosquitto.conf")
	text := fmt.Sprintf("listener %d 127.0.0.1\nallow_anonymous true\nmax_queued_messages 0\n", port)
	if os.Geteuid() == 0 {
		text += "user root\n"
	}
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, "-c", conf)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	for range 200 {
		if c, err := net.Dial("tcp", address); err == nil {
			c.Close()
			return address
		}
		time.Sleep(25 * time.Millisecond)
	}
	t.Fatal("mosquitto does not listen")
	return ""
}
