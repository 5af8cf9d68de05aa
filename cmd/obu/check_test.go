package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"obu/can"
	"obu/gps"
	"obu/internal/agent"
	"obu/internal/config"
	"obu/telemetry"
	"obu/uplink/brokertest"
)

// heard is what a running agent says of one source at both ends of the look, as
// it comes from the socket.
func heard(t *testing.T, kind string, before, after any, s agent.SourceStatus) *watched {
	t.Helper()
	s.Name = kind + "0"
	if s.State == "" {
		s.State = "running"
	}
	status := func(uptime float64, stats any) *agent.Status {
		body, err := json.Marshal(agent.Status{Unit: "unit-1", UptimeS: uptime, Sources: []agent.SourceReport{{SourceStatus: s, Kind: kind, Stats: stats}}})
		if err != nil {
			t.Fatal(err)
		}
		var over agent.Status
		if err := json.Unmarshal(body, &over); err != nil {
			t.Fatal(err)
		}
		return &over
	}
	return &watched{status(100, before), status(103, after)}
}

// sky is one of GPS alone.
func sky(inView, strong, best uint8) (s telemetry.Sky) {
	s.Systems[telemetry.GPS] = telemetry.Reception{InView: inView, Heard: inView, Strong: strong, Best: best}
	return s
}

