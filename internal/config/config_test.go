package config_test

import (
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"
	"unicode/utf16"

	"golang.org/x/sys/unix"

	"obu/internal/config"
)

const second = config.Duration(time.Second)

const small = "unit: u\nuplink:\n  broker: mqtt://h\n"

// wantSame compares two configurations by every setting.
func wantSame(t *testing.T, got, want *config.Config) {
	t.Helper()
	if !reflect.DeepEqual(config.Plain(got), config.Plain(want)) {
		t.Errorf("got\n%s\nwant\n%s", config.Show(got), config.Show(want))
	}
}

func wantError(t *testing.T, err error, want string) {
	t.Helper()
	if err == nil || err.Error() != want {
		t.Errorf("said\n%v\nwant\n%s", err, want)
	}
}

func parse(t *testing.T, text string) *config.Config {
	t.Helper()
	c, err := config.Parse("obu.yaml", []byte(text), nil)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// write makes a file under dir and returns its path.
func write(t *testing.T, dir, name, text string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestDefaults(t *testing.T) {
	d := config.Default()
	if d.Buffer.FlushEvery != second || d.Buffer.TelemetryQuota != 512<<20 || d.Buffer.MediaQuota != 8<<30 ||
		d.Uplink.HistoryRate != 64<<10 || d.Uplink.MaxPacket != 120<<10 || d.Uplink.Custody != "puback" || d.Uplink.LiveEvery != second {
		t.Errorf("%+v", d)
	}
	c := parse(t, small)
	d.Unit, d.Uplink.Broker = "u", "mqtt://h:1883"
	wantSame(t, c, &d)
}

func TestEverySettingIsRead(t *testing.T) {
	c := parse(t, `
unit: 007        # a name, not a number
vehicle: "van: 17"
fleet: north
can:
- device: can0
  bitrate: 500_000
  obd:
    enabled: false
    period: 1m30s
    pids: [0C, 10, 0x1f, {pid: 2f, period: 30s, on_change: true}]
    addressing: 29bit
    max_requests_per_second: 7
    pids_per_request: 2
    dtc: true
    dtc_every: 30s
    freeze_frame: false
    vehicle_info: false
  j1939: {enabled: true, period: 500ms, name: 0x8000FF0010600001, address: 0x4a, request: [vin, dm2]}
- device: unix:/run/car/can1
gps: {device: /dev/ttyS1, baud: auto, name: roof, init: [AT+QGPS=1], init_port: /dev/ttyUSB2, stop: [AT+QGPSEND], curvelog: {max_error: 2.5 m, max_time_error: 1500ms, max_time: 30s, max_speed_error: 3m/s, max_course_error: 20, detail: place}}
trips: {enabled: true, end_after: 10m, standing: 1m, idling: 3m, position_lost: 4m}
motion: {enabled: true, speed_limit: 80km/h, acceleration: 2.5m/s2, braking: 0.4g, cornering: 3m/s2, tow: false}
geofence: {file: /etc/obu/zones.geojson}
dashcam:
  - camera: front
    dir: /media/front
    settle: 500ms
  - {camera: rear, dir: /media/rear}
buffer:
  dir: ./data
  flush_every: 200ms
  telemetry_quota: 1.5GiB
  media_quota: 10GB
uplink:
  broker: SSL://Broker.example.com
  client_id: seven
  username: me
  password: "it's ~ #1"
  tls: {ca: a.pem, cert: b.pem, key: c.pem, server_name: x}
  live_every: 10s
  history_rate: unlimited
  custody: receipt
  receipt_patience: 30s
  encoding: json
  format: 1
  max_packet: 64kB
  keep_alive: 1h
  reconnect_max: 20s
  budget:
    monthly: 500MB
    month_starts: 15
    metered: ["wwan*", usb0]
    free: [wlan0]
    media: free
    ladder: [media, slower, coarser]
status:
  socket: /tmp/obu.sock
log: {level: debug}
`)
	want := config.Config{
		Unit: "007", Vehicle: "van: 17", Fleet: "north",
		CAN: []config.CAN{
			{Device: "can0", Bitrate: 500000, J1939: config.J1939{Enabled: true, Period: second / 2, Name: 0x8000FF0010600001, Address: 0x4A, Request: []string{"vin", "dm2"}}, OBD: config.OBD{Period: 90 * second, Addressing: "29bit", MaxRequestsPerSecond: 7, PIDsPerRequest: 2, DTC: true, DTCEvery: 30 * second,
				PIDs: []config.PID{{PID: 0x0C}, {PID: 0x10}, {PID: 0x1F}, {PID: 0x2F, Period: 30 * second, OnChange: true}}}},
			{Device: "unix:/run/car/can1", J1939: config.J1939{Period: second}, OBD: config.OBD{Enabled: true, Period: second, Addressing: "auto", MaxRequestsPerSecond: 20,
				PIDsPerRequest: 6, DTC: true, DTCEvery: 60 * second, FreezeFrame: true, VehicleInfo: true}},
		},
		GPS: &config.GPS{Device: "/dev/ttyS1", Baud: config.Auto, Name: "roof", Init: []string{"AT+QGPS=1"}, InitPort: "/dev/ttyUSB2", Stop: []string{"AT+QGPSEND"}, PPSEdge: "auto",
			Curvelog: &config.Track{MaxError: 2500, MaxTimeError: 1500 * second / 1000, MaxTime: 30 * second, MaxSpeedError: 3000, MaxCourseError: 20, Detail: "place"}},
		Trips:    config.Trips{Enabled: true, EndAfter: 600 * second, Standing: 60 * second, Idling: 180 * second, PositionLost: 240 * second},
		Motion:   config.Motion{Enabled: true, SpeedLimit: 22222, Acceleration: 2500, Braking: 3923, Cornering: 3000},
		Geofence: &config.Geofence{File: "/etc/obu/zones.geojson"},
		Dashcam: []config.Dashcam{
			{Camera: "front", Dir: "/media/front", Settle: second / 2},
			{Camera: "rear", Dir: "/media/rear", Settle: 5 * second},
		},
		Buffer: config.Buffer{Dir: "./data", FlushEvery: second / 5, TelemetryQuota: 3 << 29, MediaQuota: 1e10},
		Uplink: config.Uplink{Broker: "mqtts://Broker.example.com:8883", ClientID: "seven", Username: "me", Password: "it's ~ #1",
			TLS:       &config.TLS{CA: "a.pem", Cert: "b.pem", Key: "c.pem", ServerName: "x"},
			LiveEvery: 10 * second, HistoryRate: config.Unlimited, Custody: "receipt", ReceiptPatience: 30 * second, Encoding: "json", Format: 1, MaxPacket: 64000, KeepAlive: 3600 * second, ReconnectMax: 20 * second,
			Budget: config.Budget{Monthly: 5e8, MonthStarts: 15, Metered: []string{"wwan*", "usb0"}, Free: []string{"wlan0"}, Media: "free", Ladder: []string{"media", "slower", "coarser"}}},
		Status: config.Status{Socket: "/tmp/obu.sock"},
		Log:    config.Log{Level: "debug"},
	}
	wantSame(t, c, &want)
	wantSame(t, parse(t, config.Render(c)), &want)
}

func TestBrokerAddresses(t *testing.T) {
	for given, want := range map[string]string{
		"mqtt://h":               "mqtt://h:1883",
		"tcp://h:1":              "mqtt://h:1",
		"mqtts://h/":             "mqtts://h:8883",
		"ssl://10.0.0.1:8884":    "mqtts://10.0.0.1:8884",
		"tls://h":                "mqtts://h:8883",
		"mqtt://[2001:db8::1]:7": "mqtt://[2001:db8::1]:7",
		"mqtt://[::1]":           "mqtt://[::1]:1883",
	} {
		c := parse(t, "uplink: {broker: \""+given+"\"}\n")
		if c.Uplink.Broker != want {
			t.Errorf("%s became %s, want %s", given, c.Uplink.Broker, want)
		}
		if got, err := config.BrokerAddress(given); got != want || err != nil {
			t.Errorf("%s became %s, %v, want %s", given, got, err, want)
		}
	}
	_, err := config.BrokerAddress("h:1883")
	wantError(t, err, "`h:1883` does not say how to connect; write `mqtt://h:1883`: mqtts:// is with TLS, mqtt:// without")
}

func TestFilesFromAWindowsLaptop(t *testing.T) {
	const text = "unit: u\nvehicle: Müllwagen €\nuplink:\n  broker: mqtt://h\n"
	crlf := strings.ReplaceAll(text, "\n", "\r\n")
	wide := func(order binary.AppendByteOrder) []byte {
		var b []byte
		for _, u := range utf16.Encode([]rune("\uFEFF" + crlf)) {
			b = order.AppendUint16(b, u)
		}
		return b
	}
	want := parse(t, text)
	for name, data := range map[string][]byte{
		"CRLF":                []byte(crlf),
		"CR":                  []byte(strings.ReplaceAll(text, "\n", "\r")),
		"byte order mark":     []byte("\uFEFF" + crlf),
		"UTF-16":              wide(binary.LittleEndian),
		"UTF-16 big endian":   wide(binary.BigEndian),
		"no last line end":    []byte(strings.TrimSuffix(text, "\n")),
		"blanks at line ends": []byte(strings.ReplaceAll(text, "\n", "  \n")),
		"YAML header":         []byte("---\n" + text),
	} {
		c, err := config.Parse("obu.yaml", data, nil)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		wantSame(t, c, want)
	}
	_, err := config.Parse("obu.yaml", []byte("\uFEFF"+strings.ReplaceAll(crlf, "unit", "unti")), nil)
	wantError(t, err, "obu.yaml:1:1: unknown key `unti`\n    1 | unti: u\n      | ^\n  cure: did you mean `unit`?")
}

func TestEnvironment(t *testing.T) {
	env := map[string]string{"NAME": "seven", "EVERY": "5s", "EMPTY": "", "ODD": "a: [b ${NAME}"}
	c, err := config.Parse("obu.yaml", []byte(`
unit: unit-${NAME}
vehicle: $${NAME} $NAME ${ODD}
uplink:
  broker: mqtt://${NAME}:1883
  live_every: ${EVERY}
  username: x
  password: ${EMPTY}
`), func(name string) (string, bool) { v, ok := env[name]; return v, ok })
	if err != nil {
		t.Fatal(err)
	}
	if c.Unit != "unit-seven" || c.Vehicle != "${NAME} $NAME a: [b ${NAME}" || c.Uplink.LiveEvery != 5*second || c.Uplink.Password != "" {
		t.Errorf("%+v", c)
	}
	wantSame(t, parse(t, config.Render(c)), c)
}

func TestOverlays(t *testing.T) {
	dir := t.TempDir()
	path := write(t, dir, "obu.yaml", `unit: u
vehicle: old
can:
  - device: can0
  - device: can1
gps:
  device: /dev/ttyUSB0
uplink:
  broker: mqtts://h
  tls: {ca: a.pem, cert: b.pem, key: c.pem}
  live_every: 10s
`)
	write(t, dir, "obu.yaml.d/20-site.yaml", "uplink:\n  tls:\n    ca: site.pem\n  live_every: 20s\nvehicle: later\n")
	write(t, dir, "obu.yaml.d/10-fleet.yaml", "vehicle: earlier\nuplink:\n  live_every: 15s\n  custody: receipt\n")
	write(t, dir, "obu.yaml.d/30-car.yaml", "can:\n  - device: can7\ngps: null\nuplink:\nbuffer:\n  flush_every: ~\n")
	write(t, dir, "obu.yaml.d/99-none.yaml", "# nothing\n")
	write(t, dir, "obu.yaml.d/README", "not read: {")
	write(t, dir, "obu.yaml.d/.hidden.yaml", "not read: {")
	c, err := config.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	want := config.Default()
	want.Unit, want.Vehicle = "u", "later"
	want.CAN = []config.CAN{{Device: "can7", J1939: config.J1939{Period: second}, OBD: config.OBD{Enabled: true, Period: second, Addressing: "auto", MaxRequestsPerSecond: 20,
		PIDsPerRequest: 6, DTC: true, DTCEvery: 60 * second, FreezeFrame: true, VehicleInfo: true}}}
	want.Uplink.Broker, want.Uplink.LiveEvery, want.Uplink.Custody = "mqtts://h:8883", 20*second, "receipt"
	want.Uplink.TLS = &config.TLS{CA: "site.pem", Cert: "b.pem", Key: "c.pem"}
	wantSame(t, c, &want)
	for _, line := range []string{
		"unit: u  # " + path + ":1\n",
		"  live_every: 20s  # " + path + ".d/20-site.yaml:4\n",
		"  custody: receipt  # " + path + ".d/10-fleet.yaml:4\n",
		"  - device: can7  # " + path + ".d/30-car.yaml:2\n",
		"  encoding: protobuf  # default\n",
	} {
		if !strings.Contains(config.Show(c), line) {
			t.Errorf("%q is not in\n%s", line, config.Show(c))
		}
	}
}

func TestMistakesInOverlaysNameTheirFile(t *testing.T) {
	dir := t.TempDir()
	path := write(t, dir, "obu.yaml", "unit: u\nbufer: {}\n")
	over := write(t, dir, "obu.yaml.d/10.yaml", "uplink:\n  broker: h\n")
	broken := write(t, dir, "obu.yaml.d/20.yaml", "log: {\n")
	yml := write(t, dir, "obu.yaml.d/30.yml", "unit: x\n")
	_, err := config.Load(path)
	wantError(t, err, path+":2:1: unknown key `bufer`\n    2 | bufer: {}\n      | ^\n  cure: did you mean `buffer`?\n\n"+
		over+":2:11: `broker`: `h` does not say how to connect\n    2 |   broker: h\n      |           ^\n  cure: write `mqtts://h`: mqtts:// is with TLS, mqtt:// without\n\n"+
		broken+":1:6: this `{` is never closed\n    1 | log: {\n      |      ^\n  cure: close it: [a, b] and {key: value, key: value}\n\n"+
		yml+": only files that end in .yaml are read here\n  cure: `mv "+yml+" "+strings.TrimSuffix(yml, "yml")+"yaml`, or remove it")
}

func TestFileThatCannotBeRead(t *testing.T) {
	dir := t.TempDir()
	none := filepath.Join(dir, "none.yaml")
	_, err := config.Load(none)
	wantError(t, err, none+": there is no such file\n  cure: make one with `obu config example > "+none+"`, or name another one with -c")
	if !errors.Is(err, config.ErrUnreadable) || errors.Is(err, config.ErrLater) {
		t.Error("it is not ErrUnreadable")
	}
	_, err = config.Load(dir)
	wantError(t, err, dir+": it is a folder\n  cure: name the file in it, for example "+dir+"/obu.yaml")
	big := write(t, dir, "big.yaml", strings.Repeat("# much\n", 10_000))
	_, err = config.Load(big)
	wantError(t, err, big+": it is larger than 64KiB, so it is not a configuration\n  cure: check that the right file is named")
}

func TestReportIsBounded(t *testing.T) {
	_, err := config.Parse("obu.yaml", []byte(strings.Repeat("no: 1\n", 1000)), nil)
	var all config.Errors
	if !errors.As(err, &all) || len(all) != 101 || all[100].Problem != "and 901 more mistakes" {
		t.Errorf("%d mistakes, the last %v", len(all), all[len(all)-1])
	}
}

func TestNoPermission(t *testing.T) {
	dir := t.TempDir()
	path := write(t, dir, "obu.yaml", small)
	if err := os.Chmod(path, 0o600); err != nil {
		t.Fatal(err)
	}
	for p := dir; p != "/"; p = filepath.Dir(p) {
		if info, err := os.Stat(p); err == nil && info.Mode().Perm()&0o001 == 0 {
			if err := os.Chmod(p, info.Mode().Perm()|0o011); err != nil {
				t.Skip("the temporary folder cannot be opened to others:", err)
			}
		}
	}
	said := make(chan error)
	go func() {
		if os.Getuid() == 0 { // root may read anything: this thread, which ends with us, is nobody
			runtime.LockOSThread()
			if err := unix.Setfsuid(65534); err != nil {
				said <- err
				return
			}
		} else if err := os.Chmod(path, 0); err != nil {
			said <- err
			return
		}
		_, err := config.Load(path)
		said <- err
	}()
	wantError(t, <-said, path+": no permission to read it\n  cure: the agent runs as its own user: `chgrp obu "+path+" && chmod 640 "+path+"`")
}

func TestLaterIsDistinguished(t *testing.T) {
	_, err := config.Parse("obu.yaml", []byte(small+"power: {}\n"), nil)
	var all config.Errors
	if !errors.Is(err, config.ErrLater) || !errors.As(err, &all) || !all.OnlyLater() {
		t.Errorf("%v", err)
	}
	_, err = config.Parse("obu.yaml", []byte(small+"power: {}\nbad: 1\n"), nil)
	if !errors.Is(err, config.ErrLater) || !errors.As(err, &all) || all.OnlyLater() {
		t.Errorf("%v", err)
	}
	var one *config.Error
	if !errors.As(err, &one) || one.Line != 4 || one.Text != "power: {}" {
		t.Errorf("%+v", one)
	}
}

func TestRequireUnit(t *testing.T) {
	if err := parse(t, small).RequireUnit(); err != nil {
		t.Error(err)
	}
	wantError(t, parse(t, "uplink: {broker: mqtt://h}\n").RequireUnit(),
		"obu.yaml: `unit` is missing\n  cure: it names this unit, as its certificate does: add a line like `unit: unit-0001`")
	built := config.Default()
	if built.RequireUnit() == nil {
		t.Error("a unit without a name passed")
	}
}

func TestShowMasksSecrets(t *testing.T) {
	c := parse(t, small+"  username: me\n  password: geheim\n")
	if s := config.Show(c); strings.Contains(s, "geheim") || !strings.Contains(s, `password: "********"  # obu.yaml:5`) {
		t.Error(s)
	}
	d := *c
	d.Uplink.Password = "other"
	if c.Hash() != d.Hash() {
		t.Error("the published hash depends on the password")
	}
}

func TestHash(t *testing.T) {
	a, b := parse(t, small), parse(t, "uplink: {broker: \"mqtt://h:1883\"} # the same\n\nunit: 'u'\n")
	if len(a.Hash()) != 16 || a.Hash() != b.Hash() {
		t.Errorf("%s and %s for the same settings", a.Hash(), b.Hash())
	}
	c := parse(t, small+"  live_every: 2s\n")
	if a.Hash() == c.Hash() {
		t.Error("another setting, the same hash")
	}
}

func TestLastGood(t *testing.T) {
	dir := t.TempDir()
	_, err := config.LoadLastGood(dir)
	if !errors.Is(err, config.ErrUnreadable) {
		t.Errorf("without a copy: %v", err)
	}
	c := parse(t, small+"  username: me\n  password: 'a $${b} \"c\" \\ ü'\n")
	if err := config.SaveLastGood(dir, c); err != nil {
		t.Fatal(err)
	}
	got, err := config.LoadLastGood(dir)
	if err != nil {
		t.Fatal(err)
	}
	wantSame(t, got, c)
	files, _ := os.ReadDir(dir)
	if len(files) != 1 {
		t.Errorf("left behind: %v", files)
	}
	info, err := files[0].Info()
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v: the copy holds secrets (%v)", info.Mode(), err)
	}
	c.Vehicle = "other"
	// as an older release took it: a unit out of reach has to start with it
	c.Signals = []config.Signal{{Path: "Engine.Speed", Keep: true, Timebased: 10 * second, Above: "2", Below: "1", Curvelog: &config.Curvelog{MaxError: "1", Buffer: 3}}}
	if err := config.SaveLastGood(dir, c); err != nil {
		t.Fatal(err)
	}
	if got, err = config.LoadLastGood(dir); err != nil || got.Vehicle != "other" {
		t.Errorf("%v, %v", got, err)
	}
	if err := config.SaveLastGood(filepath.Join(dir, "none"), c); err == nil {
		t.Error("saved into a folder that is not there")
	}
}

func TestUnitsPrintAsTheyAreWritten(t *testing.T) {
	for want, got := range map[string]interface{ String() string }{
		"1s": second, "1m30s": 90 * second, "2h": 7200 * second, "1h0m1s": 3601 * second, "500ms": second / 2, "0s": config.Duration(0), "10m": 600 * second,
		"512MiB": config.Size(512 << 20), "10MB": config.Size(10e6), "1500B": config.Size(1500), "0B": config.Size(0), "64kB": config.Size(64000), "3KiB": config.Size(3072),
		"64KiB/s": config.Rate(64 << 10), "unlimited": config.Unlimited, "0C": config.PIDNumber(12),
	} {
		if got.String() != want {
			t.Errorf("%#v prints as %s, want %s", got, got, want)
		}
	}
}

// FuzzParse: nothing panics, each complaint is complete, and what is
// understood survives being written and read again.
func FuzzParse(f *testing.F) {
	f.Add([]byte(config.Example()))
	for _, m := range mistakes(f) {
		f.Add([]byte(raw.Replace(m.text)))
	}
	f.Add([]byte("? a\n: b\n? [c]\n: {d: e}\n"))
	f.Add([]byte("unit: |\n  a\n  b\nvehicle: >-\n  c\n<<: {a: b}\n!!str unit: !x y\n"))
	f.Add([]byte("uplink: {broker: \"mqtt://[::1\", password: \"\\u0000\\x00\"}\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := config.Parse("obu.yaml", data, func(name string) (string, bool) { return "v", len(name) > 3 })
		if err != nil {
			all, ok := err.(config.Errors)
			if !ok || len(all) == 0 {
				t.Fatalf("%T %v", err, err)
			}
			for _, e := range all {
				if e.File != "obu.yaml" || e.Problem == "" || e.Cure == "" || e.Line < 0 || e.Column < 0 || e.Line > len(data)+1 {
					t.Fatalf("incomplete: %+v", e)
				}
			}
			return
		}
		text := config.Render(c)
		again, err := config.Parse("again", []byte(text), nil)
		if err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		wantSame(t, again, c)
		if again.Hash() != c.Hash() {
			t.Fatalf("the hash changed:\n%s", text)
		}
	})
}

// TestJ1939InShort: true stands for the section with its defaults.
func TestJ1939InShort(t *testing.T) {
	head := "unit: u\nuplink:\n  broker: mqtt://h\ncan:\n  - device: can0\n"
	short := parse(t, head+"    j1939: true\n").CAN[0].J1939
	long := parse(t, head+"    j1939:\n      enabled: true\n").CAN[0].J1939
	if !reflect.DeepEqual(short, long) || !short.Enabled || short.Period != config.Duration(time.Second) {
		t.Errorf("%+v, %+v", short, long)
	}
	if off := parse(t, head+"    j1939: false\n    obd: false\n").CAN[0]; off.J1939.Enabled || off.OBD.Enabled || off.OBD.MaxRequestsPerSecond != 20 {
		t.Errorf("%+v", off)
	}
}

// TestMeasuresSayWhatIsWrong: a length, speed or acceleration without its unit, or
// with another one, is refused with the way to write it; what is written is read
// back as it was.
func TestMeasuresSayWhatIsWrong(t *testing.T) {
	for text, want := range map[string]string{
		"gps: {device: /dev/ttyS1, curvelog: {max_error: 3}}":   "3m",
		"gps: {device: /dev/ttyS1, curvelog: {max_error: 3ft}}": "3m",
		"motion: {speed_limit: 130}":                            "130km/h",
		"motion: {braking: -1m/s2}":                             "3.5m/s2",
		"motion: {braking: 30m/s2}":                             "0.5m/s2 to 10m/s2",
	} {
		if _, err := config.Parse("obu.yaml", []byte(text), nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", text, err)
		}
	}
	for mps, want := range map[config.Speed]string{36111: "130km/h", 22222: "80km/h", 1000: "3.6km/h", 1001: "1.001m/s"} {
		if got := mps.String(); got != want {
			t.Errorf("%d mm/s: %s, want %s", mps, got, want)
		}
	}
}
