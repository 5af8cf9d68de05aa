package dbc_test

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"testing"

	"obu/can/dbc"
	"obu/telemetry"
)

// FuzzParse: no file breaks the parser, what it keeps is within the bounds,
// compiles, and decodes any payload to numbers.
func FuzzParse(f *testing.F) {
	f.Add([]byte(benchFile()), []byte{1, 2, 3, 4, 5, 6, 7, 8})
	f.Add([]byte("BO_ 1 A: 8 X\n SG_ S m1M : 0|8@1+ (1,0) [0|0] \"\" X\n SG_ M M : 8|8@0- (1E3,-.5) [0|0] \"\xB0\" X\nSG_MUL_VAL_ 1 S M 0-3, 5-5;\nVAL_ 1 S -1 \"a\" 2 \"b\\\"\";\n"), []byte{9, 1})
	f.Add([]byte("BA_DEF_ BO_ \"VFrameFormat\" ENUM \"a\",\"J1939PG\";\nBO_ 2364540158 E: 40 X\n SG_ S : 96|16@1+ (0.125,0) [0|0] \"\" X\nBA_ \"VFrameFormat\" BO_ 2364540158 1;\nSIG_VALTYPE_ 2364540158 S : 2;"), make([]byte, 40))
	if dir := os.Getenv("OBU_RECORDINGS"); dir != "" {
		files, _ := filepath.Glob(filepath.Join(dir, "dbc", "cantools_*.dbc"))
		for _, path := range files {
			if data, err := os.ReadFile(path); err == nil && len(data) < 6000 {
				f.Add(data, []byte{1})
			}
		}
	}
	f.Fuzz(func(t *testing.T, text, payload []byte) {
		file, err := dbc.Parse("fuzz.dbc", text)
		if err != nil {
			return
		}
		if len(file.Warnings) > 101 {
			t.Fatalf("%d warnings", len(file.Warnings))
		}
		total := 0
		for _, m := range file.Messages {
			total += len(m.Signals)
			for _, s := range m.Signals {
				if s.Length < 1 || s.Length > 64 || s.Start < 0 || s.Float && s.Length < 32 {
					t.Fatalf("signal %+v", s)
				}
			}
		}
		if total > len(text)/10 {
			t.Fatalf("%d signals of %d bytes", total, len(text))
		}
		d := dbc.Compile(file)
		for _, m := range file.Messages {
			n := 0
			known, short := d.Decode(m.ID, m.Extended, payload, func(s *dbc.Signal, raw int64, v telemetry.Value) {
				n++
				if f := v.Float(); v.Kind() == telemetry.KindFloat && (math.IsNaN(f) || math.IsInf(f, 0)) {
					t.Fatalf("%s is %v", s.Telemetry.Name, f)
				}
				_ = s.Text(raw)
			})
			if !known || n > len(m.Signals) || n+short > 2*len(m.Signals) {
				t.Fatalf("message %s: known %v, %d values and %d absent of %d signals", m.Name, known, n, short, len(m.Signals))
			}
		}
	})
}

// FuzzDecode: the compiled extractors give the bits that a walk over the
// payload gives, bit by bit as the format counts them.
func FuzzDecode(f *testing.F) {
	f.Add(uint16(0), uint8(8), false, false, []byte{1, 2, 3, 4, 5, 6, 7, 8})
	f.Add(uint16(7), uint8(64), true, true, []byte{0x81, 2, 3, 4, 5, 6, 7, 0xF8})
	f.Add(uint16(3), uint8(64), false, true, []byte{1, 2, 3, 4, 5, 6, 7, 8, 9})
	f.Add(uint16(60), uint8(9), true, false, []byte{1, 2, 3, 4, 5, 6, 7, 8, 9, 10})
	f.Add(uint16(65), uint8(64), true, true, []byte{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 0xFF})
	f.Fuzz(func(t *testing.T, start uint16, length uint8, big, signed bool, data []byte) {
		if length < 1 || length > 64 || int(start) >= 8*dbc.MaxSize {
			return
		}
		order, sign := '1', '+'
		if big {
			order = '0'
		}
		if signed {
			sign = '-'
		}
		text := fmt.Sprintf("BO_ 1 A: 8 X\n SG_ S : %d|%d@%c%c (0.5,0) [0|0] \"\" X\n", start, length, order, sign)
		d := dbc.Compile(parse(t, text))
		want, present := slowBits(int(start), int(length), big, signed, data)
		n := 0
		_, short := d.Decode(1, false, data, func(s *dbc.Signal, raw int64, v telemetry.Value) {
			n++
			if raw != want {
				t.Fatalf("%s of % X: %x, want %x", text, data, raw, want)
			}
			value := float64(want) / 2
			if !signed {
				value = float64(uint64(want)) / 2
			}
			if v.Float() != value {
				t.Fatalf("%s of % X: %v, want %v", text, data, v, value)
			}
		})
		if present != (n == 1) || present == (short == 1) {
			t.Fatalf("%s of % X: %d values, %d absent, want present %v", text, data, n, short, present)
		}
	})
}

// slowBits reads a signal one bit at a time. Bit n is bit n%8 of byte n/8. The
// start bit is the lowest of a little-endian signal, which goes up from there;
// of a big-endian one it is the highest, which goes down within the byte and
// on at the top of the next.
func slowBits(start, length int, big, signed bool, data []byte) (raw int64, present bool) {
	var bits []uint64 // highest first
	at := start
	for range length {
		if at/8 >= len(data) {
			return 0, false
		}
		bit := uint64(data[at/8]>>(at%8)) & 1
		if !big {
			bits = append([]uint64{bit}, bits...)
			at++
			continue
		}
		bits = append(bits, bit)
		if at%8 == 0 {
			at += 15
		} else {
			at--
		}
	}
	var word uint64
	if signed && bits[0] == 1 {
		word = math.MaxUint64
	}
	for _, b := range bits {
		word = word<<1 | b
	}
	return int64(word), true
}
