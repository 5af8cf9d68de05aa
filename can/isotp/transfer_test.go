package isotp_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"obu/can/isotp"
	"obu/telemetry"
)

// lengths are those that CAN FD has from 8.
var lengths = []int{8, 12, 16, 20, 24, 32, 48, 64}

// wire joins a Sender and a Receiver, loses or doubles one frame of either
// direction, and checks every frame.
type wire struct {
	t      testing.TB
	rx     *isotp.Receiver
	at     telemetry.At
	sender *isotp.Sender
	ours   uint8 // address byte of flow control
	fcs    []isotp.FlowControl
	sent   int // frames of both directions
	strike int // the one that is hit; 0: none
	double bool
	cut    bool // every frame behind that one is lost too
	paused time.Duration
	asked  isotp.FlowControl
	frames [][]byte
}

// copies returns how often the next frame arrives.
func (w *wire) copies() int {
	w.sent++
	w.at = w.at.Add(time.Millisecond)
	switch {
	case w.sent == w.strike && w.double:
		return 2
	case w.sent == w.strike, w.cut && w.sent > w.strike && w.strike > 0:
		return 0
	}
	return 1
}

func (w *wire) SendFrame(data []byte) error {
	dl := max(w.sender.TXDL, 8)
	if len(data) > dl || !valid(len(data)) || !w.sender.NoPad && len(data) < 8 {
		w.t.Fatalf("frame of %d bytes, at most %d", len(data), dl)
	}
	w.frames = append(w.frames, bytes.Clone(data))
	for range w.copies() {
		w.rx.Feed(w.at, 7, bytes.Clone(data))
	}
	return nil
}

func valid(n int) bool {
	ok := n < 8
	for _, l := range lengths {
		ok = ok || l == n
	}
	return ok
}

// addressed reports whether frames begin with an address byte.
func (w *wire) addressed() bool {
	return w.sender.Addressing == isotp.Extended || w.sender.Addressing == isotp.Mixed
}

// reply carries flow control through the bytes of a frame.
func (w *wire) reply(_ isotp.Address, fc isotp.FlowControl) error {
	b := fc.Bytes()
	frame := b[:]
	if w.addressed() {
		frame = append([]byte{w.ours}, frame...)
	}
	for range w.copies() {
		ext, pdu, ok := w.sender.Addressing.Split(frame)
		got, isFlow := isotp.ParseFlowControl(pdu)
		if !ok || !isFlow || w.addressed() && ext != w.ours {
			w.t.Fatalf("flow control % X was not read", frame)
		}
		w.asked = got
		w.fcs = append(w.fcs, got)
	}
	return nil
}

func (w *wire) FlowControl(d time.Duration) (isotp.FlowControl, error) {
	if len(w.fcs) == 0 {
		w.at = w.at.Add(d)
		return isotp.FlowControl{}, isotp.ErrTimeout
	}
	fc := w.fcs[0]
	w.fcs = w.fcs[1:]
	return fc, nil
}

func (w *wire) Pause(d time.Duration) error {
	if d != w.asked.STmin {
		w.t.Fatalf("%v between frames, asked for %v", d, w.asked.STmin)
	}
	w.paused += d
	w.at = w.at.Add(d)
	return nil
}

// carry sends a message and returns what arrived and what broke.
func (w *wire) carry(s isotp.Sender, block uint8, stmin time.Duration, payload []byte) (got [][]byte, faults []isotp.Fault, err error) {
	s.Conn, w.sender, w.ours = w, &s, 0xF1
	w.rx = isotp.NewReceiver(isotp.ReceiverConfig{
		Addressing: s.Addressing, BlockSize: block, STmin: stmin,
		Deliver: func(m isotp.Message) {
			want := isotp.Address{ID: 7}
			if w.addressed() {
				want.Ext = s.Ext
			}
			if m.Address != want {
				w.t.Fatalf("message of %+v, want %+v", m.Address, want)
			}
			got = append(got, bytes.Clone(m.Payload))
		},
		Damaged: func(f isotp.Fault) { faults = append(faults, f) },
		Permit:  always, Reply: w.reply,
	})
	err = s.Send(payload)
	w.rx.Expire(w.at.Add(2 * isotp.TimeoutCr))
	if w.rx.Open() != 0 {
		w.t.Fatalf("%d transfers are open", w.rx.Open())
	}
	return got, faults, err
}

