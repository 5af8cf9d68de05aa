package trip

import (
	"math"
	"time"

	"obu/telemetry"
)

// Detail is what is left of a fix that a Track keeps.
type Detail uint8

// The details, the dearest first. But for Full what is kept is a corner of the
// line: its place lies on a grid that is finer than the tolerance, up to ErrorM
// from where the receiver said, wherever the line holds longest. Its At is
// counted on from corner to corner by the clock of the receiver, whose delay
// varies, up to maxSlip from when it came; so the line is linear in At as well.
const (
	Full    Detail = iota // all that the receiver said, as it said it
	Rounded               // place and At rounded, the rest as it was
	Place                 // these alone, with mode, quality and validity
)

// Details are their names.
var Details = [...]string{"full", "rounded", "place"}

// maxSlip is how far At may be from when the fix came: the jitter of a receiver
// at work. A line ends where it is more, and At is right again, to half of it:
// it goes on in steps of this, which cost less than the times as they were.
const maxSlip = 250 * time.Millisecond

// of returns what is left of f. What is in doubt is left whole: it is its own
// evidence.
func (d Detail) of(f telemetry.Fix) telemetry.Fix {
	if d != Place || f.Doubt != 0 {
		return f
	}
	g := telemetry.NoFix()
	g.At, g.Receiver, g.LatDeg, g.LonDeg = f.At, f.Receiver, f.LatDeg, f.LonDeg
	g.Mode, g.Quality, g.Valid = f.Mode, f.Quality, f.Valid
	return g
}

// countOn sets At as many milliseconds after the last corner's as the receiver
// says, or so many steps of maxSlip besides that it is near to when f came, and
// behind those before it in any case. It reports whether the line can go on.
func (t *Track) countOn(f *telemetry.Fix) bool {
	at, goesOn := f.At, true
	if since := f.UTC.Sub(t.first.UTC).Round(time.Millisecond); !f.UTC.IsZero() && !t.first.UTC.IsZero() && since.Abs() < 24*time.Hour {
		at = t.first.At.Round().Add(since)
		if slip := f.At.Sub(at); slip.Abs() > maxSlip {
			at, goesOn = at.Add(slip.Round(maxSlip)), false
		}
	}
	if next := t.next(); at < next {
		at, goesOn = next, false
	}
	f.At = at
	return goesOn
}

// next is the earliest At of the next corner: the wire sorts by it.
func (t *Track) next() telemetry.At {
	last := t.first.At
	if n := len(t.held); n > 0 {
		last = t.held[n-1].At
	}
	return last.Round().Add(time.Millisecond)
}

const (
	gridUnits = 1e7 // a degree: the last digit of a position
	gridParts = 4   // a step is a whole number of them, east-west at any latitude
	gridShare = 0.75
	gridReach = 2  // steps to each side that can be within the tolerance
	wideMost  = 16 // a step east-west is no wider: near the poles
)

// grid is where corners lie: in steps of three quarters of the tolerance, which
// leaves about five places to choose from. A finer one costs more bits a corner
// than it saves corners, a coarser one the other way round.
type grid struct {
	part   int64 // a quarter of a step north-south, in units
	errorM float64
	cells  [(2*gridReach + 1) * (2*gridReach + 1)]cell
}

// cell is a place on the grid, in units, and how far it is from the fix.
type cell struct {
	lat, lon int64
	m        float64
}

func newGrid(errorM float64) grid {
	return grid{part: max(1, int64(gridShare*errorM/degreeM*gridUnits/gridParts)), errorM: errorM}
}

// steps are the steps at a latitude; the one of longitude is the same over many
// kilometres, so that the wire has few factors.
func (g *grid) steps(latDeg float64) (lat, lon int64) {
	wide := gridParts / math.Cos(latDeg*math.Pi/180)
	return gridParts * g.part, int64(max(gridParts, min(wide, gridParts*wideMost))) * g.part
}

// round sets f to the nearest place of the grid.
func (g *grid) round(f *telemetry.Fix) {
	if cs := g.around(f); len(cs) > 0 {
		f.LatDeg, f.LonDeg = cs[0].place()
	}
}

// around returns the places within the tolerance of f, the nearest first. They
// are good until the next call.
func (g *grid) around(f *telemetry.Fix) []cell {
	sLat, sLon := g.steps(f.LatDeg)
	lat0, lon0 := nearest(f.LatDeg, sLat), nearest(f.LonDeg, sLon)
	out := g.cells[:0]
	for y := int64(-gridReach); y <= gridReach; y++ {
		for x := int64(-gridReach); x <= gridReach; x++ {
			c := cell{lat: lat0 + y*sLat, lon: lon0 + x*sLon}
			lat, lon := c.place()
			if c.m = atMostM(f.LatDeg, f.LonDeg, lat, lon); c.m > g.errorM || math.Abs(lat) > 90 {
				continue
			}
			out = append(out, c)
			for i := len(out) - 1; i > 0 && out[i].m < out[i-1].m; i-- {
				out[i], out[i-1] = out[i-1], out[i]
			}
		}
	}
	return out
}

// nearest returns the multiple of step that is nearest to a place.
func nearest(deg float64, step int64) int64 {
	return int64(math.Round(deg*gridUnits/float64(step))) * step
}

// place returns the position, as the wire has it to the last bit.
func (c *cell) place() (latDeg, lonDeg float64) {
	const turn = 360 * gridUnits
	lon := c.lon
	if lon > turn/2 {
		lon -= turn
	} else if lon < -turn/2 {
		lon += turn
	}
	return float64(c.lat) / gridUnits, float64(lon) / gridUnits
}
