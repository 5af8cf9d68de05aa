package gps_test

import (
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"obu/gps"
	"obu/telemetry"
)

// whatOf names a fix: ok, void, or its doubts.
func whatOf(f telemetry.Fix) string {
	switch {
	case f.Doubt != 0:
		return strings.Join(f.Doubt.Strings(), "+")
	case !f.Valid:
		return "void"
	}
	return "ok"
}

// sayLive has a live line say one epoch a second and returns what became of
// each.
func sayLive(t *testing.T, epochs []string) (out []string) {
	synctest.Test(t, func(t *testing.T) {
		l := listen(t)
		for _, e := range epochs {
			l.say(e)
			time.Sleep(time.Second)
		}
		l.stop(t)
		for _, f := range l.fixes() {
			out = append(out, whatOf(f))
		}
	})
	return out
}

// rmcAt is a valid RMC of a car at 20 m/s, so many seconds into its drive, with
// its time and latitude moved.
func rmcAt(second int, moved time.Duration, lat float64) string {
	at := time.Date(2024, 3, 23, 12, 0, second, 0, time.UTC).Add(moved)
	lat += 20 * float64(second) / 111_195 * 60
	return fmt.Sprintf("GPRMC,%s,A,48%09.6f,N,01130.000000,E,38.9,0.0,%s,,,A", at.Format("150405.00"), lat, at.Format("020106"))
}

func TestLiveLineIsNotDeceivedByTime(t *testing.T) {
	drive := func(n int, change func(second int) (time.Duration, float64)) (out []string) {
		for s := range n {
			moved, lat := change(s)
			out = append(out, rmcAt(s, moved, 6+lat))
		}
		return out
	}
	for _, tc := range []struct {
		name   string
		epochs []string
		want   string
	}{
		{"a day ahead, once, and 30 km away", drive(12, func(s int) (time.Duration, float64) {
			if s == 8 {
				return 24 * time.Hour, 16
			}
			return 0, 0
		}), "ok ok ok ok ok ok ok ok jump+time ok ok ok"},
		{"three hours ahead and on from there", drive(16, func(s int) (time.Duration, float64) {
			if s >= 8 {
				return 3 * time.Hour, 0
			}
			return 0, 0
		}), "ok ok ok ok ok ok ok ok time time time time ok ok ok ok"},
		{"half an hour ahead, once, and 30 km away", drive(12, func(s int) (time.Duration, float64) {
			if s == 8 {
				return 30 * time.Minute, 16
			}
			return 0, 0
		}), "ok ok ok ok ok ok ok ok jump time time time"},
		{"half a second back and 30 km away", drive(12, func(s int) (time.Duration, float64) {
			if s == 8 {
				return -1500 * time.Millisecond, 16
			}
			return 0, 0
		}), "ok ok ok ok ok ok ok ok jump ok ok ok"},
		{"an hour back and on from there, 30 km away", drive(20, func(s int) (time.Duration, float64) {
			if s >= 8 {
				return -time.Hour, 16
			}
			return 0, 0
		}), "ok ok ok ok ok ok ok ok time time time jump+time jump jump jump ok ok ok ok ok"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := strings.Join(sayLive(t, tc.epochs), " "); got != tc.want {
				t.Errorf("\n%s, want\n%s", got, tc.want)
			}
		})
	}
}

