package gps_test

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"obu/gps"
	"obu/telemetry"
)

// drive says what a receiver at 1 Hz would say on the way.
type drive struct {
	at       time.Time
	lat, lon float64
	speed    float64
	out      strings.Builder
}

func newDrive() *drive {
	return &drive{at: time.Date(2024, 3, 23, 12, 0, 0, 0, time.UTC), lat: 48.1, lon: 11.5, speed: 20}
}

// say writes n epochs; each goes north by the speed unless still.
func (d *drive) say(n int, still bool) {
	for range n {
		d.one(still)
		d.at = d.at.Add(time.Second)
	}
}

func (d *drive) one(still bool) {
	if !still {
		d.lat += d.speed / 111_195
	}
	f := telemetry.NoFix()
	f.UTC, f.LatDeg, f.LonDeg, f.SpeedMPS, f.CourseDeg = d.at, math.Round(d.lat*1e7)/1e7, math.Round(d.lon*1e7)/1e7, d.speed, 0
	f.AltM, f.HDOP, f.Sats, f.Mode, f.Quality, f.Valid = 500, 0.9, 9, telemetry.Mode3D, 1, true
	d.out.Write(gps.AppendSentences(nil, f))
}

// doubts prints the doubts of a recording as runs: "12 ok, 3 jump".
func doubts(t *testing.T, in string) string {
	t.Helper()
	fixes, _ := decode(t, in)
	var runs []string
	n, last := 0, ""
	flush := func() {
		if n > 0 {
			runs = append(runs, fmt.Sprintf("%d %s", n, last))
		}
	}
	for _, f := range fixes {
		what := "ok"
		switch {
		case f.Doubt != 0:
			what = strings.Join(f.Doubt.Strings(), "+")
		case !f.Valid:
			what = "void"
		}
		if what != last {
			flush()
			n, last = 0, what
		}
		n++
	}
	flush()
	return strings.Join(runs, ", ")
}

// doubtCase is a drive and the doubts it has, as runs.
type doubtCase struct {
	name string
	say  func(*drive)
	want string
}

func checkDoubts(t *testing.T, cases []doubtCase) {
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			d := newDrive()
			tc.say(d)
			if got := doubts(t, d.out.String()); got != tc.want {
				t.Errorf("%s; want %s", got, tc.want)
			}
		})
	}
}

// void is an epoch without a fix that shows a position all the same.
func (d *drive) void(lat string) {
	at, day := d.at.Format("150405"), d.at.Format("020106")
	d.out.WriteString(frames("GPRMC,"+at+",V,"+lat+",N,01130.000000,E,,,"+day+",,,N", "GPGGA,"+at+","+lat+",N,01130.000000,E,0,00,,,M,,M,,"))
}

// TestHonestDrives: what cars and receivers do is not doubted: standing, tunnels,
// ferries, a coarse clock.
func TestHonestDrives(t *testing.T) {
	checkDoubts(t, []doubtCase{
		{"a drive", func(d *drive) { d.say(100, false) }, "100 ok"},
		{"standing", func(d *drive) { d.speed = 0; d.say(600, true) }, "600 ok"},
		{"noise of the speed while standing", func(d *drive) { d.speed = 0.4; d.say(600, true) }, "600 ok"},
		{"a tunnel of two minutes", func(d *drive) {
			d.say(10, false)
			for range 120 {
				d.void("4806.000000")
				d.lat += d.speed / 111_195
				d.at = d.at.Add(time.Second)
			}
			d.say(10, false)
		}, "10 ok, 120 void, 10 ok"},
		{"a ferry without a fix", func(d *drive) {
			d.say(10, false)
			d.at, d.lat = d.at.Add(2*time.Hour), d.lat+0.3
			d.say(10, false)
		}, "20 ok"},
		{"half a second back is steering", func(d *drive) {
			d.say(10, false)
			d.at = d.at.Add(-500 * time.Millisecond)
			d.say(10, false)
		}, "20 ok"},
		{"five epochs of each second", func(d *drive) {
			for range 10 {
				for range 5 {
					d.lat += 4.0 / 111_195
					d.one(true)
				}
				d.at = d.at.Add(time.Second)
			}
		}, "50 ok"},
		{"over midnight without a date", func(d *drive) {
			for _, at := range []string{"235958", "235959", "000000", "000001"} {
				d.out.WriteString(frames(gga(at)))
			}
		}, "4 ok"},
	})
}

