package j1939

import (
	"fmt"
	"strings"

	"obu/telemetry"
)

// factGroups are groups that rarely say something new: trouble codes, who sits
// at an address, what the vehicle and its parts are; and the bytes each needs.
var factGroups = [...]struct {
	pgn   PGN
	bytes int
}{{PGNClaim, 8}, {PGNECUID, 1}, {PGNSoftwareID, 2}, {PGNDM1, 6}, {PGNDM2, 6}, {PGNComponentID, 1}, {PGNVehicleID, 1}}

// IsFact reports whether Describe reads a group, and its kind, a small number.
func IsFact(pgn PGN) (kind int, ok bool) {
	for i := range factGroups {
		if factGroups[i].pgn == pgn {
			return i, true
		}
	}
	return 0, false
}

// FactPGN is the inverse of IsFact.
func FactPGN(kind int) PGN { return factGroups[kind].pgn }

// CheckFact reports whether a message has the bytes that its group needs: one
// cut short must not pass for one without trouble codes.
func CheckFact(kind int, p []byte) error {
	if g := factGroups[kind]; len(p) < g.bytes {
		return fmt.Errorf("read PGN %v of %d bytes, %d are needed: %w", g.pgn, len(p), g.bytes, ErrShort)
	}
	return nil
}

// dmSignals are what a DM1 or DM2 says.
type dmSignals struct{ protect, amber, red, mil, codes, appeared, cleared telemetry.Signal }

func text(name string) telemetry.Signal {
	return telemetry.Signal{Name: own + name, Kind: telemetry.KindText, Level: telemetry.LevelObu}
}

var (
	dms = [...]dmSignals{dm("DM1."), dm("DM2.")}

	nameSignal      = text("Name")
	ecuSignal       = text("ECUIdentification")
	softwareSignal  = text("SoftwareIdentification")
	componentSignal = text("ComponentIdentification")
	vinSignal       = func() *telemetry.Signal { s, _ := telemetry.Lookup("Vehicle.VehicleIdentification.VIN"); return s }()
)

func dm(name string) dmSignals {
	return dmSignals{text(name + "ProtectLamp"), text(name + "AmberLamp"), text(name + "RedStopLamp"), text(name + "MIL"),
		text(name + "DTCList"), text(name + "DTCAppeared"), text(name + "DTCCleared")}
}

// Describe appends what a fact says: lamps and the list of trouble codes, a
// NAME, an identification. Texts are as received, without padding.
func Describe(dst []Reading, pgn PGN, p []byte) ([]Reading, error) {
	kind, ok := IsFact(pgn)
	if !ok {
		return dst, nil
	}
	if err := CheckFact(kind, p); err != nil {
		return dst, err
	}
	add := func(s *telemetry.Signal, t string) {
		dst = append(dst, Reading{Number: -1, Signal: s, Value: telemetry.Text(t)})
	}
	switch pgn {
	case PGNDM1, PGNDM2:
		lamps, codes, _ := ParseDM(nil, p)
		s := &dms[pgn-PGNDM1]
		add(&s.protect, lamps.Protect.String())
		add(&s.amber, lamps.Amber.String())
		add(&s.red, lamps.Red.String())
		add(&s.mil, lamps.MIL.String())
		add(&s.codes, list(codes))
	case PGNClaim:
		n, _ := ParseName(p)
		add(&nameSignal, n.String())
	case PGNVehicleID:
		if vin := VIN(p); vin != "" {
			add(vinSignal, vin)
		}
	case PGNSoftwareID:
		add(&softwareSignal, fields(p[1:])) // behind the number of fields
	case PGNComponentID:
		add(&componentSignal, fields(p))
	case PGNECUID:
		add(&ecuSignal, fields(p))
	}
	return dst, nil
}

// Changes appends the codes of a DM1 or DM2 that are new since an earlier
// message of the same sender, and those that are gone.
func Changes(dst []Reading, pgn PGN, before, now []byte) []Reading {
	_, old, err := ParseDM(nil, before)
	if err != nil || pgn != PGNDM1 && pgn != PGNDM2 {
		return dst
	}
	_, codes, _ := ParseDM(nil, now)
	s := &dms[pgn-PGNDM1]
	if more := without(codes, old); len(more) > 0 {
		dst = append(dst, Reading{Number: -1, Signal: &s.appeared, Value: telemetry.Text(list(more))})
	}
	if gone := without(old, codes); len(gone) > 0 {
		dst = append(dst, Reading{Number: -1, Signal: &s.cleared, Value: telemetry.Text(list(gone))})
	}
	return dst
}

// without returns the codes of a that are not in b, whatever their occurrence.
func without(a, b []Code) (out []Code) {
	type key struct {
		spn    uint32
		fmi    uint8
		legacy bool
	}
	seen := make(map[key]bool, len(b))
	for _, c := range b {
		seen[key{c.SPN, c.FMI, c.Legacy}] = true
	}
	for _, c := range a {
		if !seen[key{c.SPN, c.FMI, c.Legacy}] {
			out = append(out, c)
		}
	}
	return out
}

// list writes codes as "SPN 190 FMI 2 OC 5,SPN …"; "" for none.
func list(codes []Code) string {
	var b strings.Builder
	for i, c := range codes {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(c.String())
		if c.Occurrence != OccurrenceUnknown {
			fmt.Fprintf(&b, " OC %d", c.Occurrence)
		}
	}
	return b.String()
}

// fields returns the text of an identification, its fields apart by "*"
// (ISO 8859-1), without the delimiters and the padding at its end.
func fields(p []byte) string {
	var b strings.Builder
	for _, c := range p {
		if c == 0 || c == 0xFF {
			break
		}
		if c >= ' ' && c != 0x7F && (c < 0x80 || c >= 0xA0) {
			b.WriteRune(rune(c))
		}
	}
	return strings.TrimRight(b.String(), "* ")
}
