package telemetry

import (
	"math"
	"time"
)

// Mode is the kind of position solution of an epoch.
type Mode uint8

// The modes, named as in NMEA GSA.
const (
	ModeNone Mode = iota // no position
	Mode2D
	Mode3D
)

var modeNames = [...]string{"none", "2d", "3d"}

// String returns "none", "2d" or "3d".
func (m Mode) String() string {
	if int(m) < len(modeNames) {
		return modeNames[m]
	}
	return "none"
}

// Doubt is a set of reasons why a fix is delivered as doubtful. Zero: none.
type Doubt uint32

// The reasons for doubt, one bit each.
const (
	DoubtModeMismatch Doubt = 1 << iota // sentences of one epoch disagree about having a fix
	DoubtZeroIsland                     // exactly 0,0
	DoubtRange                          // latitude, longitude or time out of range
	DoubtEstimated                      // dead reckoning, manual or simulator mode
	DoubtFrozen                         // position repeats while speed says moving
	DoubtJump                           // further than any car drives in the time
	DoubtTime                           // the receiver's time is impossible, repaired or stands still
	DoubtStored                         // repeats what was shown before the lock
)

var doubtNames = [...]string{"mode-mismatch", "zero-island", "range", "estimated", "frozen", "jump", "time", "stored"}

// Strings returns the names of the reasons, in bit order.
func (d Doubt) Strings() []string {
	var out []string
	for i, n := range doubtNames {
		if d&(1<<i) != 0 {
			out = append(out, n)
		}
	}
	return out
}

// Fix is what a GNSS receiver said about one epoch. Unknown floats are NaN,
// an unknown satellite count is -1, an unknown UTC is the zero time. Use NoFix
// for a Fix in which everything is unknown.
type Fix struct {
	At        At
	Receiver  string    // the device's name in the configuration, "gps" by default
	UTC       time.Time // as the receiver said it
	LatDeg    float64   // WGS-84, north positive
	LonDeg    float64   // WGS-84, east positive
	AltM      float64   // above mean sea level
	GeoidM    float64   // geoid above the WGS-84 ellipsoid; ellipsoid height = AltM + GeoidM
	SpeedMPS  float64   // over ground
	CourseDeg float64   // over ground, true, 0-360
	HDOP      float64
	VDOP      float64
	PDOP      float64
	Sats      int // used in the solution
	Mode      Mode
	Quality   uint8 // GGA fix quality (NMEA 0183): 0 none, 1 GPS, 2 DGPS, 4 RTK, 5 RTK float, 6 estimated
	Valid     bool  // the receiver vouches for the position
	Doubt     Doubt // why it is not to be trusted all the same

	// Detail is what else the receiver said. It is not part of the contract:
	// nil in what was decoded from the wire, and Equal does not look at it.
	Detail *Detail
}

// EllipsoidM returns the height above the WGS-84 ellipsoid, NaN when unknown.
func (f *Fix) EllipsoidM() float64 { return f.AltM + f.GeoidM }

// NoFix returns a Fix in which every field is unknown.
func NoFix() Fix {
	nan := math.NaN()
	return Fix{LatDeg: nan, LonDeg: nan, AltM: nan, GeoidM: nan, SpeedMPS: nan, CourseDeg: nan,
		HDOP: nan, VDOP: nan, PDOP: nan, Sats: -1}
}

// Equal reports whether two fixes say the same; NaN equals NaN.
func (f Fix) Equal(g Fix) bool {
	same := func(a, b float64) bool { return a == b || math.IsNaN(a) && math.IsNaN(b) }
	return f.At == g.At && f.Receiver == g.Receiver && f.UTC.Equal(g.UTC) &&
		same(f.LatDeg, g.LatDeg) && same(f.LonDeg, g.LonDeg) && same(f.AltM, g.AltM) && same(f.GeoidM, g.GeoidM) &&
		same(f.SpeedMPS, g.SpeedMPS) && same(f.CourseDeg, g.CourseDeg) &&
		same(f.HDOP, g.HDOP) && same(f.VDOP, g.VDOP) && same(f.PDOP, g.PDOP) &&
		f.Sats == g.Sats && f.Mode == g.Mode && f.Quality == g.Quality && f.Valid == g.Valid && f.Doubt == g.Doubt
}

// AnchorBy says which clock an Anchor comes from.
type AnchorBy string

// The sources of anchors, best first.
const (
	AnchorGNSS     AnchorBy = "gnss"
	AnchorNTP      AnchorBy = "ntp"
	AnchorRTC      AnchorBy = "rtc"
	AnchorEstimate AnchorBy = "estimate"
	AnchorReplay   AnchorBy = "replay" // a recording's own time
)

// Anchor ties time since boot to wall time: at At of boot Boot it was Wall,
// give or take Uncertainty. Wall of any other datum of the boot follows.
type Anchor struct {
	Boot        BootID
	At          At
	Wall        time.Time
	Uncertainty time.Duration
	By          AnchorBy
}