// TestCheckJudgesWhatTheAgentHears: a device that the agent holds open gets the
// same verdict as one that check opens, from what the agent heard meanwhile.
func TestCheckJudgesWhatTheAgentHears(t *testing.T) {
	g := &config.GPS{Device: "/dev/ttyUSB0", Name: "gps0", Baud: 9600}
	c := config.CAN{Device: "can0"}
	for name, k := range map[string]struct {
		got        finding
		ok         bool
		text, next string
	}{
		"gps well": {checkGPS(t.Context(), heard(t, "gps", gps.Stats{Bytes: 1000, Sentences: 20, Valid: 10}, gps.Stats{Bytes: 2000, Sentences: 40, Valid: 13}, agent.SourceStatus{}), g),
			true, "the running agent reads it; 3 positions in 3s", ""},
		"gps under a roof": {checkGPS(t.Context(), heard(t, "gps", gps.Stats{}, gps.Stats{Bytes: 1000, Sentences: 20, Valid: 3, FirstFixS: 34.2, Sky: sky(8, 4, 33)}, agent.SourceStatus{}), g),
			true, "3 positions in 3s; first fix 34.2 s after the receiver was opened; the antenna sees the sky poorly: 4 of 8 satellites above 30 dB-Hz, the best 33", "move the antenna"},
		"gps in doubt": {checkGPS(t.Context(), heard(t, "gps", gps.Stats{Epochs: 5, Valid: 5, Doubtful: 1}, gps.Stats{Bytes: 1000, Sentences: 20, Epochs: 8, Valid: 8, Doubtful: 3, Doubts: "frozen"}, agent.SourceStatus{}), g),
			true, "3 positions in 3s; 2 of 3 fixes are doubtful: frozen", doubtNext},
		"gps under a roof without a fix": {checkGPS(t.Context(), heard(t, "gps", gps.Stats{}, gps.Stats{Bytes: 1000, Sentences: 20, Sky: sky(3, 0, 21)}, agent.SourceStatus{}), g),
			true, "the antenna sees the sky poorly: 0 of 3 satellites above 30 dB-Hz, the best 21", "move the antenna"},
		"gps under a free sky": {checkGPS(t.Context(), heard(t, "gps", gps.Stats{}, gps.Stats{Bytes: 1000, Sentences: 20, Valid: 3, Sky: sky(14, 9, 46)}, agent.SourceStatus{}), g),
			true, "3 positions in 3s; 9 of 14 satellites above 30 dB-Hz, the best 46", ""},
		"gps with its antenna cut": {checkGPS(t.Context(), heard(t, "gps", gps.Stats{}, gps.Stats{Bytes: 1000, Sentences: 20, Antenna: telemetry.AntennaOpen}, agent.SourceStatus{}), g),
			true, "the receiver says that its antenna is open", "check the antenna's plug"},
		"gpsd without a receiver": {checkGPS(t.Context(), heard(t, "gps", gps.Stats{}, gps.Stats{Bytes: 300, Sentences: 3}, agent.SourceStatus{}), &config.GPS{Device: "gpsd://localhost:2947", Name: "gps0"}),
			false, "gpsd reports nothing in 3s", "`cgps` shows"},
		"gps of the wrong baud": {checkGPS(t.Context(), heard(t, "gps", gps.Stats{Bytes: 1000}, gps.Stats{Bytes: 2500, Garbled: 1}, agent.SourceStatus{}), g),
			false, "1500 bytes but no NMEA sentence at 9600 baud", "set gps.baud"},
		"gps gone mute": {checkGPS(t.Context(), heard(t, "gps", gps.Stats{Bytes: 1000, Sentences: 20}, gps.Stats{Bytes: 1000, Sentences: 20}, agent.SourceStatus{}), g),
			false, "nothing heard in 3s", "check its power"},
		"gps without a fix": {checkGPS(t.Context(), heard(t, "gps", gps.Stats{Bytes: 1000, Sentences: 20, Epochs: 10}, gps.Stats{Bytes: 2000, Sentences: 40, Epochs: 13}, agent.SourceStatus{}), g),
			true, "no fix yet", "give the antenna a free view of the sky"},
		"gps without a fix under a free sky": {checkGPS(t.Context(), heard(t, "gps", gps.Stats{}, gps.Stats{Bytes: 1000, Sentences: 20, Epochs: 3, Sky: sky(14, 9, 46)}, agent.SourceStatus{}), g),
			true, "no fix yet; 9 of 14 satellites above 30 dB-Hz", "wait"},
		"gps that contradicts itself": {checkGPS(t.Context(), heard(t, "gps", gps.Stats{}, gps.Stats{Bytes: 1000, Sentences: 20, Epochs: 3, Doubtful: 3, Doubts: "mode-mismatch"}, agent.SourceStatus{}), g),
			true, "no fix yet, and what it says is doubtful: mode-mismatch", doubtNext},
		"gps on a bad line": {checkGPS(t.Context(), heard(t, "gps", gps.Stats{}, gps.Stats{Bytes: 1000, Sentences: 20, Valid: 3, Rejected: gps.Rejected{Checksum: 9}}, agent.SourceStatus{}), g),
			true, "3 positions in 3s; 9 of 29 sentences arrived damaged", "check gps.baud, the ground"},
		"gps on a good line": {checkGPS(t.Context(), heard(t, "gps", gps.Stats{}, gps.Stats{Bytes: 1000, Sentences: 20, Valid: 3, Rejected: gps.Rejected{Checksum: 1}}, agent.SourceStatus{}), g),
			true, "3 positions in 3s", ""},
		"gps without checksums": {checkGPS(t.Context(), heard(t, "gps", gps.Stats{}, gps.Stats{Bytes: 1000, Garbled: 1, Rejected: gps.Rejected{NoChecksum: 20}}, agent.SourceStatus{}), g),
			false, "20 sentences without a checksum", "switch the receiver's checksums on"},
		"gps whose time is refused": {checkGPS(t.Context(), timed(heard(t, "gps", gps.Stats{}, gps.Stats{Bytes: 1000, Sentences: 20, Valid: 3}, agent.SourceStatus{}), "refused", 3600), g),
			true, "3 positions in 3s; its time is off by 1 h from what is known and is not believed", timeWords["refused"].next},
		"gps whose time is not NTP's": {checkGPS(t.Context(), timed(heard(t, "gps", gps.Stats{}, gps.Stats{Bytes: 1000, Sentences: 20, Valid: 3}, agent.SourceStatus{}), "off", -60), g),
			true, "3 positions in 3s; its time is off by 1 min from the system clock, which NTP keeps", timeWords["off"].next},
		"gps of an agent that started again": {checkGPS(t.Context(), heard(t, "gps", gps.Stats{Bytes: 9000, Sentences: 90, Valid: 30}, gps.Stats{Bytes: 100, Sentences: 4, Valid: 2}, agent.SourceStatus{}), g),
			true, "2 positions", ""},
		"gps lost": {checkGPS(t.Context(), heard(t, "gps", nil, nil, agent.SourceStatus{State: "waiting", Error: "receiver is gone", Next: "plug it in"}), g),
			false, "the running agent has lost it: receiver is gone", "plug it in"},
		"gps lost by an agent without advice": {checkGPS(t.Context(), heard(t, "gps", nil, nil, agent.SourceStatus{State: "waiting", Error: "odd"}), g),
			false, "the running agent has lost it: odd", noCure},
		"gps not open yet": {checkGPS(t.Context(), heard(t, "gps", nil, nil, agent.SourceStatus{State: "opening"}), g),
			false, "has not opened it yet", "wait a few seconds"},
		"gps of another configuration": {checkGPS(t.Context(), heard(t, "can", nil, nil, agent.SourceStatus{}), g),
			false, "does not know this device", "restart it"},
		"bus well": {checkCAN(t.Context(), heard(t, "can", can.Stats{Frames: 100}, can.Stats{Frames: 400}, agent.SourceStatus{}), config.CAN{Device: "can0"}),
			true, "the running agent reads it; 100 frames/s", ""},
		"bus silent": {checkCAN(t.Context(), heard(t, "can", can.Stats{Frames: 100}, can.Stats{Frames: 100}, agent.SourceStatus{}), c),
			true, "no frame in 3s (normal with the ignition off, and on a diagnostic connector behind a gateway)", ""},
		"bus with errors": {checkCAN(t.Context(), heard(t, "can", can.Stats{Frames: 100}, can.Stats{Frames: 200, ErrorFrames: 50}, agent.SourceStatus{}), c),
			false, "50 error frames among 100 in 3s: wrong bit rate", "compare the bit rate"},
	} {
		if k.got.OK != k.ok || !strings.Contains(k.got.Text, k.text) || !strings.HasPrefix(k.got.Next, k.next) || (k.got.Next == "") != (k.next == "") {
			t.Errorf("%s: %+v", name, k.got)
		}
	}
}

