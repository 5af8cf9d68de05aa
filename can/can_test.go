package can_test

import (
	"context"
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"obu/can"
	"obu/internal/clock"
	"obu/telemetry"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// sink keeps what a Source says.
type sink struct {
	mu      sync.Mutex
	samples []telemetry.Sample
	events  []telemetry.Sample
	gaps    []telemetry.Gap
}

func (s *sink) config(clk *clock.Clock, bus can.Bus, o *can.OBDConfig) can.Config {
	return can.Config{
		Name: "can0", Clock: clk, OBD: o,
		Dial:  func(context.Context) (can.Bus, error) { return bus, nil },
		Emit:  func(x []telemetry.Sample) { s.mu.Lock(); defer s.mu.Unlock(); s.samples = append(s.samples, x...) },
		Event: func(x []telemetry.Sample) { s.mu.Lock(); defer s.mu.Unlock(); s.events = append(s.events, x...) },
		Lost:  func(g telemetry.Gap) { s.mu.Lock(); defer s.mu.Unlock(); s.gaps = append(s.gaps, g) },
	}
}

func (s *sink) count(signal string, q telemetry.Quality) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, x := range s.samples {
		if x.Signal.Name == signal && x.Quality == q {
			n++
		}
	}
	return n
}

// drive runs a Source against an ecu for a while of virtual time.
func drive(t *testing.T, e *ecu, o *can.OBDConfig, d time.Duration, during func(*can.Source)) (*sink, can.Stats) {
	t.Helper()
	return driveLogged(t, e, o, d, io.Discard, during)
}

// driveLogged is drive with what is said to the technician.
func driveLogged(t *testing.T, e *ecu, o *can.OBDConfig, d time.Duration, log io.Writer, during func(*can.Source)) (*sink, can.Stats) {
	t.Helper()
	clk := clock.Virtual()
	agent, car := can.Pair(clk)
	e.bus = car
	e.run()
	out := &sink{}
	cfg := out.config(clk, agent, o)
	cfg.Log = slog.New(slog.NewTextHandler(log, nil))
	src, err := can.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), d)
	defer cancel()
	var watching sync.WaitGroup
	if during != nil {
		watching.Go(func() { during(src) })
	}
	if err := src.Run(ctx); err != nil {
		t.Errorf("Run: %v", err)
	}
	watching.Wait()
	e.wg.Wait()
	return out, src.Stats()
}

// driveOn runs a Source against what car does with the other end of its bus.
func driveOn(t *testing.T, o *can.OBDConfig, d time.Duration, car func(bus can.Bus, now func() telemetry.At)) (*sink, can.Stats) {
	t.Helper()
	clk := clock.Virtual()
	agent, end := can.Pair(clk)
	var driving sync.WaitGroup
	driving.Go(func() { car(end, clk.Now) })
	out := &sink{}
	src, err := can.New(out.config(clk, agent, o))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), d)
	defer cancel()
	if err := src.Run(ctx); err != nil {
		t.Errorf("Run: %v", err)
	}
	driving.Wait()
	return out, src.Stats()
}

// logText keeps log lines. A handler calls it under its own lock.
type logText struct{ strings.Builder }

func engine() *ecu {
	return &ecu{response: 0x7E8, answers: map[[2]byte][]byte{
		{1, 0x0C}: {0x1A, 0xF8},
		{1, 0x0D}: {0x4A},
		{1, 0x42}: {0x38, 0x00},
		{9, 0x02}: append([]byte{1}, "WVWZZZ1JZXW000001"...),
	}}
}

func TestPollingReadsTheCar(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out, st := drive(t, engine(), &can.OBDConfig{Polls: []can.Poll{
			{PID: 0x0C, Every: time.Second}, {PID: 0x0D, Every: time.Second}, {PID: 0x05, Every: time.Second},
		}}, 11500*time.Millisecond, nil)
		if n := out.count("Vehicle.Speed", telemetry.QualityLive); n != 11 {
			t.Errorf("%d speeds in 10.5 s at 1 Hz", n)
		}
		if n := out.count("Vehicle.Powertrain.CombustionEngine.EngineCoolant.Temperature", telemetry.QualityUnsupported); n != 1 {
			t.Errorf("unsupported PID was reported %d times, want once", n)
		}
		if len(out.events) != 1 || out.events[0].Value != telemetry.Text("WVWZZZ1JZXW000001") {
			t.Errorf("events %v, want the VIN", out.events)
		}
		for _, s := range out.samples[1:] {
			if want := (telemetry.Source{Bus: "can0", Address: "7E8", Method: "obd"}); s.Source != want {
				t.Fatalf("source %v, want %v", s.Source, want)
			}
		}
		if len(out.gaps) != 0 || st.FlowControls != 1 || st.Timeouts != 0 || st.Forbidden != 0 {
			t.Errorf("gaps %v, stats %+v", out.gaps, st)
		}
	})
}
