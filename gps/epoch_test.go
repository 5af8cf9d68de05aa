package gps_test

import (
	"math"
	"strings"
	"testing"
	"time"

	"obu/gps"
	"obu/telemetry"
)

func gsa(mode string) string { return "GPGSA,A," + mode + ",01,02,03,04,,,,,,,,,2.5,1.3,2.1" }

func utc(s string) time.Time {
	t, err := time.Parse("2006-01-02 15:04:05", s)
	if err != nil {
		panic(err)
	}
	return t
}

// TestEpochs: which sentences become one fix.
func TestEpochs(t *testing.T) {
	for _, tc := range []struct {
		name string
		in   string
		want []string // times of day, "" unknown
	}{
		{"RMC alone", frames(rmc("120000"), rmc("120001")), []string{"12:00:00", "12:00:01"}},
		{"GGA alone tells no date", frames(gga("120000"), gga("120001")), []string{"", ""}},
		{"RMC first", frames(rmc("120000"), gga("120000"), rmc("120001"), gga("120001")), []string{"12:00:00", "12:00:01"}},
		{"GGA first", frames(gga("120000"), rmc("120000"), gga("120001"), rmc("120001")), []string{"12:00:00", "12:00:01"}},
		{"10 Hz", frames(gga("120000.10"), rmc("120000.10"), gga("120000.20"), rmc("120000.20")), []string{"12:00:00.1", "12:00:00.2"}},
		{"5 Hz in whole seconds", frames(gga("120000"), rmc("120000"), gga("120000"), rmc("120000")), []string{"12:00:00", "12:00:00"}},
		{"same time, more zeroes", frames(gga("120000.000"), rmc("120000")), []string{"12:00:00"}},
		{"no time yet", frames("GPRMC,,V,,,,,,,,,,N", "GPGGA,,,,,,0,00,99.99,,,,,,", "GPRMC,,V,,,,,,,,,,N"), []string{"", ""}},
		{"time in the middle of an epoch", frames("GPRMC,,V,,,,,,,,,,N", "GPGLL,,,,,120000,V,N"), []string{""}},
		{"talkers mixed", frames("GNGGA"+gga("120000")[5:], "GNRMC"+rmc("120000")[5:], "GPGGA"+gga("120001")[5:], "GPRMC"+rmc("120001")[5:]), []string{"12:00:00", "12:00:01"}},
		{"date from ZDA", frames(gga("120000"), "GPZDA,120000,23,03,1994,00,00"), []string{"12:00:00"}},
		{"ZDA later than the epoch", frames(gga("235959"), "GPZDA,000000.1,24,03,1994,,"), []string{"23:59:59"}},
		{"no position sentence", frames(gsa("3"), "GPVTG,084.4,T,077.8,M,022.4,N,041.5,K", "GPZDA,120000,23,03,1994,00,00"), nil},
		{"leap second", frames(rmc("235960")), []string{"00:00:00"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			fixes, _ := decode(t, tc.in)
			var got []string
			for _, f := range fixes {
				s := ""
				if !f.UTC.IsZero() {
					s = f.UTC.Format("15:04:05.999")
				}
				got = append(got, s)
			}
			if strings.Join(got, "|") != strings.Join(tc.want, "|") {
				t.Errorf("epochs %q, want %q", got, tc.want)
			}
		})
	}
}

