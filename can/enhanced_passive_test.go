package can_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"obu/can"
)

// TestECUsOfAPassiveBusAreSaid: on a bus on which nothing is asked the ECUs of
// uds are not asked either, and the statistics say why.
func TestECUsOfAPassiveBusAreSaid(t *testing.T) {
	for _, passive := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			o := speedOnly()
			o.Passive = passive
			b := newBattery()
			_, st, _ := driveUDS(t, car(b), o, []can.ECU{bms(soc(time.Second))}, 30*time.Second, nil)
			if s := st.UDS[0]; passive != strings.Contains(s.Trouble, "not asked") || passive != (s.Requests == 0) {
				t.Errorf("passive %v: %+v", passive, s)
			}
		})
	}
}
