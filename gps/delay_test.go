package gps_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"obu/gps"
	"obu/telemetry"
)

// learning is how many epochs a receiver gets until its cycle end is known.
const learning = 3

// TestDelayAfterLastByte plays every recording byte by byte, as fast as its
// epochs need on a serial line, and measures on the test's clock how long after
// an epoch's last byte its fix left: at once for nearly all, after the patience
// of a pause for the others, never with the next epoch.
func TestDelayAfterLastByte(t *testing.T) {
	logs, _ := filepath.Glob(filepath.Join(recordings(t), "gpsd", "*.log"))
	if dir := os.Getenv("OBU_GPSD"); dir != "" {
		more, _ := filepath.Glob(filepath.Join(dir, "*.log"))
		for _, path := range more {
			if fixes, _ := decodeFile(t, path); len(fixes) > 0 && differences[strings.TrimSuffix(filepath.Base(path), ".log")] == "" {
				logs = append(logs, path)
			}
		}
	}
	for _, path := range append(logs, filepath.Join(recordings(t), "dotmorten", "TrimbleR2SampleData.nmea")) {
		t.Run(strings.TrimSuffix(filepath.Base(path), filepath.Ext(path)), func(t *testing.T) {
			raw, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			epochs := epochLines(raw)
			if len(epochs) > 150 {
				epochs = epochs[:150]
			}
			synctest.Test(t, func(t *testing.T) { measureDelays(t, epochs) })
		})
	}
}

func measureDelays(t *testing.T, epochs [][]string) {
	l := listen(t)
	defer l.stop(t)
	longest := 0
	for _, lines := range epochs {
		longest = max(longest, len(strings.Join(lines, "")))
	}
	baud := 4800
	for _, faster := range []int{9600, 38400, 115200, 460800} {
		if longest*10 > baud*7/10 {
			baud = faster
		}
	}
	byteTime := time.Duration(10 * int(time.Second) / baud)
	var delays []time.Duration
	atOnce, none := 0, 0
	for i, lines := range epochs {
		text, start, before := strings.Join(lines, ""), time.Now(), len(l.fixes())
		for len(text) > 0 { // a UART's FIFO hands over eight bytes at a time
			n := min(8, len(text))
			time.Sleep(time.Duration(n) * byteTime)
			l.w.Write([]byte(text[:n]))
			text = text[n:]
		}
		synctest.Wait()
		delay := time.Duration(0)
		for len(l.fixes()) == before && delay < 850*time.Millisecond {
			time.Sleep(10 * time.Millisecond)
			delay += 10 * time.Millisecond
			synctest.Wait()
		}
		if rest := time.Second - time.Since(start); rest > 0 {
			time.Sleep(rest)
		}
		switch {
		case i < learning:
		case len(l.fixes()) == before:
			none++ // what was written held no epoch of its own
		default:
			delays = append(delays, delay)
			if delay == 0 {
				atOnce++
			}
		}
	}
	if len(delays) == 0 {
		t.Skip("too short")
	}
	slices.Sort(delays)
	t.Logf("%d baud, %d epochs: %d at once, median %v, last %v; %d held none; late sentences %d",
		baud, len(delays), atOnce, delays[len(delays)/2], delays[len(delays)-1], none, l.Stats().Late)
	if 4*atOnce < 3*len(delays) && len(delays) > 10 && os.Getenv("OBU_GPSD") == "" {
		t.Errorf("%d of %d left with the last byte", atOnce, len(delays))
	}
	if last := delays[len(delays)-1]; last > 400*time.Millisecond {
		t.Errorf("longest delay %v, want the patience of a pause", last)
	}
}

// TestGSAEveryFifthEpochDelaysNoOther: where GSA follows now and then, the
// other fixes do not wait for it, and its own takes the mode of the last one.
func TestGSAEveryFifthEpochDelaysNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := listen(t)
		defer l.stop(t)
		for i := range 40 {
			at := time.Date(2024, 3, 23, 12, 0, i, 0, time.UTC).Format("150405")
			l.say(rmc(at))
			time.Sleep(50 * time.Millisecond)
			l.say(strings.Replace(gga(at), ",08,", ",03,", 1))
			synctest.Wait()
			if n := len(l.fixes()); n != i+1 && i >= learning {
				t.Errorf("epoch %d: %d fixes with its last regular sentence", i, n)
			}
			if i%5 == 0 {
				time.Sleep(50 * time.Millisecond)
				l.say(gsa("2"))
			}
			time.Sleep(700 * time.Millisecond)
		}
		for i, f := range l.fixes() {
			if f.Mode.String() != "2d" {
				t.Errorf("fix %d: mode %v, want 2d as GSA said", i, f.Mode)
			}
		}
	})
}

// TestDateOfASeldomZDA: at 5 Hz without RMC the date comes with ZDA once a second,
// after the cycle end. The fixes after it have it all the same, over midnight too.
func TestDateOfASeldomZDA(t *testing.T) {
	var runs [][]byte
	start := time.Date(2024, 12, 31, 23, 59, 56, 0, time.UTC)
	for i := range 40 {
		at := start.Add(time.Duration(i) * 200 * time.Millisecond)
		run := frames(gga(at.Format("150405.00")), "GPVTG,084.4,T,077.8,M,022.4,N,041.5,K,A")
		if i >= 10 && i%5 == 0 { // before that the receiver does not know it
			run += frames("GPZDA," + at.Format("150405.00,02,01,2006") + ",00,00")
		}
		runs = append(runs, []byte(run))
	}
	i := 0
	gps.MergeLive(runs, func(f telemetry.Fix) {
		if want := start.Add(time.Duration(i) * 200 * time.Millisecond); i > 10 && !f.UTC.Equal(want) {
			t.Errorf("fix %d: %v, want %v", i, f.UTC, want)
		}
		i++
	})
	if i != len(runs) {
		t.Errorf("%d fixes, want %d", i, len(runs))
	}
}

// TestZDADelaysNone: a date that is known already is not waited for, also where
// it is told with every second epoch.
func TestZDADelaysNone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := listen(t)
		defer l.stop(t)
		for i := range 40 {
			at := time.Date(2024, 12, 31, 23, 59, 50, 0, time.UTC).Add(time.Duration(i) * 500 * time.Millisecond)
			l.say(gga(at.Format("150405.00")))
			l.say("GPVTG,084.4,T,077.8,M,022.4,N,041.5,K,A")
			synctest.Wait()
			if n := len(l.fixes()); n != i+1 && i > 2*learning {
				t.Errorf("epoch %d: %d fixes with VTG", i, n)
			}
			time.Sleep(50 * time.Millisecond)
			if i%2 == 0 {
				l.say("GPZDA," + at.Format("150405.00,02,01,2006") + ",00,00")
			}
			time.Sleep(450 * time.Millisecond)
		}
		for i, f := range l.fixes() {
			if want := time.Date(2024, 12, 31, 23, 59, 50, 0, time.UTC).Add(time.Duration(i) * 500 * time.Millisecond); !f.UTC.Equal(want) {
				t.Errorf("fix %d: %v, want %v", i, f.UTC, want)
			}
		}
	})
}