// pattern is a payload that differs in every place.
func pattern(n int) []byte {
	p := make([]byte, n)
	for i := range p {
		p[i] = byte(i*7 + i>>8)
	}
	return p
}

// TestEveryAddressingAndLength carries messages around every limit of every
// frame length.
func TestEveryAddressingAndLength(t *testing.T) {
	for _, a := range []isotp.Addressing{isotp.Normal, isotp.NormalFixed, isotp.Extended, isotp.Mixed} {
		for _, dl := range lengths {
			sizes := []int{1, 2, 4094, 4095, 4096, 4097, isotp.MaxLength}
			for n := 5; n < 3*dl; n++ {
				sizes = append(sizes, n)
			}
			for _, n := range sizes {
				for _, pad := range []bool{true, false} {
					w := &wire{t: t}
					want := pattern(n)
					got, faults, err := w.carry(isotp.Sender{Addressing: a, Ext: 0x55, TXDL: dl, Padding: 0xCC, NoPad: !pad}, uint8(n%5), 300*time.Microsecond, want)
					if err != nil || len(faults) > 0 || len(got) != 1 || !bytes.Equal(got[0], want) {
						t.Fatalf("addressing %d, frames of %d, %d bytes: %v, faults %v, %d messages", a, dl, n, err, faults, len(got))
					}
				}
			}
		}
	}
}

// TestFramesOnTheWire compares with frames written out by hand (ISO 15765-2,
// tables 9 to 18).
func TestFramesOnTheWire(t *testing.T) {
	for _, c := range []struct {
		s    isotp.Sender
		n    int
		want string
	}{
		{isotp.Sender{Padding: 0xCC}, 3, "030007 0E CCCCCCCC"},
		{isotp.Sender{NoPad: true}, 3, "0300070E"},
		{isotp.Sender{NoPad: true}, 9, "100900070E151C23|212A3138"},
		{isotp.Sender{Addressing: isotp.Extended, Ext: 0xF1, Padding: 0xAA}, 6, "F10600070E151C23"},
		{isotp.Sender{Addressing: isotp.Extended, Ext: 0xF1, Padding: 0xAA}, 7, "F1100700070E151C|F12123 2A AAAAAAAA"},
		{isotp.Sender{Addressing: isotp.Mixed, Ext: 0x05, NoPad: true}, 7, "05100700070E151C|0521232A"},
		{isotp.Sender{TXDL: 64, Padding: 0xCC}, 7, "0700070E151C232A"},
		{isotp.Sender{TXDL: 64, Padding: 0xCC}, 8, "000800070E151C232A31CCCC"},
		{isotp.Sender{TXDL: 12, NoPad: true}, 11, "100B00070E151C232A31383F|2146"},
		{isotp.Sender{TXDL: 12, Addressing: isotp.Mixed, Ext: 5, NoPad: true}, 9, "05000900070E151C232A3138"},
		{isotp.Sender{TXDL: 12, Addressing: isotp.Mixed, Ext: 5, NoPad: true}, 10, "05100A00070E151C232A3138|05213F"},
	} {
		w := &wire{t: t}
		if _, _, err := w.carry(c.s, 0, 0, pattern(c.n)); err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, f := range w.frames {
			got = append(got, fmt.Sprintf("%X", f))
		}
		if want := strings.ReplaceAll(c.want, " ", ""); strings.Join(got, "|") != want {
			t.Errorf("%+v, %d bytes: %s\nwant %s", c.s, c.n, strings.Join(got, "|"), want)
		}
	}
	w := &wire{t: t}
	if _, _, err := w.carry(isotp.Sender{}, 0, 0, pattern(4096)); err != nil || !bytes.HasPrefix(w.frames[0], []byte{0x10, 0, 0, 0, 0x10, 0}) {
		t.Errorf("first frame of 4,096 bytes: % X, %v", w.frames[0], err)
	}
}

