package isotp_test

import (
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"obu/can/isotp"
	"obu/telemetry"
)

// timedLink is a bus in virtual time: it notes when each frame was sent, and
// answers as the test says.
type timedLink struct {
	start  time.Time
	sent   []time.Duration
	answer func(frame int, data []byte) // after each frame
	fcs    chan isotp.FlowControl
}

func newTimedLink() *timedLink {
	return &timedLink{start: time.Now(), fcs: make(chan isotp.FlowControl, 16)}
}

func (l *timedLink) SendFrame(data []byte) error {
	l.sent = append(l.sent, time.Since(l.start))
	if l.answer != nil {
		l.answer(len(l.sent), data)
	}
	return nil
}

func (l *timedLink) FlowControl(d time.Duration) (isotp.FlowControl, error) {
	select {
	case fc := <-l.fcs:
		return fc, nil
	default:
	}
	select {
	case fc := <-l.fcs:
		return fc, nil
	case <-time.After(d):
		return isotp.FlowControl{}, isotp.ErrTimeout
	}
}

func (l *timedLink) Pause(d time.Duration) error { time.Sleep(d); return nil }

// after sends flow control that much later.
func (l *timedLink) after(d time.Duration, fc isotp.FlowControl) {
	time.AfterFunc(d, func() { l.fcs <- fc })
}

// TestTimeoutBs: flow control in time is waited for, behind the first frame,
// behind a block and behind each "wait"; one that comes later is not.
func TestTimeoutBs(t *testing.T) {
	const near, far = isotp.TimeoutBs - time.Millisecond, isotp.TimeoutBs + time.Millisecond
	block, wait := isotp.FlowControl{BlockSize: 2}, isotp.FlowControl{Status: isotp.Wait}
	for _, c := range []struct {
		name   string
		answer func(l *timedLink, frame int)
		want   error
		took   time.Duration
	}{
		{"in time", func(l *timedLink, n int) {
			if n == 1 || n == 3 {
				l.after(near, block)
			}
		}, nil, 2 * near},
		{"first too late", func(l *timedLink, n int) { l.after(far, block) }, isotp.ErrTimeout, isotp.TimeoutBs},
		{"behind a block too late", func(l *timedLink, n int) {
			switch n {
			case 1:
				l.after(near, block)
			case 3:
				l.after(far, block)
			}
		}, isotp.ErrTimeout, near + isotp.TimeoutBs},
		{"waits begin anew", func(l *timedLink, n int) {
			if n == 1 {
				for i := range isotp.MaxWaits {
					l.after(time.Duration(i+1)*near, wait)
				}
				l.after((isotp.MaxWaits+1)*near, isotp.FlowControl{})
			}
		}, nil, (isotp.MaxWaits + 1) * near},
		{"one wait too many", func(l *timedLink, n int) {
			for i := range isotp.MaxWaits + 1 {
				l.after(time.Duration(i+1)*near, wait)
			}
		}, isotp.ErrWaits, (isotp.MaxWaits + 1) * near},
		{"silence behind a wait", func(l *timedLink, n int) { l.after(near, wait) }, isotp.ErrTimeout, near + isotp.TimeoutBs},
	} {
		synctest.Test(t, func(t *testing.T) {
			l := newTimedLink()
			l.answer = func(n int, _ []byte) { c.answer(l, n) }
			err := (&isotp.Sender{Conn: l}).Send(pattern(34)) // four consecutive frames
			if took := time.Since(l.start); !errors.Is(err, c.want) || took != c.took {
				t.Errorf("%s: %v after %v, want %v after %v", c.name, err, took, c.want, c.took)
			}
			time.Sleep(time.Minute) // what comes late
		})
	}
}

