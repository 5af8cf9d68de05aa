package agent_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"obu/dashcam"
	"obu/internal/agent"
	"obu/internal/config"
	"obu/internal/virtual"
)

// TestClipArrivesToTheByte: a live camera's folder, an agent that is stopped
// before the clip has left, and the next one: it arrives as it was recorded,
// once.
func TestClipArrivesToTheByte(t *testing.T) {
	r := newRig(t, "sim-1")
	dir := t.TempDir()
	r.cfg.Dashcam = []config.Dashcam{{Camera: "front", Dir: dir, Settle: config.Duration(100 * time.Millisecond)}}
	r.cfg.Buffer.FlushEvery /= 10
	r.deps.Devices.CAN = nil
	r.deps.Devices.Dashcam = []agent.DashcamDevice{{Camera: "front", Dir: dir}}
	r.unplugBroker()
	a := r.start()

	ctx, cancel := context.WithCancel(t.Context())
	var film sync.WaitGroup
	film.Go(func() {
		if err := r.car.RecordClips(ctx, dir, virtual.DashcamOptions{Length: 300 * time.Millisecond, SizeBytes: 600 << 10}); err != nil {
			t.Error(err)
		}
	})
	await(t, "custody of the clip", func() bool {
		s := a.Status()
		return s.Buffer != nil && s.Buffer.MediaUsed > 600<<10 && held(s, "event") > 0 && len(r.car.Journal().Recordings()) == 1
	})
	cancel()
	film.Wait()
	a.stop()
	if err := os.Remove(filepath.Join(dir, r.car.Journal().Recordings()[0].Name)); err != nil {
		t.Fatal(err) // the camera needs its space: the clip is in custody
	}
	r.plugBroker()
	r.deps.Devices.GPS = &agent.GPSDevice{Name: "gps", Open: virtual.NewLine().Open}
	b := r.start()
	await(t, "delivery", func() bool { s := b.Status(); return s.Uplink != nil && s.Uplink.Connected && b.owed() == 0 })
	b.stop()
	r.cloud.film(r.car.Journal().Recordings())
	r.cloud.settled("sim-1", false)
}

// held is how many batches of a class wait.
func held(s agent.Status, class string) (n int) {
	for _, st := range s.Streams {
		if st.Class.String() == class {
			n += st.Batches
		}
	}
	return n
}

// TestWipeTakesTheCardUpAgain: a film on the camera's card is the camera's. It is
// taken up again at once after a wipe, as after a restart, and the reply says so.
func TestWipeTakesTheCardUpAgain(t *testing.T) {
	r := newRig(t, "sim-1")
	dir := t.TempDir()
	r.cfg.Dashcam = []config.Dashcam{{Camera: "front", Dir: dir, Settle: config.Duration(100 * time.Millisecond)}}
	r.cfg.Buffer.FlushEvery /= 10
	r.deps.Devices.CAN = nil
	r.deps.Devices.Dashcam = []agent.DashcamDevice{{Camera: "front", Dir: dir}}
	if err := os.WriteFile(filepath.Join(dir, "20260504_080000_NF.avi"), make([]byte, 300<<10), 0o600); err != nil {
		t.Fatal(err)
	}
	a := r.start()
	clips := func() int64 {
		for _, s := range a.Status().Sources {
			if st, ok := s.Stats.(dashcam.Stats); ok {
				return int64(st.Clips)
			}
		}
		return -1
	}
	await(t, "custody of the clip", func() bool { s := a.Status(); return s.Uplink != nil && s.Uplink.Connected && clips() == 1 })
	reply := r.order("w", "wipe", `{"unit":"sim-1"}`)
	if !reply.OK || !strings.Contains(string(reply.Result), "format the card") {
		t.Errorf("reply %+v %s", reply, reply.Result)
	}
	await(t, "custody of the clip once more", func() bool { return clips() == 2 })
	a.stop()
}