// TestHonestFix: what is Valid, what is doubted and why.
func TestHonestFix(t *testing.T) {
	const zero = "GPRMC,120000,A,0000.000,N,00000.000,E,0.0,,230394,,,A"
	for _, tc := range []struct {
		name     string
		in       string
		valid    bool
		doubt    telemetry.Doubt
		mode     telemetry.Mode
		position bool
	}{
		{"RMC", rmc("120000"), true, 0, telemetry.Mode2D, true},
		{"RMC without variation", "GPRMC,120000,A,4807.038,N,01131.000,E,022.4,084.4,230394", true, 0, telemetry.Mode2D, true},
		{"RMC of NMEA 4.1, status not provided", rmc("120000") + ",A,V", true, 0, telemetry.Mode2D, true},
		{"RMC differential", strings.Replace(rmc("120000"), ",A,", ",D,", 1), true, 0, telemetry.Mode2D, true},
		{"GGA of eight satellites", gga("120000"), true, 0, telemetry.Mode3D, true},
		{"GGA of three satellites and an altitude", strings.Replace(gga("120000"), ",08,", ",03,", 1), true, 0, telemetry.Mode3D, true},
		{"GGA without an altitude", strings.Replace(gga("120000"), "545.4,M", ",M", 1), true, 0, telemetry.Mode2D, true},
		{"GSA decides", gga("120000") + "\n" + gsa("2"), true, 0, telemetry.Mode2D, true},
		{"one GSA per constellation", gga("120000") + "\n" + gsa("3") + "\nGLGSA,A,1,,,,,,,,,,,,,,,", true, 0, telemetry.Mode3D, true},
		{"void repeats the last position", strings.Replace(rmc("120000"), ",A,", ",V,", 1), false, 0, telemetry.ModeNone, false},
		{"mode letter says void", rmc("120000") + ",N", false, 0, telemetry.ModeNone, false},
		{"GGA of quality 0 repeats", strings.Replace(gga("120000"), ",1,08,", ",0,00,", 1), false, 0, telemetry.ModeNone, false},
		{"RMC valid, GGA not", rmc("120000") + "\n" + strings.Replace(gga("120000"), ",1,08,", ",0,00,", 1), false, telemetry.DoubtModeMismatch, telemetry.Mode2D, true},
		{"GGA valid, RMC not", gga("120000") + "\n" + strings.Replace(rmc("120000"), ",A,", ",V,", 1), false, telemetry.DoubtModeMismatch, telemetry.Mode3D, true},
		{"RMC valid, GSA not", rmc("120000") + "\nGPGSA,A,1,,,,,,,,,,,,,,,", false, telemetry.DoubtModeMismatch, telemetry.Mode2D, true},
		{"valid without position", "GPRMC,120000,A,,,,,,,230394,,", false, telemetry.DoubtModeMismatch, telemetry.ModeNone, false},
		{"position of 0,0", zero, true, telemetry.DoubtZeroIsland, telemetry.Mode2D, true},
		{"latitude of 91 degrees", strings.Replace(rmc("120000"), "4807.038", "9107.038", 1), false, telemetry.DoubtRange, telemetry.ModeNone, false},
		{"60 minutes", strings.Replace(rmc("120000"), "4807.038", "4860.000", 1), false, telemetry.DoubtRange, telemetry.ModeNone, false},
		{"longitude of 180.5 degrees", strings.Replace(rmc("120000"), "01131.000", "18030.000", 1), false, telemetry.DoubtRange, telemetry.ModeNone, false},
		{"dead reckoning", rmc("120000") + ",E", true, telemetry.DoubtEstimated, telemetry.Mode2D, true},
		{"GGA quality 6", strings.Replace(gga("120000"), ",1,08,", ",6,00,", 1), true, telemetry.DoubtEstimated, telemetry.Mode2D, true},
		{"simulator", rmc("120000") + ",S", true, telemetry.DoubtEstimated, telemetry.Mode2D, true},
		{"25 o'clock", rmc("250099.00"), true, telemetry.DoubtTime, telemetry.Mode2D, true},
		{"31 February", strings.Replace(rmc("120000"), "230394", "310294", 1), true, telemetry.DoubtTime, telemetry.Mode2D, true},
		{"GNS of two constellations", "GNGNS,120000,4807.038,N,01131.000,E,AN,08,0.9,545.4,46.9,,", true, 0, telemetry.Mode3D, true},
		{"GNS without fix", "GNGNS,120000,4807.038,N,01131.000,E,NN,00,99.9,,,,", false, 0, telemetry.ModeNone, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			// The date of these sentences, 1994, is itself impossible.
			in := strings.ReplaceAll(tc.in, "230394", "230324")
			in = strings.ReplaceAll(in, "310294", "310224")
			fixes, stats := decode(t, frames(strings.Split(in, "\n")...))
			if len(fixes) != 1 {
				t.Fatalf("%d fixes, %+v", len(fixes), stats)
			}
			f := fixes[0]
			if f.Valid != tc.valid || f.Doubt != tc.doubt || f.Mode != tc.mode || !math.IsNaN(f.LatDeg) != tc.position {
				t.Errorf("valid %v doubt %v mode %v position %v %v; want %v %v %v %v", f.Valid, f.Doubt.Strings(), f.Mode, f.LatDeg, f.LonDeg,
					tc.valid, tc.doubt.Strings(), tc.mode, tc.position)
			}
			if !tc.position && (!math.IsNaN(f.LonDeg) || tc.mode != telemetry.ModeNone) {
				t.Error("a void fix carries something")
			}
		})
	}
}

