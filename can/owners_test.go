package can_test

import (
	"bytes"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"obu/can/canlog"
	"obu/can/isotp"
	"obu/can/obd"
	"obu/telemetry"
)

type obdbCase struct {
	Command     string
	Frames      []string
	Reassembled map[string]string
	Expected    map[string]any
}

// TestOwnersAnswers reassembles every answer car owners collected, 11-bit and
// 29-bit, several ECUs interleaved, and compares every quantity of service 01
// in them with what the collection says: numbers, text, readiness, support
// bits. owners lists the names, collected what the collection has its own way.
func TestOwnersAnswers(t *testing.T) {
	for _, name := range []string{"honda_accord", "toyota_4runner"} {
		t.Run(name, func(t *testing.T) {
			cases := lines[obdbCase](t, recording(t, "obdb", name+".jsonl.gz"))
			compared, transfers, glued, own := 0, 0, 0, 0
			for i, c := range cases {
				readings, payloads, merged := reassemble(t, i, c)
				transfers += payloads
				if merged {
					glued++
				}
				if !strings.Contains(c.Command, ".01") {
					continue
				}
				for id, want := range c.Expected {
					if collectionsOwn(c, id) {
						own++
						continue
					}
					if !ownerAgrees(readings, id, want) {
						t.Errorf("case %d, %s %v: %s: got %s, want %v", i, c.Command, c.Frames, id, told(readings), want)
					}
					compared++
				}
			}
			t.Logf("%d cases, %d of them with frames that ran together in the collection; %d payloads equal; %d quantities of service 01 equal, %d that are the collection's own",
				len(cases), glued, transfers, compared, own)
		})
	}
}

// reassemble feeds the frames of a case, wants its payloads and returns what
// they say. merged: the collector glued two frames into one.
func reassemble(t *testing.T, i int, c obdbCase) (readings []obd.Reading, payloads int, merged bool) {
	t.Helper()
	var log bytes.Buffer
	for k, f := range c.Frames {
		merged = merged || len(f) > len("18DAF160#1039627028F8FC00")
		fmt.Fprintf(&log, "(0.%06d) can0 %s\n", k, f)
	}
	if merged {
		return nil, 0, true
	}
	got := map[string][]string{}
	rx := isotp.NewReceiver(isotp.ReceiverConfig{
		Deliver: func(m isotp.Message) {
			id := fmt.Sprintf("%03X", m.ID)
			got[id] = append(got[id], fmt.Sprintf("%X", m.Payload))
			if obd.Known(m.Payload[0]) {
				var err error
				if readings, err = obd.Decode(readings, m.Payload); err != nil {
					t.Errorf("case %d: %X: %v", i, m.Payload, err)
				}
			}
		},
	})
	r := canlog.NewReader(&log)
	for e, err := r.Next(); ; e, err = r.Next() {
		if err == nil { // the collection holds a tool's own messages too
			rx.Feed(telemetry.At(e.Stamp.Nanos), e.ID, e.Data[:e.Len])
		} else if !strings.Contains(err.Error(), "line") {
			break
		}
	}
	for id, payload := range c.Reassembled {
		if !slices.Contains(got[id], payload) {
			t.Errorf("case %d: %s gave %s, want %s", i, id, got[id], payload)
		}
		payloads++
	}
	return readings, payloads, false
}

// collectionsOwn reports whether an expectation is not SAE J1979's: the trim
// of an oxygen sensor that says FF, "not used for the trim"; ratios the
// collection stops at 1.99; the commanded ratio, which it divides by 65535/2
// where J1979 and the recorded drives have 32768 (3e-5 apart at most, checked
// in TestOwnersRatio).
func collectionsOwn(c obdbCase, id string) bool {
	switch want := c.Expected[id]; {
	case strings.HasPrefix(id, "SHRTFT") && len(id) == len("SHRTFT11"):
		return want == 71.21875
	case strings.HasPrefix(id, "LAMBDA"):
		return want == 1.99
	}
	return id == "EQ_RAT"
}

// TestOwnersRatio compares the commanded equivalence ratios within what the two
// ways of dividing differ.
func TestOwnersRatio(t *testing.T) {
	compared := 0
	for _, name := range []string{"honda_accord", "toyota_4runner"} {
		for i, c := range lines[obdbCase](t, recording(t, "obdb", name+".jsonl.gz")) {
			want, ok := c.Expected["EQ_RAT"].(float64)
			if !ok || want == 1.99 {
				continue
			}
			readings, _, _ := reassemble(t, i, c)
			if !slices.ContainsFunc(readings, func(r obd.Reading) bool { return math.Abs(r.Value.Float()-want) < 4e-5 }) {
				t.Errorf("case %d: %s, want %v", i, told(readings), want)
			}
			compared++
		}
	}
	if compared < 70 {
		t.Errorf("%d ratios compared", compared)
	}
}

func told(rs []obd.Reading) string {
	var out []string
	for _, r := range rs {
		out = append(out, fmt.Sprintf("%s=%s (%s)", r.Signal.Name, r.Value, r.Quality))
	}
	return strings.Join(out, ", ")
}

// ownerAgrees reports whether one of the readings is what the collection
// expects of a quantity.
func ownerAgrees(rs []obd.Reading, id string, want any) bool {
	o, ok := owners[id]
	if !ok {
		return false
	}
	return slices.ContainsFunc(rs, func(r obd.Reading) bool {
		if !strings.HasSuffix(r.Signal.Name, o.signal) {
			return false
		}
		switch {
		case o.support:
			return (r.Quality != telemetry.QualityUnsupported) == (want == 1.0)
		case o.bit != "":
			return slices.Contains(strings.Split(r.Value.Text(), ","), o.bit) == (want == 1.0)
		case o.mask != 0:
			return (r.Value.Int()&o.mask != 0) == (want == 1.0)
		}
		if text, ok := want.(string); ok {
			parts := strings.Split(r.Value.Text(), ",")
			if o.part > 0 {
				return len(parts) >= o.part && parts[o.part-1] == text || len(parts) < o.part && text == "OFF"
			}
			return r.Value.Text() == strings.TrimPrefix(text, o.strip)
		}
		factor := o.factor
		if factor == 0 {
			factor = 1
		}
		// The collection prints five decimals, or the digits of a double.
		return math.Abs(r.Value.Float()*factor-want.(float64)) <= 0.500001e-5
	})
}

// owner says where a quantity of the collection stands here.
type owner struct {
	signal  string  // end of its name
	factor  float64 // theirs per ours
	support bool    // the support bit of it
	bit     string  // one of a list
	mask    int64   // one bit of a number
	part    int     // of a text in parts, from 1
	strip   string  // in front of their text
}
