package can_test

import (
	"bufio"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"obu/can"
	"obu/can/canlog"
	"obu/can/isotp"
	"obu/can/obd"
	"obu/telemetry"
)

// recording returns the path of a file of the recordings, or skips the test.
func recording(t testing.TB, parts ...string) string {
	t.Helper()
	dir := os.Getenv("OBU_RECORDINGS")
	if dir == "" {
		root, err := os.Getwd()
		if err != nil {
			t.Fatal(err)
		}
		for {
			if _, err := os.Stat(filepath.Join(root, "go.mod")); err == nil {
				break
			}
			if root == filepath.Dir(root) {
				t.Fatal("no go.mod above the test")
			}
			root = filepath.Dir(root)
		}
		dir = filepath.Join(root, "..", "shared", "recordings")
	}
	path := filepath.Join(append([]string{dir}, parts...)...)
	if _, err := os.Stat(path); err != nil {
		t.Skipf("no recordings at %s: set OBU_RECORDINGS to run this test", dir)
	}
	return path
}

// lines reads a JSON-lines file, plain or .gz, into values of type T.
func lines[T any](t testing.TB, path string) (out []T) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var r io.Reader = f
	if strings.HasSuffix(path, ".gz") {
		if r, err = gzip.NewReader(f); err != nil {
			t.Fatal(err)
		}
	}
	d := json.NewDecoder(bufio.NewReader(r))
	for {
		var v T
		err := d.Decode(&v)
		if err == io.EOF {
			return out
		}
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, v)
	}
}

type expectedOBD struct {
	T, ECU, Payload, Service, PID string
	Value                         *json.Number
}

// TestRecordedOBDSessions compares every value of two recorded drives with
// what independent decoders said, in both directions.
func TestRecordedOBDSessions(t *testing.T) {
	for _, name := range []string{"css_obd_session_skoda/skoda_obd_after600s", "css_obd_gps_drive/3BA199E2_164_1"} {
		t.Run(filepath.Dir(name), func(t *testing.T) {
			log, err := os.Open(recording(t, "can", name+".log.gz"))
			if err != nil {
				t.Fatal(err)
			}
			defer log.Close()
			var got []can.Record
			st, err := can.DecodeOBD(log, func(r can.Record) error { got = append(got, r); return nil }, func(err error) { t.Error(err) })
			if err != nil {
				t.Fatal(err)
			}
			want := lines[expectedOBD](t, recording(t, "can", name+".expect.obd.jsonl.gz"))
			if st.Answers != len(want) || st.BadLines+st.Failed+st.Negatives != 0 {
				t.Errorf("stats %+v, want %d answers and no trouble", st, len(want))
			}
			i := 0
			for _, w := range want {
				i += matchOBD(t, w, got[i:])
			}
			if i != len(got) {
				t.Errorf("%d records beyond the expectation, first %+v", len(got)-i, got[i])
			}
			t.Logf("%d answers, %d values", len(want), len(got))
		})
	}
}

// matchOBD checks the records of one expected answer and returns how many
// there are.
func matchOBD(t *testing.T, w expectedOBD, got []can.Record) int {
	t.Helper()
	pid, err := strconv.ParseUint(w.PID, 16, 8)
	if err != nil || w.Service != "01" {
		t.Fatalf("expectation %+v", w)
	}
	signals := obd.Signals(byte(pid))
	if len(got) < len(signals) {
		t.Fatalf("%+v: %d records left", w, len(got))
	}
	for k, sig := range signals {
		r := got[k]
		absent := r.Quality == telemetry.QualityUnsupported && sig.Name == "Vehicle.Obu.Transmission.GearRatio" // says its support bit
		if r.T.String() != w.T || r.Source != w.ECU || r.Signal != sig || r.Bus != "can0" || r.Quality != telemetry.QualityLive && !absent {
			t.Fatalf("%+v: got %+v, want signal %s", w, r, sig.Name)
		}
		if w.Value != nil && !sameDigits(r.Value.Float(), w.Value.String()) {
			t.Fatalf("%+v: got %v", w, r.Value)
		}
	}
	return len(signals)
}

