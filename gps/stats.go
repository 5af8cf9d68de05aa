package gps

import (
	"math"
	"strings"

	"obu/telemetry"
)

// Stats counts what a Source or Decode read. Counters rise for its life.
type Stats struct {
	Bytes     uint64   `json:"bytes"`     // read
	Lines     uint64   `json:"lines"`     // that were not empty
	Noise     uint64   `json:"noise"`     // bytes outside any sentence that no text has
	Sentences uint64   `json:"sentences"` // with a correct checksum
	Ignored   uint64   `json:"ignored"`   // of them: of a type that says nothing about position
	Rejected  Rejected `json:"rejected"`
	Epochs    uint64   `json:"epochs"`           // fixes emitted, with and without position
	Valid     uint64   `json:"valid"`            // of them: Valid
	Doubtful  uint64   `json:"doubtful"`         // of them: with a Doubt
	Late      uint64   `json:"late"`             // sentences that came after their epoch's fix had left
	Opens     uint64   `json:"opens"`            // times the device was opened
	Garbled   uint64   `json:"garbled"`          // times a device delivered bytes but no sentence
	Silent    bool     `json:"silent,omitempty"` // no byte for 10 s, now; or gpsd has lost its receiver

	// SilentS is for how many seconds a receiver that is Silent has been.
	SilentS float64 `json:"silent_s,omitempty"`

	// FirstFixS is the time to first fix in seconds: from when the device was
	// opened last to its first fix that is Valid and without doubt; 0: none yet.
	FirstFixS float64 `json:"first_fix_s,omitempty"`
	opened    telemetry.At
	spoke     telemetry.At // last, as of the last look; or when it was opened

	// As of the last fix; zero where the receiver does not say, or is away.
	Mode        string            `json:"mode,omitempty"`   // none, also when the position is not valid, 2d or 3d
	Sats        int               `json:"sats,omitempty"`   // used in the solution
	Doubts      string            `json:"doubts,omitempty"` // "frozen, jump"
	Sky         telemetry.Sky     `json:"sky"`
	Antenna     telemetry.Antenna `json:"antenna,omitempty"`
	HorizontalM float64           `json:"horizontal_m,omitempty"` // error by GST, one standard deviation
	VerticalM   float64           `json:"vertical_m,omitempty"`
}

// Rejected counts lines that were not used, by reason.
type Rejected struct {
	Checksum   uint64 `json:"checksum"`    // checksum wrong
	NoChecksum uint64 `json:"no_checksum"` // no checksum
	Malformed  uint64 `json:"malformed"`   // binary inside, or fields missing
	TooLong    uint64 `json:"too_long"`    // longer than 1024 bytes
}

// Total returns the sum of all reasons.
func (r Rejected) Total() uint64 { return r.Checksum + r.NoChecksum + r.Malformed + r.TooLong }

// Bare reports whether it is for want of a checksum that most lines were not
// used: they are sentences, and not what a wrong speed makes of them.
func (r Rejected) Bare() bool { return r.NoChecksum >= 2 && r.NoChecksum*10 > r.Total()*9 }

func (r *Rejected) count(why reject) {
	switch why {
	case rejectChecksum:
		r.Checksum++
	case rejectNoChecksum:
		r.NoChecksum++
	case rejectMalformed:
		r.Malformed++
	case rejectTooLong:
		r.TooLong++
	}
}

// fix counts one, and shows what it says of the reception.
func (s *Stats) fix(f *telemetry.Fix) {
	s.Epochs++
	if f.Valid {
		s.Valid++
	}
	if f.Doubt != 0 {
		s.Doubtful++
	} else if f.Valid && s.FirstFixS == 0 && s.opened != 0 {
		s.FirstFixS = max(0.1, math.Round(f.At.Sub(s.opened).Seconds()*10)/10)
	}
	s.Mode, s.Sats, s.Doubts = telemetry.ModeNone.String(), max(f.Sats, 0), strings.Join(f.Doubt.Strings(), ", ")
	if f.Valid {
		s.Mode = f.Mode.String()
	}
	s.show(f.Detail)
}

// forget drops what the last fix said: the receiver says no more.
func (s *Stats) forget() {
	s.Mode, s.Sats, s.Doubts, s.Sky, s.Antenna, s.HorizontalM, s.VerticalM = "", 0, "", telemetry.Sky{}, 0, 0, 0
}

// show takes over what the last fix says of the reception.
func (s *Stats) show(d *telemetry.Detail) {
	s.Sky, s.Antenna = d.Sky, d.Sky.Antenna
	s.HorizontalM, s.VerticalM = centimetres(math.Hypot(d.Accuracy.LatM, d.Accuracy.LonM)), centimetres(d.Accuracy.AltM)
}

func centimetres(v float64) float64 {
	if math.IsNaN(v) {
		return 0
	}
	return math.Round(v*100) / 100
}
