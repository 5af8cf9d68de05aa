package gps_test

import (
	"testing"
	"testing/synctest"
	"time"
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
