package can_test

import (
	"encoding/hex"
	"errors"
	"io"
	"os"
	"slices"
	"strings"
	"testing"

	"obu/can/canlog"
	"obu/can/j1939"
	"obu/telemetry"
)

// transported is one reassembled message of a J1939 expectation.
type transported struct {
	Began   string `json:"t_bam"`
	Bus     string `json:"bus"`
	Source  uint8  `json:"sa"`
	PGN     uint32 `json:"pgn"`
	Payload string `json:"payload"`
}

// TestRecordedJ1939Transport puts the messages of a recorded tractor together.
func TestRecordedJ1939Transport(t *testing.T) {
	want := lines[transported](t, recording(t, "can/css_j1939/tractor_FCBF0606.expect.tp.jsonl"))
	f, err := os.Open(recording(t, "can/css_j1939/tractor_FCBF0606.log.gz"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var got []transported
	faults := 0
	buses := make(map[string]*j1939.Receiver)
	log := canlog.NewReader(f)
	for {
		e, err := log.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		rx := buses[e.Interface]
		if rx == nil {
			rx = j1939.NewReceiver(func(m j1939.Message) {
				if m.Packets > 0 {
					began := canlog.Stamp{Nanos: int64(m.At), Digits: 6}
					got = append(got, transported{began.String(), e.Interface, m.Source, uint32(m.PGN), strings.ToUpper(hex.EncodeToString(m.Payload))})
				}
			}, func(j1939.Fault) { faults++ })
			buses[e.Interface] = rx
		}
		if e.Frame.Extended {
			rx.Feed(telemetry.At(e.Stamp.Nanos), e.Frame.ID, e.Frame.Data[:e.Frame.Len])
		}
	}
	if !slices.Equal(got, want) || len(want) == 0 {
		t.Errorf("%d messages, want %d", len(got), len(want))
	}
	t.Logf("%d messages equal to the expectation, %d transfers broken", len(got), faults)
}