// timed adds what the agent's clock made of the receiver's time.
func timed(w *watched, verdict string, offS float64) *watched {
	w.after.Time.Receiver, w.after.Time.ReceiverOffS = verdict, offS
	return w
}

// reaching returns a configuration that reaches a broker at address.
func reaching(address, fleet, unit string) *config.Config {
	cfg := config.Default()
	cfg.Fleet, cfg.Unit, cfg.Uplink.Broker = fleet, unit, "mqtt://"+address
	return &cfg
}

// TestCheckNoticesABrokerThatDrops: a PUBACK is no delivery. A broker whose ACL
// drops what it acknowledges fails the check, with what to allow.
func TestCheckNoticesABrokerThatDrops(t *testing.T) {
	t.Parallel()
	b := brokertest.New()
	b.Set(func(f *brokertest.Faults) { f.Swallow = func(brokertest.Message) bool { return true } })
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan struct{})
	go func() { defer close(served); _ = b.Serve(l) }()
	defer func() { l.Close(); b.Close(); <-served }()
	cfg := reaching(l.Addr().String(), "north", "unit-7")
	f := checkBroker(t.Context(), cfg, "unit-7")
	if f.OK || !strings.Contains(f.Text, "acknowledged, but not delivered within 5s") || !strings.Contains(f.Next, "`topic readwrite obu/v1/north/unit-7/#`") {
		t.Errorf("a broker that drops: %+v", f)
	}
	b.Set(func(f *brokertest.Faults) {
		*f = brokertest.Faults{CutBefore: func(m brokertest.Message) bool { return strings.HasSuffix(m.Topic, "/check") }}
	})
	f = checkBroker(t.Context(), cfg, "unit-7")
	if f.OK || !strings.Contains(f.Next, "`topic readwrite obu/v1/north/unit-7/#`") {
		t.Errorf("a broker that hangs up: %+v", f)
	}
	b.Set(func(f *brokertest.Faults) { *f = brokertest.Faults{} })
	f = checkBroker(t.Context(), cfg, "unit-7")
	if !f.OK || !strings.Contains(f.Text, "a probe on obu/v1/north/unit-7/check was published and read back") {
		t.Errorf("a broker that delivers: %+v", f)
	}
	for _, m := range b.Messages("") {
		if m.Retained || m.Topic != "obu/v1/north/unit-7/check" {
			t.Errorf("check left %+v", m)
		}
	}
}

