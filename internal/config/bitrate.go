package config

import (
	"reflect"
	"strconv"
	"strings"
)

// Bitrate is the bit rate of a CAN bus or a serial port in bit/s, written as a number, or auto.
// 0 is not set.
type Bitrate int

// Auto is the Bitrate that is searched for.
const Auto Bitrate = -1

// String returns the bit rate as it is written in a configuration.
func (r Bitrate) String() string {
	if r == Auto {
		return "auto"
	}
	return strconv.Itoa(int(r))
}

// BitsPerSecond returns the number, 0 where it is not known.
func (r Bitrate) BitsPerSecond() int { return int(max(r, 0)) }

func (r *Bitrate) parse(text string) *problem {
	if text == Auto.String() {
		*r = Auto
		return nil
	}
	if strings.EqualFold(text, Auto.String()) {
		return &problem{"`" + cut(text) + "` is not known here", "write `auto`"}
	}
	n := 0
	p := setScalar(reflect.ValueOf(&n).Elem(), text)
	if p == nil && n <= 0 {
		p = &problem{"`" + cut(text) + "` is not a bit rate", "write a number (500000 on most CAN buses, 9600 from most receivers), or auto"}
	}
	if p == nil {
		*r = Bitrate(n)
	}
	return p
}

// bus reports settings of an interface that need each other.
func (d *decoder) bus(path string, c *CAN) {
	switch behind := strings.HasPrefix(c.Device, "unix:"); {
	case c.Manage && behind:
		d.conflict(path+".manage", "a bus behind `unix:PATH` has no interface to bring up", "remove `manage`")
	case c.Manage && c.Bitrate == 0 && !d.mistaken(path+".bitrate"):
		d.conflict(path+".manage", "there is no `bitrate` to bring the interface up with", "add `bitrate: 500000`, or `bitrate: auto` to search for it")
	case c.Bitrate == Auto && !c.Manage && !d.mistaken(path+".manage"):
		d.conflict(path+".bitrate", "the search for the bit rate sets the interface, which only `manage` allows", "add `manage: true`, or write the bit rate as a number")
	}
}
