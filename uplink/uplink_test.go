package uplink_test

import (
	"context"
	"fmt"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"obu/internal/clock"
	"obu/telemetry"
	"obu/uplink"
	"obu/uplink/brokertest"
)

func TestMain(m *testing.M) {
	// The compressor's pool is made on first use; made inside a bubble it could
	// not be used by the next one.
	warm := telemetry.Batch{Unit: "u"}
	sig, _ := telemetry.Lookup("Vehicle.VehicleIdentification.VIN")
	for i := range 1000 {
		warm.Samples = append(warm.Samples, telemetry.Sample{At: telemetry.At(i) * 1e9, Signal: sig, Value: telemetry.Text(fmt.Sprint("WVWZZZ1KZ7W", i*i*7919))})
	}
	blob, err := telemetry.EncodeBatch(&warm)
	if err == nil {
		_, err = telemetry.DecodeBatch(telemetry.Name{}, blob)
	}
	if err != nil {
		panic(err)
	}
	goleak.VerifyTestMain(m)
}

// rig is one unit, its backlog and its broker inside a bubble.
type rig struct {
	*testing.T
	clk    *clock.Clock
	m      *model
	b      *brokertest.Broker
	r      *receiver
	u      *uplink.Uplink
	cancel context.CancelFunc
	ended  chan error
}

// newRig builds a rig; start runs it.
func newRig(t *testing.T, edit func(*uplink.Config)) *rig {
	g := &rig{T: t, clk: clock.Virtual(), b: brokertest.New(), ended: make(chan error, 1)}
	g.m = newModel(g.clk)
	g.r = listen(t, g.b, g.clk)
	c := config(g.clk, g.m, g.b)
	c.Log = slog.New(slog.NewTextHandler(testWriter{t}, nil))
	if edit != nil {
		edit(&c)
	}
	u, err := uplink.New(c)
	if err != nil {
		t.Fatal(err)
	}
	g.u = u
	return g
}

func (g *rig) start() *rig {
	ctx, cancel := context.WithCancel(context.Background())
	g.cancel = cancel
	go func() { g.ended <- g.u.Run(ctx) }()
	return g
}

// commit stores n batches of one sample each, one second apart.
func (g *rig) drive(n int) []telemetry.Name {
	var names []telemetry.Name
	for i := range n {
		names = append(names, g.m.commit(telemetry.ClassTelemetry, g.m.speed(float64(i%200)))...)
		g.u.Notify()
		time.Sleep(time.Second)
	}
	return names
}

func (g *rig) stop() {
	g.cancel()
	if err := <-g.ended; err != nil {
		g.Errorf("Run returned %v", err)
	}
	g.b.Close()
}

type testWriter struct{ t *testing.T }

func (w testWriter) Write(p []byte) (int, error) {
	if testing.Verbose() {
		w.t.Log(string(p))
	}
	return len(p), nil
}

func TestDeliversInOrderAndAcks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, nil).start()
		names := g.drive(20)
		if lost := g.r.missing(names); len(lost) > 0 {
			t.Errorf("not delivered: %s", span(lost))
		}
		if held := g.m.held(telemetry.ClassTelemetry); held != 0 {
			t.Errorf("%d batches not acknowledged to the backlog", held)
		}
		last := uint64(0)
		for _, a := range g.r.arrivals(telemetry.ClassTelemetry) {
			if a.history || a.Seq != last+1 {
				t.Errorf("seq %d after %d, history %v", a.Seq, last, a.history)
			}
			last = a.Seq
			if a.lag > 100*time.Millisecond {
				t.Errorf("seq %d arrived %v after its sample", a.Seq, a.lag)
			}
		}
		g.stop()
		link, _ := g.b.Retained("obu/v1/f1/u1/link")
		t.Logf("link %s", link.Payload)
		birth, _ := g.b.Retained("obu/v1/f1/u1/birth")
		if string(birth.Payload) != `{"agent":"test"}` {
			t.Errorf("birth %s", birth.Payload)
		}
		t.Logf("%+v", g.u.Stats())
	})
}
