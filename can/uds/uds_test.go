package uds_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"obu/can/obd"
	"obu/can/uds"
	"obu/telemetry"
)

// table explains 0101 (6 bytes), F190 (a text to the end) and F40C (2 bytes, a
// signal of the vocabulary).
func table(t testing.TB) *uds.Table {
	t.Helper()
	tab, err := uds.Compile([]uds.DID{
		{ID: 0x0101, Length: 6, Signals: []uds.Signal{
			{Name: "A", Unit: "percent", Bit: 7, Bits: 8, Scale: "0.5"},
			{Name: "B", Byte: 1, Bit: 7, Bits: 16, Signed: true, Scale: "0.1", Offset: "1"},
			{Name: "C", Byte: 3, Bit: 3, Bits: 1},
			{Name: "D", Byte: 4, Bit: 0, Bits: 16, Little: true},
			{Name: "E", Kind: uds.Bits, Byte: 3, Bits: 4},
			{Name: "F", Kind: uds.Bytes, Byte: 4, Bits: 16},
		}},
		{ID: 0xF190, Signals: []uds.Signal{{Name: "Vehicle.VehicleIdentification.VIN", Kind: uds.Text}}},
		{ID: 0xF40C, Length: 2, Signals: []uds.Signal{{Name: "Vehicle.Powertrain.CombustionEngine.Speed", Bit: 7, Bits: 16, Scale: "0.25"}}},
		{ID: 0x0200, Length: 4, Signals: []uds.Signal{{Name: "G", Kind: uds.Float, Bit: 7, Bits: 32}}},
		{ID: 0x0300},
	})
	if err != nil {
		t.Fatal(err)
	}
	return tab
}

// read returns what an answer says: "A=50 B=-1 ..."; "?" marks doubt.
func read(tab *uds.Table, payload []byte) (string, error) {
	var out []string
	err := tab.Each(payload, func(did uint16, data []byte, sure bool) {
		for _, r := range tab.Read(nil, did, data) {
			text := r.Signal.Name[strings.LastIndexByte(r.Signal.Name, '.')+1:] + "=" + r.Value.String()
			if !sure || r.Quality != telemetry.QualityLive {
				text += "?"
			}
			out = append(out, text)
		}
	})
	return strings.Join(out, " "), err
}

// TestRead is worked out by hand.
func TestRead(t *testing.T) {
	tab := table(t)
	for _, c := range []struct {
		payload, want string
		err           error
	}{
		{"\x62\x01\x01\x64\xff\xf6\x5a\x34\x12", "A=50 B=0 C=1 D=4660 E=0101 F=3412", nil},
		{"\x62\x01\x01\x64\xff\xf6\x5a\x34\x12\x0f", "A=50? B=0? C=1? D=4660? E=0101? F=3412?", nil}, // longer than configured
		{"\x62\x01\x01\x64\xff\xf6\x5a\x34", "", uds.ErrShort},
		{"\x62\xf4\x0c\x1a\xf8", "Speed=1726", nil},
		{"\x62\x01\x01\x64\xff\xf6\x5a\x34\x12\xf4\x0c\x1a\xf8", "A=50 B=0 C=1 D=4660 E=0101 F=3412 Speed=1726", nil},
		{"\x62\xf1\x90WVWZZZ1JZXW000001", "VIN=WVWZZZ1JZXW000001", nil},
		{"\x62\xf1\x90AB\x00\x00\x00", "VIN=AB", nil},
		{"\x62\xf1\x90A\x01", "VIN=4101?", nil},
		{"\x62\x02\x00\x3f\x80\x00\x00", "G=1", nil},
		{"\x62\x02\x00\x7f\x80\x00\x00", "G=null?", nil}, // infinite
		{"\x62\x03\x00\xab\xcd", "DID0300=ABCD", nil},
		{"\x62\x99\x99\x01", "", uds.ErrUnknown},
		{"\x62\x01", "", uds.ErrAnswer},
		{"\x7f\x22\x31", "", uds.ErrAnswer},
	} {
		if got, err := read(tab, []byte(c.payload)); got != c.want || !errors.Is(err, c.err) {
			t.Errorf("% X: %s, %v; want %s, %v", c.payload, got, err, c.want, c.err)
		}
	}
}

