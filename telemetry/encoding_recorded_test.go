package telemetry_test

import (
	"bufio"
	"compress/gzip"
	"encoding/json"
	"io"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"obu/can"
	"obu/gps"
	"obu/telemetry"
)

// The recorded inputs of the encoding table.

// cssDrive is the drive in Denmark: OBD-II of the car and its CAN GPS, 1 Hz,
// of which the expectation gives the decoded fields.
func cssDrive(t *testing.T) load {
	dir := filepath.Join(recordings(t), "can", "css_obd_gps_drive")
	samples, zero := obdSamples(t, filepath.Join(dir, "3BA199E2_164_1.log.gz"))
	var fixes []telemetry.Fix
	var f telemetry.Fix
	readLines(t, filepath.Join(dir, "3BA199E2_164_1.expect.gps.jsonl.gz"), func(r expectedFrame) {
		v := r.Signals
		switch r.Msg {
		case "gnss_status":
			f = telemetry.NoFix()
			f.At, f.Receiver = telemetry.At(r.nanos(t)-zero)+recordedAt, "gps"
			f.Sats, f.Mode = int(v["Satellites"]), telemetry.Mode(max(0, v["FixType"]-1))
		case "gnss_time":
			f.UTC = time.Unix(int64(v["Epoch"]), 0).UTC()
		case "gnss_pos":
			f.LatDeg, f.LonDeg, f.Valid = v["Latitude"], v["Longitude"], v["PositionValid"] == 1
		case "gnss_altitude":
			f.AltM = v["Altitude"]
		case "gnss_attitude":
			f.CourseDeg = v["Heading"]
		case "gnss_speed":
			f.SpeedMPS = v["Speed"]
			fixes = append(fixes, f)
		}
	})
	return splitSeconds("css_obd_gps_drive", samples, fixes)
}

func skodaDrive(t *testing.T) load {
	samples, _ := obdSamples(t, filepath.Join(recordings(t), "can", "css_obd_session_skoda", "skoda_obd_after600s.log.gz"))
	return splitSeconds("skoda_obd", samples, nil)
}

