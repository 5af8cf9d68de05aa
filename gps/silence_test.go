package gps_test

import (
	"io"
	"testing"
	"testing/synctest"
	"time"

	"obu/telemetry"
)

// TestSilenceIsShown: who asks sees that a receiver has fallen silent, and that it
// speaks again.
func TestSilenceIsShown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := listen(t)
		defer l.stop(t)
		for i, want := range []bool{false, true, false} {
			if !want {
				l.say(rmc("12000" + string(rune('0'+i))))
			}
			time.Sleep(time.Second)
			if want {
				time.Sleep(15 * time.Second)
			} else {
				time.Sleep(5 * time.Second)
			}
			synctest.Wait()
			if got := l.Stats().Silent; got != want {
				t.Errorf("step %d: silent %v, want %v", i, got, want)
			}
		}
	})
}

// TestSilenceIsAnOutage: what a receiver that fell silent on an open port would
// have said is listed from its last sentence to its next, and meanwhile nothing
// of its last fix passes for what it has now.
func TestSilenceIsAnOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := listen(t)
		l.say(rmc("120000"), gga("120000"))
		spoke := l.clk.Now()
		time.Sleep(40 * time.Second)
		synctest.Wait()
		if s := l.Stats(); !s.Silent || s.SilentS != 40 || s.Mode != "" || s.Sats != 0 {
			t.Errorf("after 40 s without a byte: %+v", s)
		}
		back := l.clk.Now()
		l.say(rmc("120040"), gga("120040"))
		time.Sleep(6 * time.Second)
		synctest.Wait()
		if s := l.Stats(); s.Silent || s.SilentS != 0 || s.Mode != "3d" {
			t.Errorf("it speaks again: %+v", s)
		}
		l.stop(t)
		if len(l.gaps) != 2 || l.gaps[1].From != spoke || l.gaps[1].To != back || l.gaps[1].Reason != telemetry.ReasonBusError {
			t.Errorf("gaps %+v, want the silence from %v to %v", l.gaps, spoke, back)
		}
	})
}

// TestNeverHeardIsNoOutage: a receiver that said nothing yet has lost nothing.
func TestNeverHeardIsNoOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := listen(t)
		time.Sleep(time.Hour)
		synctest.Wait()
		if s := l.Stats(); !s.Silent || s.SilentS != 3600 {
			t.Errorf("stats %+v, want it silent for an hour", s)
		}
		l.stop(t)
		l.Settle()
		if len(l.gaps) != 0 {
			t.Errorf("gaps %+v", l.gaps)
		}
	})
}

// TestGpsdWithoutItsReceiverIsSilent: at once when gpsd says so, or when it
// speaks of another receiver alone.
func TestGpsdWithoutItsReceiverIsSilent(t *testing.T) {
	for name, c := range map[string]struct {
		says  string
		after time.Duration
	}{"gone": {`{"class":"DEVICE","path":"/dev/ttyUSB0","activated":0}` + "\n", time.Second}, "another's": {tpvReport("/dev/ttyUSB1", "01.000", ""), 16 * time.Second}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l, conn := listenToGpsd(t, "/dev/ttyUSB0")
				io.WriteString(conn, gpsdVersion+gpsdDevices+tpvReport("/dev/ttyUSB0", "00.000", ""))
				time.Sleep(time.Second)
				for range c.after / time.Second {
					io.WriteString(conn, c.says)
					time.Sleep(time.Second)
				}
				synctest.Wait()
				if s := l.Stats(); !s.Silent || s.Mode != "" {
					t.Errorf("stats %+v", s)
				}
				l.stop(t)
				if len(l.gaps) == 0 || l.gaps[0].Reason != telemetry.ReasonBusError {
					t.Errorf("gaps %+v", l.gaps)
				}
			})
		})
	}
}

// TestReceptionThatIsOverIsNotShown: of a receiver that is silent or gone nobody is
// told what it saw last as what it sees.
func TestReceptionThatIsOverIsNotShown(t *testing.T) {
	for name, end := range map[string]func(*listener){
		"silent": func(*listener) {},
		"gone":   func(l *listener) { l.w.Close(); <-l.done; l.done <- nil },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := listen(t)
				l.say("GPGSV,1,1,03,05,40,083,41,13,56,090,29,15,55,170,50", "GNTXT,01,01,02,ANTSTATUS=OK", rmc("120000"))
				time.Sleep(time.Second)
				if s := l.Stats(); s.Sky.Total().InView != 3 || s.Mode != "2d" || s.Antenna != telemetry.AntennaOK {
					t.Errorf("while it speaks: %+v", s)
				}
				end(l)
				time.Sleep(20 * time.Second)
				synctest.Wait()
				if s := l.Stats(); s.Sky != (telemetry.Sky{}) || s.Mode != "" || s.Antenna != telemetry.AntennaUnknown || s.Epochs != 1 {
					t.Errorf("afterwards: %+v", s)
				}
				l.stop(t)
			})
		})
	}
}
