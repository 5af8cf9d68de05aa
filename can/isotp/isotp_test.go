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

// link lets a Sender talk to a Receiver without a bus.
type link struct {
	rx     *isotp.Receiver
	id     uint32
	at     telemetry.At
	frames [][]byte
	fcs    []isotp.FlowControl // that have come
	script []isotp.FlowControl // that come when waited for
	paused time.Duration
	drop   int // frame number to lose, 0: none
}

func (l *link) SendFrame(data []byte) error {
	l.frames = append(l.frames, bytes.Clone(data))
	l.at = l.at.Add(time.Millisecond)
	if len(l.frames) != l.drop {
		l.rx.Feed(l.at, l.id, data)
	}
	return nil
}

func (l *link) FlowControl(d time.Duration) (isotp.FlowControl, error) {
	if d > 0 && len(l.script) > 0 {
		fc := l.script[0]
		l.script = l.script[1:]
		return fc, nil
	}
	if len(l.fcs) == 0 {
		return isotp.FlowControl{}, isotp.ErrTimeout
	}
	fc := l.fcs[0]
	l.fcs = l.fcs[1:]
	return fc, nil
}

// reply brings flow control to the Sender.
func (l *link) reply(_ isotp.Address, fc isotp.FlowControl) error {
	l.fcs = append(l.fcs, fc)
	return nil
}

// always permits flow control.
func always(isotp.Address, telemetry.At, []byte) bool { return true }

func (l *link) Pause(d time.Duration) error { l.paused += d; return nil }

// log keeps what a Receiver said, one line each.
type log struct{ lines []string }

func (l *log) config() isotp.ReceiverConfig {
	return isotp.ReceiverConfig{
		Deliver: func(m isotp.Message) {
			l.lines = append(l.lines, fmt.Sprintf("%X %X", m.ID, m.Payload))
		},
		Damaged: func(f isotp.Fault) {
			l.lines = append(l.lines, fmt.Sprintf("%X %s %d/%d", f.ID, f.Reason, f.Got, f.Want))
		},
	}
}

func (l *log) String() string { return strings.Join(l.lines, "; ") }

func TestEveryLengthArrives(t *testing.T) {
	for _, block := range []uint8{0, 1, 3} {
		for _, n := range []int{1, 6, 7, 8, 13, 14, 20, 21, 62, 118, 119, 255, 256, 4095} {
			want := make([]byte, n)
			for i := range want {
				want[i] = byte(i * 7)
			}
			var got []byte
			l := &link{id: 0x7E8}
			l.rx = isotp.NewReceiver(isotp.ReceiverConfig{
				Deliver:   func(m isotp.Message) { got = bytes.Clone(m.Payload) },
				Damaged:   func(f isotp.Fault) { t.Errorf("length %d, block %d: %+v", n, block, f) },
				Permit:    func(from isotp.Address, _ telemetry.At, _ []byte) bool { return from.ID == 0x7E8 },
				Reply:     l.reply,
				BlockSize: block, STmin: 2 * time.Millisecond,
			})
			if err := (&isotp.Sender{Conn: l, Padding: 0xCC}).Send(want); err != nil {
				t.Fatalf("length %d, block %d: %v", n, block, err)
			}
			if !bytes.Equal(got, want) || l.rx.Open() != 0 || len(l.fcs) != 0 {
				t.Errorf("length %d, block %d: got %d bytes, %d open, %d flow controls left", n, block, len(got), l.rx.Open(), len(l.fcs))
			}
			for _, f := range l.frames {
				if len(f) != 8 {
					t.Fatalf("frame of %d bytes", len(f))
				}
			}
			if n == 62 && l.paused != 7*2*time.Millisecond {
				t.Errorf("block %d: 8 consecutive frames with %v between them", block, l.paused)
			}
		}
	}
}

