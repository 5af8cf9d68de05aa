package config_test

import (
	"strings"
	"testing"

	"obu/internal/config"
)

// TestReceiverIsAPlace: what can be no receiver is refused with the way to write
// it, before somebody looks for a plug.
func TestReceiverIsAPlace(t *testing.T) {
	for device, want := range map[string]string{
		"/dev/ttyUSB0": "", "auto": "", "gpsd://localhost": "", "gpsd://[::1]:2947/dev/ttyUSB0": "", "run/gps": "",
		"ttyUSB0": "for example /dev/ttyUSB0", "COM3": "for example /dev/ttyUSB0", "tcp://localhost:2947": "gpsd://localhost:2947",
		"gpsd:localhost": "gpsd://localhost:2947", "gpsd://localhost:0": "gpsd://localhost:2947", "gpsd://::1": "gpsd://localhost:2947", "gpsd://": "gpsd://localhost:2947",
	} {
		_, err := config.Parse("obu.yaml", []byte("gps: {device: \""+device+"\"}\nuplink: {broker: \"mqtt://broker\"}\n"), nil)
		switch {
		case want == "" && err != nil:
			t.Errorf("%s is refused: %v", device, err)
		case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
			t.Errorf("%s: %v, want %q", device, err, want)
		}
	}
}

// TestModemsAreNotSearchedWithCommands: what starts a modem is not said to
// whatever else is plugged in.
func TestModemsAreNotSearchedWithCommands(t *testing.T) {
	for settings, ok := range map[string]bool{
		"device: auto, init: [AT+QGPS=1]":                          false,
		"device: auto, init: [AT+QGPS=1], init_port: /dev/ttyUSB2": true,
		"device: /dev/ttyUSB1, init: [AT+QGPS=1]":                  true,
		`device: auto, init: ["$PMTK220,200"]`:                     true,
	} {
		_, err := config.Parse("obu.yaml", []byte("gps: {"+settings+"}\nuplink: {broker: \"mqtt://broker\"}\n"), nil)
		if (err == nil) != ok || err != nil && !strings.Contains(err.Error(), "in `init_port`") {
			t.Errorf("%s: %v", settings, err)
		}
	}
}

// TestReceiverSettingsThatDoNothing: what no receiver would ever be told, and
// what can be no speed or measure, is said with what to write instead.
func TestReceiverSettingsThatDoNothing(t *testing.T) {
	for settings, want := range map[string]string{
		"device: /dev/ttyUSB1, init_port: /dev/ttyUSB2":                               "add `init: [AT+QGPS=1]`",
		"device: \"gpsd://localhost\", init: [AT+QGPS=1]":                             "gpsd has the port",
		"device: \"gpsd://localhost\", baud: 9600":                                    "gpsd has the port",
		"device: /dev/ttyUSB1, init: ['']":                                            "empty",
		"device: /dev/ttyUSB1, pps: yes":                                              "/dev/pps0",
		"device: /dev/ttyUSB1, baud: 0":                                               "9600",
		"device: /dev/ttyUSB1, baud: Auto":                                            "write `auto`",
		"device: /dev/ttyUSB1, curvelog: {max_error: -3m}":                            "negative",
		"device: /dev/ttyUSB1, curvelog: {max_error: 9999km}":                         "too large",
		"device: /dev/ttyUSB1, curvelog: {max_error: 10000000m}":                      "too large",
		"device: /dev/ttyUSB1, curvelog: {max_error: 3m, max_speed_error: 80kmh}":     "km/h, m/s or mph",
		"device: /dev/ttyUSB1, init_port: /dev/ttyUSB2, stop: [AT+QGPSEND]":           "",
		"device: /dev/ttyUSB1, pps: /dev/pps0, init: [AT+QGPS=1], stop: [AT+QGPSEND]": "",
	} {
		_, err := config.Parse("obu.yaml", []byte("gps: {"+settings+"}\nuplink: {broker: \"mqtt://broker\"}\n"), nil)
		switch {
		case want == "" && err != nil:
			t.Errorf("%s is refused: %v", settings, err)
		case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
			t.Errorf("%s: %v, want %q", settings, err, want)
		}
	}
}
