package agent

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"
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
		if st.State != "finished" || st.Error != "no such device" || st.Restarts < len(began)-2 {
			t.Errorf("status %+v after %d starts", st, len(began))
		}
	})
}

// TestRecordingEndsOnce: a source that ends by itself is not started again.
func TestRecordingEndsOnce(t *testing.T) {
	runs := 0
	s := newSupervisor("log", slog.New(slog.DiscardHandler), func(context.Context) error { runs++; return nil })
	if err := s.Run(t.Context()); err != nil || runs != 1 {
		t.Errorf("runs %d, err %v", runs, err)
	}
}
