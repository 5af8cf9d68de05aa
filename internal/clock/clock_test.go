package clock_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"obu/internal/clock"
	"obu/telemetry"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestVirtualFollowsTheRuntimeClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clock.Virtual(clock.StartAt(telemetry.At(time.Hour)))
		time.Sleep(1500 * time.Millisecond)
		if got, want := c.Now(), telemetry.At(time.Hour+1500*time.Millisecond); got != want {
			t.Errorf("Now = %d, want %d", got, want)
		}
		if c.Boot().IsZero() || c.Boot() == clock.Virtual().Boot() {
			t.Error("boot ids are not unique")
		}
	})
}

func TestLiveSleep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clock.Virtual()
		s := c.Join()
		defer s.Leave()
		for i := 1; i <= 3; i++ {
			at := telemetry.At(time.Duration(i) * time.Minute)
			if err := s.SleepUntil(t.Context(), at); err != nil {
				t.Fatal(err)
			}
			if c.Now() != at {
				t.Errorf("woke at %v, want %v", c.Now(), at)
			}
		}
		if err := s.SleepUntil(t.Context(), 0); err != nil || c.Now() != telemetry.At(3*time.Minute) {
			t.Errorf("sleep until the past: %v at %v", err, c.Now())
		}
	})
}

func TestLiveSleepEndsWithContextAndLeave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clock.Virtual()
		s := c.Join()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := s.SleepUntil(ctx, telemetry.At(time.Hour)); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("err = %v", err)
		}
		time.AfterFunc(time.Second, s.Leave)
		if err := s.SleepUntil(t.Context(), telemetry.At(time.Hour)); !errors.Is(err, clock.ErrLeft) {
			t.Errorf("err = %v", err)
		}
		s.Leave()
		if err := s.SleepUntil(t.Context(), 0); !errors.Is(err, clock.ErrLeft) {
			t.Errorf("err after Leave = %v", err)
		}
	})
}

func TestSystemReadsTheKernel(t *testing.T) {
	c, err := clock.System()
	if err != nil {
		t.Fatal(err)
	}
	d, err := clock.System()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := clock.KernelBoot("/proc/sys/kernel/random/boot_id"); err == nil && c.Boot() != d.Boot() {
		t.Error("two clocks of one kernel have two boot ids")
	}
	a := c.Now()
	if b := d.Now(); a <= 0 || b < a {
		t.Errorf("Now = %d, then %d", a, b)
	}
	s := c.Join()
	defer s.Leave()
	at := c.Now().Add(3 * time.Millisecond)
	if err := s.SleepUntil(t.Context(), at); err != nil || c.Now() < at {
		t.Errorf("woke %v early, err %v", at.Sub(c.Now()), err)
	}
}

func TestUnreadableBootID(t *testing.T) {
	if _, err := clock.KernelBoot(filepath.Join(t.TempDir(), "none")); err == nil {
		t.Error("a missing file gave a boot id")
	}
	short := filepath.Join(t.TempDir(), "short")
	if err := os.WriteFile(short, []byte("12345\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := clock.KernelBoot(short); err == nil {
		t.Error("a short file gave a boot id")
	}
}

// logged returns a logger and what it was told.
func logged() (*slog.Logger, *bytes.Buffer) {
	var b bytes.Buffer
	return slog.New(slog.NewTextHandler(&b, nil)), &b
}

func wantLog(t *testing.T, log *bytes.Buffer, text string, times int) {
	t.Helper()
	if n := strings.Count(log.String(), text); n != times {
		t.Errorf("%q was logged %d times, want %d:\n%s", text, n, times, log)
	}
}
