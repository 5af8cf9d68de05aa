package gps

import "obu/telemetry"

// idRange maps satellite numbers of receivers before NMEA 4.1, and of makers
// who number all systems in one list, to a system and a number within it.
type idRange struct {
	from, to int
	system   telemetry.GNSS
	less     int // subtracted
}

// idRanges: NMEA 0183 2.x to 4.0, and what u-blox, MTK, SkyTraq, Quectel and
// Telit add.
var idRanges = [...]idRange{
	{1, 32, telemetry.GPS, 0},
	{33, 64, telemetry.SBAS, 0},
	{65, 96, telemetry.GLONASS, 64},
	{101, 119, telemetry.Galileo, 100},
	{120, 158, telemetry.SBAS, 87},
	{193, 202, telemetry.QZSS, 192},
	{203, 264, telemetry.BeiDou, 200},
	{301, 336, telemetry.Galileo, 300},
	{401, 464, telemetry.BeiDou, 400},
	{500, 514, telemetry.NavIC, 500},
	{901, 918, telemetry.NavIC, 900},
}

// systemOf returns the system that a talker, or the system id of NMEA 4.1
// where one is told, speaks of; ok is false when that is not one alone.
func systemOf(talker [2]byte, id int) (sys telemetry.GNSS, ok bool) {
	switch id {
	case 1:
		return telemetry.GPS, true
	case 2:
		return telemetry.GLONASS, true
	case 3:
		return telemetry.Galileo, true
	case 4:
		return telemetry.BeiDou, true
	case 5:
		return telemetry.QZSS, true
	case 6:
		return telemetry.NavIC, true
	}
	switch string(talker[:]) {
	case "GP":
		return telemetry.GPS, true
	case "GL":
		return telemetry.GLONASS, true
	case "GA":
		return telemetry.Galileo, true
	case "GB", "BD", "PQ": // PQ: Quectel EC21, EC25
		return telemetry.BeiDou, true
	case "GQ", "QZ":
		return telemetry.QZSS, true
	case "GI":
		return telemetry.NavIC, true
	}
	return 0, false
}

// satelliteOf returns the system and the number within it of a satellite as a
// sentence names it; id is 0 when it names none.
func satelliteOf(talker [2]byte, system int, field string) (sys telemetry.GNSS, id uint8) {
	if field == "" || len(field) > 3 || !allDigits(field) {
		return 0, 0
	}
	n := int(atoi(field))
	if n == 0 {
		return 0, 0
	}
	sys, ok := systemOf(talker, system)
	if ok && sys != telemetry.GPS {
		return sys, within(sys, n)
	}
	return numbered(n)
}

// numbered returns the system and the number within it of a satellite in a
// list of all systems, 0 when there is none.
func numbered(n int) (sys telemetry.GNSS, id uint8) {
	for _, r := range idRanges {
		if n >= r.from && n <= r.to {
			return r.system, uint8(n - r.less)
		}
	}
	return 0, 0
}

// within takes the offset off that some makers add to a system's own numbers.
func within(sys telemetry.GNSS, n int) uint8 {
	switch {
	case sys == telemetry.GLONASS && n > 64:
		n -= 64
	case sys == telemetry.QZSS && n > 192:
		n -= 192
	case n > 900:
		n -= 900
	case n > 500:
		n -= 500
	case n > 400:
		n -= 400
	case n > 300:
		n -= 300
	case n > 200:
		n -= 200
	case n > 100:
		n -= 100
	}
	if n > 255 {
		return 0
	}
	return uint8(n)
}