// sameDigits reports whether v prints as want, to want's digits.
func sameDigits(v float64, want string) bool {
	digits := 0
	if _, frac, ok := strings.Cut(want, "."); ok {
		digits = len(frac)
	}
	w, err := strconv.ParseFloat(want, 64)
	return err == nil && math.Round(v*math.Pow10(digits)) == math.Round(w*math.Pow10(digits))
}

// TestSkodaValuesWithoutOracle pins the PIDs the expectation leaves raw.
func TestSkodaValuesWithoutOracle(t *testing.T) {
	for payload, want := range map[string]string{
		"41534BDA":     "Vehicle.OBD.EVAPVaporPressureAbsolute=97.09 kPa",
		"411303":       "Vehicle.OBD.OxygenSensorsIn2Banks=3 ",
		"4115A180":     "Vehicle.OBD.O2.Sensor2.Voltage=0.805 V, Vehicle.OBD.O2.Sensor2.ShortTermFuelTrim=0 percent",
		"4134840F7FEC": "Vehicle.OBD.O2WR.Sensor1.Lambda=1.031707763671875 ratio, Vehicle.OBD.O2WR.Sensor1.Current=-7.8125e-05 A",
		"41A401700000": "Vehicle.Powertrain.Transmission.CurrentGear=7 , Vehicle.Obu.Transmission.GearRatio=0 ratio",
	} {
		var out []string
		rs, err := obd.Decode(nil, unhex(t, payload))
		for _, r := range rs {
			out = append(out, fmt.Sprintf("%s=%v %s", r.Signal.Name, r.Value, r.Signal.Unit))
		}
		if got := strings.Join(out, ", "); got != want || err != nil {
			t.Errorf("%s: %s (%v), want %s", payload, got, err, want)
		}
	}
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b := make([]byte, len(s)/2)
	if _, err := fmt.Sscanf(s, "%X", &b); err != nil {
		t.Fatal(err)
	}
	return b
}

type expectedTransfer struct {
	T, ID, Payload, Error string
}

// TestRecordedTransfers reassembles UDS sessions with transfers that broke on
// the bus, and wants each message and each named failure, and no more.
func TestRecordedTransfers(t *testing.T) {
	for name, ids := range map[string][]uint32{"kona_uds": {0x7BB, 0x7EC}, "hkmc_uds_1": {0x7A8, 0x7BB, 0x7EC}} {
		t.Run(name, func(t *testing.T) {
			f, err := os.Open(recording(t, "can", "css_uds_isotp", name+".log"))
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			want := map[expectedTransfer]int{}
			for _, w := range lines[expectedTransfer](t, recording(t, "can", "css_uds_isotp", name+".expect.isotp.jsonl")) {
				want[w]++
			}
			loose := 0 // the rest of a broken transfer
			rx := isotp.NewReceiver(isotp.ReceiverConfig{
				Deliver: func(m isotp.Message) {
					if m.Frames > 1 {
						want[expectedTransfer{stamp(m.At), fmt.Sprintf("%03X", m.ID), fmt.Sprintf("%X", m.Payload), ""}]--
					}
				},
				Damaged: func(f isotp.Fault) {
					if f.Reason == isotp.ReasonUnexpected {
						loose++
						return
					}
					want[expectedTransfer{stamp(f.At), fmt.Sprintf("%03X", f.ID), "", f.Reason.String()}]--
				},
			})
			log := canlog.NewReader(f)
			for {
				e, err := log.Next()
				if err == io.EOF {
					break
				}
				if err != nil {
					t.Fatal(err)
				}
				for _, id := range ids {
					if e.ID == id && e.Interface == "can0" {
						rx.Feed(telemetry.At(e.Stamp.Nanos), e.ID, e.Data[:e.Len])
					}
				}
			}
			rx.Flush()
			for w, n := range want {
				if n != 0 {
					t.Errorf("%+v: %+d", w, -n)
				}
			}
			t.Logf("%d loose consecutive frames behind broken transfers", loose)
		})
	}
}

func stamp(at telemetry.At) string { return canlog.Stamp{Nanos: int64(at), Digits: 6}.String() }