// TestSharedIdentifier interleaves ECUs that a gateway lets speak behind one
// identifier, and answers the one that was asked.
func TestSharedIdentifier(t *testing.T) {
	for _, a := range []isotp.Addressing{isotp.Extended, isotp.Mixed} {
		var l log
		var cleared []isotp.Address
		rx := isotp.NewReceiver(isotp.ReceiverConfig{
			Addressing: a,
			Deliver: func(m isotp.Message) {
				l.lines = append(l.lines, fmt.Sprintf("%X/%X %X", m.ID, m.Ext, m.Payload))
			},
			Damaged: func(f isotp.Fault) {
				l.lines = append(l.lines, fmt.Sprintf("%X/%X %s", f.ID, f.Ext, f.Reason))
			},
			Permit: func(from isotp.Address, _ telemetry.At, _ []byte) bool { return from.Ext == 0x12 },
			Reply:  func(to isotp.Address, _ isotp.FlowControl) error { cleared = append(cleared, to); return nil },
		})
		for _, f := range []string{"1210076201020304", "1310076201020305", "1421000000", "13210607", "14036F0102", "12210506", "15"} {
			rx.Feed(0, 0x650, unhex(t, f))
		}
		want := "650/14 unexpected; 650/13 62010203050607; 650/14 6F0102; 650/12 62010203040506; 650/0 malformed"
		if l.String() != want || rx.Open() != 0 {
			t.Errorf("%s\nwant %s", &l, want)
		}
		if len(cleared) != 1 || cleared[0] != (isotp.Address{ID: 0x650, Ext: 0x12}) {
			t.Errorf("flow control to %+v", cleared)
		}
	}
}

// TestFixedIdentifiers reads the 29-bit identifiers that name target and
// source, and turns them round.
func TestFixedIdentifiers(t *testing.T) {
	for _, c := range []struct {
		id         uint32
		a          isotp.Addressing
		functional bool
		back       uint32
	}{
		{0x18DAF110, isotp.NormalFixed, false, 0x18DA10F1},
		{0x18DB33F1, isotp.NormalFixed, true, 0},
		{0x18CE10F1, isotp.Mixed, false, 0x18CEF110},
		{0x18CD33F1, isotp.Mixed, true, 0},
	} {
		a, target, source, functional, ok := isotp.Fixed(c.id)
		if !ok || a != c.a || functional != c.functional || uint32(target)<<8|uint32(source) != c.id&0xFFFF {
			t.Errorf("%X: %d %X %X %v %v", c.id, a, target, source, functional, ok)
		}
		if back, ok := isotp.Reverse(c.id); back != c.back || ok == functional {
			t.Errorf("%X turned round is %X, %v", c.id, back, ok)
		}
	}
	for _, id := range []uint32{0x7E8, 0x18FEF100, 0x98DAF110} {
		if _, _, _, _, ok := isotp.Fixed(id); ok {
			t.Errorf("%X names no target and source", id)
		}
	}
}

