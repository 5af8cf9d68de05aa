package main

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"obu/can/obd"
)

// recording returns the path of a file of the recordings, or skips the test.
func recording(t *testing.T, parts ...string) string {
	t.Helper()
	dir := os.Getenv("OBU_RECORDINGS")
	if dir == "" {
		dir = "../../../shared/recordings"
	}
	path := filepath.Join(append([]string{dir}, parts...)...)
	if _, err := os.Stat(path); err != nil {
		t.Skipf("skipped: no recordings at %s: set OBU_RECORDINGS to run this test", dir)
	}
	return path
}

// obu runs a command in this process and returns what it prints.
func obu(t *testing.T, args ...string) string {
	t.Helper()
	var out, errw bytes.Buffer
	if code := run(t.Context(), args, strings.NewReader(""), &out, &errw); code != 0 {
		t.Fatalf("obu %v: exit code %d: %s", args, code, errw.String())
	}
	return out.String()
}

// objects reads JSON lines, from a .gz file too.
func objects[T any](t *testing.T, r io.Reader) (out []T) {
	t.Helper()
	b := bufio.NewReader(r)
	if magic, _ := b.Peek(2); bytes.Equal(magic, []byte{0x1f, 0x8b}) {
		z, err := gzip.NewReader(b)
		if err != nil {
			t.Fatal(err)
		}
		b = bufio.NewReader(z)
	}
	d := json.NewDecoder(b)
	for {
		var v T
		if err := d.Decode(&v); err == io.EOF {
			return out
		} else if err != nil {
			t.Fatal(err)
		}
		out = append(out, v)
	}
}

func expectation[T any](t *testing.T, path string) []T {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	return objects[T](t, f)
}

// sameDigits reports whether v is want, to want's digits.
func sameDigits(v *float64, want json.Number) bool {
	digits := 0
	if _, frac, ok := strings.Cut(want.String(), "."); ok {
		digits = len(frac)
	}
	w, err := want.Float64()
	return err == nil && v != nil && math.Round(*v*math.Pow10(digits)) == math.Round(w*math.Pow10(digits))
}

// TestDecodeRecordedNMEA: a drive from Reno to Lake Tahoe, every fix of it.
func TestDecodeRecordedNMEA(t *testing.T) {
	type fix struct {
		Time                    string
		Lat, Lon, Speed, Course *float64
		Valid                   bool
	}
	type want struct {
		Status, Time    string
		Day             string      `json:"date_yymmdd"`
		Speed           json.Number `json:"speed_mps"`
		Lat, Lon, Track json.Number
	}
	log := recording(t, "nmea", "dotmorten", "NmeaSampleData.session1.nmea")
	expected := expectation[want](t, strings.Replace(log, ".nmea", ".expect.rmc.jsonl", 1))
	got := objects[fix](t, strings.NewReader(obu(t, "decode", "nmea", log)))
	if len(got) != len(expected) || len(got) != 2427 {
		t.Fatalf("%d lines, the recording holds %d fixes", len(got), len(expected))
	}
	for i, w := range expected {
		g := got[i]
		if g.Time != "20"+w.Day+"T"+w.Time+".000Z" || g.Valid != (w.Status == "A") ||
			!sameDigits(g.Lat, w.Lat) || !sameDigits(g.Lon, w.Lon) || !sameDigits(g.Speed, w.Speed) || !sameDigits(g.Course, w.Track) {
			t.Fatalf("line %d: %+v, want %+v", i+1, g, w)
		}
	}
}

// TestDecodeRecordedOBD: two drives, every value by ECU, PID and value.
func TestDecodeRecordedOBD(t *testing.T) {
	type record struct {
		T                   json.Number
		Bus, Source, Signal string
		Value               json.RawMessage
	}
	type answer struct {
		T, ECU, Service, PID string
		Value                *json.Number
	}
	for _, name := range []string{"css_obd_session_skoda/skoda_obd_after600s", "css_obd_gps_drive/3BA199E2_164_1"} {
		t.Run(filepath.Dir(name), func(t *testing.T) {
			log := recording(t, "can", name+".log.gz")
			got := objects[record](t, strings.NewReader(obu(t, "decode", "can", "--obd", log)))
			i := 0
			for _, w := range expectation[answer](t, recording(t, "can", name+".expect.obd.jsonl.gz")) {
				pid, err := strconv.ParseUint(w.PID, 16, 8)
				if err != nil || w.Service != "01" {
					t.Fatalf("expectation %+v", w)
				}
				for _, sig := range obd.Signals(byte(pid)) {
					if i == len(got) {
						t.Fatalf("no line for %+v", w)
					}
					g := got[i]
					i++
					if g.T.String() != w.T || g.Bus != "can0" || g.Source != w.ECU || g.Signal != sig.Name {
						t.Fatalf("line %d: %+v, want %s of %+v", i, g, sig.Name, w)
					}
					if w.Value == nil {
						continue
					}
					if v, err := strconv.ParseFloat(string(g.Value), 64); err != nil || !sameDigits(&v, *w.Value) {
						t.Fatalf("line %d: %s, want %s", i, g.Value, *w.Value)
					}
				}
			}
			if i != len(got) {
				t.Errorf("%d lines beyond the expectation, first %+v", len(got)-i, got[i])
			}
			t.Logf("%d values", i)
		})
	}
}
