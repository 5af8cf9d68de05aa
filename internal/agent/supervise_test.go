package agent

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"obu/gps"
)

// TestLostSourceComesBackAlone: a source that fails is opened again, later and
// later, and starts over with short waits after it has run for a while.
func TestLostSourceComesBackAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		var began []time.Time
		s := newSupervisor("can0", slog.New(slog.DiscardHandler), func(ctx context.Context) error {
			began = append(began, time.Now())
			if len(began) == 20 { // the cable is in again for two minutes
				select {
				case <-ctx.Done():
					return nil
				case <-time.After(2 * restartSettled):
				}
			}
			return errors.New("no such device")
		})
		if err := s.Run(ctx); err != nil {
			t.Fatal(err)
		}
		if len(began) < 60 || len(began) > 240 {
			t.Errorf("opened %d times in an hour, want about one in half to a whole restartMax", len(began))
		}
		for i := 1; i < len(began); i++ {
			if wait := began[i].Sub(began[i-1]); i != 20 && (wait < restartMin/2 || wait > restartMax) {
				t.Errorf("wait %d was %v, want %v to %v", i, wait, restartMin/2, restartMax)
			}
		}
		if again := began[20].Sub(began[19]) - 2*restartSettled; again > restartMin {
			t.Errorf("after a settled run the wait was %v, want at most %v", again, restartMin)
		}
		st := s.Status()
		if st.State != "finished" || st.Error != "no such device" || st.Restarts != 2 || st.Attempts < len(began)-2 {
			t.Errorf("status %+v after %d starts", st, len(began))
		}
	})
}

// TestFlappingDeviceIsNotLeftForLong: a device that opens and is lost again at
// once is opened every few seconds, one that was open for some seconds at once;
// the log does not fill with it.
func TestFlappingDeviceIsNotLeftForLong(t *testing.T) {
	for _, flap := range []struct {
		open    time.Duration
		longest time.Duration
	}{{time.Second, restartFlapping}, {restartSettled, restartMin}} {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 6*time.Hour)
			defer cancel()
			var log bytes.Buffer
			var s *supervisor
			var lost time.Time
			tries := 0
			s = newSupervisor("can0", slog.New(slog.NewTextHandler(&log, nil)), func(ctx context.Context) error {
				if tries++; tries < 20 {
					return errors.New("no such device")
				}
				if wait := time.Since(lost); tries > 20 && wait > flap.longest {
					t.Errorf("after it was open for %v it was left for %v", flap.open, wait)
				}
				s.opened()
				select {
				case <-ctx.Done():
					return nil
				case <-time.After(flap.open):
				}
				lost = time.Now()
				return errors.New("device is gone")
			})
			s.opens = true
			if err := s.Run(ctx); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			if n := strings.Count(log.String(), "\n"); n > 6*(2*maxOutageLines+2) {
				t.Errorf("%d lines in six hours", n)
			}
			if flap.open > backAfter && !strings.Contains(log.String(), "outages_not_logged=") {
				t.Errorf("what was not logged is not counted:\n%s", log.String())
			}
		})
	}
}

// TestRecordingEndsOnce: a source that ends by itself is not started again.
func TestRecordingEndsOnce(t *testing.T) {
	runs := 0
	s := newSupervisor("log", slog.New(slog.DiscardHandler), func(context.Context) error { runs++; return nil })
	if err := s.Run(t.Context()); err != nil || runs != 1 {
		t.Errorf("runs %d, err %v", runs, err)
	}
}

// TestOutageIsToldOnce: one line when a source is lost, whatever each try to
// open it says, one an hour while it lasts, one when it is back; a device that
// opens and fails at once is not back.
func TestOutageIsToldOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 150*time.Minute+time.Hour)
		defer cancel()
		var log bytes.Buffer
		var s *supervisor
		began, tries := time.Now(), 0
		s = newSupervisor("gps", slog.New(slog.NewTextHandler(&log, nil)), func(ctx context.Context) error {
			tries++
			switch away := time.Since(began); {
			case tries == 1:
				s.opened()
				time.Sleep(time.Minute)
				return errors.New("read: input/output error")
			case away > 149*time.Minute:
				s.opened()
				<-ctx.Done()
				return nil
			case tries%10 == 0: // it opens, and that is all
				s.opened()
				return errors.New("device is gone")
			}
			return errors.New("no such serial port")
		})
		s.opens, s.hint = true, func(error) string { return "plug it in" }
		if err := s.Run(ctx); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		var said []string
		for line := range strings.Lines(log.String()) {
			_, text, _ := strings.Cut(line, "msg=")
			said = append(said, text)
		}
		if len(said) != 4 || !strings.HasPrefix(said[0], `"source lost;`) || !strings.Contains(said[0], `next="plug it in"`) ||
			!strings.HasPrefix(said[1], `"source is still away;`) || !strings.Contains(said[2], " for=2h0m") ||
			!strings.HasPrefix(said[3], `"source is back" source=gps after=2h2`) {
			t.Errorf("it said\n%s", log.String())
		}
		if st := s.Status(); st.Restarts != 1 || st.Attempts != tries-1 {
			t.Errorf("status %+v after %d tries", st, tries)
		}
	})
}

// TestSourceThatNeverWas: a device that is not there at the start is not called
// lost.
func TestSourceThatNeverWas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		var log bytes.Buffer
		s := newSupervisor("gps", slog.New(slog.NewTextHandler(&log, nil)), func(context.Context) error { return errors.New("no such serial port") })
		s.opens = true
		if err := s.Run(ctx); err != nil {
			t.Fatal(err)
		}
		if text := log.String(); strings.Count(text, "\n") != 1 || !strings.Contains(text, `msg="source is not there; it is opened again and again until it answers"`) {
			t.Errorf("it said\n%s", text)
		}
	})
}

// TestLossIsSaidOnce: an error does not name twice what could not be opened.
func TestLossIsSaidOnce(t *testing.T) {
	s := newSupervisor("gps", slog.New(slog.DiscardHandler), nil)
	for want, err := range map[string]error{
		"open /dev/ttyUSB0: no such serial port": fmt.Errorf("open gps: %w", fmt.Errorf("open /dev/ttyUSB0: %w: %w", gps.ErrNoDevice, syscall.ENOENT)),
		"open gps: no answer":                    errors.New("open gps: no answer"),
		"read gps: device is gone":               errors.New("read gps: device is gone"),
	} {
		if s.set("waiting", err); s.Status().Error != want {
			t.Errorf("%v is shown as %q", err, s.Status().Error)
		}
	}
}