func TestFieldsOfOneEpoch(t *testing.T) {
	fixes, _ := decode(t, frames(
		"GPGGA,225446.123,3953.88008,N,10506.75318,W,2,10,1.25,1652.10,M,-21.30,M,,",
		"GPGSA,A,3,04,07,08,09,11,24,26,27,28,29,,,2.50,1.25,2.17",
		"GPVTG,153.1,T,140.0,M,045.1,N,083.5,K,D",
		"GPRMC,225446.123,A,3953.88008,N,10506.75318,W,45.123,153.10,190324,,,D"))
	if len(fixes) != 1 {
		t.Fatalf("%d fixes, want 1", len(fixes))
	}
	want := telemetry.Fix{
		UTC: utc("2024-03-19 22:54:46").Add(123 * time.Millisecond), LatDeg: 39.898001333, LonDeg: -105.112553,
		AltM: 1652.1, GeoidM: -21.3, SpeedMPS: 45.123 * 1852 / 3600, CourseDeg: 153.1,
		HDOP: 1.25, VDOP: 2.17, PDOP: 2.5, Sats: 10, Mode: telemetry.Mode3D, Quality: 2, Valid: true,
	}
	if !fixes[0].Equal(want) {
		t.Errorf("got  %+v\nwant %+v", fixes[0], want)
	}
}

// TestUnknownStaysUnknown: an empty field is no zero.
func TestUnknownStaysUnknown(t *testing.T) {
	fixes, _ := decode(t, frames("GPRMC,120000,A,4807.038,N,01131.000,E,,,,,,A"))
	f := fixes[0]
	for name, v := range map[string]float64{"speed": f.SpeedMPS, "course": f.CourseDeg, "altitude": f.AltM, "geoid": f.GeoidM, "HDOP": f.HDOP, "VDOP": f.VDOP, "PDOP": f.PDOP} {
		if !math.IsNaN(v) {
			t.Errorf("%s is %v, want unknown", name, v)
		}
	}
	if f.Sats != -1 || !f.UTC.IsZero() {
		t.Errorf("satellites %d, UTC %v; want unknown", f.Sats, f.UTC)
	}
}

func TestWrongNumbersAreUnknown(t *testing.T) {
	for _, speed := range []string{"nan", "inf", "-1", "1e3", "0x10", "9999999", "1_0", "..", "-", "12 "} {
		fixes, _ := decode(t, frames("GPRMC,120000,A,4807.038,N,01131.000,E,"+speed+",999,230324,,,A"))
		if len(fixes) != 1 || !math.IsNaN(fixes[0].SpeedMPS) || !math.IsNaN(fixes[0].CourseDeg) || !fixes[0].Valid {
			t.Errorf("speed %q: %+v, want a valid fix without speed and course", speed, fixes)
		}
	}
}

func TestDateIsCarriedOverMidnight(t *testing.T) {
	fixes, _ := decode(t, frames("GPRMC,235959,A,4807.038,N,01131.000,E,,,281224,,,A", gga("000000"), gga("000001")))
	want := []string{"2024-12-28 23:59:59", "2024-12-29 00:00:00", "2024-12-29 00:00:01"}
	for i, w := range want {
		if i >= len(fixes) || !fixes[i].UTC.Equal(utc(w)) {
			t.Fatalf("fixes %+v, want times %v", fixes, want)
		}
	}
}

// TestRTKKeepsNineDigits: a live receiver's positions lie on the 1e-7 grid, RTK
// on the 1e-9 grid; Decode keeps nine digits always.
func TestRTKKeepsNineDigits(t *testing.T) {
	const body = "GNGGA,120000,4807.03812346,N,01131.00012345,E,%,08,0.9,545.4,M,46.9,M,,"
	for q, want := range map[string]float64{"1": 48.1173021, "4": 48.117302058, "5": 48.117302058} {
		out := listenTo(t, gps.Frame(strings.Replace(body, "%", q, 1)))
		if len(out) != 1 || out[0].LatDeg != want {
			t.Errorf("quality %s: %+v, want latitude %v", q, out, want)
		}
		fixes, _ := decode(t, gps.Frame(strings.Replace(body, "%", q, 1)))
		if fixes[0].LatDeg != 48.117302058 {
			t.Errorf("decode: latitude %v, want 48.117302058", fixes[0].LatDeg)
		}
	}
}
