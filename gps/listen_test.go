package gps_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"obu/gps"
	"obu/internal/clock"
	"obu/telemetry"
)

// listener is a Source on a pipe, and what it said. Gaps and log are read after
// stop.
type listener struct {
	*gps.Source
	w      *io.PipeWriter
	mu     sync.Mutex
	emit   []telemetry.Fix // under mu
	gaps   []telemetry.Gap
	log    bytes.Buffer
	clk    *clock.Clock
	cancel context.CancelFunc
	done   chan error
}

func listen(t *testing.T) *listener {
	t.Helper()
	l := &listener{clk: clock.Virtual(), done: make(chan error, 1)}
	r, w := io.Pipe()
	l.w = w
	var err error
	l.Source, err = gps.New(gps.Config{
		Open:  func(context.Context) (io.ReadCloser, error) { return r, nil },
		Clock: l.clk,
		Emit: func(f telemetry.Fix) {
			l.mu.Lock()
			defer l.mu.Unlock()
			l.emit = append(l.emit, f)
		},
		Lost: func(g telemetry.Gap) { l.gaps = append(l.gaps, g) },
		Log:  slog.New(slog.NewTextHandler(&l.log, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	var ctx context.Context
	ctx, l.cancel = context.WithCancel(t.Context())
	go func() { l.done <- l.Run(ctx) }()
	return l
}

func (l *listener) say(bodies ...string) { l.w.Write([]byte(frames(bodies...))) }

func (l *listener) fixes() []telemetry.Fix {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.emit)
}

func (l *listener) stop(t *testing.T) {
	t.Helper()
	l.cancel()
	if err := <-l.done; err != nil {
		t.Errorf("Run returned %v after cancel, want nil", err)
	}
}

// listenTo returns the fixes of a live line that says in and pauses.
func listenTo(t *testing.T, in string) (out []telemetry.Fix) {
	synctest.Test(t, func(t *testing.T) {
		l := listen(t)
		l.w.Write([]byte(in))
		time.Sleep(time.Second)
		l.stop(t)
		out = l.fixes()
	})
	return out
}

// TestFixLeavesWithItsEpoch: the first epochs leave when the line pauses, later
// ones with the sentence that ends the cycle, none one second late.
func TestFixLeavesWithItsEpoch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := listen(t)
		defer l.stop(t)
		times := []string{"120000", "120001", "120002", "120003", "120004"}
		for i, at := range times {
			start := l.clk.Now()
			l.say(rmc(at))
			time.Sleep(30 * time.Millisecond)
			l.say(gga(at))
			time.Sleep(30 * time.Millisecond)
			l.say(gsa("3"))
			synctest.Wait()
			if early := len(l.fixes()) == i+1; early != (i >= 2) {
				t.Errorf("epoch %d: left with its last sentence %v, want %v", i, early, i >= 2)
			}
			time.Sleep(250 * time.Millisecond)
			synctest.Wait()
			if len(l.fixes()) != i+1 {
				t.Fatalf("epoch %d: %d fixes 250 ms after its end", i, len(l.fixes()))
			}
			if f := l.fixes()[i]; f.At != start || f.Mode != telemetry.Mode3D || f.Receiver != "gps" {
				t.Errorf("epoch %d: %+v, want At %v, 3d, receiver gps", i, f, start)
			}
			time.Sleep(690 * time.Millisecond)
		}
		if s := l.Stats(); s.Late != 0 || s.Epochs != 5 || s.Sentences != 15 {
			t.Errorf("stats %+v", s)
		}
	})
}

