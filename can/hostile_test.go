package can_test

import (
	"context"
	"io"
	"math/rand/v2"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"obu/can"
	"obu/internal/clock"
	"obu/telemetry"
)

// heap returns the bytes of live objects.
func heap() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// hostileGrowth is what a hostile bus may make a Source keep between early and
// late, in bytes: tables that were not full yet, and what tests themselves do.
const hostileGrowth = 4 << 20

// hostileBus is a flood of every kind of frame that makes a receiver remember
// something: 10,000 identifiers, transfers that are begun and never finished,
// answers of ECUs that do not exist, error frames.
type hostileBus struct {
	rnd  *rand.Rand
	n    int
	at   telemetry.At
	look map[int]func()
}

func (h *hostileBus) Receive() (can.Frame, error) {
	if f := h.look[h.n]; f != nil {
		f()
	}
	if h.n == 400_000 {
		return can.Frame{}, io.EOF
	}
	h.n++
	h.at += telemetry.At(100 * time.Microsecond)
	f := can.Frame{At: h.at, Len: 8}
	for i := range 8 {
		f.Data[i] = byte(h.rnd.Uint32())
	}
	r := h.rnd.Uint32()
	switch h.n % 8 {
	case 0: // any identifier
		f.ID, f.Extended = r%10_000<<13|r>>19, true
	case 1: // any short one
		f.ID = r % 0x800
	case 2: // first frames of long answers, never finished
		f.ID, f.Extended = 0x18DAF100|r%256, true
		if r>>9&1 == 1 { // of an ECU that is asked by UDS
			f.ID, f.Extended = 0x7EC, false
		}
		copy(f.Data[:], []byte{0x1F, 0xFF, 0x62, 0x01, 0x01})
	case 3: // and consecutive ones of nothing
		f.ID = 0x7E8 + r%8
		f.Data[0] = 0x20 | byte(r>>8&0xF)
	case 4: // requests to send of J1939 transfers, to everybody and to anybody
		f.ID, f.Extended = 0x18EC0000|r%0x10000, true
		copy(f.Data[:], []byte{[]byte{0x20, 0x10}[r>>16&1], 0xF9, 0x06, 0xFF, 0xFF})
	case 5: // one group of many senders
		f.ID, f.Extended = 0x00F00400|r%256|r>>8%8<<26, true
	case 6: // answers that say something else each time
		f.ID, f.Extended = 0x18DAF100|r%256, true
		copy(f.Data[:], []byte{4, 0x41, byte(r >> 8), byte(r >> 16), byte(r >> 24)})
		switch r >> 6 & 3 {
		case 1: // of the one that is asked by UDS, values and trouble codes
			f.ID, f.Extended = 0x7EC, false
			copy(f.Data[:], []byte{7, 0x62, 0x01, byte(r >> 8 & 1)})
		case 2:
			f.ID, f.Extended = 0x7EC, false
			copy(f.Data[:], []byte{7, 0x59, 0x02, 0xFF})
		}
	default:
		f.ID, f.Error = 1<<(r%10), true
	}
	return f, nil
}
func (h *hostileBus) Send(can.Frame) error { return can.ErrReceiveOnly }
func (h *hostileBus) ReceiveOnly() bool    { return true }
func (h *hostileBus) Drops() uint64        { return uint64(h.n / 100) }
func (h *hostileBus) Close() error         { return nil }

