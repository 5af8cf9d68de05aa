package config

import (
	"net"
	"slices"
	"strconv"
	"strings"
)

// checkReceiver checks where a GPS receiver is: a serial port, auto or a gpsd.
func checkReceiver(text string) *problem {
	where, gpsd := strings.CutPrefix(text, "gpsd:")
	switch {
	case gpsd:
		return checkGpsd(where)
	case text == Auto.String() || strings.HasPrefix(text, "/"):
		return nil
	case strings.Contains(text, "://"):
		return &problem{"`" + cut(text) + "` is no receiver", "write a serial port (/dev/ttyUSB0), auto, or gpsd://localhost:2947"}
	}
	return nil
}

// receiver reports what is wrong with a receiver's settings together. A copy of
// a configuration that ran well with an older release is spared: without the
// receiver it can do the rest.
func (d *decoder) receiver(g *GPS) {
	if g == nil || d.spare {
		return
	}
	if g.Device != "" && g.Device != Auto.String() && !strings.Contains(g.Device, "/") && checkReceiver(g.Device) == nil {
		d.conflict("gps.device", "`"+cut(g.Device)+"` is not the path of a serial port", "write it with its folder, for example /dev/ttyUSB0 (`ls /dev/serial/by-id` shows names that stay), or auto")
	}
	says := slices.ContainsFunc(g.Init, func(c string) bool { return !strings.HasPrefix(c, "$") })
	if g.Device == Auto.String() && says && g.InitPort == "" {
		d.conflict("gps.init", "with `device: auto` these commands would be said to every serial port, whatever is behind it", "name the modem's port for commands in `init_port`, or the receiver's in `device`")
	}
	d.modem(g)
	if g.PPS != "" && !strings.Contains(g.PPS, "/") {
		d.conflict("gps.pps", "`"+cut(g.PPS)+"` is not the path of a device", "write it with its folder, for example /dev/pps0")
	}
}

// modem reports settings of a port that nobody would be told.
func (d *decoder) modem(g *GPS) {
	if strings.HasPrefix(g.Device, "gpsd:") && checkReceiver(g.Device) == nil {
		for _, key := range [...]string{"baud", "init", "init_port", "stop"} {
			d.conflict("gps."+key, "gpsd has the port of the receiver, and this says nothing to it", "remove `"+key+"`, or name the serial port in `device`")
		}
		return
	}
	if len(g.Init)+len(g.Stop) == 0 {
		d.conflict("gps.init_port", "nothing is said on this port", "add `init: [AT+QGPS=1]`, the modem's command that starts its receiver, or remove it")
	}
	for key, commands := range map[string][]string{"init": g.Init, "stop": g.Stop} {
		if slices.ContainsFunc(commands, func(c string) bool { return strings.TrimSpace(c) == "" }) {
			d.conflict("gps."+key, "a command is empty", "write the command, or remove it")
		}
	}
}

func checkGpsd(where string) *problem {
	host, ok := strings.CutPrefix(where, "//")
	host, _, _ = strings.Cut(host, "/")
	if _, port, err := net.SplitHostPort(host); err == nil {
		n, err := strconv.ParseUint(port, 10, 16)
		ok = ok && err == nil && n > 0
	} else if strings.Contains(host, ":") {
		ok = ok && host[0] == '[' && host[len(host)-1] == ']'
	}
	if !ok || host == "" {
		return &problem{"`gpsd:" + cut(where) + "` is not the address of a gpsd", "write gpsd://localhost:2947, and /dev/ttyUSB0 behind it if it has several receivers"}
	}
	return nil
}
