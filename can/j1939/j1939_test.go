package j1939_test

import (
	"encoding/hex"
	"reflect"
	"testing"
	"time"

	"obu/can/j1939"
	"obu/telemetry"
)

func TestIdentifiers(t *testing.T) {
	for _, tt := range []struct {
		id   uint32
		want j1939.ID
	}{
		{0x0CF00400, j1939.ID{Priority: 3, PGN: 61444, Source: 0, Destination: 0xFF}},
		{0x18FEF100, j1939.ID{Priority: 6, PGN: 65265, Source: 0, Destination: 0xFF}},
		{0x1CECFF2A, j1939.ID{Priority: 7, PGN: j1939.PGNConnect, Source: 0x2A, Destination: 0xFF}},
		{0x18EA00F9, j1939.ID{Priority: 6, PGN: j1939.PGNRequest, Source: 0xF9, Destination: 0}},
		{0x19FD9BA3, j1939.ID{Priority: 6, PGN: 0x1FD9B, Source: 0xA3, Destination: 0xFF}}, // data page 1
	} {
		if got := j1939.Parse(tt.id); got != tt.want {
			t.Errorf("%08X: %+v, want %+v", tt.id, got, tt.want)
		}
		if got := tt.want.Identifier(); got != tt.id {
			t.Errorf("%+v: %08X, want %08X", tt.want, got, tt.id)
		}
	}
}

// network feeds a receiver with frames 50 ms apart.
type network struct {
	t    *testing.T
	rx   *j1939.Receiver
	now  telemetry.At
	got  []string
	sick []j1939.Reason
}

func newNetwork(t *testing.T) *network {
	n := &network{t: t, now: 1}
	n.rx = j1939.NewReceiver(func(m j1939.Message) {
		n.got = append(n.got, m.PGN.String()+" "+hex.EncodeToString(m.Payload))
	}, func(f j1939.Fault) { n.sick = append(n.sick, f.Reason) })
	return n
}

func (n *network) frame(id uint32, data string) {
	n.t.Helper()
	b, err := hex.DecodeString(data)
	if err != nil {
		n.t.Fatal(err)
	}
	n.now = n.now.Add(50 * time.Millisecond)
	n.rx.Feed(n.now, id, b)
}

func (n *network) want(got []string, sick []j1939.Reason) {
	n.t.Helper()
	if !reflect.DeepEqual(n.got, got) || !reflect.DeepEqual(n.sick, sick) {
		n.t.Errorf("got %q, broken %v; want %q, %v", n.got, n.sick, got, sick)
	}
	if n.rx.Open() != 0 {
		n.t.Errorf("%d transfers are still open", n.rx.Open())
	}
}

const whole = "65226 0102030405060708090a"

func TestBroadcast(t *testing.T) {
	n := newNetwork(t)
	n.frame(0x1CECFF00, "200a0002ffcafe00")
	n.frame(0x0CF00400, "f0ff7d0000ffffff") // another node's frame between
	n.frame(0x1CEBFF00, "0101020304050607")
	n.frame(0x1CEBFF00, "0208090affffffff")
	n.want([]string{"61444 f0ff7d0000ffffff", whole}, nil)
}

// TestOverheardSession follows a transfer between two others, with a packet that
// the receiver asks for again.
func TestOverheardSession(t *testing.T) {
	n := newNetwork(t)
	n.frame(0x1CEC2A00, "100a0002ffcafe00") // 00 to 2A: request to send
	n.frame(0x1CEC002A, "110201ffffcafe00") // 2A: clear to send two from 1
	n.frame(0x1CEB2A00, "0101020304050607")
	n.frame(0x1CEC002A, "110201ffffcafe00") // again from 1
	n.frame(0x1CEB2A00, "0101020304050607")
	n.frame(0x1CEB2A00, "0208090affffffff")
	n.frame(0x1CEC002A, "130a0002ffcafe00")
	n.want([]string{whole}, nil)
}

