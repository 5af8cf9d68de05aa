package gps_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"obu/gps"
	"obu/telemetry"
)

func ExampleSentences() {
	f := telemetry.NoFix()
	f.UTC = time.Date(2024, 3, 23, 12, 35, 19, 0, time.UTC)
	f.LatDeg, f.LonDeg, f.AltM = 48.1173, 11.5166667, 545.4
	f.SpeedMPS, f.CourseDeg = 11.5, 84.4
	f.HDOP, f.Sats, f.Mode, f.Quality, f.Valid = 0.9, 8, telemetry.Mode3D, 1, true
	for _, s := range gps.Sentences(f) {
		fmt.Println(strings.TrimSpace(s))
	}
	// Output:
	// $GPRMC,123519.000,A,4807.038000,N,01131.000002,E,22.354,84.40,230324,,,A*5D
	// $GPGGA,123519.000,4807.038000,N,01131.000002,E,1,08,0.90,545.40,M,,M,,*4E
	// $GPGSA,A,3,,,,,,,,,,,,,,0.90,*0B
}

// randomFix is a fix on the grid of telemetry.Fix.
func randomFix(r *rand.Rand) telemetry.Fix {
	f := telemetry.NoFix()
	f.UTC = time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC).Add(time.Duration(r.Int64N(366*86400*1000)) * time.Millisecond)
	f.Valid = r.IntN(10) > 0
	f.Sats = r.IntN(30)
	f.HDOP, f.VDOP, f.PDOP = float64(1+r.IntN(9999))/100, float64(1+r.IntN(9999))/100, float64(1+r.IntN(9999))/100
	if !f.Valid {
		return f
	}
	f.Quality = uint8(1 + r.IntN(5))
	f.Mode = telemetry.Mode3D
	if f.Sats < 4 {
		f.Mode = telemetry.Mode2D + telemetry.Mode(r.IntN(2))
	}
	grid := 1e7
	if f.Quality >= 4 {
		grid = 1e9
	}
	f.LatDeg = math.Round((r.Float64()*180-90)*grid) / grid
	f.LonDeg = math.Round((r.Float64()*360-180)*grid) / grid
	f.AltM = float64(r.IntN(900000)-50000) / 100
	f.GeoidM = float64(r.IntN(20000)-10000) / 100
	f.SpeedMPS = r.Float64() * 80
	f.CourseDeg = float64(r.IntN(36000)) / 100
	return f
}

// TestSentencesSayTheFix: what is on the grid survives; the speed to 0.001
// knots, and Rounded tells it exactly.
func TestSentencesSayTheFix(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 5000 {
		f := randomFix(r)
		in := gps.Sentences(f)
		if joined := string(gps.AppendSentences(nil, f)); joined != strings.Join(in, "") {
			t.Fatalf("AppendSentences %q, Sentences %q", joined, in)
		}
		fixes, stats := decode(t, strings.Join(in, ""))
		if len(fixes) != 1 || stats.Rejected.Total() != 0 {
			t.Fatalf("%q: %d fixes, %+v", in, len(fixes), stats)
		}
		got := fixes[0]
		if !got.Equal(gps.Rounded(f)) {
			t.Fatalf("%q:\ndecoded %+v\nrounded %+v", in, got, gps.Rounded(f))
		}
		if d := math.Abs(got.SpeedMPS - f.SpeedMPS); d > 0.0003 {
			t.Fatalf("speed %v of %v", got.SpeedMPS, f.SpeedMPS)
		}
		got.SpeedMPS = f.SpeedMPS
		if !got.Equal(f) {
			t.Fatalf("%q:\ndecoded %+v\nwant    %+v", in, got, f)
		}
	}
}

func TestRoundedKeepsAtAndReceiver(t *testing.T) {
	f := telemetry.NoFix()
	f.At, f.Receiver = 42, "roof"
	if got := gps.Rounded(f); !got.Equal(f) {
		t.Errorf("%+v, want %+v", got, f)
	}
}

func TestRoundedOfTheImpossible(t *testing.T) {
	f := telemetry.NoFix()
	f.Valid, f.LatDeg, f.LonDeg, f.Quality, f.Sats = true, 91, math.Inf(1), 200, 1000
	if got := gps.Rounded(f); got.Valid || !math.IsNaN(got.LatDeg) || got.Mode != telemetry.ModeNone {
		t.Errorf("%+v, want a void fix", got)
	}
}

func TestFrame(t *testing.T) {
	if got := gps.Frame("GPGLL,5057.970,N,00146.110,E,142451,A"); got != "$GPGLL,5057.970,N,00146.110,E,142451,A*27\r\n" {
		t.Errorf("%q", got)
	}
}