// TestSeparationTime: frames are apart what the receiver asked for last, also
// where a block ends, in every step that STmin has; and never so far that the
// receiver gives up.
func TestSeparationTime(t *testing.T) {
	for b := range 256 {
		fc, _ := isotp.ParseFlowControl([]byte{0x30, 3, byte(b)})
		synctest.Test(t, func(t *testing.T) {
			l := newTimedLink()
			got := 0
			rx := isotp.NewReceiver(isotp.ReceiverConfig{
				Deliver: func(m isotp.Message) { got = len(m.Payload) },
				Damaged: func(f isotp.Fault) { t.Errorf("STmin %v: %+v", fc.STmin, f) },
				Permit:  always, BlockSize: fc.BlockSize, STmin: fc.STmin,
				Reply: func(_ isotp.Address, fc isotp.FlowControl) error {
					l.after(isotp.MaxBr, fc) // as late as may be
					return nil
				},
			})
			l.answer = func(_ int, data []byte) { rx.Feed(telemetry.At(time.Since(l.start)), 1, data) }
			if err := (&isotp.Sender{Conn: l}).Send(pattern(62)); err != nil || got != 62 {
				t.Fatalf("STmin %v: %v, %d bytes", fc.STmin, err, got)
			}
			for i := 2; i < len(l.sent); i++ {
				want := fc.STmin
				if i == 4 || i == 7 { // the first behind a block
					want += isotp.MaxBr
				}
				if gap := l.sent[i] - l.sent[i-1]; gap != want {
					t.Errorf("STmin %v: frame %d came after %v, want %v", fc.STmin, i, gap, want)
				}
			}
			if fc.STmin >= isotp.MaxCs {
				t.Errorf("STmin %v leaves the receiver no time", fc.STmin)
			}
		})
	}
}

// TestUnsentFrame: a frame that the bus did not take ends the transmission,
// whichever it is, and the next is not tried.
func TestUnsentFrame(t *testing.T) {
	busy := errors.New("transmit queue is full")
	for lost := 1; lost <= 4; lost++ {
		w := &wire{t: t}
		l := &refusing{wire: w, lost: lost, err: busy}
		s := &isotp.Sender{Conn: l, Padding: 0xCC}
		w.sender = s
		w.rx = isotp.NewReceiver(isotp.ReceiverConfig{Deliver: func(isotp.Message) { t.Error("a message arrived") }, Permit: always, Reply: w.reply, BlockSize: 2})
		if err := s.Send(pattern(27)); !errors.Is(err, busy) || l.n != lost {
			t.Errorf("frame %d of 4: %v after %d", lost, err, l.n)
		}
	}
}

// refusing does not take one frame.
type refusing struct {
	*wire
	n, lost int
	err     error
}

func (r *refusing) SendFrame(data []byte) error {
	if r.n++; r.n == r.lost {
		return r.err
	}
	return r.wire.SendFrame(data)
}

// TestUnaskedFlowControl: flow control that came twice, or before there was
// anything to answer, does not stand for the one of the next block.
func TestUnaskedFlowControl(t *testing.T) {
	l := &doubling{}
	if err := (&isotp.Sender{Conn: l}).Send(pattern(34)); !errors.Is(err, isotp.ErrTimeout) {
		t.Errorf("%v", err)
	}
	if want := []string{"forget", "sent", "wait", "sent", "forget", "sent", "wait"}; !slices.Equal(l.did, want) {
		t.Errorf("%q, want %q", l.did, want)
	}
}

// doubling brings the flow control of the first frame twice, and one before
// it; the block behind it is not answered.
type doubling struct {
	did []string
	fcs int
}

func (d *doubling) SendFrame([]byte) error {
	if d.did = append(d.did, "sent"); len(d.did) == 2 {
		d.fcs = 2
	}
	return nil
}

func (d *doubling) FlowControl(within time.Duration) (isotp.FlowControl, error) {
	what := "wait"
	if within == 0 {
		what = "forget"
	}
	if len(d.did) == 0 {
		d.fcs = 1
	}
	if n := len(d.did); n == 0 || d.did[n-1] != what {
		d.did = append(d.did, what)
	}
	if d.fcs == 0 {
		return isotp.FlowControl{}, isotp.ErrTimeout
	}
	d.fcs--
	return isotp.FlowControl{BlockSize: 2}, nil
}

func (d *doubling) Pause(time.Duration) error { return nil }
