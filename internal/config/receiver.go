package config

import (
	"net"
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
	case !strings.Contains(text, "/"):
		return &problem{"`" + cut(text) + "` is not the path of a serial port", "write it with its folder, for example /dev/ttyUSB0 (`ls /dev/serial/by-id` shows names that stay), or auto"}
	}
	return nil
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