// TestBrokenTransfers is the list of what a bus does to transfers, and the
// name each gets.
func TestBrokenTransfers(t *testing.T) {
	const first, cf1, cf2, single = "100E620101AABBCC", "21DDEEFF00112233", "2244555555555555", "03410D4A00000000"
	for _, c := range []struct{ name, frames, want string }{
		{"whole", first + " " + cf1 + " " + cf2, "1 620101AABBCCDDEEFF0011223344"},
		{"single in front ends it", first + " " + single + " " + cf1, "1 aborted 6/14; 1 410D4A; 1 unexpected 0/0"},
		{"begun anew", first + " " + first + " " + cf1 + " " + cf2, "1 aborted 6/14; 1 620101AABBCCDDEEFF0011223344"},
		{"one missing", first + " " + cf2, "1 sequence 6/14"},
		{"twice the same", first + " " + cf1 + " " + cf1, "1 sequence 13/14"},
		{"never begun", cf1, "1 unexpected 0/0"},
		{"cut by the end", first + " " + cf1, "1 unfinished 13/14"},
		{"short in the middle", first + " 21DDEE", "1 length 8/14"},
		{"short last frame", first + " " + cf1 + " 2244", "1 620101AABBCCDDEEFF0011223344"},
		{"no bytes", "00", "1 length 0/0"},
		{"longer than its frame", "07410D", "1 length 2/7"},
		{"single of 8", "08410D4A00000000", "1 length 7/8"},
		{"first of 7", "1007410D4A000000", "1 length 0/7"},
		{"first too short", "100E6201", "1 malformed 4/0"},
		{"reserved type", "4000", "1 malformed 0/0"},
		{"escape beyond the bound", "100000010000AABB", "1 length 0/65536"},
		{"escape for a short one", "10000000000EAABB 2101020304050607", "1 length 0/14; 1 unexpected 0/0"},
		{"a single frame that cannot be goes by", first + " 00 " + cf1 + " " + cf2, "1 length 0/0; 1 620101AABBCCDDEEFF0011223344"},
		{"a first frame that cannot be goes by", first + " 1007410D4A000000 " + cf1 + " " + cf2, "1 length 0/7; 1 620101AABBCCDDEEFF0011223344"},
		{"unknown frames go by", first + " 30000000 F0 " + cf1 + " " + cf2, "1 malformed 0/0; 1 620101AABBCCDDEEFF0011223344"},
		{"too long a first frame ends what was begun", first + " 100000010000AABB " + cf1, "1 aborted 6/14; 1 length 0/65536; 1 unexpected 0/0"},
		{"flow control of others", "3000000000000000", ""},
		{"CAN FD single", "000A" + strings.Repeat("11", 10), "1 " + strings.Repeat("11", 10)},
		{"CAN FD single without the escape", "03" + strings.Repeat("11", 11), "1 length 11/3"},
		{"CAN FD first that fits a single", "100A" + strings.Repeat("22", 10), "1 length 0/10"},
		{"CAN FD longer than the first", "100E" + strings.Repeat("22", 6) + " 21" + strings.Repeat("33", 11), "1 length 14/14"},
		{"CAN FD shorter than the first", "1020" + strings.Repeat("22", 10) + " 21" + strings.Repeat("33", 7), "1 length 17/32"},
		{"CAN FD first", "1012" + strings.Repeat("22", 10) + " 21" + strings.Repeat("33", 8), "1 " + strings.Repeat("22", 10) + strings.Repeat("33", 8)},
	} {
		var l log
		rx := isotp.NewReceiver(l.config())
		for i, f := range strings.Fields(c.frames) {
			rx.Feed(telemetry.At(i)*telemetry.At(time.Millisecond), 1, unhex(t, f))
		}
		rx.Flush()
		if l.String() != c.want {
			t.Errorf("%s: %s\nwant %s", c.name, &l, c.want)
		}
	}
}

func TestLateFrames(t *testing.T) {
	var l log
	rx := isotp.NewReceiver(l.config())
	first := unhex(t, "100E620101AABBCC")
	rx.Feed(0, 1, first)
	rx.Feed(telemetry.At(isotp.TimeoutCr)+1, 1, unhex(t, "21DDEEFF00112233"))
	rx.Feed(0, 2, first)
	rx.Expire(telemetry.At(isotp.TimeoutCr))
	rx.Expire(telemetry.At(isotp.TimeoutCr) + 1)
	if want := "1 timeout 6/14; 2 timeout 6/14"; l.String() != want || rx.Open() != 0 {
		t.Errorf("%s, want %s", &l, want)
	}
}