// TestCheckAgainstMosquittoACL: the real broker grants every subscription and
// acknowledges every message, whatever its ACL says.
func TestCheckAgainstMosquittoACL(t *testing.T) {
	const mosquitto = "/usr/sbin/mosquitto"
	if _, err := os.Stat(mosquitto); err != nil {
		t.Skipf("no %s: the check of a real ACL did not run (apt-get install mosquitto)", mosquitto)
	}
	t.Parallel()
	dir := t.TempDir()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	conf := fmt.Sprintf("listener %d 127.0.0.1\nallow_anonymous true\nacl_file %s\n", l.Addr().(*net.TCPAddr).Port, filepath.Join(dir, "acl"))
	l.Close()
	if os.Geteuid() == 0 {
		conf += "user root\n"
	}
	for name, text := range map[string]string{"conf": conf, "acl": "topic readwrite obu/v1/north/unit-7/#\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var log bytes.Buffer
	cmd := exec.Command(mosquitto, "-c", filepath.Join(dir, "conf"))
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		cmd.Process.Kill()
		cmd.Wait()
		if t.Failed() {
			t.Logf("mosquitto said:\n%s", log.String())
		}
	}()
	awaitPort(t, address)
	if f := checkBroker(t.Context(), reaching(address, "north", "unit-7"), "unit-7"); !f.OK {
		t.Errorf("allowed unit: %+v", f)
	}
	f := checkBroker(t.Context(), reaching(address, "nroth", "unit-7"), "unit-7")
	if f.OK || !strings.Contains(f.Text, "acknowledged, but not delivered") || !strings.Contains(f.Next, "fleet and unit") {
		t.Errorf("misspelt fleet: %+v", f)
	}
}

// TestCheckUsesTheUnitsName: at a virtual car's bus the agent calls itself
// sim-…, unless it was told otherwise.
func TestCheckUsesTheUnitsName(t *testing.T) {
	cfg := config.Default()
	cfg.Unit = "unit-7"
	running := &watched{after: &agent.Status{Unit: "unit-7 as real"}}
	if got := unitName(&cfg, running); got != "unit-7" {
		t.Errorf("a real car: %s", got)
	}
	cfg.CAN = []config.CAN{{Device: "unix:/tmp/car"}}
	if got := unitName(&cfg, nil); got != "sim-unit-7" || cfg.Unit != "unit-7" {
		t.Errorf("a virtual car: %s, and the configuration says %s", got, cfg.Unit)
	}
	if got := unitName(&cfg, running); got != "unit-7 as real" {
		t.Errorf("a virtual car that runs: %s", got)
	}
}

