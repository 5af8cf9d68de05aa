package gps_test

import (
	"bytes"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"

	"obu/gps"
	"obu/telemetry"
)

// rmc returns the body of an RMC at hhmmss in Munich.
func rmc(hhmmss string) string {
	return "GPRMC," + hhmmss + ",A,4807.038,N,01131.000,E,022.4,084.4,230394,003.1,W"
}

func gga(hhmmss string) string {
	return "GPGGA," + hhmmss + ",4807.038,N,01131.000,E,1,08,0.9,545.4,M,46.9,M,,"
}

func frames(bodies ...string) string {
	var b strings.Builder
	for _, s := range bodies {
		b.WriteString(gps.Frame(s))
	}
	return b.String()
}

func decode(t testing.TB, in string) ([]telemetry.Fix, gps.Stats) {
	t.Helper()
	var out []telemetry.Fix
	stats, err := gps.Decode(strings.NewReader(in), func(f telemetry.Fix) { out = append(out, f) })
	if err != nil {
		t.Fatal(err)
	}
	return out, stats
}

func TestLines(t *testing.T) {
	good := gps.Frame(rmc("120000.00"))
	bare := strings.TrimSpace(good)
	for _, tc := range []struct {
		name     string
		in       string
		fixes    int
		rejected gps.Rejected
	}{
		{"CR LF", good, 1, gps.Rejected{}},
		{"LF", bare + "\n", 1, gps.Rejected{}},
		{"CR", bare + "\r", 1, gps.Rejected{}},
		{"cut at the end of the log, but whole", bare, 1, gps.Rejected{}},
		{"blanks before the line end", bare + "  \r\n", 1, gps.Rejected{}},
		{"time stamp in front", "1700000000.123 " + good, 1, gps.Rejected{}},
		{"noise in front", "\xff\x00\x80garbage" + good, 1, gps.Rejected{}},
		{"binary message in front", "\xb5\x62\x01\x07\x5c\x00\n\r\n" + good, 1, gps.Rejected{}},
		{"half line in front", bare[10:] + "\r\n" + good, 1, gps.Rejected{}},
		{"line end lost", bare + gps.Frame(gga("120000.00")), 1, gps.Rejected{}},
		{"half line, then a whole one", bare[:20] + good, 1, gps.Rejected{NoChecksum: 1}},
		{"cut in mid-line", good + bare[:30], 1, gps.Rejected{NoChecksum: 1}},
		{"lower case checksum", strings.ToLower("x") + "$GPGLL,4807.038,N,01131.000,E,120000,A*2b\r\n", 1, gps.Rejected{}},
		{"no checksum", "$" + rmc("120000.00") + "\r\n", 0, gps.Rejected{NoChecksum: 1}},
		{"wrong checksum", strings.Replace(good, "022.4", "022.5", 1), 0, gps.Rejected{Checksum: 1}},
		{"cut checksum", bare[:len(bare)-1] + "\r\n", 0, gps.Rejected{Malformed: 1}},
		{"no hexadecimal checksum", bare[:len(bare)-2] + "G0\r\n", 0, gps.Rejected{Malformed: 1}},
		{"binary inside", bare[:20] + "\x81" + bare[20:] + "\r\n", 0, gps.Rejected{Malformed: 1}},
		{"fields missing", gps.Frame("GPRMC,120000,A"), 0, gps.Rejected{Malformed: 1}},
		{"unknown status", gps.Frame("GPRMC,120000,X,4807.038,N,01131.000,E,,,230394,,"), 0, gps.Rejected{Malformed: 1}},
		{"comment with a sentence", "# " + good, 0, gps.Rejected{}},
		{"AIS", "!AIVDM,1,1,,B,177KQJ5000G?tO`K>RA1wUbN0TKH,0*5C\r\n", 0, gps.Rejected{}},
		{"logger's banner", "************ program startup 16:40:33 ************\r\n" + good, 1, gps.Rejected{}},
		{"a kilobyte and more", "$GPTXT," + strings.Repeat("x", 1100) + "\r\n" + good, 1, gps.Rejected{TooLong: 1}},
		{"noise of a kilobyte and more", strings.Repeat("x", 1100) + "\r\n" + good, 1, gps.Rejected{TooLong: 1}},
		{"backslash", gps.Frame(`GPRMC,120000,A\,4807.038,N,01131.000,E,,,230394,,`), 0, gps.Rejected{Malformed: 1}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			fixes, stats := decode(t, tc.in)
			if len(fixes) != tc.fixes || stats.Rejected != tc.rejected {
				t.Errorf("%d fixes, %+v rejected; want %d, %+v", len(fixes), stats.Rejected, tc.fixes, tc.rejected)
			}
			for _, f := range fixes {
				if !f.Valid || f.LatDeg != 48.1173 || f.LonDeg != 11.516666667 {
					t.Errorf("position %v %v valid %v, want 48.1173 11.516666667", f.LatDeg, f.LonDeg, f.Valid)
				}
			}
		})
	}
}

func TestTenMegabytesWithoutNewline(t *testing.T) {
	const size = 10 << 20
	for _, fill := range []byte{'x', '$', 0, 0xff, '#'} {
		t.Run(fmt.Sprintf("%q", fill), func(t *testing.T) {
			var before, after runtime.MemStats
			in := io.MultiReader(bytes.NewReader([]byte("$GPRMC,")), bytes.NewReader(bytes.Repeat([]byte{fill}, size)),
				strings.NewReader("\r\n"+gps.Frame(rmc("120000"))))
			runtime.ReadMemStats(&before)
			fixes := 0
			stats, err := gps.Decode(in, func(telemetry.Fix) { fixes++ })
			runtime.ReadMemStats(&after)
			if err != nil || fixes != 1 {
				t.Errorf("%d fixes, error %v; want the one behind the noise", fixes, err)
			}
			if got := after.TotalAlloc - before.TotalAlloc; got > 256<<10 {
				t.Errorf("%d bytes allocated, want at most 256 KiB", got)
			}
			if stats.Bytes < size || stats.Rejected.Total() == 0 {
				t.Errorf("stats %+v, want %d bytes and a rejected line", stats, size)
			}
		})
	}
}

func TestDecodeReturnsReadErrors(t *testing.T) {
	fixes := 0
	_, err := gps.Decode(io.MultiReader(strings.NewReader(frames(rmc("120000"))), errReader{}), func(telemetry.Fix) { fixes++ })
	if err == nil || fixes != 1 {
		t.Errorf("%d fixes, error %v; want the fix and the error", fixes, err)
	}
}

type errReader struct{}

func (errReader) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }
