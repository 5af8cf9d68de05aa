package gps_test

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"obu/gps"
	"obu/telemetry"
)

// startGpsd runs the real gpsd on a pseudo terminal and returns its address.
func startGpsd(t *testing.T, program string, r *receiver) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(l.Addr().String())
	l.Close()
	if err := os.Chmod(r.path, 0o666); err != nil { // gpsd gives its rights away
		t.Fatal(err)
	}
	var out bytes.Buffer
	gpsd := exec.Command(program, "-N", "-n", "-b", "-S", port, "-F", filepath.Join(t.TempDir(), "control"), r.path)
	gpsd.Stdout, gpsd.Stderr = &out, &out
	if err := gpsd.Start(); err != nil {
		t.Skipf("%s does not start: %v", program, err)
	}
	t.Cleanup(func() {
		gpsd.Process.Kill()
		gpsd.Wait()
		if t.Failed() {
			t.Logf("gpsd says:\n%s", &out)
		}
	})
	addr := "127.0.0.1:" + port
	eventually(t, "gpsd listens", func() bool {
		c, err := net.Dial("tcp", addr)
		if err == nil {
			c.Close()
		}
		return err == nil
	})
	return addr
}

// epochsOf cuts a log where the time of a sentence changes.
func epochsOf(t *testing.T, log []byte) (epochs [][]byte) {
	last := time.Duration(-1)
	var cur []byte
	for line := range bytes.Lines(log) {
		if _, tod := timeField(string(line)); tod >= 0 && tod != last {
			if last >= 0 {
				epochs = append(epochs, cur)
				cur = nil
			}
			last = tod
		}
		if line[0] == '$' {
			cur = append(cur, line...)
		}
	}
	return append(epochs, cur)
}

// TestGpsdAgreesWithOurDecoder: what the real gpsd makes of a recording is what
// our own decoder makes of it, to the digits that gpsd prints.
func TestGpsdAgreesWithOurDecoder(t *testing.T) {
	program, err := exec.LookPath("gpsd")
	if err != nil {
		if program = "/usr/sbin/gpsd"; exec.Command(program, "-V").Run() != nil {
			t.Skip("no gpsd here: nothing was compared (apt-get install gpsd)")
		}
	}
	for name, dilution := range map[string]bool{ // told with each epoch
		"ublox-neo-m9n-nmea.log": true, "telit-he910.log": true, "skytraq-dgps.log": false, "nmea-rtk.log": false, "sirfstarv-nmea.log": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			log, err := os.ReadFile(filepath.Join(recordings(t), "gpsd", name))
			if err != nil {
				t.Skipf("no such recording here: %v", err)
			}
			// By the time of day: gpsd moves dates of before 2006 by a week rollover.
			ours := map[time.Duration]telemetry.Fix{}
			gps.Decode(bytes.NewReader(log), func(f telemetry.Fix) {
				if f.Valid {
					ours[todOf(f.UTC)] = f
				}
			})
			r := newReceiver(t, unix.B9600)
			addr := startGpsd(t, program, r)
			s, c := receiverSource(t, &gps.Receiver{Device: "gpsd://" + addr})
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan error, 1)
			go func() { done <- s.Run(ctx) }()
			eventually(t, "gpsd answers", func() bool { return s.Stats().Sentences >= 2 })
			epochs := epochsOf(t, log)
			for _, e := range epochs {
				r.master.Write(e)
				time.Sleep(20 * time.Millisecond)
			}
			eventually(t, "gpsd has told most of them", func() bool { return len(c.fixes) >= len(ours)/2 })
			time.Sleep(300 * time.Millisecond)
			cancel()
			<-done
			close(c.fixes)
			compared := 0
			for f := range c.fixes {
				our, ok := ours[todOf(f.UTC)]
				if !ok || !f.Valid {
					continue
				}
				compared++
				if bad := disagrees(f, our, dilution); bad != "" {
					t.Errorf("%s: %s\ngpsd %+v\nours %+v", f.UTC.Format("15:04:05.000"), bad, f, our)
				}
			}
			if compared < len(ours)/2 {
				t.Errorf("%d of %d epochs compared", compared, len(ours))
			}
			t.Log(strconv.Itoa(compared) + " of " + strconv.Itoa(len(ours)) + " fixes compared")
		})
	}
}

// disagrees names the first field in which a fix by gpsd differs from ours.
func disagrees(f, our telemetry.Fix, dilution bool) string {
	for _, v := range []struct {
		name      string
		a, b, eps float64
	}{
		{"latitude", f.LatDeg, our.LatDeg, 1.01e-7}, {"longitude", f.LonDeg, our.LonDeg, 1.01e-7},
		{"altitude", f.AltM, our.AltM, 1e-3}, {"speed", f.SpeedMPS, our.SpeedMPS, 1e-3}, {"course", f.CourseDeg, our.CourseDeg, 1e-3},
		{"HDOP", f.HDOP, our.HDOP, 1e-2},
	} {
		if known := !math.IsNaN(v.b) && (v.name != "HDOP" || dilution); known && !(math.Abs(v.a-v.b) <= v.eps) {
			return fmt.Sprintf("%s is %v, ours %v", v.name, v.a, v.b)
		}
	}
	switch {
	case f.Mode != our.Mode:
		return fmt.Sprintf("mode is %v, ours %v", f.Mode, our.Mode)
	case f.Quality != our.Quality:
		return fmt.Sprintf("quality is %v, ours %v", f.Quality, our.Quality)
	case f.Doubt != our.Doubt:
		return fmt.Sprintf("doubt is %v, ours %v", f.Doubt.Strings(), our.Doubt.Strings())
	}
	return ""
}
