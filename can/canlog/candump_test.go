package canlog_test

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"testing"

	"obu/can/canlog"
)

// readAll reads a log to its end: frames as text, troubles by line.
func readAll(t testing.TB, r io.Reader) (frames []string, bad map[int]error) {
	t.Helper()
	bad = map[int]error{}
	log := canlog.NewReader(r)
	for {
		e, err := log.Next()
		var le *canlog.LineError
		switch {
		case errors.As(err, &le):
			bad[le.Line] = le
		case err == io.EOF:
			return frames, bad
		case err != nil:
			t.Fatal(err)
		default:
			frames = append(frames, fmt.Sprintf("(%s) %s %s", e.Stamp, e.Interface, e.Frame))
		}
	}
}

func TestCandumpLines(t *testing.T) {
	for _, c := range []struct{ line, want string }{
		{"(1725695599.863200) can0 7E8#03410D4A00000000", "(1725695599.863200) can0 7E8#03410D4A00000000"},
		{"(1725695599.8632) can0 7e8#03410d4a", "(1725695599.8632) can0 7E8#03410D4A"},
		{"(166.000000) vcan0 18DAF110#", "(166.000000) vcan0 18DAF110#"},
		{"(0) can0 123#R", "(0) can0 123#R"},
		{"(0.1) can0 123#R4", "(0.1) can0 123#R4"},
		{"(0.1) can0 123##1000102030405060708090A0B", "(0.1) can0 123##1000102030405060708090A0B"},
		{"(0.1) can0 20000004#0001000000000000", "(0.1) can0 20000004#0001000000000000"},
		{"(0.123456789)\tcan0   123#11 R", "(0.123456789) can0 123#11"},
		{"(1398128223.803317) can0 166#D0320009\r", "(1398128223.803317) can0 166#D0320009"},
		{"", ""}, {"   ", ""},
		{"(0.1) can0 FFF#00", "bad"},      // 12 bits
		{"(0.1) can0 FFFFFFFF#00", "bad"}, // 32 bits
		{"(0.1) can0 7E8#R9", "bad"},
		{"(0.1) can0 7E8#0", "bad"},
		{"(0.1) can0 7E8#001122334455667788", "bad"},
		{"(0.1) can0 7E8##", "bad"},
		{"(0.1) can0 7E8##0" + strings.Repeat("00", 9), "bad"},
		{"(0.1) can0 7E8##0" + strings.Repeat("00", 65), "bad"},
		{"(0.1) can0 7E8#XX", "bad"},
		{"(0.1) can0 7E#00", "bad"},
		{"(0.1) can0", "bad"}, {"(0.1)", "bad"}, {"(0.1 can0 7E8#00", "bad"}, {"can0 7E8#00", "bad"},
		{"(-1.0) can0 7E8#00", "bad"}, {"(1.) can0 7E8#00", "bad"}, {"(NaN) can0 7E8#00", "bad"},
		{"(9999999999.0) can0 7E8#00", "bad"}, {"(1.0000000001) can0 7E8#00", "bad"},
		{"(0.1) can0 7E8#00 more", "bad"},
		{"(0.1) can0 7E8#00#11", "bad"},
		{strings.Repeat("x", 10_000), "bad"},
	} {
		frames, bad := readAll(t, strings.NewReader(c.line+"\n(9.9) can9 001#99\n"))
		if len(frames) == 0 || frames[len(frames)-1] != "(9.9) can9 001#99" {
			t.Errorf("%.80q stopped the log: %v", c.line, frames)
			continue
		}
		got := strings.Join(frames[:len(frames)-1], " ")
		if len(bad) > 0 {
			got = "bad"
		}
		if got != c.want {
			t.Errorf("%.80q: %s, want %s", c.line, got, c.want)
		}
	}
}

// TestCutLog: a log cut in mid-line names the line; the rest is read.
func TestCutLog(t *testing.T) {
	whole := "(1.0) can0 7E8#0341\n(2.0) can0 7E8#03\n"
	frames, bad := readAll(t, strings.NewReader(whole+"(3.0) can0 7E8#034"))
	if len(frames) != 2 || !errors.Is(bad[3], canlog.ErrCut) || !strings.HasPrefix(bad[3].Error(), "line 3: log is cut short") {
		t.Errorf("%v, %v", frames, bad)
	}
	// Two lines that a lost disk block glued together.
	frames, bad = readAll(t, strings.NewReader("(1.0) can0 7E8#03(2.0) can0 7E8#03\n(3.0) can0 7E8#04\n"))
	if len(frames) != 1 || !errors.Is(bad[1], canlog.ErrLine) {
		t.Errorf("%v, %v", frames, bad)
	}
	frames, bad = readAll(t, strings.NewReader("(1.0) can0 7E8#03")) // whole, only the line break is missing
	if len(frames) != 1 || len(bad) != 0 {
		t.Errorf("%v, %v", frames, bad)
	}
}

func zipped(t testing.TB, text string) []byte {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	io.WriteString(z, text)
	z.Close()
	return b.Bytes()
}

func TestCutCompressedLog(t *testing.T) {
	var text strings.Builder
	for i := range 2000 {
		fmt.Fprintf(&text, "(%d.%06d) can0 %03X#%08X\n", i, i*7919%1000000, i%0x7FF, uint32(i)*2654435761)
	}
	z := zipped(t, text.String())
	frames, bad := readAll(t, bytes.NewReader(z))
	if len(frames) != 2000 || len(bad) != 0 {
		t.Fatalf("%d frames, %v", len(frames), bad)
	}
	frames, bad = readAll(t, bytes.NewReader(z[:len(z)/2]))
	if len(frames) < 500 || len(frames) >= 2000 || len(bad) == 0 {
		t.Errorf("cut in half: %d frames, %v", len(frames), bad)
	}
	if end := slices.Collect(maps.Values(bad)); !slices.ContainsFunc(end, func(err error) bool { return errors.Is(err, canlog.ErrDamaged) && errors.Is(err, canlog.ErrCut) }) {
		t.Errorf("cut in half: %v", bad)
	}
	sum := bytes.Clone(z)
	sum[len(sum)-6] ^= 1
	if frames, bad = readAll(t, bytes.NewReader(sum)); len(frames) != 2000 || !errors.Is(bad[2001], canlog.ErrDamaged) || !strings.Contains(bad[2001].Error(), "checksum") {
		t.Errorf("wrong checksum: %d frames, %v", len(frames), bad)
	}
	z[len(z)/2] ^= 0x55
	frames, bad = readAll(t, bytes.NewReader(z))
	if len(frames) < 500 || len(bad) == 0 {
		t.Errorf("damaged: %d frames, %v", len(frames), bad)
	}
	if _, bad = readAll(t, bytes.NewReader([]byte{0x1F, 0x8B, 0})); !errors.Is(bad[1], canlog.ErrCut) {
		t.Errorf("a header alone: %v", bad)
	}
}

func BenchmarkReader(b *testing.B) {
	line := "(1725695599.863200) can0 7E8#03410D4A00000000\n"
	log := canlog.NewReader(strings.NewReader(strings.Repeat(line, b.N)))
	b.ReportAllocs()
	b.SetBytes(int64(len(line)))
	b.ResetTimer()
	for range b.N {
		if _, err := log.Next(); err != nil {
			b.Fatal(err)
		}
	}
}