// obdSamples decodes the OBD-II answers of a candump log. The second result is
// the log's time of recordedAt, in ns.
func obdSamples(t *testing.T, path string) ([]telemetry.Sample, int64) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var out []telemetry.Sample
	zero := int64(0)
	_, err = can.DecodeOBD(f, func(r can.Record) error {
		if zero == 0 {
			zero = r.T.Nanos
		}
		if r.Quality == telemetry.QualityUnsupported {
			return nil // as the agent leaves it out
		}
		out = append(out, telemetry.Sample{At: telemetry.At(r.T.Nanos-zero) + recordedAt, Signal: r.Signal,
			Source: telemetry.Source{Bus: r.Bus, Address: r.Source, Method: "obd"}, Value: r.Value, Quality: r.Quality})
		return nil
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return out, zero
}

// expectedFrame is a line of a decoded DBC recording.
type expectedFrame struct {
	T, Bus, ID, Msg string
	Signals         map[string]float64
}

func (r *expectedFrame) nanos(t *testing.T) int64 {
	t.Helper()
	sec, frac, _ := strings.Cut(r.T, ".")
	n, err := strconv.ParseInt(sec+(frac + "000000000")[:9], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// rav4Drive is 40 seconds of every signal of a car's bus, from the recording's
// expectation, in steps of which the factor and the offset of its DBC file are
// multiples; and the fixes beside it.
func rav4Drive(t *testing.T) load { return rav4(t, "rav4_dbc", true) }

// rav4Counts is the same drive in counts of each factor, without the offsets:
// what it would cost if a step could have an offset.
func rav4Counts(t *testing.T) load { return rav4(t, "rav4_counts", false) }

func rav4(t *testing.T, name string, offsets bool) load {
	dir := filepath.Join(recordings(t), "can", "comma2k19_rav4")
	signals := dbcSignals(t, filepath.Join(dir, "_toyota_2017.dbc"), offsets)
	var samples []telemetry.Sample
	zero := int64(0)
	readLines(t, filepath.Join(dir, "rav4_bus0.expect.jsonl.gz"), func(r expectedFrame) {
		ns := r.nanos(t)
		if zero == 0 {
			zero = ns
		}
		names := make([]string, 0, len(r.Signals))
		for name := range r.Signals {
			names = append(names, name)
		}
		slices.Sort(names)
		for _, name := range names {
			d, ok := signals[r.Msg+"."+name]
			if !ok {
				t.Fatalf("no signal %s.%s in the DBC file", r.Msg, name)
			}
			// the expectation is a decimal: the nearest step is what the sensor sent
			step := d.signal.Step
			n := math.Round((r.Signals[name] - d.less) * float64(step.Den) / float64(step.Num))
			samples = append(samples, telemetry.Sample{At: telemetry.At(ns-zero) + recordedAt, Signal: d.signal,
				Source: telemetry.Source{Bus: "can0", Address: strings.TrimLeft(r.ID, "0"), Method: "dbc"}, Value: telemetry.Float(step.Value(int64(n)))})
		}
	})
	var fixes []telemetry.Fix
	readLines(t, filepath.Join(dir, "gnss_ublox_10hz.jsonl"), func(r struct {
		T, Lat, Lon float64
		SpeedMPS    float64 `json:"speed_mps"`
		UTCms       float64 `json:"utc_ms"`
		AltM        float64 `json:"alt_m"`
		BearingDeg  float64 `json:"bearing_deg"`
	}) {
		f := telemetry.NoFix()
		f.At, f.Receiver = telemetry.At(int64(r.T*1e9)-zero)+recordedAt, "gps"
		f.UTC = time.UnixMilli(int64(r.UTCms)).UTC()
		round := func(v, per float64) float64 { return math.Round(v*per) / per }
		f.LatDeg, f.LonDeg, f.AltM = round(r.Lat, 1e7), round(r.Lon, 1e7), round(r.AltM, 1e3)
		f.SpeedMPS, f.CourseDeg, f.Valid = round(r.SpeedMPS, 1e3), round(r.BearingDeg, 1e5), true
		if f.At >= recordedAt && f.At < recordedAt+40e9 {
			fixes = append(fixes, f)
		}
	})
	return splitSeconds(name, samples, fixes)
}

// dbcSignal is a signal of a DBC file and what is taken from its values.
type dbcSignal struct {
	signal *telemetry.Signal
	less   float64
}

// dbcSignals reads the factors and offsets of a DBC file: no more of it than
// this needs.
func dbcSignals(t *testing.T, path string, offsets bool) map[string]dbcSignal {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	message := regexp.MustCompile(`^BO_ \d+ (\w+) *:`)
	signal := regexp.MustCompile(`^\s+SG_ (\w+)[^:]*: *\S+ \(([^,]+),([^)]+)\)`)
	out := make(map[string]dbcSignal)
	name := ""
	for line := range strings.Lines(string(text)) {
		if m := message.FindStringSubmatch(line); m != nil {
			name = m[1]
		} else if m := signal.FindStringSubmatch(line); m != nil {
			d := dbcSignal{signal: &telemetry.Signal{Name: name + "." + m[1], Kind: telemetry.KindFloat, Level: telemetry.LevelDynamic}}
			offset, err := strconv.ParseFloat(m[3], 64)
			if err != nil {
				t.Fatal(err)
			}
			if !offsets {
				d.less, offset = offset, 0
			}
			d.signal.Step = decimalStep(t, m[2], offset)
			out[d.signal.Name] = d
		}
	}
	return out
}

// decimalStep returns the largest step of which a decimal factor and an
// offset both are multiples.
func decimalStep(t *testing.T, factor string, offset float64) telemetry.Step {
	t.Helper()
	f, err := strconv.ParseFloat(factor, 64)
	if err != nil {
		t.Fatal(err)
	}
	for den := int64(1); den <= 1e9; den *= 10 {
		nf, no := math.Round(f*float64(den)), math.Round(offset*float64(den))
		if math.Abs(nf/float64(den)-f) < 1e-12 && math.Abs(no/float64(den)-offset) < 1e-9 {
			a, b := int64(math.Abs(nf)), int64(math.Abs(no))
			for b != 0 {
				a, b = b, a%b
			}
			if a > 0 {
				return telemetry.Step{Num: a, Den: den}
			}
		}
	}
	t.Fatalf("no step for factor %s and offset %v", factor, offset)
	return telemetry.Step{}
}

// session1Drive is a drive of 81 minutes as its GPS logger wrote it, a fix
// every 2 s. The log has no time stamps but those of the satellites, so fixes
// arrive without jitter.
func session1Drive(t *testing.T) load {
	f, err := os.Open(filepath.Join(recordings(t), "nmea", "dotmorten", "NmeaSampleData.session1.nmea"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var fixes []telemetry.Fix
	_, err = gps.Decode(f, func(f telemetry.Fix) {
		if f.UTC.IsZero() {
			return
		}
		if len(fixes) > 0 {
			before := &fixes[len(fixes)-1]
			step := f.UTC.Sub(before.UTC)
			if step <= 0 || step > time.Minute {
				step = 2 * time.Second // the logger was off: go on as if it had not been
			}
			f.At = before.At.Add(step)
		} else {
			f.At = recordedAt + 123e6
		}
		round := func(v float64) float64 { return math.Round(v*1e7) / 1e7 }
		f.Receiver, f.LatDeg, f.LonDeg = "gps", round(f.LatDeg), round(f.LonDeg)
		fixes = append(fixes, f)
	})
	if err != nil {
		t.Fatal(err)
	}
	return splitSeconds("session1_gps", nil, fixes)
}

// readLines reads a JSON-lines file, plain or .gz.
func readLines[T any](t *testing.T, path string, do func(T)) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var r io.Reader = bufio.NewReader(f)
	if filepath.Ext(path) == ".gz" {
		if r, err = gzip.NewReader(r); err != nil {
			t.Fatal(err)
		}
	}
	d := json.NewDecoder(r)
	for {
		var v T
		err := d.Decode(&v)
		if err == io.EOF {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		do(v)
	}
}
