package config

import (
	"math"
	"strconv"
	"strings"
)

// Metres is a length in millimetres, written with its unit: 3m.
type Metres int64

// Speed is a speed in millimetres per second, written with its unit: 130km/h,
// 36m/s or 80mph.
type Speed int64

// Acceleration is in millimetres per second squared, written with its unit:
// 3.5m/s2 or 0.36g.
type Acceleration int64

// M returns the length in metres.
func (m Metres) M() float64 { return float64(m) / 1000 }

// MPS returns the speed in metres per second.
func (s Speed) MPS() float64 { return float64(s) / 1000 }

// MPS2 returns the acceleration in metres per second squared.
func (a Acceleration) MPS2() float64 { return float64(a) / 1000 }

// String returns the length in metres.
func (m Metres) String() string { return trimFloat(m.M()) + "m" }

// String returns the speed in km/h where that has no more digits.
func (s Speed) String() string {
	if kmh := math.Round(float64(s)*0.036) / 10; Speed(math.Round(kmh/0.0036)) == s {
		return trimFloat(kmh) + "km/h"
	}
	return trimFloat(s.MPS()) + "m/s"
}

// String returns the acceleration in m/s2.
func (a Acceleration) String() string { return trimFloat(a.MPS2()) + "m/s2" }

// measureUnit is a unit and what it is in thousandths of the SI's.
type measureUnit struct {
	name  string
	mille float64
}

func (m *Metres) parse(text string) *problem {
	return parseMeasure((*int64)(m), text, "3m", measureUnit{"m", 1e3}, measureUnit{"km", 1e6})
}

func (s *Speed) parse(text string) *problem {
	return parseMeasure((*int64)(s), text, "130km/h", measureUnit{"km/h", 1 / 0.0036}, measureUnit{"m/s", 1e3}, measureUnit{"mph", 447.04})
}

func (a *Acceleration) parse(text string) *problem {
	return parseMeasure((*int64)(a), text, "3.5m/s2", measureUnit{"m/s2", 1e3}, measureUnit{"g", 9806.65})
}

func parseMeasure(out *int64, text, sample string, units ...measureUnit) *problem {
	for _, u := range units {
		digits, ok := strings.CutSuffix(text, u.name)
		v, err := strconv.ParseFloat(strings.TrimSpace(digits), 64)
		switch {
		case !ok || err != nil || v != v:
		case v < 0:
			return &problem{"`" + cut(text) + "` is negative", "write it without the sign, as `" + sample + "`"}
		case v >= 1e6:
			return &problem{"`" + cut(text) + "` is too large", "write it as `" + sample + "`"}
		default:
			*out = int64(math.Round(v * u.mille))
			return nil
		}
	}
	names := make([]string, len(units))
	for i, u := range units {
		names[i] = u.name
	}
	return &problem{"`" + cut(text) + "` is not a measure with its unit", "write it in " + orList(names) + ": `" + sample + "`"}
}
