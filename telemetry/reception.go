package telemetry

import (
	"encoding/json"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// GNSS is a satellite navigation system.
type GNSS uint8

// The systems whose satellites receivers list.
const (
	GPS GNSS = iota
	SBAS
	Galileo
	BeiDou
	QZSS
	GLONASS
	NavIC
	GNSSCount int = iota
)

var gnssNames = [GNSSCount]string{"GPS", "SBAS", "Galileo", "BeiDou", "QZSS", "GLONASS", "NavIC"}

// String returns the system's usual name, "GPS" to "NavIC".
func (g GNSS) String() string {
	if int(g) < GNSSCount {
		return gnssNames[g]
	}
	return "unknown"
}

// Antenna is what a receiver says of its antenna.
type Antenna uint8

// The states of an antenna.
const (
	AntennaUnknown Antenna = iota // the receiver does not say
	AntennaOK
	AntennaOpen     // no current flows: cut, unplugged or passive
	AntennaShort    // too much current flows
	AntennaInternal // the receiver uses its own instead of the one plugged in
)

var antennaNames = [...]string{"", "ok", "open", "short", "internal"}

// String returns "ok", "open", "short", "internal", or "" when unknown.
func (a Antenna) String() string {
	if int(a) < len(antennaNames) {
		return antennaNames[a]
	}
	return ""
}

// MarshalText is String.
func (a Antenna) MarshalText() ([]byte, error) { return []byte(a.String()), nil }

// UnmarshalText is the reverse; a word it does not know is AntennaUnknown.
func (a *Antenna) UnmarshalText(text []byte) error {
	*a = Antenna(max(0, slices.Index(antennaNames[:], string(text))))
	return nil
}

// Strong is the carrier-to-noise density in dB-Hz from which a satellite under
// open sky is received well.
const Strong = 30

// Reception sums up the satellites of one system, or of all.
type Reception struct {
	InView uint8   // listed
	Heard  uint8   // of them: with a carrier-to-noise density
	Strong uint8   // of them: with at least Strong dB-Hz
	Used   uint8   // in the solution
	Best   uint8   // highest C/N0 in dB-Hz; 0: none heard
	Mean   float32 // of the used ones with a C/N0, in dB-Hz; 0: none
}

// Sky is what a receiver last said of its satellites and its antenna. It is
// comparable; the zero Sky knows nothing.
type Sky struct {
	Systems [GNSSCount]Reception
	Antenna Antenna
}

// Total sums up all systems.
func (s *Sky) Total() Reception {
	var t Reception
	sum, n := 0.0, 0
	for _, r := range s.Systems {
		t.InView += r.InView
		t.Heard += r.Heard
		t.Strong += r.Strong
		t.Used += r.Used
		t.Best = max(t.Best, r.Best)
		if r.Mean > 0 {
			sum += float64(r.Mean) * float64(r.Used)
			n += int(r.Used)
		}
	}
	if n > 0 {
		t.Mean = float32(math.Round(sum/float64(n)*10) / 10)
	}
	return t
}

// receptionKeys are the JSON keys of a Reception's fields, in order.
var receptionKeys = [...]string{`":{"in_view":`, `,"heard":`, `,"strong":`, `,"used":`, `,"best":`, `,"mean":`}

// AppendJSON appends the systems that are in view or used, by name in
// lower case; a C/N0 that nothing was heard with is null.
func (s *Sky) AppendJSON(b []byte) []byte {
	sep := byte('{')
	for g := range s.Systems {
		r := &s.Systems[g]
		if r.InView == 0 && r.Used == 0 {
			continue
		}
		b = append(b, sep, '"')
		for _, c := range []byte(gnssNames[g]) {
			b = append(b, c|0x20) // a key: lower case
		}
		sep = ','
		for i, v := range [...]float32{float32(r.InView), float32(r.Heard), float32(r.Strong), float32(r.Used), float32(r.Best), r.Mean} {
			b = append(b, receptionKeys[i]...)
			if v == 0 && i >= 4 {
				b = append(b, "null"...)
			} else {
				b = strconv.AppendFloat(b, float64(v), 'f', -1, 32)
			}
		}
		b = append(b, '}')
	}
	if sep == '{' {
		b = append(b, sep)
	}
	return append(b, '}')
}

// MarshalJSON is AppendJSON.
func (s Sky) MarshalJSON() ([]byte, error) { return s.AppendJSON(nil), nil }

// UnmarshalJSON reads what MarshalJSON wrote; systems it does not know are left
// out. The antenna's state is not among it.
func (s *Sky) UnmarshalJSON(b []byte) error {
	var systems map[string]struct {
		InView uint8 `json:"in_view"`
		Heard  uint8
		Strong uint8
		Used   uint8
		Best   uint8
		Mean   float32
	}
	err := json.Unmarshal(b, &systems)
	*s = Sky{}
	for g, name := range gnssNames {
		s.Systems[g] = Reception(systems[strings.ToLower(name)])
	}
	return err
}

// Accuracy is a receiver's own estimate of its error (NMEA GST), one standard
// deviation in metres. Unknown values are NaN.
type Accuracy struct {
	RMSM      float64 // of the pseudoranges
	MajorM    float64 // semi-major axis of the error ellipse
	MinorM    float64
	OrientDeg float64 // of the major axis, from true north
	LatM      float64
	LonM      float64
	AltM      float64
}

// Detail is what a receiver said about an epoch beyond the Fix. It stays on the
// unit: what of it goes to the cloud are samples, every few minutes or when it
// changes.
type Detail struct {
	ClimbMPS float64 // from the altitude of the fix before; NaN unknown
	Accuracy Accuracy
	Sky      Sky

	Behind time.Duration // how much later than the first byte of its epoch At may be
}
