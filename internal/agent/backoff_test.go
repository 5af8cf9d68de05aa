package agent_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"obu/can"
	"obu/internal/clock"
	"obu/telemetry"
)

// life runs an agent for a while. One that crashes leaves behind what it had
// written until then.
func (r *rig) life(d time.Duration, crashes bool) {
	r.Helper()
	note := filepath.Join(r.cfg.Buffer.Dir, "backoff.json")
	a := r.start()
	time.Sleep(d)
	before, err := os.ReadFile(note)
	a.stop()
	if crashes && err == nil {
		if err := os.WriteFile(note, before, 0o600); err != nil {
			r.Fatal(err)
		}
	}
}

// counted puts a bus on which nobody answers into a rig, and counts what it is sent.
func (r *rig) counted() *standing {
	s := &standing{}
	r.deps.Devices.CAN[0].Dial = func(context.Context) (can.Bus, error) {
		agent, _ := can.Pair(r.clk)
		return countedEnd{agent, s}, nil
	}
	return s
}

// TestCrashLoopSearchesLess: a process that crashes each minute asks a car that
// does not answer no more often than one that lives; one that was stopped on
// purpose, and one of another boot, asks at once.
func TestCrashLoopSearchesLess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, "crashes")
		r.deps.Devices.GPS = nil
		s := r.counted()
		for range 40 {
			r.life(time.Minute, true)
		}
		if n := s.count(); n < 7 || n > 10 { // at 0, 5, 15, 35 s …
			t.Errorf("%d frames in forty minutes of a crash each minute", n)
		}
		before := s.count()
		r.life(10*time.Second, false)
		if n := s.count(); n != before {
			t.Errorf("%d frames right after a crash", n-before)
		}
		before = s.count()
		r.life(3*time.Second, true)
		if n := s.count(); n != before+1 {
			t.Errorf("%d frames after a restart on purpose, want 1", n-before)
		}
		for range 5 {
			r.life(20*time.Second, true)
		}
		before = s.count()
		r.clk = clock.Virtual(clock.WithBoot(telemetry.BootID{1}))
		r.deps.Clock = r.clk
		r.life(3*time.Second, false)
		if n := s.count(); n != before+1 {
			t.Errorf("%d frames after another boot, want 1", n-before)
		}
	})
}

// TestSpoiledBackoffIsNone: whatever the note says, the car is searched, and is
// within the times of a process that lives.
func TestSpoiledBackoffIsNone(t *testing.T) {
	for name, text := range map[string]string{
		"empty": "", "cut": `{"boot":"`, "of the future": `{"boot":"BOOT","buses":{"can0":{"at_ns":9000000000000000000,"retry_ns":3600000000000}}}`,
		"absurd": `{"boot":"BOOT","buses":{"can0":{"retry_ns":9000000000000000000,"nudge_ns":-5,"since_ns":-9000000000000000000,"errors_ns":9000000000000000000,"unused_ns":-1}}}`,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, "spoiled")
				r.deps.Devices.GPS = nil
				s := r.counted()
				text := []byte(text)
				if i := len(`{"boot":"`); len(text) > i+4 {
					text = append(append([]byte(text[:i:i]), r.clk.Boot().String()...), text[i+4:]...)
				}
				if err := os.WriteFile(filepath.Join(r.cfg.Buffer.Dir, "backoff.json"), text, 0o600); err != nil {
					t.Fatal(err)
				}
				r.life(time.Minute, false)
				if n := s.count(); n < 3 || n > 4 {
					t.Errorf("%d frames in the first minute", n)
				}
			})
		})
	}
}

// TestCrashLoopProbesLess: nor does it ask a silent bus for its bit rate more
// often.
func TestCrashLoopProbesLess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, "probes")
		s := r.counted()
		r.deps.Devices.CAN[0].Managed = &can.Managed{Link: s, Dial: r.deps.Devices.CAN[0].Dial}
		r.cfg.CAN[0].Bitrate = -1
		for range 40 {
			r.life(30*time.Second, true)
		}
		if n := s.count(); n < 4*5 || n > 4*10 { // 10, 20, 40 s … 5 min apart
			t.Errorf("%d frames in twenty minutes of a crash each half minute", n)
		}
	})
}
