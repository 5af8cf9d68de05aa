package can_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"obu/can"
	"obu/can/isotp"
	"obu/can/obd"
	"obu/internal/clock"
	"obu/telemetry"
)

// belated is a bus whose first frames reach the agent long after they were
// received, as when the unit was held up.
type belated struct {
	can.Bus
	by time.Duration
}

func (b belated) Receive() (can.Frame, error) {
	f, err := b.Bus.Receive()
	if f.Data[0]>>4 == 1 {
		time.Sleep(b.by)
	}
	return f, err
}

// TestLateFirstFrameIsNotAnswered: an ECU that has stopped to wait for flow
// control must not get one out of the blue.
func TestLateFirstFrameIsNotAnswered(t *testing.T) {
	for by, want := range map[time.Duration]uint64{isotp.MaxBr - time.Millisecond: 1, isotp.MaxBr: 0} {
		synctest.Test(t, func(t *testing.T) {
			clk := clock.Virtual()
			agent, car := can.Pair(clk)
			e := engine()
			e.bus = car
			e.answer = func(service, pid byte) [][]byte { // the VIN is put off: its request stays open
				if service == obd.ServiceVehicle {
					e.SendFrame([]byte{3, 0x7F, service, 0x78})
					time.Sleep(100 * time.Millisecond)
					return [][]byte{[]byte("\x49\x02\x01WVWZZZ1KZ9W000001")}
				}
				return map[byte][][]byte{0: {{0x41, 0, 0, 8, 0, 0}}, 0x0D: {{0x41, 0x0D, 0x4A}}}[pid]
			}
			e.run()
			out := &sink{}
			src, err := can.New(out.config(clk, belated{agent, by}, speedAndVIN()))
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
			defer cancel()
			if err := src.Run(ctx); err != nil {
				t.Fatal(err)
			}
			e.wg.Wait()
			if st := src.Stats(); st.FlowControls != want || uint64(len(out.events)) != want {
				t.Errorf("late by %v: %d flow controls, %d events, want %d", by, st.FlowControls, len(out.events), want)
			}
		})
	}
}

func speedAndVIN() *can.OBDConfig {
	return &can.OBDConfig{Polls: []can.Poll{{PID: 0x0D, Every: time.Second}}}
}

// TestECUsAnswerAtOnce: four ECUs answer one functional request with several
// frames each, turn and turn about. Each gets one flow control, on its own
// identifier; an ECU that speaks to somebody else gets none.
func TestECUsAnswerAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		clk := clock.Virtual()
		agent, car := can.Pair(clk)
		e := engine()
		e.bus = car
		var others []*ecu
		for id := uint32(0x7E9); id <= 0x7EB; id++ {
			others = append(others, &ecu{bus: car, response: id, fc: make(chan isotp.FlowControl, 1)})
		}
		name := func(id uint32) []byte { return fmt.Appendf([]byte{0x49, 0x0A, 1}, "ECU%X-%013d", id, id) }
		e.answer = func(service, pid byte) [][]byte {
			switch {
			case service == obd.ServiceCurrent && pid == 0:
				return [][]byte{{0x41, 0, 0, 0x08, 0, 0}}
			case service == obd.ServiceCurrent:
				return [][]byte{{0x41, pid, 0x4A}}
			case service == obd.ServiceVehicle && pid == 0:
				for _, o := range others {
					if err := o.SendFrame([]byte{6, 0x49, 0, 0, 0x40, 0, 0}); err != nil {
						t.Error(err)
					}
				}
				return [][]byte{{0x49, 0, 0, 0x40, 0, 0}} // 0A
			case service != obd.ServiceVehicle || pid != 0x0A:
				return nil
			}
			// What somebody else is told must not be mistaken for an answer.
			stranger := ecu{bus: car, response: 0x7EF}
			if err := stranger.SendFrame([]byte{0x10, 20, 0x62, 0xF1, 0x90, 1, 2, 3}); err != nil {
				t.Error(err)
			}
			for _, o := range others {
				e.wg.Go(func() {
					s := isotp.Sender{Conn: spaced{o}, Padding: 0xAA}
					if err := s.Send(name(o.response)); err != nil {
						t.Errorf("%X: %v", o.response, err)
					}
				})
			}
			time.Sleep(time.Millisecond)
			return [][]byte{name(e.response)}
		}
		e.hear = func(f can.Frame) {
			for _, o := range others {
				if fc, ok := isotp.ParseFlowControl(f.Data[:f.Len]); ok && f.ID == o.response-8 {
					o.fc <- fc
				}
			}
		}
		e.run()
		out := &sink{}
		o := speedAndVIN()
		o.SkipVIN, o.Info = true, true
		src, err := can.New(out.config(clk, agent, o))
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := src.Run(ctx); err != nil {
			t.Fatal(err)
		}
		e.wg.Wait()
		flows := map[uint32]int{}
		asked := 0
		for _, f := range e.transmitted() {
			switch {
			case f.Data[0]>>4 == 3:
				flows[f.ID]++
			case f.Data[1] == obd.ServiceVehicle && f.Data[2] == 0x0A:
				asked++
			}
		}
		if asked != 1 || fmt.Sprint(flows) != "map[2016:1 2017:1 2018:1 2019:1]" {
			t.Errorf("asked %d times, flow control by identifier: %v", asked, flows)
		}
		said := map[string]telemetry.Value{}
		for _, s := range out.events {
			said[s.Source.Address] = s.Value
		}
		for id := uint32(0x7E8); id <= 0x7EB; id++ {
			if want := telemetry.Text(string(name(id)[3:])); said[fmt.Sprintf("%X", id)] != want {
				t.Errorf("%X is %v, want %v", id, said[fmt.Sprintf("%X", id)], want)
			}
		}
		if len(said) != 4 {
			t.Errorf("names of %v", said)
		}
	})
}

