package gps_test

import (
	"bytes"
	"math"
	"os"
	"path/filepath"
	"testing"

	"obu/gps"
	"obu/telemetry"
)

// inRange reports the first field of a fix that nothing could have measured.
func inRange(f telemetry.Fix) string {
	within := func(v, low, high float64) bool { return math.IsNaN(v) || v >= low && v <= high }
	switch {
	case !within(f.LatDeg, -90, 90) || !within(f.LonDeg, -180, 180) || math.IsNaN(f.LatDeg) != math.IsNaN(f.LonDeg):
		return "position"
	case !within(f.AltM, -1e5, 1e5) || !within(f.GeoidM, -1e5, 1e5):
		return "altitude"
	case !within(f.SpeedMPS, 0, 9999) || !within(f.CourseDeg, 0, 360):
		return "speed or course"
	case !within(f.HDOP, 0, 1000) || !within(f.VDOP, 0, 1000) || !within(f.PDOP, 0, 1000):
		return "dilution of precision"
	case f.Sats < -1 || f.Quality > 9 || f.Mode > telemetry.Mode3D:
		return "satellites, quality or mode"
	case !f.UTC.IsZero() && (f.UTC.Year() < 0 || f.UTC.Year() > 10000):
		return "time"
	case f.Valid && (math.IsNaN(f.LatDeg) || f.Mode == telemetry.ModeNone || f.Quality == 0):
		return "valid without position, mode or quality"
	case f.Valid && f.Doubt&telemetry.DoubtModeMismatch != 0:
		return "valid though the sentences disagree"
	case f.Mode == telemetry.ModeNone && !(math.IsNaN(f.LatDeg) && !f.Valid):
		return "position without mode"
	case f.Detail == nil:
		return "no detail"
	}
	d := f.Detail
	if !within(d.ClimbMPS, -1e4, 1e4) || !within(d.Accuracy.LatM, 0, 1e6) || !within(d.Accuracy.AltM, 0, 1e6) {
		return "climb or accuracy"
	}
	for _, r := range d.Sky.Systems {
		if r.Heard > r.InView || r.Strong > r.Heard || (r.Best == 0) != (r.Heard == 0) || r.Mean > float32(r.Best) {
			return "satellites"
		}
	}
	return ""
}

// FuzzDecode: whatever a line carries, no panic, no fix out of range, all bytes
// counted, and cutting the input into reads of any size changes nothing.
func FuzzDecode(f *testing.F) {
	f.Add([]byte(frames(rmc("120000"), gga("120000"), gsa("3"), rmc("120001"))), 7)
	f.Add([]byte(frames("GNGNS,120000,4807.038,N,01131.000,E,AN,08,0.9,545.4,46.9,,", "GPVTG,084.4,T,077.8,M,022.4,N,041.5,K", "GPZDA,120000,23,03,1994,00,00", "GPGLL,4807.038,N,01131.000,E,120000,A")), 1)
	f.Add([]byte("$GPRMC,,V,,,,,,,,,,N*53\r\n$GPRMC,000231.099,A,4829.0005,N,00022.0015,E,0.15,212.28,2208-1,,,A*73\r\n"), 64)
	f.Add([]byte("\xb5\x62\x01\x07# $*00\r!AIVDM,1*00\n$*00$,*2C$GPRMC\\*15"), 3)
	f.Add([]byte(gps.Frame("GPRMC,250099.00,A,9060.000,S,18100.000,W,nan,inf,999999,,,Z")), 5)
	f.Fuzz(func(t *testing.T, in []byte, step int) {
		collect := func(r *bytes.Reader, size int) ([]telemetry.Fix, gps.Stats) {
			var out []telemetry.Fix
			stats, _ := gps.Decode(&inSteps{r, size}, func(f telemetry.Fix) { out = append(out, f) })
			return out, stats
		}
		whole, stats := collect(bytes.NewReader(in), len(in)+1)
		for _, fix := range whole {
			if bad := inRange(fix); bad != "" {
				t.Fatalf("%s: %+v", bad, fix)
			}
		}
		if gz := len(in) > 1 && in[0] == 0x1f && in[1] == 0x8b; !gz && stats.Bytes != uint64(len(in)) {
			t.Fatalf("%d bytes counted, want %d", stats.Bytes, len(in))
		}
		if stats.Ignored > stats.Sentences || stats.Epochs > stats.Sentences || stats.Valid > stats.Epochs || stats.Epochs != uint64(len(whole)) {
			t.Fatalf("stats %+v", stats)
		}
		parts, again := collect(bytes.NewReader(in), 1+max(step, 0)%1024)
		if again != stats || len(parts) != len(whole) {
			t.Fatalf("in steps: %d fixes, %+v; at once: %d fixes, %+v", len(parts), again, len(whole), stats)
		}
		for i := range parts {
			if !parts[i].Equal(whole[i]) {
				t.Fatalf("fix %d: in steps %+v, at once %+v", i, parts[i], whole[i])
			}
		}
	})
}

