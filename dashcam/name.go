package dashcam

import (
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// The causes of a segment.
const (
	CauseNormal  = "normal"
	CauseEvent   = "event"   // the camera felt something, or its driver assistance saw it
	CauseParking = "parking" // the car stood, the camera woke up
	CauseManual  = "manual"  // somebody pressed a button
)

// Name is what a segment's path says of it.
type Name struct {
	File  string    // the last element
	Start time.Time // by the camera's own clock, labelled UTC; zero when the name has none
	Cause string    // one of the four causes
}

// nameTime finds YYYYMMDD and HHMMSS with whatever cameras put in between:
// 20181029_131513 (BlackVue), 20191130-120156 (70mai), 2023_0612_143022
// (Viofo), 2021-03-04_05-06-07 (Tesla).
var nameTime = regexp.MustCompile(`(?:^|[^0-9])((?:19|20)[0-9]{2})[-_.]?([0-9]{2})[-_.]?([0-9]{2})[-_ T]?([0-9]{2})[-_.]?([0-9]{2})[-_.]?([0-9]{2})(?:[^0-9]|$)`)

// blackvueType is the letter after the time, followed by the direction.
var blackvueType = regexp.MustCompile(`^[0-9]{8}_[0-9]{6}_([A-Z])[FRIO]?[LS]?\.`)

// miprefix is the pair of letters 70mai begins a name with.
var miprefix = regexp.MustCompile(`^([A-Z]{2})[ _]?[0-9]{8}-[0-9]{6}`)

// viofoParking is Viofo's P before the lens: 20230612143022_000123PF.MP4.
var viofoParking = regexp.MustCompile(`^[0-9_]{14,16}_[0-9]{3,6}P[A-Z]?\.`)

// folders gives the cause of a segment whose name has none.
var folders = map[string]string{
	"event": CauseEvent, "events": CauseEvent, "emergency": CauseEvent, "emr": CauseEvent, "sos": CauseEvent,
	"locked": CauseEvent, "lock": CauseEvent, "ro": CauseEvent, "urgent": CauseEvent,
	"parking": CauseParking, "park": CauseParking, "sentryclips": CauseParking,
	"manual": CauseManual, "savedclips": CauseManual, "saved": CauseManual,
}

// ParseName reads a segment's path below the camera's folder: BlackVue, 70mai,
// Viofo and Tesla by their conventions, others by a date and time anywhere in
// the name and by the names of the folders. It accepts every path.
func ParseName(path string) Name {
	path = filepath.ToSlash(path)
	dir, base := "", path
	if i := strings.LastIndexByte(path, '/'); i >= 0 {
		dir, base = path[:i], path[i+1:]
	}
	return Name{File: base, Start: nameStart(base), Cause: nameCause(dir, base)}
}

func nameStart(base string) time.Time {
	m := nameTime.FindStringSubmatch(base)
	if m == nil {
		return time.Time{}
	}
	var v [6]int
	for i := range v {
		v[i], _ = strconv.Atoi(m[i+1]) // the pattern has digits only
	}
	t := time.Date(v[0], time.Month(v[1]), v[2], v[3], v[4], v[5], 0, time.UTC)
	if t.Month() != time.Month(v[1]) || t.Day() != v[2] || t.Hour() != v[3] || t.Minute() != v[4] || t.Second() != v[5] {
		return time.Time{} // the 31st of February, or no time at all
	}
	return t
}

func nameCause(dir, base string) string {
	upper := strings.ToUpper(base)
	if m := blackvueType.FindStringSubmatch(upper); m != nil {
		switch m[1] {
		case "N":
			return CauseNormal
		case "P":
			return CauseParking
		case "M":
			return CauseManual
		}
		return CauseEvent // impact, speed, acceleration, cornering, braking, geofence, driver
	}
	if m := miprefix.FindStringSubmatch(upper); m != nil {
		switch m[1] {
		case "NO":
			return CauseNormal
		case "EV":
			return CauseEvent
		case "PA":
			return CauseParking
		}
	}
	if viofoParking.MatchString(upper) {
		return CauseParking
	}
	for _, d := range strings.Split(dir, "/") {
		if c, ok := folders[strings.ToLower(d)]; ok {
			return c
		}
	}
	return CauseNormal
}