// TestHostileBusBoundsMemory reads 400,000 hostile frames as OBD, UDS, J1939 and
// by database at once: late in the flood no more is kept than early, and losses
// are summed up.
func TestHostileBusBoundsMemory(t *testing.T) {
	var early, late int64
	bus := &hostileBus{rnd: rand.New(rand.NewPCG(1, 2))}
	bus.look = map[int]func(){100_000: func() { early = heap() }, 399_999: func() { late = heap() }}
	gaps, samples := 0, 0
	cfg := can.Config{
		Name: "can0", Clock: clock.Virtual(), OBD: &can.OBDConfig{}, J1939: &can.J1939Config{}, UDS: []can.ECU{bms(soc(time.Second))},
		Dial:      func(context.Context) (can.Bus, error) { return bus, nil },
		Databases: databases(t, engineDBC, "BO_ 2364540158 EEC1: 8 X\n SG_ Speed : 24|16@1+ (0.125,0) [0|0] \"rpm\" X\nBO_ 2028 Battery: 62 X\n SG_ Charge : 64|8@1+ (0.5,0) [0|0] \"%\" X\n"),
		Emit:      func(s []telemetry.Sample) { samples += len(s) },
		Lost:      func(telemetry.Gap) { gaps++ },
	}
	src, err := can.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := src.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if grown := late - early; grown > hostileGrowth {
		t.Errorf("%d bytes more after 400,000 hostile frames than after 100,000", grown)
	}
	st := src.Stats()
	if most := 42 * 64; gaps > most || gaps == 0 {
		t.Errorf("%d gaps in 40 seconds", gaps)
	}
	if st.Frames != 400_000 || samples == 0 || st.ErrorFrames != 50_000 || st.Transfers["aborted"] == 0 || st.Transfers["crowded"] == 0 || st.Transfers["j1939-unfinished"]+st.Transfers["j1939-timeout"]+st.Transfers["j1939-aborted"]+st.Transfers["j1939-crowded"] == 0 {
		t.Errorf("%+v", st)
	}
	t.Logf("%d bytes live early, %d late; %d gaps, transfers %v", early, late, gaps, st.Transfers)
}

// TestHostileECUs answers each request with whatever makes the poller wait,
// remember or send: 264 ECUs, half of them "response pending" for ever, first
// frames that want flow control, refusals.
func TestHostileECUs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rnd := rand.New(rand.NewPCG(3, 4))
		e := &ecu{response: 0x7E8}
		e.answer = func(service, pid byte) [][]byte {
			for i := range uint32(264) {
				f := can.Frame{ID: 0x18DAF100 | i, Extended: true, Len: 8}
				if i >= 256 {
					f.ID, f.Extended = 0x7E8+i-256, false
				}
				switch rnd.Uint32() % 4 {
				case 0:
					copy(f.Data[:], []byte{3, 0x7F, service, 0x78})
				case 1:
					copy(f.Data[:], []byte{0x1F, 0xFF, service + 0x40, pid, 1, 2, 3, 4})
				case 2:
					copy(f.Data[:], []byte{3, 0x7F, service, byte(rnd.Uint32())})
				default:
					copy(f.Data[:], []byte{6, service + 0x40, pid, byte(rnd.Uint32()), 0xFF, 0xFF, 0xFF})
				}
				e.bus.Send(f)
				if i%64 == 63 {
					time.Sleep(time.Millisecond) // as fast as a bus is
				}
			}
			return nil
		}
		var early, late int64
		const span = 20 * time.Minute
		out, st := drive(t, e, nil0(), span, func(*can.Source) {
			go func() { // nobody wants the flow control
				for over := time.After(span); ; {
					select {
					case <-e.fc:
					case <-over:
						return
					}
				}
			}()
			time.Sleep(5 * time.Minute)
			early = heap()
			time.Sleep(14 * time.Minute)
			late = heap()
		})
		requests := len(e.transmitted())
		if st.Forbidden != 0 || st.Requests == 0 || uint64(requests) != st.Requests+st.FlowControls {
			t.Errorf("%d frames transmitted, %+v", requests, st)
		}
		for _, f := range e.transmitted() {
			if !can.AllowedRequest(&f) && !can.AllowedFlow(&f) {
				t.Fatalf("transmitted %v", f)
			}
		}
		if limit := uint64(span / time.Second * can.MaxRequestRate); st.Requests > limit {
			t.Errorf("%d requests in %v", st.Requests, span)
		}
		if grown := late - early; grown > hostileGrowth { // what the test keeps of samples and gaps included
			t.Errorf("%d bytes more after 19 minutes than after 5", grown)
		}
		t.Logf("%d requests, %d flow controls; %d bytes live early, %d late; %d gaps", st.Requests, st.FlowControls, early, late, len(out.gaps))
	})
}
