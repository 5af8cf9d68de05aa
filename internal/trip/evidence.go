package trip

import (
	"encoding/json"
	"math"
	"strconv"

	"obu/telemetry"
)

// The events. Each is a sample whose text is a JSON object, its evidence.
var (
	tripStart     = event("Trip.Start")
	tripEnd       = event("Trip.End")
	standing      = event("Trip.Standing")
	idling        = event("Trip.Idling")
	speedingOver  = event("Motion.Speeding")
	harshAccel    = event("Motion.HarshAcceleration")
	harshBraking  = event("Motion.HarshBraking")
	harshCorner   = event("Motion.HarshCornering")
	towed         = event("Motion.Tow")
	zoneEntered   = event("Geofence.Entered")
	zoneLeft      = event("Geofence.Left")
	positionLost  = event("GNSS.Lost")
	positionFound = event("GNSS.Regained")
)

func event(name string) *telemetry.Signal {
	s, ok := telemetry.Lookup("Vehicle.Obu." + name)
	if !ok {
		panic("trip: no signal " + name) // a test sees it first
	}
	return s
}

// place is where the car was.
type place struct {
	lat, lon float64
	known    bool
	hidden   bool // private mode: for reckoning alone
}

// evidence is the JSON object of an event in the making.
type evidence []byte

func (e evidence) key(k string) evidence {
	if len(e) > 0 {
		e = append(e, ',')
	}
	return append(append(append(e, '"'), k...), '"', ':')
}

// num adds a number; an unknown one is left out.
func (e evidence) num(k string, v float64, digits int) evidence {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return e
	}
	scale := math.Pow10(digits)
	return strconv.AppendFloat(e.key(k), math.Round(v*scale)/scale, 'f', -1, 64)
}

func (e evidence) at(k string, at telemetry.At) evidence { return e.num(k, at.Seconds(), 3) }

// text adds a word; an empty one is left out.
func (e evidence) text(k, v string) evidence {
	if v == "" {
		return e
	}
	b, err := json.Marshal(v)
	if err != nil { // of a string: never
		return e
	}
	return append(e.key(k), b...)
}

// place adds where it was, under lat and lon with that ending.
func (e evidence) place(ending string, p place) evidence {
	if !p.known || p.hidden {
		return e
	}
	return e.num("lat"+ending, p.lat, 7).num("lon"+ending, p.lon, 7)
}
