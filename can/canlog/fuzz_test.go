package canlog_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	einride "go.einride.tech/can"

	"obu/can/canlog"
)

// FuzzLog reads logs of every format (testdata/fuzz/FuzzLog has one of each):
// no line panics; what is accepted is a valid frame, becomes a candump line that
// reads the same, and is accepted by einride's parser as well; what is kept
// from line to line does not grow with the log.
func FuzzLog(f *testing.F) {
	f.Add([]byte("(1725695599.863200) can0 7E8#03410D4A00000000"))
	f.Fuzz(func(t *testing.T, in []byte) {
		log := canlog.NewReader(bytes.NewReader(in))
		for range 1000 {
			e, err := log.Next()
			if words, interfaces, columns := log.Kept(); words > 256 || interfaces > 64 || columns > 4096 {
				t.Fatalf("%d words, %d interfaces, %d columns kept", words, interfaces, columns)
			}
			var bad *canlog.LineError
			if errors.As(err, &bad) {
				continue
			}
			if err != nil {
				return
			}
			if err := e.Frame.Validate(); err != nil {
				t.Fatalf("%v: %v", e.Frame, err)
			}
			line := fmt.Sprintf("(%s) %s %s\n", e.Stamp, e.Interface, e.Frame)
			again, err := canlog.NewReader(strings.NewReader(line)).Next()
			if err != nil || again.Frame != e.Frame || again.Stamp != e.Stamp || again.Interface != e.Interface {
				t.Fatalf("%q became %q: %v", in, line, err)
			}
			if !e.FD && !e.Error {
				var other einride.Frame
				if err := other.UnmarshalString(e.Frame.String()); err != nil || other.Validate() != nil || other.ID != e.ID {
					t.Fatalf("%v: %v", e.Frame, err)
				}
			}
		}
	})
}