// FuzzTransfer: what a Sender cuts, a Receiver puts together, whatever the
// addressing, frame length, block size and separation time. A lost or doubled
// frame, flow control included, ends in the same payload or in a Fault: never
// in another payload, nor in a message that the Sender sent once and arrives
// twice, unless it was a single frame that the bus doubled.
func FuzzTransfer(f *testing.F) {
	f.Add([]byte("WVWZZZ1JZXW000001"), uint8(0), uint8(0), uint8(0), uint8(0), uint8(0), uint16(0))
	f.Add(pattern(300), uint8(2), uint8(7), uint8(3), uint8(0xF5), uint8(1), uint16(4))
	f.Fuzz(func(t *testing.T, payload []byte, mode, dl, block, st, fault uint8, strike uint16) {
		if len(payload) == 0 || len(payload) > isotp.MaxLength {
			return
		}
		fc, _ := isotp.ParseFlowControl([]byte{0x30, block, st})
		w := &wire{t: t, strike: int(strike), double: fault%3 == 1, cut: fault%3 == 2}
		s := isotp.Sender{
			Addressing: isotp.Addressing(mode % 4), Ext: mode | 1, TXDL: lengths[int(dl)%len(lengths)], NoPad: mode&4 != 0, Padding: 0xCC,
		}
		got, faults, err := w.carry(s, fc.BlockSize, fc.STmin, payload)
		hit := w.strike > 0 && w.strike <= w.sent
		for _, p := range got {
			if !bytes.Equal(p, payload) {
				t.Fatalf("got % X, want % X", p, payload)
			}
		}
		switch {
		case !hit && (err != nil || len(faults) > 0 || len(got) != 1):
			t.Fatalf("nothing was lost: %v, %v, %d messages", err, faults, len(got))
		case len(got) == 0 && len(faults) == 0 && err == nil && len(w.frames) > 1:
			t.Fatalf("%d frames, no message and nobody noticed", w.sent)
		case len(got) > 1 && len(w.frames) > 1:
			t.Fatalf("%d messages", len(got))
		}
	})
}

// TestLongMessagesAreBounded: a few messages above 4,095 bytes at once are
// taken, another is refused at once, and overdue ones make room.
func TestLongMessagesAreBounded(t *testing.T) {
	var l log
	cfg := l.config()
	var replies []isotp.FlowStatus
	cfg.Permit = always
	cfg.Reply = func(_ isotp.Address, fc isotp.FlowControl) error { replies = append(replies, fc.Status); return nil }
	rx := isotp.NewReceiver(cfg)
	long, short := unhex(t, "10000000FFFF6201"), unhex(t, "1FFF620101AABBCC")
	for id := range uint32(isotp.MaxLong + 1) {
		rx.Feed(0, id, long)
	}
	rx.Feed(0, 100, short)
	if n := rx.Open(); n != isotp.MaxLong+1 || l.String() != "4 crowded 0/65535" {
		t.Errorf("%d open, %s", n, &l)
	}
	if last := replies[isotp.MaxLong:]; len(last) != 2 || last[0] != isotp.Overflow || last[1] != isotp.ContinueToSend {
		t.Errorf("flow statuses %v", replies)
	}
	rx.Feed(telemetry.At(isotp.TimeoutCr+isotp.MaxBr)+1, 200, long)
	if rx.Open() != isotp.MaxLong+1 || !strings.Contains(l.String(), "timeout 2/65535") {
		t.Errorf("%d open, %s", rx.Open(), &l)
	}
}

// TestUnsentFlowControl: when the bus does not take our flow control, at the
// beginning or behind a block, the rest will not come.
func TestUnsentFlowControl(t *testing.T) {
	for refused := range 2 {
		var l log
		cfg := l.config()
		cfg.Permit, cfg.BlockSize = always, 1
		n := 0
		cfg.Reply = func(isotp.Address, isotp.FlowControl) error {
			if n++; n > refused {
				return errors.New("transmit queue is full")
			}
			return nil
		}
		rx := isotp.NewReceiver(cfg)
		rx.Feed(0, 1, unhex(t, "101E620101AABBCC"))
		rx.Feed(0, 1, unhex(t, "21DDEEFF00112233"))
		want := []string{"1 unsent 6/30; 1 unexpected 0/0", "1 unsent 13/30"}[refused]
		if l.String() != want || rx.Open() != 0 {
			t.Errorf("%s, want %s", &l, want)
		}
	}
}