// TestCycleEndIsLearnedAgain: a sentence that comes behind the learned end is
// late once; then the end is where it really is.
func TestCycleEndIsLearnedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := listen(t)
		defer l.stop(t)
		for i := range 8 {
			at := time.Date(2024, 3, 23, 12, 0, i, 0, time.UTC).Format("150405")
			l.say(rmc(at))
			if i >= 3 {
				l.say(gga(at))
			}
			time.Sleep(time.Second)
		}
		synctest.Wait()
		if len(l.fixes()) != 8 {
			t.Fatalf("%d fixes, want 8", len(l.fixes()))
		}
		for i, f := range l.fixes() {
			if has := f.Quality == 1 && f.Sats == 8; has != (i > 3) {
				t.Errorf("fix %d has its GGA: %v, want %v", i, has, i > 3)
			}
		}
		if s := l.Stats(); s.Late != 1 {
			t.Errorf("%d late sentences, want 1", s.Late)
		}
	})
}

// TestCourseBeforePosition: a receiver that begins its cycle with a sentence
// without time.
func TestCourseBeforePosition(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := listen(t)
		defer l.stop(t)
		for i, kn := range []string{"010.0", "020.0", "030.0", "040.0", "050.0"} {
			at := time.Date(2024, 3, 23, 12, 0, i, 0, time.UTC).Format("150405")
			l.say("GPVTG,084.4,T,077.8,M,"+kn+",N,,K", gga(at))
			time.Sleep(time.Second)
		}
		synctest.Wait()
		for i, f := range l.fixes() {
			if want := float64(10*(i+1)) * 1852 / 3600; f.SpeedMPS != want {
				t.Errorf("fix %d: speed %v, want %v", i, f.SpeedMPS, want)
			}
		}
		if len(l.fixes()) != 5 {
			t.Errorf("%d fixes, want 5", len(l.fixes()))
		}
	})
}

// TestPauseInsideAnEpoch: a line that rests in the middle of each epoch gets
// more patience, and never two fixes for one time.
func TestPauseInsideAnEpoch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := listen(t)
		defer l.stop(t)
		for i := range 6 {
			at := time.Date(2024, 3, 23, 12, 0, i, 0, time.UTC).Format("150405")
			l.say(rmc(at))
			time.Sleep(300 * time.Millisecond)
			l.say(gsa("3"), gga(at))
			time.Sleep(700 * time.Millisecond)
		}
		synctest.Wait()
		if len(l.fixes()) != 6 {
			t.Fatalf("%d fixes, want 6", len(l.fixes()))
		}
		if f := l.fixes()[5]; f.Sats != 8 || f.VDOP != 2.1 {
			t.Errorf("last fix %+v, want GGA and GSA in it", f)
		}
	})
}

// TestBusyMachineInsideAnEpoch: a sentence that comes 350 ms late once, as on a
// machine that stands still, is waited for where the cycle end is known; and
// where it is not, once is enough to be waited for the next time.
func TestBusyMachineInsideAnEpoch(t *testing.T) {
	for _, c := range []struct {
		name       string
		epoch      int
		stands     time.Duration
		incomplete int
	}{{"cycle end known", 7, 350 * time.Millisecond, 0}, {"longer than is waited", 7, 450 * time.Millisecond, 1}} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := listen(t)
				defer l.stop(t)
				for i := range 12 {
					at := time.Date(2024, 3, 23, 12, 0, i, 0, time.UTC).Format("150405")
					l.say(rmc(at))
					if i == c.epoch || i == c.epoch+3 {
						time.Sleep(c.stands)
					}
					l.say(gga(at))
					time.Sleep(500 * time.Millisecond)
				}
				synctest.Wait()
				if len(l.fixes()) != 12 {
					t.Fatalf("%d fixes, want 12", len(l.fixes()))
				}
				incomplete := 0
				for _, f := range l.fixes() {
					if math.IsNaN(f.AltM) {
						incomplete++
					}
				}
				if incomplete != c.incomplete {
					t.Errorf("%d fixes left without their GGA, want %d", incomplete, c.incomplete)
				}
			})
		})
	}
}

