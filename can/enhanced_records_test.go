package can_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"obu/can"
)

// TestRecordsOfManyCodes: a unit that runs for months in a car with ever other
// faults still asks for the snapshot of a new one.
func TestRecordsOfManyCodes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const codes = 80
		b := newBattery()
		c := bms()
		c.Codes = can.CodesPoll{Every: 10 * time.Second, Mask: 9, Snapshot: true}
		driveUDS(t, car(b), speedOnly(), []can.ECU{c}, (codes+6)*10*time.Second, func(*can.Source) {
			time.Sleep(25 * time.Second)
			for i := range codes {
				b.set("190209", fmt.Sprintf("59022F%06X09", 0x100+i))
				time.Sleep(10 * time.Second)
			}
		})
		for i := range codes {
			if b.count(fmt.Sprintf("1904%06XFF", 0x100+i)) == 0 {
				t.Fatalf("the snapshot of code %d of %d was not asked for", i+1, codes)
			}
		}
	})
}
