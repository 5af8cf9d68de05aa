package gps_test

import (
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"obu/telemetry"
)

// TestGpsdWithoutAPause: what a fast receiver reports, without a time or with one
// that stands still, is no epoch without an end.
func TestGpsdWithoutAPause(t *testing.T) {
	for name, says := range map[string]string{"no time": gpsdNoFix, "a clock that stands": tpvReport("/dev/ttyUSB0", "00.000", "")} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l, conn := listenToGpsd(t, "")
				for range 200 {
					io.WriteString(conn, says)
					time.Sleep(50 * time.Millisecond)
				}
				l.stop(t)
				fixes := l.fixes()
				if len(fixes) < 9 {
					t.Fatalf("%d fixes in ten seconds", len(fixes))
				}
				if f := fixes[len(fixes)-1]; f.At < telemetry.At(8*time.Second) || (f.Doubt&telemetry.DoubtFrozen != 0) != f.Valid {
					t.Errorf("last fix %+v", f)
				}
			})
		})
	}
}

// TestGpsdDoesNotFillTheJournal: what it says again and again is logged once for
// a while, each complaint by itself.
func TestGpsdDoesNotFillTheJournal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, conn := listenToGpsd(t, "")
		time.Sleep(time.Second)
		for range 100 {
			io.WriteString(conn, tpvReport("/dev/ttyUSB0", "00.000", "")+`{"class":"DEVICE","path":"/dev/ttyUSB0","activated":0}`+"\n"+
				`{"class":"DEVICES","devices":[]}`+"\n"+`{"class":"ERROR","message":"unrecognized request"}`+"\n")
			time.Sleep(time.Second)
		}
		l.stop(t)
		for _, what := range []string{"has lost its receiver", "has no receiver", "does not take what it was asked"} {
			if n := strings.Count(l.log.String(), what); n != 1 {
				t.Errorf("%q stands %d times in the journal", what, n)
			}
		}
	})
}