// inSteps reads at most size bytes at a time.
type inSteps struct {
	r    *bytes.Reader
	size int
}

func (s *inSteps) Read(p []byte) (int, error) { return s.r.Read(p[:min(len(p), s.size)]) }

// FuzzLive: wherever a live line pauses, no panic, no fix out of range, and no
// more fixes than sentences. (TestReceiversLive compares the fixes.)
func FuzzLive(f *testing.F) {
	epoch := func(hms string) string { return frames(rmc(hms), gga(hms), gsa("3")) }
	drive := []byte(epoch("120000") + epoch("120001") + epoch("120002") + epoch("120003"))
	f.Add(drive, []byte{189, 189, 189})
	f.Add(drive, []byte{100, 100, 100, 100})
	f.Add([]byte(frames("GPVTG,084.4,T,077.8,M,022.4,N,041.5,K", gga("120000"), "GPVTG,084.4,T,077.8,M,022.4,N,041.5,K", gga("120001"))), []byte{102})
	f.Add([]byte(frames("GPRMC,,V,,,,,,,,,,N", "GPGLL,,,,,120000,V,N", "GPRMC,,V,,,,,,,,,,N")), []byte{30, 3, 60})
	f.Fuzz(func(t *testing.T, in, pauses []byte) {
		var runs [][]byte
		rest := in
		for _, p := range pauses {
			n := min(int(p), len(rest))
			runs, rest = append(runs, rest[:n]), rest[n:]
		}
		var fixes []telemetry.Fix
		stats := gps.MergeLive(append(runs, rest), func(f telemetry.Fix) { fixes = append(fixes, f) })
		if stats.Epochs != uint64(len(fixes)) || stats.Epochs+stats.Late > stats.Sentences {
			t.Fatalf("%d fixes, %+v", len(fixes), stats)
		}
		for _, fix := range fixes {
			if bad := inRange(fix); bad != "" {
				t.Fatalf("%s: %+v", bad, fix)
			}
		}
	})
}

// FuzzFields: any body in a correct frame.
func FuzzFields(f *testing.F) {
	f.Add(rmc("120000"))
	f.Add(gga("120000"))
	f.Add(gsa("3"))
	f.Add("GNGNS,120000,4807.038,N,01131.000,E,RRNN,08,0.9,545.4,46.9,,")
	f.Add("GPRMC,235960.999999999999,A,0000.0000000001,S,00000.00,W,1999.9999999,360.0,311299,,,F")
	f.Fuzz(func(t *testing.T, body string) {
		gps.Decode(bytes.NewReader([]byte(gps.Frame(body)+gps.Frame(gsa("2")))), func(fix telemetry.Fix) {
			if bad := inRange(fix); bad != "" {
				t.Fatalf("%s: %+v", bad, fix)
			}
			if again := gps.Rounded(fix); inRange(again) != "" {
				t.Fatalf("rounded: %s: %+v", inRange(again), again)
			}
		})
	})
}

// BenchmarkDecode reads a recorded drive of 29,124 sentences; one op is one
// sentence.
func BenchmarkDecode(b *testing.B) {
	in, err := os.ReadFile(filepath.Join(recordings(b), "dotmorten", "NmeaSampleData.session1.nmea"))
	if err != nil {
		b.Fatal(err)
	}
	benchmarkDecode(b, in)
}

// BenchmarkDecodeUblox reads the sentences of a receiver of four
// constellations: 22 a second.
func BenchmarkDecodeUblox(b *testing.B) {
	in, err := os.ReadFile(filepath.Join(recordings(b), "gpsd", "ublox-neo-m9n-nmea.log"))
	if err != nil {
		b.Fatal(err)
	}
	benchmarkDecode(b, in)
}

func benchmarkDecode(b *testing.B, in []byte) {
	b.ReportAllocs()
	b.SetBytes(0)
	var sentences int
	for sentences < b.N {
		stats, err := gps.Decode(bytes.NewReader(in), func(telemetry.Fix) {})
		if err != nil {
			b.Fatal(err)
		}
		sentences += int(stats.Sentences)
	}
}

// BenchmarkGarbage reads bytes without sentences; one op is one kilobyte.
func BenchmarkGarbage(b *testing.B) {
	b.SetBytes(1024)
	gps.Decode(&inSteps{bytes.NewReader(bytes.Repeat([]byte{0xf8, 0x00, 0x86, 0x98}, 256*b.N)), 1024}, func(telemetry.Fix) {})
}

func BenchmarkAppendSentences(b *testing.B) {
	b.ReportAllocs()
	fixes, _ := decode(b, frames(rmc("120000"), gga("120000"), gsa("3")))
	buf := make([]byte, 0, 512)
	for b.Loop() {
		buf = gps.AppendSentences(buf[:0], fixes[0])
	}
}