// TestDoubtfulPlaces: what no car does, and what of it is believed when it goes on.
func TestDoubtfulPlaces(t *testing.T) {
	checkDoubts(t, []doubtCase{
		{"frozen at 20 m/s, then recovered", func(d *drive) {
			d.say(10, false)
			d.say(10, true)
			d.lat += 200.0 / 111_195
			d.say(10, false)
		}, "11 ok, 9 frozen, 10 ok"},
		{"one jump of 50 km", func(d *drive) {
			d.say(10, false)
			d.lat += 0.5
			d.say(1, false)
			d.lat -= 0.5
			d.say(10, false)
		}, "10 ok, 1 jump, 10 ok"},
		{"a jump that stays is believed", func(d *drive) {
			d.say(10, false)
			d.lat += 0.5
			d.say(20, false)
		}, "10 ok, 4 jump, 16 ok"},
		{"wild positions never agree", func(d *drive) {
			d.say(10, false)
			for i := range 20 {
				d.lat = 48.1 + float64(i%7+1)
				d.say(1, true)
			}
		}, "10 ok, 20 jump"},
		{"no car is that fast", func(d *drive) { d.speed = 150; d.say(3, false) }, "3 jump"},
		{"no car is that high", func(d *drive) {
			d.out.WriteString(frames("GPGGA,120000,4807.038,N,01131.000,E,1,08,0.9,18000.4,M,46.9,M,,"))
		}, "1 range"},
		{"a fix from no satellites", func(d *drive) {
			d.out.WriteString(frames("GPGGA,120000,4807.038,N,01131.000,E,1,00,3.3,545.4,M,46.9,M,,"))
		}, "1 mode-mismatch"},
	})
}

// TestStoredPositions: what a receiver showed while it had no fix is not one yet.
func TestStoredPositions(t *testing.T) {
	checkDoubts(t, []doubtCase{
		{"the last position before the lock", func(d *drive) {
			for range 5 {
				d.void("4806.000000")
				d.at = d.at.Add(time.Second)
			}
			d.lat, d.lon, d.speed = 48.1, 11.5, 0
			d.say(4, true)
			d.lat += 0.01
			d.say(5, true)
		}, "5 void, 4 stored, 5 ok"},
		{"a position shown before the lock, not repeated", func(d *drive) {
			d.void("4805.000000")
			d.at = d.at.Add(time.Second)
			d.say(5, false)
		}, "1 void, 5 ok"},
	})
}

// TestDoubtfulTime: a clock that goes back or stands still.
func TestDoubtfulTime(t *testing.T) {
	checkDoubts(t, []doubtCase{
		{"time goes back and on from there", func(d *drive) {
			d.say(10, false)
			d.at = d.at.Add(-time.Hour)
			d.say(10, false)
		}, "10 ok, 4 time, 6 ok"},
		{"one second of another time", func(d *drive) {
			d.say(10, false)
			d.at = d.at.Add(-time.Hour)
			d.say(1, false)
			d.at = d.at.Add(time.Hour)
			d.say(10, false)
		}, "10 ok, 1 time, 10 ok"},
		{"the year 1970 in two digits", func(d *drive) {
			d.at = time.Date(1970, 1, 1, 0, 0, 0, 0, time.UTC)
			d.say(3, false)
		}, "3 time"},
		{"time stands still", func(d *drive) {
			for range 20 {
				d.one(true)
			}
		}, "12 ok, 8 frozen+time"},
	})
}

// TestTwoDigitPositionsAreNotFrozen: where a step of the position is 18 m, a
// slow car stays on it for a while.
func TestTwoDigitPositionsAreNotFrozen(t *testing.T) {
	in := ""
	for i := range 60 {
		metres := 5.0 * float64(i)
		in += frames(fmt.Sprintf("GPRMC,1200%02d,A,4807.%02.0f,N,01131.00,E,9.7,0.0,230324,,,A", i, math.Floor(metres/18.52)))
	}
	if got := doubts(t, in); got != "60 ok" {
		t.Errorf("%s, want none", got)
	}
}