func TestUnpluggedReceiver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := listen(t)
		l.say(rmc("120000"))
		time.Sleep(time.Second)
		l.w.CloseWithError(errors.New("input/output error"))
		err := <-l.done
		if !errors.Is(err, gps.ErrGone) || !strings.Contains(err.Error(), "input/output error") {
			t.Errorf("Run returned %v, want ErrGone", err)
		}
		if len(l.gaps) != 1 || l.gaps[0].Reason != telemetry.ReasonBusError || l.gaps[0].Count != telemetry.CountUnknown || l.gaps[0].Source != "gps" {
			t.Errorf("gaps %+v, want one for the lost device", l.gaps)
		}
	})
}

// TestReturnClosesTheGap: the same Source, run again, lists how long the
// receiver was away.
func TestReturnClosesTheGap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var gaps []telemetry.Gap
		clk := clock.Virtual()
		opened := make(chan *io.PipeWriter, 1)
		s, err := gps.New(gps.Config{Clock: clk, Emit: func(telemetry.Fix) {}, Lost: func(g telemetry.Gap) { gaps = append(gaps, g) },
			Open: func(context.Context) (io.ReadCloser, error) {
				r, w := io.Pipe()
				opened <- w
				return r, nil
			}})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		run := func() { done <- s.Run(ctx) }
		go run()
		w := <-opened
		io.WriteString(w, frames(rmc("120000")))
		time.Sleep(time.Second)
		w.Close()
		<-done
		lost := clk.Now()
		time.Sleep(7 * time.Second)
		go run()
		w = <-opened
		io.WriteString(w, frames(rmc("120008")))
		synctest.Wait()
		cancel()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		if len(gaps) != 2 || gaps[1].From != lost || gaps[1].To.Sub(lost) != 7*time.Second {
			t.Errorf("gaps %+v, want the loss at %v and its end 7 s later", gaps, lost)
		}
		if s.Stats().Opens != 2 {
			t.Errorf("%d opens, want 2", s.Stats().Opens)
		}
	})
}

func TestWrongBaudIsSaidOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := listen(t)
		for range 60 {
			l.w.Write(bytes.Repeat([]byte{0xf8, 0x00, 0x86, 0x98}, 60))
			time.Sleep(time.Second)
		}
		l.stop(t)
		if n := strings.Count(l.log.String(), "baud rate is wrong"); n != 1 || !strings.Contains(l.log.String(), "set gps.baud to auto") {
			t.Errorf("said %d times, want once with the cure:\n%s", n, &l.log)
		}
		if l.Stats().Garbled != 1 || len(l.gaps) == 0 || len(l.gaps) > 4 || l.gaps[0].Count != telemetry.CountUnknown || l.gaps[0].Reason != telemetry.ReasonDecode {
			t.Errorf("stats %+v gaps %+v, want few gaps of unknown count", l.Stats(), l.gaps)
		}
	})
}

func TestSilentReceiverIsSaidOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := listen(t)
		time.Sleep(time.Minute)
		l.stop(t)
		if n := strings.Count(l.log.String(), "receiver is silent"); n != 1 {
			t.Errorf("said %d times, want once:\n%s", n, &l.log)
		}
	})
}

// TestReceiverThatComesAndGoesIsSaidNowAndThen: a loose wire gets a line per ten
// minutes, not one per silence.
func TestReceiverThatComesAndGoesIsSaidNowAndThen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := listen(t)
		for range 120 { // an hour
			l.say("GPGGA,120000.00,4807.038,N,01131.000,E,1,08,0.9,545.4,M,46.9,M,,")
			time.Sleep(30 * time.Second)
		}
		l.stop(t)
		if n := strings.Count(l.log.String(), "receiver is silent"); n < 5 || n > 6 {
			t.Errorf("said %d times in an hour, want one per ten minutes:\n%s", n, &l.log)
		}
	})
}