func TestBrokenTransfers(t *testing.T) {
	for _, tt := range []struct {
		name string
		run  func(n *network)
		want j1939.Reason
	}{
		{"packet missing", func(n *network) {
			n.frame(0x1CECFF00, "200a0002ffcafe00")
			n.frame(0x1CEBFF00, "0208090affffffff")
		}, j1939.ReasonSequence},
		{"given up", func(n *network) {
			n.frame(0x1CEC2A00, "100a0002ffcafe00")
			n.frame(0x1CEC002A, "ff03ffffffcafe00")
		}, j1939.ReasonAborted},
		{"begun anew", func(n *network) {
			n.frame(0x1CECFF00, "200a0002ffcafe00")
			n.frame(0x1CECFF00, "200a0002ffcafe00")
			n.frame(0x1CEBFF00, "0101020304050607")
			n.frame(0x1CEBFF00, "0208090affffffff")
			n.got = nil
		}, j1939.ReasonAborted},
		{"too late", func(n *network) {
			n.frame(0x1CECFF00, "200a0002ffcafe00")
			n.now = n.now.Add(j1939.TimeoutT1)
			n.rx.Expire(n.now.Add(time.Millisecond))
		}, j1939.ReasonTimeout},
		{"unfinished", func(n *network) {
			n.frame(0x1CECFF00, "200a0002ffcafe00")
			n.rx.Flush()
		}, j1939.ReasonUnfinished},
		{"size and packets disagree", func(n *network) { n.frame(0x1CECFF00, "200a0003ffcafe00") }, j1939.ReasonLength},
		{"no beginning", func(n *network) { n.frame(0x1CEBFF00, "0101020304050607") }, j1939.ReasonUnexpected},
		{"short", func(n *network) { n.frame(0x1CECFF00, "200a") }, j1939.ReasonMalformed},
	} {
		t.Run(tt.name, func(t *testing.T) {
			n := newNetwork(t)
			tt.run(n)
			n.want(nil, []j1939.Reason{tt.want})
		})
	}
}

// TestSessionsAreBounded: a hostile network opens a transfer for each pair of nodes.
func TestSessionsAreBounded(t *testing.T) {
	n := newNetwork(t)
	for i := range 1000 {
		n.rx.Feed(1, 0x1CEC0000|uint32(i%250)<<8|uint32(i/250), []byte{16, 10, 0, 2, 0xFF, 0xCA, 0xFE, 0})
	}
	if n.rx.Open() != j1939.MaxSessions || len(n.sick) != 1000-j1939.MaxSessions || n.sick[0] != j1939.ReasonCrowded {
		t.Errorf("%d open, %d refused", n.rx.Open(), len(n.sick))
	}
}

func TestTroubleCodes(t *testing.T) {
	for _, tt := range []struct {
		name, payload string
		lamps         j1939.Lamps
		codes         []j1939.Code
	}{
		{"none", "00ff00000000ffff", j1939.Lamps{}, nil},
		{"one", "44ffbe000205ffff", j1939.Lamps{Amber: j1939.LampOn, MIL: j1939.LampOn}, []j1939.Code{{SPN: 190, FMI: 2, Occurrence: 5}}},
		{"flashing", "10df" + "be000285", j1939.Lamps{Red: j1939.LampFastFlash}, []j1939.Code{{SPN: 190, FMI: 2, Occurrence: 5, Legacy: true}}},
		{"19 bits", "00ff" + "3412ff01", j1939.Lamps{}, []j1939.Code{{SPN: 7<<16 | 0x1234, FMI: 0x1F, Occurrence: 1}}},
		{"several", "c0ff" + "6e000301" + "64000102" + "ffffffff", j1939.Lamps{MIL: j1939.LampUnknown},
			[]j1939.Code{{SPN: 110, FMI: 3, Occurrence: 1}, {SPN: 100, FMI: 1, Occurrence: 2}}},
	} {
		p, err := hex.DecodeString(tt.payload)
		if err != nil {
			t.Fatal(err)
		}
		lamps, codes, err := j1939.ParseDM(nil, p)
		if err != nil || lamps != tt.lamps || !reflect.DeepEqual(codes, tt.codes) {
			t.Errorf("%s: %+v %v %v, want %+v %v", tt.name, lamps, codes, err, tt.lamps, tt.codes)
		}
	}
	if _, _, err := j1939.ParseDM(nil, []byte{0}); err == nil {
		t.Error("one byte was read")
	}
}

func TestNames(t *testing.T) {
	n, err := j1939.ParseName([]byte{0x45, 0x23, 0x61, 0x1F, 0x0B, 0x81, 0x02, 0x95})
	if err != nil {
		t.Fatal(err)
	}
	got := []any{n.Identity(), n.Manufacturer(), n.ECUInstance(), n.FunctionInstance(), n.Function(), n.VehicleSystem(), n.SystemInstance(), n.Industry(), n.Arbitrary()}
	want := []any{uint32(0x12345), uint16(0xFB), uint8(3), uint8(1), uint8(0x81), uint8(1), uint8(5), uint8(1), true}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%v: %v, want %v", n, got, want)
	}
	var c j1939.Claims
	if !c.Take(0x2A, n) || c.Take(0x2A, n) || !c.Take(0x2A, n+1) || c.Take(j1939.AddressNull, n) {
		t.Error("a claim is news once")
	}
	if got, ok := c.Who(0x2A); !ok || got != n+1 {
		t.Errorf("at 2A: %v %v", got, ok)
	}
}

func TestVIN(t *testing.T) {
	for in, want := range map[string]string{"WDB9634031L738123*": "WDB9634031L738123", "1FUJ\x00": "1FUJ", "\xff\xff": "", "": ""} {
		if got := j1939.VIN([]byte(in)); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}