// TestCheckLeavesTheDiskAlone: a folder that is not there is not made, and a
// full disk is found without leaving a file on it.
func TestCheckLeavesTheDiskAlone(t *testing.T) {
	dir := t.TempDir()
	cfg := config.Default()
	cfg.Buffer.TelemetryQuota = 1 << 20
	cfg.Buffer.Dir = filepath.Join(dir, "a", "b", "store")
	if f := checkStore(&cfg); !f.OK || !strings.Contains(f.Text, "will be created") {
		t.Errorf("no folder yet: %+v", f)
	}
	cfg.Buffer.Dir = dir
	if f := checkStore(&cfg); !f.OK || !strings.Contains(f.Text, "writable") {
		t.Errorf("folder: %+v", f)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("check left %v (%v)", left, err)
	}

	if err := syscall.Mount("obu-test", dir, "tmpfs", 0, "size=64k"); err != nil {
		t.Skipf("cannot mount a small file system (%v): the full disk was not tried", err)
	}
	defer syscall.Unmount(dir, 0)
	if err := os.WriteFile(filepath.Join(dir, "full"), make([]byte, 64<<10), 0o600); err != nil {
		t.Fatal(err)
	}
	if f := checkStore(&cfg); f.OK || !strings.Contains(f.Text, "no space left") || !strings.Contains(f.Next, "df -h") {
		t.Errorf("full disk: %+v", f)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 1 {
		t.Errorf("check left %v (%v)", left, err)
	}
}

// TestCheckWantsTheTenthToo: a file may exceed its quota by a tenth, so a card
// with room for the quota alone is too small.
func TestCheckWantsTheTenthToo(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("obu-test", dir, "tmpfs", 0, "size=21m"); err != nil {
		t.Skipf("cannot mount a small file system (%v): too small a card was not tried", err)
	}
	defer syscall.Unmount(dir, 0)
	cfg := config.Default()
	cfg.Buffer.Dir = dir
	cfg.Buffer.TelemetryQuota = 20 << 20 // and 2 MiB on top
	if f := checkStore(&cfg); f.OK || !strings.Contains(f.Text, "slack of a tenth") || !strings.Contains(f.Next, "buffer.telemetry_quota") {
		t.Errorf("20 MiB on a card of 21: %+v", f)
	}
	cfg.Buffer.TelemetryQuota = 19 << 20
	if f := checkStore(&cfg); !f.OK {
		t.Errorf("19 MiB on a card of 21: %+v", f)
	}
}

// TestCheckMissesTheCard: a path below a mount point that lies on the root file
// system is where a card should be.
func TestCheckMissesTheCard(t *testing.T) {
	if !sameDisk("/mnt", "/") {
		t.Skip("something is mounted on /mnt, or it is not there")
	}
	cfg := config.Default()
	cfg.Buffer.TelemetryQuota = 1 << 20
	cfg.Buffer.Dir = "/mnt/no-such-card/obu"
	f := checkStore(&cfg)
	if !strings.Contains(f.Text, "no card is mounted there") || !strings.Contains(f.Next, "correct buffer.dir") {
		t.Errorf("%+v", f)
	}
	if _, err := os.Stat("/mnt/no-such-card"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("check has made the folder: %v", err)
	}
	var out strings.Builder
	r := checkReport{OK: true}
	r.add("store", f)
	printCheck(&out, r)
	if !strings.HasPrefix(out.String(), "warn  store ") || !strings.HasSuffix(out.String(), "\nall 1 passed, 1 to look at\n") || !r.OK {
		t.Errorf("a warning is printed as\n%s", out.String())
	}
	cfg.Buffer.Dir = filepath.Join(t.TempDir(), "mnt")
	if f := checkStore(&cfg); f.Next != "" {
		t.Errorf("an ordinary folder: %+v", f)
	}
}

// TestCheckKnowsTheCeilings: a quota that a 32-bit obu cannot map is told with
// what to write instead; defaults are lowered without a word.
func TestCheckKnowsTheCeilings(t *testing.T) {
	cfg := config.Default()
	findings := func(bits int) []finding {
		r := checkReport{OK: true}
		r.quotas(&cfg, bits)
		if !r.OK {
			t.Errorf("a quota that is lowered stops the unit: %+v", r.Findings)
		}
		return r.Findings
	}
	if f := append(findings(32), findings(64)...); len(f) != 0 {
		t.Errorf("defaults: %+v", f)
	}
	cfg.Buffer.TelemetryQuota, cfg.Buffer.MediaQuota = 1<<30, 100<<20
	if f := findings(64); len(f) != 0 {
		t.Errorf("64 bits: %+v", f)
	}
	f := findings(32)
	if len(f) != 1 || f[0].Next != "write telemetry_quota: 224MiB, or use a 64-bit system and obu" ||
		f[0].Text != "buffer.telemetry_quota is 1GiB, and a 32-bit obu can use 224MiB of it: that is what counts" {
		t.Errorf("32 bits: %+v", f)
	}
}

// awaitPort waits until something listens.
func awaitPort(t *testing.T, address string) {
	t.Helper()
	for range 400 {
		if c, err := net.Dial("tcp", address); err == nil {
			c.Close()
			return
		}
		time.Sleep(25 * time.Millisecond)
	}
	t.Fatalf("nothing listens on %s", address)
}

// TestCheckTellsWhatTheAgentKnows: what a probe cannot find out, because its
// session is not the agent's, is asked of the running agent: it fails the check,
// with its next step.
func TestCheckTellsWhatTheAgentKnows(t *testing.T) {
	well := &agent.UplinkStatus{Connected: true, SessionS: 1000, Awaiting: 3, AwaitingS: 20}
	for name, c := range map[string]struct {
		u    *agent.UplinkStatus
		want int
	}{
		"no uplink":             {nil, 0},
		"well":                  {well, 0},
		"receipts after outage": {&agent.UplinkStatus{Connected: true, SessionS: 5, Awaiting: 3, AwaitingS: 40_000}, 0},
		"no receipts":           {&agent.UplinkStatus{Connected: true, SessionS: 1000, Awaiting: 3, AwaitingS: 1000, ReceiptsLate: true}, 1},
		"rival and denied":      {&agent.UplinkStatus{Rival: "x", Denied: []string{"event"}}, 2},
	} {
		r := checkReport{OK: true}
		r.uplink(&watched{after: &agent.Status{Uplink: c.u}})
		if len(r.Findings) != c.want || r.OK != (c.want == 0) {
			t.Errorf("%s: %+v", name, r)
		}
		for _, f := range r.Findings {
			if f.OK || f.Next == "" || f.Check != "uplink" {
				t.Errorf("%s: %+v", name, f)
			}
		}
	}
	r := checkReport{OK: true}
	if r.uplink(nil); len(r.Findings) != 0 {
		t.Errorf("no agent runs: %+v", r)
	}
}
