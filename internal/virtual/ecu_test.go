package virtual_test

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"time"

	"obu/can"
	"obu/can/obd"
	"obu/internal/clock"
	"obu/internal/virtual"
	"obu/telemetry"
)

// bench is a car with its ECUs on a bus, and the tester's end of it.
type bench struct {
	t   *testing.T
	car *virtual.Car
	bus can.Bus
}

func newBench(t *testing.T, o virtual.ECUOptions) *bench {
	t.Helper()
	clk := clock.Virtual()
	car := virtual.New(virtual.Config{Seed: 3, Clock: clk, Start: time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)})
	ecus, ours := can.Pair(clk)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- car.ServeECU(ctx, ecus, o) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("ServeECU: %v", err)
		}
	})
	return &bench{t, car, ours}
}

// send puts a frame on the bus; data is padded to eight bytes.
func (b *bench) send(id uint32, data ...byte) {
	b.t.Helper()
	f := can.Frame{ID: id, Extended: id > 0x7FF, Len: 8}
	copy(f.Data[:], data)
	if err := b.bus.Send(f); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) receive() can.Frame {
	b.t.Helper()
	f, err := b.bus.Receive()
	if err != nil {
		b.t.Fatal(err)
	}
	return f
}

// payload receives a single frame and returns what it carries.
func (b *bench) payload(from uint32) []byte {
	b.t.Helper()
	f := b.receive()
	if f.ID != from || f.Data[0]>>4 != 0 {
		b.t.Fatalf("frame %X % X, want a single frame of %X", f.ID, f.Data[:f.Len], from)
	}
	return f.Data[1 : 1+f.Data[0]]
}

// Every parameter the ECU announces is answered, is read by the decoder to
// the bit that was journalled, and nothing else is journalled.
func TestECUAnswersWhatItAnnounces(t *testing.T) {
	b := newBench(t, virtual.ECUOptions{})
	values := 0
	for base := 0; ; base += 0x20 {
		b.send(0x7DF, 2, 1, byte(base))
		p := b.payload(0x7E8)
		if p[0] != 0x41 || p[1] != byte(base) || len(p) != 6 {
			t.Fatalf("bitmap %02X: % X", base, p)
		}
		more := false
		obd.SupportedPIDs(byte(base), p[2:], func(pid byte) {
			if pid%0x20 == 0 {
				more = true
				return
			}
			b.send(0x7E0, 2, 1, pid)
			got, err := obd.Decode(nil, b.payload(0x7E8))
			if err != nil || len(got) < 1 {
				t.Fatalf("PID %02X: %v, %v", pid, got, err)
			}
			b.sync()
			for _, r := range got {
				said := b.car.Journal().Readings(virtual.SeriesKey{Signal: r.Signal.Name, Address: "7E8"})
				if len(said) != 1 || said[0].Value != r.Value || r.Quality != telemetry.QualityLive {
					t.Errorf("PID %02X: decoded %v of %s, journalled %v", pid, r.Value, r.Signal.Name, said)
				}
				values++
			}
		})
		if !more {
			break
		}
	}
	if n, _, _ := b.car.Journal().Counts(); n != values || values < 30 {
		t.Errorf("%d values journalled, %d answered", n, values)
	}
}

// sync waits until the ECU has finished with everything sent before: it
// journals after sending, and a request it does not know is not answered.
func (b *bench) sync() {
	b.t.Helper()
	b.send(0x7E0, 2, 0x3E, 0)
	if p := b.payload(0x7E8); !bytes.Equal(p, []byte{0x7F, 0x3E, 0x11}) {
		b.t.Fatalf("tester present: % X", p)
	}
}

func TestECUSendsVINAfterFlowControl(t *testing.T) {
	for name, extended := range map[string]bool{"11-bit": false, "29-bit": true} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, virtual.ECUOptions{Extended: extended})
			all, one, from, address := uint32(0x7DF), uint32(0x7E0), uint32(0x7E8), "7E8"
			if extended {
				all, one, from, address = 0x18DB33F1, 0x18DA10F1, 0x18DAF110, "18DAF110"
			}
			b.send(all, 2, 9, 2)
			f := b.receive()
			if f.ID != from || f.Data[0] != 0x10 || f.Data[1] != 20 {
				t.Fatalf("first frame %X % X", f.ID, f.Data[:8])
			}
			if n, _, _ := b.car.Journal().Counts(); n != 0 {
				t.Error("the VIN is journalled before it was sent")
			}
			got := append([]byte(nil), f.Data[2:8]...)
			b.send(one, 0x30, 1, 0) // one frame, please
			f = b.receive()
			if f.Data[0] != 0x21 {
				t.Fatalf("consecutive frame % X", f.Data[:8])
			}
			got = append(got, f.Data[1:8]...)
			b.send(one, 0x30, 0, 0xF1) // the rest
			f = b.receive()
			got = append(got, f.Data[1:8]...)
			want := append([]byte{0x49, 2, 1}, b.car.VIN...)
			if f.Data[0] != 0x22 || !bytes.Equal(got, want) {
				t.Errorf("got % X, want % X", got, want)
			}
			if !extended {
				b.sync()
				said := b.car.Journal().Readings(virtual.SeriesKey{Signal: "Vehicle.VehicleIdentification.VIN", Address: address})
				if len(said) != 1 || said[0].Value != telemetry.Text(b.car.VIN) {
					t.Errorf("journalled %v", said)
				}
			}
		})
	}
}

