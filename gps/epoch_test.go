package gps_test

import (
	"fmt"
	"math"
	"slices"
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
		{"GLL in milliseconds, the others rounded", frames("GPGLL,4807.038,N,01131.000,E,120000.297,A", gga("120000.30"), rmc("120000.30")), []string{"12:00:00.3"}},
		{"25 Hz", frames(gga("120000.04"), rmc("120000.04"), gga("120000.08"), rmc("120000.08")), []string{"12:00:00.04", "12:00:00.08"}},
		{"a void of no time, then a fix", frames("GPGLL,,,,,,V,N", rmc("120000"), gga("120000")), []string{"", "12:00:00"}},
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
		{"GSA decides of three satellites", strings.Replace(gga("120000"), ",08,", ",03,", 1) + "\n" + gsa("2"), true, 0, telemetry.Mode2D, true},
		{"GSA decides without an altitude", rmc("120000") + "\n" + gsa("3"), true, 0, telemetry.Mode3D, true},
		{"an altitude from eight satellites is 3D, whatever GSA says", gga("120000") + "\n" + gsa("2"), true, 0, telemetry.Mode3D, true},
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

// TestFirstFixAfterVoidsOfNoTime: a log, or a port, that was opened in the
// middle of an epoch. The sentences of a receiver that knows no time yet cannot
// be told apart by it; with the first fix they can.
func TestFirstFixAfterVoidsOfNoTime(t *testing.T) {
	void := []string{"GPRMC,,V,,,,,,230324,,,N", "GPGGA,,,,,,0,00,,,M,,M,,", "GPGSA,A,1,,,,,,,,,,,,,,,", "GPGLL,,,,,,V,N"}
	fix := []string{strings.Replace(rmc("120000"), "230394", "230324", 1), gga("120000"), gsa("3"), "GPGLL,4807.038,N,01131.000,E,120000,A,A"}
	for cut := range void {
		in := append(slices.Concat(void[cut:], void, void), fix...)
		fixes, _ := decode(t, frames(in...))
		if f := fixes[len(fixes)-1]; !f.Valid || f.Doubt != 0 || f.Sats != 8 || f.AltM != 545.4 || f.Mode != telemetry.Mode3D {
			t.Errorf("opened before %s: the first fix is %+v", void[cut], f)
		}
	}
}

// TestModeBetweenAltitudes: RMC and GGA by turns, as chart plotters send them;
// without GSA the mode is that of the last altitude, for a while.
func TestModeBetweenAltitudes(t *testing.T) {
	in := []string{gga("120000")}
	for i := range 20 {
		in = append(in, rmc(fmt.Sprintf("1200%02d", i+1)))
	}
	fixes, _ := decode(t, frames(in...))
	for i, f := range fixes {
		want := telemetry.Mode3D
		if i > 10 {
			want = telemetry.Mode2D
		}
		if i != 10 && f.Mode != want {
			t.Errorf("%d s after the altitude: %v, want %v", i, f.Mode, want)
		}
	}
}

// TestZDAOfTwoDigitYear: a date that is not one takes nothing from RMC's.
func TestZDAOfTwoDigitYear(t *testing.T) {
	fixes, _ := decode(t, frames(strings.Replace(rmc("120000"), "230394", "230324", 1), "GPZDA,120000,23,03,24,00,00"))
	if len(fixes) != 1 || !fixes[0].UTC.Equal(utc("2024-03-23 12:00:00")) || fixes[0].Doubt != 0 {
		t.Errorf("%+v, want RMC's date and no doubt", fixes)
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