// spaced sends every frame of an ECU a millisecond after the one before, so
// that those of several take turns.
type spaced struct{ *ecu }

func (s spaced) SendFrame(data []byte) error {
	time.Sleep(time.Millisecond)
	return s.ecu.SendFrame(data)
}

// TestOverheardFD: answers in CAN FD frames, whole and in transfers above 4,095
// bytes, are read like others, and so is a message that no CAN FD frame holds.
func TestOverheardFD(t *testing.T) {
	rec := &recordedSender{id: 0x7E8}
	for _, payload := range [][]byte{
		append([]byte{0x49, 2, 1}, "WVWZZZ1JZXW000001"...),
		{0x41, 0x0D, 0x4A},
	} {
		if err := (&isotp.Sender{Conn: rec, TXDL: 16, Padding: 0xCC}).Send(payload); err != nil {
			t.Fatal(err)
		}
	}
	rec.id = 0x7EC
	long := make([]byte, 5000)
	long[0], long[1], long[2], long[4998] = 0x62, 1, 1, 0x64
	if err := (&isotp.Sender{Conn: rec, TXDL: 64, Padding: 0xCC}).Send(long); err != nil {
		t.Fatal(err)
	}
	rec.id = 0x123 // one frame, although the file has forgotten to say CAN FD
	if err := rec.SendFrame(append(make([]byte, 11), 7)); err != nil {
		t.Fatal(err)
	}
	// Bits count from the length byte in front of the payload.
	all := databases(t, "BO_ 2028 Battery: 4095 X\n SG_ Service : 8|8@1+ (1,0) [0|0] \"\" X\n",
		"BO_ 291 Wheel: 12 X\n SG_ Turns : 88|8@1+ (1,0) [0|0] \"\" X\n")
	var got []string
	st, err := can.Decode(strings.NewReader(rec.log.String()), can.DecodeOptions{OBD: true, Databases: all}, func(r can.Record) error {
		got = append(got, fmt.Sprintf("%s %s %s", r.Source, r.Signal.Name, r.Value))
		return nil
	}, func(err error) { t.Error(err) })
	want := "7E8 Vehicle.VehicleIdentification.VIN WVWZZZ1JZXW000001|7E8 Vehicle.Speed 74|7EC Battery.Service 98|123 Wheel.Turns 7"
	if strings.Join(got, "|") != want || err != nil || st.Transfers != [isotp.Reasons]int{} {
		t.Errorf("%q, %v, %+v\nwant %s", got, err, st, want)
	}
}

// recordedSender writes what an ECU sends into a log.
type recordedSender struct {
	id  uint32
	at  int
	log strings.Builder
}

func (r *recordedSender) SendFrame(data []byte) error {
	r.at++
	fmt.Fprintf(&r.log, "(1.%06d) can0 %03X##1%X\n", r.at, r.id, data)
	return nil
}

func (r *recordedSender) FlowControl(d time.Duration) (isotp.FlowControl, error) {
	if d == 0 {
		return isotp.FlowControl{}, isotp.ErrTimeout
	}
	return isotp.FlowControl{}, nil
}

func (r *recordedSender) Pause(time.Duration) error { return nil }

// fdECU sends its frames as CAN FD.
type fdECU struct{ *ecu }

func (e fdECU) SendFrame(data []byte) error {
	f := can.Frame{ID: e.response, FD: true, Len: uint8(len(data))}
	copy(f.Data[:], data)
	return e.bus.Send(f)
}

// TestFDAnswerGetsClassicFlowControl: an ECU that answers a classic request in
// CAN FD frames is given leave in a classic one, by the identifier and of the kind
// that reached it before, and the answer is read. The agent puts no CAN FD frame
// on a bus: a node that knows only classic ones would destroy it.
func TestFDAnswerGetsClassicFlowControl(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := engine()
		e.answer = func(service, pid byte) [][]byte {
			answer, frame := map[byte][]byte{0: {0x41, 0, 0, 8, 0, 0}, 0x0D: {0x41, 0x0D, 0x4A}}[pid], 8
			if service == obd.ServiceVehicle {
				answer, frame = []byte("\x49\x02\x01WVWZZZ1KZ9W000001"), 16
			}
			if err := (&isotp.Sender{Conn: fdECU{e}, TXDL: frame, Padding: 0xCC}).Send(answer); err != nil {
				t.Error(err)
			}
			return nil
		}
		out, st := drive(t, e, speedAndVIN(), 10*time.Second, nil)
		if len(out.events) != 1 || out.events[0].Value.String() != "WVWZZZ1KZ9W000001" || len(out.gaps) != 0 {
			t.Errorf("events %v, gaps %v", out.events, out.gaps)
		}
		for _, f := range e.transmitted() {
			if f.FD || f.Len != 8 {
				t.Errorf("sent %v", f)
			}
		}
		if st.FlowControls != 1 {
			t.Errorf("%d flow controls", st.FlowControls)
		}
	})
}