// TestInterleavedECUs mixes transfers of several ECUs frame by frame.
func TestInterleavedECUs(t *testing.T) {
	var l log
	rx := isotp.NewReceiver(l.config())
	for _, f := range []string{"100E62AAAAAAAAAA", "21AAAAAAAAAAAAAA", "22AA"} {
		for id := uint32(0x7E8); id <= 0x7EF; id++ {
			rx.Feed(0, id, unhex(t, f))
		}
	}
	if len(l.lines) != 8 || l.lines[7] != "7EF 62"+strings.Repeat("AA", 13) {
		t.Errorf("%s", &l)
	}
}

// TestTenThousandIdentifiers opens a transfer on each of 10,000 identifiers:
// the open ones stay bounded and every refused one is reported.
func TestTenThousandIdentifiers(t *testing.T) {
	crowded := 0
	rx := isotp.NewReceiver(isotp.ReceiverConfig{
		Deliver: func(isotp.Message) {},
		Damaged: func(f isotp.Fault) {
			if f.Reason == isotp.ReasonCrowded {
				crowded++
			}
		},
	})
	first := unhex(t, "1FFF620101AABBCC")
	for id := range uint32(10_000) {
		rx.Feed(0, id, first)
	}
	if rx.Open() != isotp.MaxTransfers || crowded != 10_000-isotp.MaxTransfers {
		t.Errorf("%d open, %d refused", rx.Open(), crowded)
	}
	rx.Feed(telemetry.At(2*isotp.TimeoutCr), 99_999, first)
	if crowded != 10_000-isotp.MaxTransfers {
		t.Error("an overdue transfer did not make room")
	}
}

func TestOnlyOwnRequestsGetFlowControl(t *testing.T) {
	var sent []uint32
	rx := isotp.NewReceiver(isotp.ReceiverConfig{
		Deliver: func(isotp.Message) {},
		Permit: func(from isotp.Address, _ telemetry.At, first []byte) bool {
			return from.ID == 0x7E9 && first[0] == 0x49
		},
		Reply: func(to isotp.Address, fc isotp.FlowControl) error { sent = append(sent, to.ID); return nil },
	})
	rx.Feed(0, 0x7E8, unhex(t, "1014490201313131"))
	rx.Feed(0, 0x7E9, unhex(t, "1014620101313131"))
	rx.Feed(0, 0x7E9, unhex(t, "1014490201313131"))
	if len(sent) != 1 || sent[0] != 0x7E9 {
		t.Errorf("flow control to %X", sent)
	}
	var overflow isotp.FlowStatus
	rx = isotp.NewReceiver(isotp.ReceiverConfig{
		Deliver: func(isotp.Message) {},
		Permit:  always,
		Reply:   func(_ isotp.Address, fc isotp.FlowControl) error { overflow = fc.Status; return nil },
	})
	rx.Feed(0, 1, unhex(t, "10000001000049AA"))
	if overflow != isotp.Overflow {
		t.Errorf("a message above MaxLength got flow status %d", overflow)
	}
}

func TestSenderGivesUp(t *testing.T) {
	wait := isotp.FlowControl{Status: isotp.Wait}
	for _, c := range []struct {
		name string
		fcs  []isotp.FlowControl
		n    int
		want error
	}{
		{"no answer", nil, 20, isotp.ErrTimeout},
		{"overflow", []isotp.FlowControl{{Status: isotp.Overflow}}, 20, isotp.ErrOverflow},
		{"one wait", []isotp.FlowControl{wait, {}}, 20, nil},
		{"waits for ever", []isotp.FlowControl{wait, wait, wait, wait, wait, wait, wait, wait, wait, wait}, 20, isotp.ErrWaits},
		{"silence after a block", []isotp.FlowControl{{BlockSize: 1}}, 20, isotp.ErrTimeout},
		{"reserved status", []isotp.FlowControl{{Status: 3}}, 20, isotp.ErrFlowStatus},
		{"too long", nil, isotp.MaxLength + 1, isotp.ErrTooLong},
		{"empty", nil, 0, isotp.ErrTooLong},
	} {
		l := &link{rx: isotp.NewReceiver((&log{}).config()), script: c.fcs}
		if err := (&isotp.Sender{Conn: l}).Send(make([]byte, c.n)); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
	}
}