// TestCorruptedSentencesAreListed: gathered over a window, with their count.
func TestCorruptedSentencesAreListed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := listen(t)
		for i := range 30 {
			at := time.Date(2024, 3, 23, 12, 0, i, 0, time.UTC).Format("150405")
			l.say(rmc(at))
			if i%10 < 3 {
				l.w.Write([]byte(strings.Replace(gps.Frame(gga(at)), "545.4", "545.5", 1)))
			}
			time.Sleep(time.Second)
		}
		l.stop(t)
		var sum int64
		for _, g := range l.gaps {
			sum += g.Count
			if g.Reason != telemetry.ReasonDecode || g.To < g.From || g.Class != telemetry.ClassTelemetry || g.Boot != l.clk.Boot() {
				t.Errorf("gap %+v", g)
			}
		}
		if sum != 9 || len(l.gaps) > 3 {
			t.Errorf("%d gaps with %d sentences, want at most 3 with 9", len(l.gaps), sum)
		}
		if s := l.Stats(); s.Rejected.Checksum != 9 || s.Epochs != 30 {
			t.Errorf("stats %+v", s)
		}
	})
}

// TestLongLineOnALiveReceiver: 10 MB without a newline give one line in the
// log and one gap.
func TestLongLineOnALiveReceiver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := listen(t)
		l.say(rmc("120000"))
		block := bytes.Repeat([]byte{'x'}, 64<<10)
		for range 160 {
			l.w.Write(block)
		}
		l.w.Write([]byte("\n"))
		l.say(rmc("120001"))
		time.Sleep(9 * time.Second) // later it is silent
		l.stop(t)
		if n := strings.Count(l.log.String(), "could not be read"); n != 1 || len(l.gaps) != 1 || l.gaps[0].Count != telemetry.CountUnknown {
			t.Errorf("%d lines, gaps %+v:\n%s", n, l.gaps, &l.log)
		}
		if len(l.fixes()) != 2 {
			t.Errorf("%d fixes, want those before and after", len(l.fixes()))
		}
	})
}

func TestHalfLineAtOpenIsNoLoss(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := listen(t)
		l.w.Write([]byte(gps.Frame(gga("120000"))[13:]))
		l.say(rmc("120001"))
		time.Sleep(9 * time.Second) // later it is silent
		l.stop(t)
		if len(l.gaps) != 0 {
			t.Errorf("gaps %+v, want none", l.gaps)
		}
	})
}

func TestNewChecksItsConfig(t *testing.T) {
	if _, err := gps.New(gps.Config{}); err == nil {
		t.Error("New accepts an empty Config")
	}
}

func TestOpenErrorPassesThrough(t *testing.T) {
	s, err := gps.New(gps.Config{Clock: clock.Virtual(), Emit: func(telemetry.Fix) {},
		Open: func(context.Context) (io.ReadCloser, error) { return gps.OpenSerial("/dev/no-such-port", 9600) }})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Run(t.Context()); !errors.Is(err, gps.ErrNoDevice) {
		t.Errorf("Run returned %v, want ErrNoDevice", err)
	}
}

// TestFixIsNotOlderThanItsEpoch: sentences without a time that came while those
// with one were lost or not sent belong to no later epoch: neither is its fix as
// old as they are, nor does it have their speed.
func TestFixIsNotOlderThanItsEpoch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := listen(t)
		defer l.stop(t)
		for range 60 {
			l.say("GPVTG,084.4,T,077.8,M,022.4,N,041.5,K", gsa("3"))
			time.Sleep(time.Second)
		}
		start := l.clk.Now()
		l.say(gga("120000"))
		time.Sleep(time.Second)
		synctest.Wait()
		got := l.fixes()
		if len(got) != 1 {
			t.Fatalf("%d fixes, want 1", len(got))
		}
		if f := got[0]; f.At != start || !math.IsNaN(f.SpeedMPS) {
			t.Errorf("fix of %v with speed %v, want one of %v without", f.At, f.SpeedMPS, start)
		}
	})
}
