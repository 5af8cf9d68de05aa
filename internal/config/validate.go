package config

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// checks runs the check of that name; a pointer receiver of a value it has to
// complete.
func checks(name string, v reflect.Value) *problem {
	switch text := v.String(); name {
	case "name":
		return checkName(text)
	case "bus":
		return checkBus(text)
	case "receiver":
		return checkReceiver(text)
	case "interface":
		return checkInterface(text)
	case "dir", "socket":
		return checkPath(name, text)
	case "signal":
		return checkValueName(text)
	case "path":
		return checkSignal(text)
	case "message":
		return checkMessage(text)
	case "vss":
		return checkVSS(text)
	case "broker":
		full, p := checkBroker(text)
		if p == nil {
			v.SetString(full)
		}
		return p
	}
	panic("config: no check " + name)
}

// maxName bounds names: they become part of MQTT topics and of every record.
const maxName = 64

func checkName(text string) *problem {
	switch {
	case text == "":
		return &problem{"the name is empty", "write a name, or remove the line"}
	case len(text) > maxName:
		return &problem{fmt.Sprintf("the name has %d characters", len(text)), fmt.Sprintf("use at most %d", maxName)}
	}
	for _, r := range text {
		if (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("-_.:", r) {
			return &problem{fmt.Sprintf("`%c` cannot be part of a name", r), "use letters, digits, - _ . and : only, because the name becomes part of MQTT topics"}
		}
	}
	return nil
}

// maxInterface is IFNAMSIZ without its terminating zero.
const maxInterface = 15

// CheckBus returns what is wrong with a name of a bus, and what to write.
func CheckBus(text string) error {
	if p := checkBus(text); p != nil {
		return errors.New(p.what + ": " + p.cure)
	}
	return nil
}

func checkBus(text string) *problem {
	if path, ok := strings.CutPrefix(text, "unix:"); ok {
		if path == "" {
			return &problem{"there is no path after unix:", "write unix:/run/car/can0, for example"}
		}
		return checkPath("socket", path)
	}
	switch {
	case text == "":
		return &problem{"the name is empty", "write the name of the interface, for example can0"}
	case strings.HasPrefix(text, "/dev/"):
		return &problem{"this is a serial port and not a CAN interface", "a serial CAN adapter becomes one with `slcand -o -s6 " + text + " can0`; then write can0 here"}
	case strings.ContainsAny(text, "/ \t:") || len(text) > maxInterface:
		return &problem{fmt.Sprintf("`%s` is not the name of a network interface", text), "`ip -br link` lists them; CAN interfaces are called can0 or the like"}
	}
	return nil
}

// maxSocketPath is the length of sun_path without its terminating zero.
const maxSocketPath = 107

func checkPath(what, text string) *problem {
	switch {
	case text == "" && what == "dir":
		return &problem{"the path is empty", "write the path of a folder"}
	case strings.HasPrefix(text, "~"):
		return &problem{"`~` is not understood here", "write the whole path, from / on"}
	case strings.ContainsRune(text, 0):
		return &problem{"the path contains a zero byte", "write it again"}
	case what == "socket" && len(text) > maxSocketPath:
		return &problem{fmt.Sprintf("the path has %d characters and the kernel allows %d", len(text), maxSocketPath), "use a shorter one, for example /run/obu/obu.sock"}
	}
	return nil
}

// BrokerAddress completes the address of a broker as Load does: mqtt or mqtts
// as the scheme, and a port. The error says what is wrong and how to write it.
func BrokerAddress(text string) (full string, err error) {
	full, p := checkBroker(text)
	if p != nil {
		return "", errors.New(p.what + "; " + p.cure)
	}
	return full, nil
}

// checkBroker completes a broker's address: mqtt or mqtts as the scheme, and a
// port.
func checkBroker(text string) (full string, p *problem) {
	u, err := url.Parse(text)
	scheme, rest, ok := strings.Cut(text, "://")
	if !ok {
		guess := "mqtts://"
		if strings.HasSuffix(text, ":1883") {
			guess = "mqtt://"
		}
		return "", &problem{fmt.Sprintf("`%s` does not say how to connect", cut(text)),
			fmt.Sprintf("write `%s%s`: mqtts:// is with TLS, mqtt:// without", guess, cut(strings.TrimPrefix(text, "//")))}
	}
	scheme = strings.ToLower(scheme)
	port := ""
	switch scheme {
	case "mqtt", "tcp":
		scheme, port = "mqtt", "1883"
	case "mqtts", "ssl", "tls":
		scheme, port = "mqtts", "8883"
	default:
		return "", &problem{fmt.Sprintf("`%s://` is not MQTT", scheme), "use mqtts:// (with TLS) or mqtt:// (without)"}
	}
	if strings.Contains(rest, "@") {
		return "", &problem{"name and password do not belong into the address", "write them as `username` and `password`"}
	}
	if err != nil || u.Hostname() == "" || strings.ContainsAny(rest, " \t") {
		return "", &problem{fmt.Sprintf("there is no host in `%s`", cut(text)), "write `" + scheme + "://broker.example.com:" + port + "`, for example"}
	}
	if u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.Fragment != "" {
		return "", &problem{"there is something behind host and port", "write `" + scheme + "://" + cut(u.Host) + "` only; the topics follow from fleet and unit"}
	}
	if given := u.Port(); given != "" {
		port = given
	}
	if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 {
		return "", &problem{fmt.Sprintf("there is no port %s", cut(port)), "a port is 1 to 65535; usual are 8883 with TLS and 1883 without"}
	}
	return scheme + "://" + net.JoinHostPort(u.Hostname(), port), nil
}

// conflicts reports settings that are right each by itself and wrong together.
func (d *decoder) conflicts(c *Config) {
	d.onlyOnce("can", len(c.CAN), "device", func(i int) string { return c.CAN[i].Device },
		"one entry is enough for each bus")
	for b, bus := range c.CAN {
		d.onlyOnce(index("can", b)+".obd.pids", len(bus.OBD.PIDs), "", func(i int) string { return bus.OBD.PIDs[i].PID.String() },
			"keep the one with the right period")
		d.node(index("can", b)+".j1939", &bus.J1939)
		d.ecus(index("can", b)+".uds", bus.UDS)
		d.bus(index("can", b), &bus)
		d.checkNames(index("can", b), &bus)
	}
	d.onlyOnce("dashcam", len(c.Dashcam), "camera", func(i int) string { return c.Dashcam[i].Camera },
		"give each camera its own name")
	d.onlyOnce("dashcam", len(c.Dashcam), "dir", func(i int) string { return c.Dashcam[i].Dir },
		"each camera has its own folder")
	for i, cam := range c.Dashcam {
		if cam.Dir != "" && cam.Dir == c.Buffer.Dir {
			d.conflict(index("dashcam", i)+".dir", "the dashcam's folder is also `buffer.dir`", "the agent's own files do not belong among the clips: use two folders")
		}
	}
	d.receiver(c.GPS)
	d.checkSelection(c.Signals)
	u := c.Uplink
	d.checkBudget(&u.Budget)
	if u.Password != "" && u.Username == "" {
		d.conflict("uplink.password", "there is a password and no `username`", "MQTT sends a password only with a name: add `username`")
	}
	if u.TLS == nil {
		return
	}
	if strings.HasPrefix(u.Broker, "mqtt:") {
		d.conflict("uplink.tls", "there are certificates, but the broker's address is without TLS", "write mqtts:// in `broker`, or remove `tls`")
	}
	switch {
	case u.TLS.Cert != "" && u.TLS.Key == "":
		d.conflict("uplink.tls.cert", "there is a certificate and no `key`", "add `key`, the file with the private key of this certificate")
	case u.TLS.Key != "" && u.TLS.Cert == "":
		d.conflict("uplink.tls.key", "there is a key and no `cert`", "add `cert`, the certificate of this unit")
	}
}

func (d *decoder) conflict(path, what, cure string) {
	if where, ok := d.places[path]; ok {
		d.fail(where, what, cure)
	}
}

// mistaken reports whether something is wrong in the line of a setting: that it
// is not set is no second mistake then.
func (d *decoder) mistaken(path string) bool {
	at := d.origin[path]
	return at.Line > 0 && slices.ContainsFunc(d.wrong, func(e *Error) bool { return e.File == at.File && e.Line == at.Line })
}

// onlyOnce reports the second entry of a list that has the same value.
func (d *decoder) onlyOnce(list string, n int, key string, value func(int) string, cure string) {
	seen := map[string]int{}
	for i := range n {
		v := value(i)
		if v == "" || v == "00" { // not set, or already reported
			continue
		}
		if first, ok := seen[v]; ok {
			path := index(list, i)
			if key != "" {
				path = child(path, key)
			}
			d.conflict(path, fmt.Sprintf("`%s` is already used by entry %d of `%s`", v, first+1, lastWord(list)), cure)
			continue
		}
		seen[v] = i
	}
}