func TestFlowControlBytes(t *testing.T) {
	for b := range 256 {
		fc, ok := isotp.ParseFlowControl([]byte{0x30, 8, byte(b)})
		if !ok {
			t.Fatalf("STmin %02X refused", b)
		}
		reserved := b > 0x7F && (b < 0xF1 || b > 0xF9)
		if got := fc.Bytes(); got != [3]byte{0x30, 8, byte(b)} && !(reserved && got[2] == 0x7F) {
			t.Errorf("STmin %02X became %v and % X", b, fc.STmin, got)
		}
	}
	for _, bad := range []string{"3000", "21000000"} {
		if _, ok := isotp.ParseFlowControl(unhex(t, bad)); ok {
			t.Errorf("%s passed as flow control", bad)
		}
	}
	if fc := (isotp.FlowControl{STmin: 950 * time.Microsecond}); fc.Bytes()[2] != 1 {
		t.Errorf("950 µs became %02X", fc.Bytes()[2])
	}
}

// FuzzReceiver feeds any frames of a few senders: nothing panics, the open
// transfers stay bounded, and what is delivered has an announced length.
func FuzzReceiver(f *testing.F) {
	for _, s := range []string{
		"\x01\x08\x10\x0E\x62\x01\x01\xAA\xBB\xCC\x01\x08\x21\xDD\xEE\xFF\x00\x11\x22\x33\x01\x03\x22\x44\x55",
		"\x01\x04\x03\x41\x0D\x4A", "\x02\x08\x10\x00\x00\x01\x00\x00\xAA\xBB", "\x01\x00\x02\x01\x20", "\x03\x0C\x00\x0A1234567890",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		rx := isotp.NewReceiver(isotp.ReceiverConfig{
			Deliver: func(m isotp.Message) {
				if len(m.Payload) == 0 || len(m.Payload) > isotp.MaxLength {
					t.Fatalf("message of %d bytes", len(m.Payload))
				}
			},
			Damaged: func(fault isotp.Fault) { _ = fault.Reason.String() },
			Permit:  func(from isotp.Address, _ telemetry.At, first []byte) bool { return from.ID&1 == 0 && len(first) > 0 },
			Reply:   func(isotp.Address, isotp.FlowControl) error { return nil },
		})
		at := telemetry.At(0)
		for len(in) >= 2 {
			id, n := uint32(in[0]), min(int(in[1]%65), len(in)-2)
			rx.Feed(at, id, in[2:2+n])
			in, at = in[2+n:], at.Add(100*time.Millisecond)
		}
		if rx.Open() > isotp.MaxTransfers {
			t.Fatalf("%d transfers open", rx.Open())
		}
		rx.Flush()
		if rx.Open() != 0 {
			t.Fatal("transfers left behind Flush")
		}
	})
}

func BenchmarkSingleFrame(b *testing.B) {
	n := 0
	rx := isotp.NewReceiver(isotp.ReceiverConfig{Deliver: func(m isotp.Message) { n += len(m.Payload) }})
	frame := []byte{3, 0x41, 0x0D, 0x4A, 0, 0, 0, 0}
	b.ReportAllocs()
	for b.Loop() {
		rx.Feed(0, 0x7E8, frame)
	}
}

func BenchmarkMultiFrame(b *testing.B) {
	rx := isotp.NewReceiver(isotp.ReceiverConfig{Deliver: func(isotp.Message) {}})
	frames := [][]byte{
		{0x10, 0x14, 0x49, 2, 1, '1', '2', '3'}, {0x21, 1, 2, 3, 4, 5, 6, 7}, {0x22, 1, 2, 3, 4, 5, 6, 7},
	}
	b.ReportAllocs()
	for b.Loop() {
		for _, f := range frames {
			rx.Feed(0, 0x7E8, f)
		}
	}
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b := make([]byte, len(s)/2)
	if _, err := fmt.Sscanf(s, "%X", &b); err != nil {
		t.Fatal(err)
	}
	return b
}