func TestTwoECUsAnswerASpeedRequest(t *testing.T) {
	b := newBench(t, virtual.ECUOptions{Gearbox: true})
	b.send(0x7DF, 2, 1, 0x0D)
	engine, gearbox := b.payload(0x7E8), b.payload(0x7E9)
	if engine[1] != 0x0D || !bytes.Equal(engine, gearbox) {
		t.Errorf("engine % X, gearbox % X", engine, gearbox)
	}
	b.send(0x7DF, 2, 1, 0xA4)
	got, err := obd.Decode(nil, b.payload(0x7E9))
	if err != nil || len(got) != 2 || got[1].Quality != telemetry.QualityUnsupported || got[0].Signal.Name != "Vehicle.Powertrain.Transmission.CurrentGear" {
		t.Errorf("gear: %v, %v", got, err)
	}
}

func TestOldECURefusesSeveralPIDs(t *testing.T) {
	b := newBench(t, virtual.ECUOptions{SinglePID: true})
	b.send(0x7E0, 3, 1, 0x0C, 0x0D)
	if p := b.payload(0x7E8); !bytes.Equal(p, []byte{0x7F, 1, 0x12}) {
		t.Errorf("answer % X", p)
	}
	b.send(0x7DF, 3, 1, 0x0C, 0x0D) // functional: silence
	b.send(0x7E0, 2, 1, 0x0C)
	if p := b.payload(0x7E8); p[0] != 0x41 || p[1] != 0x0C {
		t.Errorf("answer % X", p)
	}
}

func TestECUAnswersSeveralPIDsAtOnce(t *testing.T) {
	b := newBench(t, virtual.ECUOptions{})
	b.send(0x7E0, 3, 1, 0x0C, 0x0D)
	got, err := obd.Decode(nil, b.payload(0x7E8))
	if err != nil || len(got) != 2 {
		t.Fatalf("%v, %v", got, err)
	}
	b.sync()
	if n, _, _ := b.car.Journal().Counts(); n != 2 {
		t.Errorf("%d values journalled", n)
	}
}

// A car switched off is silent but still there: the agent's bus is not lost.
func TestECUIsSilentAfterSwitchOff(t *testing.T) {
	b := newBench(t, virtual.ECUOptions{})
	b.send(0x7E0, 2, 1, 0x0C)
	b.payload(0x7E8)
	b.sync()
	b.car.SwitchOff()
	b.send(0x7E0, 2, 1, 0x0C)
	if n, _, _ := b.car.Journal().Counts(); n != 1 {
		t.Errorf("%d values journalled", n)
	}
}

// TestFault: a code comes with lamp and freeze frame and goes again, but for the
// permanent list; the journal has what was said, and what changed.
func TestFault(t *testing.T) {
	b := newBench(t, virtual.ECUOptions{Faults: virtual.Faults{After: time.Nanosecond}})
	for _, c := range []struct {
		request []byte
		want    string
	}{
		{[]byte{1, 3}, "Vehicle.Diagnostics.DTCList=P0301"},
		{[]byte{1, 7}, "Vehicle.Obu.Diagnostics.PendingDTCList=P0301"},
		{[]byte{1, 0x0A}, "Vehicle.Obu.Diagnostics.PermanentDTCList=P0301"},
		{[]byte{3, 2, 2, 0}, "Vehicle.OBD.FreezeDTC=P0301"},
		{[]byte{3, 2, 0, 0}, "Vehicle.OBD.PidsA=02,04,05,0C,0D,11"},
		{[]byte{2, 9, 6}, "Vehicle.Obu.ECU.CVNs="},
	} {
		b.send(0x7E0, c.request...)
		got, err := obd.Decode(nil, b.payload(0x7E8))
		if err != nil || len(got) != 1 || !strings.HasPrefix(got[0].Signal.Name+"="+got[0].Value.String(), c.want) {
			t.Errorf("% X: %v, %v; want %s", c.request, got, err, c.want)
			continue
		}
		b.sync()
		key := virtual.SeriesKey{Signal: got[0].Signal.Name, Address: "7E8"}
		if c.request[1] == 2 {
			key.Address = "7E8/freeze"
		}
		if said := b.car.Journal().Readings(key); !bytes.Equal(c.request, []byte{3, 2, 0, 0}) && (len(said) != 1 || said[0].Value != got[0].Value) {
			t.Errorf("% X: journalled %v", c.request, said)
		}
	}
	b.send(0x7E0, 2, 1, 1)
	if p := b.payload(0x7E8); p[2] != 0x81 {
		t.Errorf("status % X", p)
	}
	b.send(0x7E0, 3, 2, 0x2F, 0)
	if p := b.payload(0x7E8); !bytes.Equal(p, []byte{0x7F, 2, 0x31}) {
		t.Errorf("a quantity that is not in the freeze frame: % X", p)
	}
}