// TestCompileRefuses what would give wrong values, and says what to do.
func TestCompileRefuses(t *testing.T) {
	const rpm = "Vehicle.Powertrain.CombustionEngine.Speed"
	for name, c := range map[string]struct {
		s    uds.Signal
		want string
	}{
		"beyond":          {uds.Signal{Name: "A", Byte: 3, Bit: 7, Bits: 16}, "byte 5 of 4"},
		"no bits":         {uds.Signal{Name: "A"}, "1 to 64 bits"},
		"float of 16":     {uds.Signal{Name: "A", Kind: uds.Float, Bit: 7, Bits: 16}, "32 or 64"},
		"other unit":      {uds.Signal{Name: rpm, Unit: "Hz", Bit: 7, Bits: 16}, `the unit "rpm"`},
		"text for number": {uds.Signal{Name: rpm, Kind: uds.Text}, "type float"},
		"fractions":       {uds.Signal{Name: "Vehicle.TraveledDistance", Bit: 7, Bits: 8, Scale: "0.5"}, "whole numbers"},
		"no decimal":      {uds.Signal{Name: "A", Bit: 7, Bits: 8, Scale: "x"}, "decimal"},
	} {
		if _, err := uds.Compile([]uds.DID{{ID: 1, Length: 4, Signals: []uds.Signal{c.s}}}); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestCodes: text, status, lists that are cut short.
func TestCodes(t *testing.T) {
	mask, list, err := uds.ParseCodes(nil, []byte("\x59\x02\xff\x03\x01\x00\x2f\xc1\x23\x87\x08\x00\x00\x00\x00"))
	if mask != 0xFF || len(list) != 2 || err != nil || list[0].String() != "P0301-00" || list[1].String() != "U0123-87" ||
		uds.StatusText(list[1].Status) != "confirmedDTC" || uds.StatusText(0x81) != "testFailed+warningIndicatorRequested" {
		t.Errorf("%v %v", list, err)
	}
	for _, p := range []string{"\x59\x02", "\x59\x02\xff\x03\x01\x00", "\x59\x04\xff", "\x59"} {
		if _, list, err := uds.ParseCodes(nil, []byte(p)); err == nil || len(list) > 0 {
			t.Errorf("% X: %v", p, list)
		}
	}
}

// TestSnapshot: what is of known length is taken apart, from the first DID of
// unknown length on nothing is.
func TestSnapshot(t *testing.T) {
	tab := table(t)
	sub, d, records, err := uds.ParseRecords([]byte("\x59\x04\x03\x01\x00\x2f\x01\x02\xf4\x0c\x1a\xf8\x01\x01abcdef\x02\x01\xf4\x0c\x00\x00"))
	items, rest := uds.ParseSnapshot(nil, records, tab.Length)
	if sub != uds.Snapshot || d.String() != "P0301-00" || err != nil || len(items) != 3 || len(rest) != 0 || items[2].Record != 2 || string(items[1].Data) != "abcdef" {
		t.Errorf("%v %v %+v % X", d, err, items, rest)
	}
	items, rest = uds.ParseSnapshot(nil, []byte("\x01\x02\xf4\x0c\x1a\xf8\xf1\x90AB"), tab.Length)
	if len(items) != 1 || string(rest) != "\xf1\x90AB" {
		t.Errorf("%+v % X", items, rest)
	}
}

// TestRequests and what answers them.
func TestRequests(t *testing.T) {
	data, codes, records := uds.RequestData(0x0101, 0xF190), uds.RequestCodes(9), uds.RequestRecords(uds.Snapshot, 0x030100)
	if !bytes.Equal(data, []byte{0x22, 1, 1, 0xF1, 0x90}) || !bytes.Equal(codes, []byte{0x19, 2, 9}) || !bytes.Equal(records, []byte{0x19, 4, 3, 1, 0, 0xFF}) {
		t.Errorf("% X, % X, % X", data, codes, records)
	}
	for _, c := range []struct {
		request []byte
		payload string
		want    bool
	}{
		{data, "\x62\x01\x01\x00", true}, {data, "\x62\xf1\x90\x00", true}, {data, "\x62\x01\xf1\x00", false}, {data, "\x61\x01\x01", false}, {data, "\x62\x01", false},
		{codes, "\x59\x02\xff", true}, {codes, "\x59\x04\x03\x01\x00\x2f", false},
		{records, "\x59\x04\x03\x01\x00\x2f", true}, {records, "\x59\x04\x03\x02\x00\x2f", false}, {records, "\x59\x04\x03", false},
	} {
		if uds.Answers(c.request, []byte(c.payload)) != c.want {
			t.Errorf("% X answers % X: %v", c.payload, c.request, !c.want)
		}
	}
}

// TestAdvice: what will not change is left with a reason, the rest is not.
func TestAdvice(t *testing.T) {
	for code := range 256 {
		never := false
		switch code {
		case 0x11, 0x12, 0x14, 0x31, 0x33, 0x7E, 0x7F:
			never = true
		}
		if (uds.Judge(obd.NRC(code)) == uds.Never) != never || (uds.Advice(obd.NRC(code)) != "") != never {
			t.Errorf("%02X: %v", code, uds.Judge(obd.NRC(code)))
		}
	}
}

// FuzzAnswers: no payload makes the readers panic, and what they read is what
// was there: nothing is lost, doubled or taken from beyond the end.
func FuzzAnswers(f *testing.F) {
	for _, s := range []string{"\x62\x01\x01\x64\xff\xf6\x5a\x34\x12\xf4\x0c\x1a\xf8", "\x62\xf1\x90WVW", "\x59\x02\xff\x03\x01\x00\x2f\xc1\x23\x87\x08",
		"\x59\x04\x03\x01\x00\x2f\x01\x02\xf4\x0c\x1a\xf8\xf1\x90AB", "\x59\x06\x03\x01\x00\x2f\x01\x05", "\x7f\x22\x78", "\x62\x02\x00\x7f\xc0\x00\x00"} {
		f.Add([]byte(s))
	}
	tab := table(f)
	f.Fuzz(func(t *testing.T, payload []byte) {
		again := []byte{0x62}
		err := tab.Each(payload, func(did uint16, data []byte, _ bool) {
			again = append(append(again, byte(did>>8), byte(did)), data...)
			n := 0
			tab.Signals(did, func(*telemetry.Signal) { n++ })
			if r := tab.Read(nil, did, data); len(r) != n {
				t.Fatalf("DID %04X: %d readings of %d signals", did, len(r), n)
			}
		})
		if err == nil && !bytes.Equal(again, payload) {
			t.Fatalf("% X read as % X", payload, again)
		}
		if mask, list, err := uds.ParseCodes(nil, payload); err == nil {
			again := []byte{0x59, 2, mask}
			for _, d := range list {
				again = append(again, byte(d.Code>>16), byte(d.Code>>8), byte(d.Code), d.Status)
			}
			want := append([]byte{}, payload[:3]...)
			for b := payload[3:]; len(b) > 0; b = b[4:] {
				if b[0] != 0 || b[1] != 0 || b[2] != 0 {
					want = append(want, b[:4]...)
				}
			}
			if !bytes.Equal(again, want) {
				t.Fatalf("% X read as % X", payload, again)
			}
		}
		if sub, d, records, err := uds.ParseRecords(payload); err == nil {
			if !uds.Answers(uds.RequestRecords(sub, d.Code), payload) {
				t.Fatalf("% X does not answer the request for %v", payload, d)
			}
			snapshot(t, records, tab)
		}
	})
}

// snapshot takes records apart and puts them together again.
func snapshot(t *testing.T, records []byte, tab *uds.Table) {
	items, rest := uds.ParseSnapshot(nil, records, tab.Length)
	left := records
	for len(items) > 0 {
		if len(left) < 2 || left[0] != items[0].Record {
			t.Fatalf("record %d from % X", items[0].Record, left)
		}
		n := int(left[1])
		left = left[2:]
		for ; n > 0 && len(items) > 0; n-- {
			it := items[0]
			want := append([]byte{byte(it.DID >> 8), byte(it.DID)}, it.Data...)
			if !bytes.HasPrefix(left, want) || len(it.Data) != tab.Length(it.DID) {
				t.Fatalf("%+v from % X", it, left)
			}
			left, items = left[len(want):], items[1:]
		}
	}
	if !bytes.Equal(left, rest) {
		t.Fatalf("rest % X, left % X", rest, left)
	}
}

// TestCorePathHasItsUnit: a path of the VSS core tree says its unit, which the
// technician may leave out or write another way.
func TestCorePathHasItsUnit(t *testing.T) {
	const soc = "Vehicle.Powertrain.TractionBattery.StateOfCharge.Current"
	for _, unit := range []string{"", "%", "percent"} {
		table, err := uds.Compile([]uds.DID{{ID: 0x101, Signals: []uds.Signal{{Name: soc, Unit: unit, Bit: 7, Bits: 8, Scale: "0.5"}}}})
		if err != nil {
			t.Fatal(err)
		}
		table.Signals(0x101, func(s *telemetry.Signal) {
			if s.Name != soc || s.Unit != "percent" {
				t.Errorf("unit %q: told as %s in %q", unit, s.Name, s.Unit)
			}
		})
	}
}