// TestPositionWithoutTimeIsHeldAgainstThoseBefore: leaving the time out is no
// way round the doubts.
func TestPositionWithoutTimeIsHeldAgainstThoseBefore(t *testing.T) {
	untimed := func(s int, lat float64) string {
		return strings.Replace(rmcAt(s, 0, lat), time.Date(2024, 3, 23, 12, 0, s, 0, time.UTC).Format("150405.00"), "", 1)
	}
	for _, first := range []func(int, float64) string{untimed, func(s int, lat float64) string { return rmcAt(s, 0, lat) }} {
		var epochs []string
		for s := range 8 {
			epochs = append(epochs, first(s, 6))
		}
		epochs = append(epochs, untimed(8, 6), untimed(9, 26), untimed(10, 6))
		if got, want := strings.Join(sayLive(t, epochs), " "), "ok ok ok ok ok ok ok ok ok jump ok"; got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

// TestSentencesOfOneEpochInTwoPlaces: RMC and GGA of one second, from two
// receivers on one line or a damaged one, a kilometre apart.
func TestSentencesOfOneEpochInTwoPlaces(t *testing.T) {
	rmc := "GPRMC,120000.00,A,4806.0000,N,01130.0000,E,0.0,0.0,230324,,,A"
	gga := func(lat, lon string) string {
		return "GNGGA,120000.00," + lat + "," + lon + ",1,08,0.9,545.4,M,46.9,M,,"
	}
	for _, tc := range []struct{ name, rmc, gga, want string }{
		{"the same place", rmc, gga("4806.00004,N", "01130.00001,E"), "ok"},
		{"rounded", rmc, gga("4806.02,N", "01130.03,E"), "ok"},
		{"north", rmc, gga("4806.60000,N", "01130.00000,E"), "mode-mismatch"},
		{"east", rmc, gga("4806.00000,N", "01131.00000,E"), "mode-mismatch"},
		{"the other hemisphere", rmc, gga("4806.00000,S", "01130.00000,E"), "mode-mismatch"},
		{"on both sides of the antimeridian", strings.Replace(rmc, "01130.0000,E", "17959.9999,E", 1), gga("4806.00000,N", "17959.99991,W"), "ok"},
	} {
		for _, in := range []string{frames(tc.rmc, tc.gga), frames(tc.gga, tc.rmc)} {
			fixes, _ := decode(t, in)
			if len(fixes) != 1 || whatOf(fixes[0]) != tc.want || fixes[0].Valid != (tc.want == "ok") {
				t.Errorf("%s: %+v, want one fix, %s", tc.name, fixes, tc.want)
			}
		}
	}
}

// TestImpossibleYearPoisonsNothing: a receiver that begins in the year 9999 says
// a time that is doubted, and its later ones are judged as ever.
func TestImpossibleYearPoisonsNothing(t *testing.T) {
	for _, year := range []string{"9999", "2100", "0001"} {
		d := newDrive()
		d.out.WriteString(frames("GPZDA,115958.00,23,03,"+year+",00,00", "GPGGA,115958.00,4806.000000,N,01130.000000,E,1,08,0.9,500.0,M,46.9,M,,"))
		d.say(20, false)
		if got, want := doubts(t, d.out.String()), "1 time, 20 ok"; got != want && got != "5 time, 16 ok" {
			t.Errorf("year %s: %s, want %s, or as a clock that goes back", year, got, want)
		}
	}
}

// TestTimeBackOverMidnightWithoutDate: the date of an epoch without one is that
// of yesterday.
func TestTimeBackOverMidnightWithoutDate(t *testing.T) {
	fixes, _ := decode(t, frames("GPRMC,000000.20,A,4807.038,N,01131.000,E,0.0,0.0,240324,,,A", gga("235959.80"), gga("000000.40")))
	for i, want := range []string{"2024-03-24T00:00:00.2Z", "2024-03-23T23:59:59.8Z", "2024-03-24T00:00:00.4Z"} {
		if len(fixes) != 3 || fixes[i].UTC.Format(time.RFC3339Nano) != want {
			t.Fatalf("fix %d: %+v, want %s", i, fixes, want)
		}
	}
}

// TestReportOfWrongTypes: what is no number in a report is unknown, and not 0.
func TestReportOfWrongTypes(t *testing.T) {
	for _, tc := range []struct{ lat, want string }{{`"48.1"`, "range"}, {"1e999", "range"}, {"true", "range"}, {"{}", "range"}, {"null", "range"}, {"48.1", "ok"}} {
		line := `{"class":"TPV","device":"/dev/ttyUSB0","mode":3,"time":"2024-03-23T12:00:00.000Z","lat":` + tc.lat + `,"lon":11.5,"alt":"high"}` + "\n"
		var fixes []telemetry.Fix
		gps.ReadReports([][]byte{[]byte(line)}, func(f telemetry.Fix) { fixes = append(fixes, f) })
		if len(fixes) != 1 || whatOf(fixes[0]) != tc.want || fixes[0].AltM == 0 {
			t.Errorf("lat %s: %+v, want %s and no altitude", tc.lat, fixes, tc.want)
		}
	}
}

// TestReportsWithoutDevice: gpsd may leave out which receiver it was.
func TestReportsWithoutDevice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, conn := listenToGpsd(t, "")
		for s := range 8 {
			lat := 48.1 + float64(s)/10_000
			if s == 5 {
				lat = 49
			}
			more := fmt.Sprintf(`,"lat":%.4f`, lat)
			nobody := `"device":"/dev/ttyUSB0",`
			io.WriteString(conn, strings.ReplaceAll(gpsdSky+tpvReport("/dev/ttyUSB0", fmt.Sprintf("%02d.000", s), more), nobody, ""))
			time.Sleep(time.Second)
		}
		l.stop(t)
		var got []string
		for _, f := range l.fixes() {
			got = append(got, whatOf(f))
			if f.HDOP != 0.8 {
				t.Errorf("HDOP %v, want 0.8", f.HDOP)
			}
		}
		if got, want := strings.Join(got, " "), "ok ok ok ok ok jump ok ok"; got != want {
			t.Errorf("%s, want %s", got, want)
		}
	})
}

// TestTimeByGpsdIsWithinItsUncertainty: gpsd reports an epoch when it has all of
// it, which at 4800 baud is more than a second after it; over USB at once.
func TestTimeByGpsdIsWithinItsUncertainty(t *testing.T) {
	for _, late := range []time.Duration{20 * time.Millisecond, 500 * time.Millisecond, 1300 * time.Millisecond} {
		synctest.Test(t, func(t *testing.T) {
			l, conn := listenToGpsd(t, "")
			start := time.Now()
			for s := range 6 {
				at := start.Add(time.Duration(s+2) * time.Second)
				time.Sleep(time.Until(at.Add(late)))
				fmt.Fprintf(conn, `{"class":"TPV","device":"/dev/ttyUSB0","mode":3,"time":%q,"lat":48.1,"lon":11.5,"speed":0.1}`+"\n", at.UTC().Format(time.RFC3339Nano))
			}
			time.Sleep(200 * time.Millisecond)
			l.stop(t)
			for _, f := range l.fixes() {
				l.clk.Observe(f)
			}
			r := l.clk.Wall()
			if off := time.Until(r.Time); r.By != telemetry.AnchorGNSS || off.Abs() > r.Uncertainty || r.Uncertainty > time.Second {
				t.Errorf("%v late: %v ahead, stated %v by %s", late, off, r.Uncertainty, r.By)
			}
		})
	}
}
