package main

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"obu/buffer"
	"obu/can"
	"obu/gps"
	"obu/internal/agent"
	"obu/uplink"
)

// shown prints a status as `obu status` does: through JSON, as from the socket.
func shown(t *testing.T, s agent.Status) string {
	t.Helper()
	body, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	var over agent.Status
	if err := json.Unmarshal(body, &over); err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	if err := printStatus(&out, &over); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func source(kind string, stats any, s agent.SourceStatus) agent.SourceReport {
	s.Name = kind + "0"
	if s.State == "" {
		s.State = "running"
	}
	return agent.SourceReport{SourceStatus: s, Kind: kind, Stats: stats}
}

// disk is an eMMC of the store's own.
func disk(perDay int64, lifeUsed int, preEOL string) *agent.DiskStatus {
	return &agent.DiskStatus{Device: "mmcblk0p3", Written: &perDay, PerDay: &perDay, StorePages: &perDay, LifeUsed: &lifeUsed, PreEOL: &preEOL}
}

// TestDiskLine: what the disk bears, in words, and whose figure it is.
func TestDiskLine(t *testing.T) {
	alone := disk(310e6, 20, "normal")
	shared := disk(310e6, 20, "normal")
	shared.Shared = true
	early, sd, none := *alone, *alone, *alone
	early.PerDay, early.StorePages = nil, nil
	sd.LifeUsed, sd.PreEOL = nil, nil
	none.Device, none.Written, none.PerDay, none.LifeUsed, none.PreEOL = "", nil, nil, nil, nil
	for want, d := range map[string]*agent.DiskStatus{
		"": nil,
		"310.0 MB a day at this rate, eMMC 20 % worn (by its own count)":                                                alone,
		"310.0 MB a day at this rate, all that is on mmcblk0p3 (the store 310.0 MB), eMMC 20 % worn (by its own count)": shared,
		"eMMC 20 % worn (by its own count)":                                                                             &early,
		"310.0 MB a day at this rate":                                                                                   &sd,
		"the store writes 310.0 MB a day at this rate":                                                                  &none,
	} {
		if got := diskLine(d); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	for want, d := range map[string]agent.Disk{
		"mmcblk0p3: eMMC 20 % worn (by its own count), spare blocks normal": {Device: "mmcblk0p3", LifeUsed: 20, PreEOL: "normal"},
		"mmcblk0p3: eMMC has used 80 % of its spare blocks":                 {Device: "mmcblk0p3", LifeUsed: 20, PreEOL: "warning"},
		"mmcblk0p3, spare blocks normal":                                    {Device: "mmcblk0p3", LifeUsed: -1, PreEOL: "normal"},
	} {
		if f := wearFinding(d); f.Text != want || !f.OK || (f.Next != "") != (d.PreEOL == "warning") {
			t.Errorf("%+v, want %q", f, want)
		}
	}
}

// TestStatusWarns: what a technician would not see in the figures is said, each
// with its next step, and nothing is said of a unit that is well.
func TestStatusWarns(t *testing.T) {
	well := agent.Status{Fleet: "north", Unit: "unit-7", UptimeS: 100,
		Buffer: &buffer.Stats{Batches: 3, BacklogBytes: 1234, DiskFree: 1e9, RunwayS: 1e6}, Uplink: &agent.UplinkStatus{Connected: true, Echo: uplink.EchoSeen}}
	if text := shown(t, well); strings.Contains(text, "WARNING") || strings.Contains(text, "next:") {
		t.Errorf("a unit that is well:\n%s", text)
	}
	for name, c := range map[string]struct {
		ill  func(*agent.Status)
		want []string
	}{
		"broker drops": {func(s *agent.Status) { s.Uplink.Echo = uplink.EchoMissing },
			[]string{"WARNING  the broker acknowledges what is sent and does not deliver it", "next: ", `topic readwrite obu/v1/north/unit-7/#`}},
		"rival": {func(s *agent.Status) { s.Uplink.Rival, s.Uplink.RivalS = "0badcafe", 754 },
			[]string{"WARNING  another device uses this unit's client id, for 12 min 34 s now", "next: find the other device"}},
		"topic forbidden": {func(s *agent.Status) { s.Uplink.Denied, s.Uplink.DeniedS = []string{"telemetry"}, 754 },
			[]string{"WARNING  the broker closes the connection on what is published to telemetry, for 12 min 34 s now: that is kept",
				"next: look at the broker's log, and allow this unit to publish on obu/v1/north/unit-7/telemetry"}},
		"no receipts": {func(s *agent.Status) { s.Uplink.Awaiting, s.Uplink.AwaitingS, s.Uplink.ReceiptsLate = 40, 754, true },
			[]string{"receipt  40 batches wait for the cloud's receipt\n",
				"WARNING  the broker has acknowledged 40 batches that the cloud does not confirm, and no receipt moved for 12 min 34 s",
				"next: nothing is deleted before it is confirmed: look whether the cloud's receiver runs and hears obu/v1/north/unit-7/#"}},
		"disk full": {func(s *agent.Status) {
			s.Buffer.Volatile, s.Buffer.VolatileS, s.Buffer.VolatileError = true, 754, "no space left on device"
		}, []string{"WARNING  the disk has taken no data for 12 min 34 s (no space left on device)", "kept in memory", "next: check free space (df -h)"}},
		"disk almost full": {func(s *agent.Status) { s.Buffer.DiskFree = 0 },
			[]string{"disk has 0 B free\n", "WARNING  the disk has 0 B free, less than the quotas want; next: check free space"}},
		"media failing": {func(s *agent.Status) { s.Buffer.MediaFailing, s.Buffer.MediaFailingS = true, 20 },
			[]string{"WARNING  the disk has taken no clips for 20 s: they stay on the camera's card; next: check free space"}},
		"worn": {func(s *agent.Status) { s.Disk = disk(310e6, 80, "normal") },
			[]string{"disk     310.0 MB a day at this rate, eMMC 80 % worn (by its own count)\n", "WARNING  eMMC 80 % worn (by its own count); next: plan to replace the unit"}},
		"beyond its life": {func(s *agent.Status) { s.Disk = disk(1e9, 110, "warning") },
			[]string{"WARNING  eMMC beyond its rated life (by its own count), eMMC has used 80 % of its spare blocks; next: "}},
		"no spare blocks": {func(s *agent.Status) { s.Disk = disk(1e9, 10, "urgent") },
			[]string{"WARNING  eMMC has used 90 % of its spare blocks: it may turn read-only at any time; next: "}},
		"last good": {func(s *agent.Status) { s.Warnings = []string{"running the last good configuration"} },
			[]string{"WARNING  running the last good configuration"}},
		"wrong baud": {func(s *agent.Status) {
			s.Sources = append(s.Sources, source("gps", gps.Stats{Bytes: 900, Garbled: 1}, agent.SourceStatus{}))
		}, []string{"gps gps0", "next: bytes arrive but no NMEA sentence: set gps.baud"}},
		"no checksums": {func(s *agent.Status) {
			s.Sources = append(s.Sources, source("gps", gps.Stats{Bytes: 900, Garbled: 1, Rejected: gps.Rejected{NoChecksum: 18}}, agent.SourceStatus{}))
		}, []string{"gps gps0", "next: switch the receiver's checksums on"}},
		"silent": {func(s *agent.Status) {
			s.Sources = append(s.Sources, source("gps", gps.Stats{}, agent.SourceStatus{Since: time.Now().Add(-time.Hour)}))
		}, []string{"next: it is silent: check its power"}},
		"silent since": {func(s *agent.Status) {
			s.Sources = append(s.Sources, source("gps", gps.Stats{Bytes: 9000, Sentences: 90, Epochs: 30, Valid: 30, Silent: true, SilentS: 36}, agent.SourceStatus{}))
		}, []string{"running, silent for 36 s, epochs 30, valid 30\n", "next: it is silent: check its power", "where gpsd is read, `cgps` shows what it has"}},
		"silent, opened before the clock was set back": {func(s *agent.Status) {
			s.Sources = append(s.Sources, source("gps", gps.Stats{}, agent.SourceStatus{Since: time.Now().Add(time.Hour)}))
		}, []string{"next: it is silent: check its power"}},
		"no fix": {func(s *agent.Status) {
			s.Sources = append(s.Sources, source("gps", gps.Stats{Bytes: 9, Sentences: 9, Epochs: 9}, agent.SourceStatus{}))
		}, []string{"next: no fix yet: give the antenna a free view of the sky"}},
		"no position": {func(s *agent.Status) {
			s.Sources = append(s.Sources, source("gps", gps.Stats{Bytes: 300, Sentences: 3}, agent.SourceStatus{Since: time.Now().Add(-time.Hour)}))
		}, []string{"next: it speaks, and of no position"}},
		"away": {func(s *agent.Status) {
			s.Sources = append(s.Sources, source("can", can.Stats{}, agent.SourceStatus{State: "waiting", Restarts: 1, Attempts: 5, Error: "gone", Next: "plug it in"}))
		}, []string{"waiting: gone (away 1 time, 5 tries to open it again)", "next: plug it in"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := well
			b, u := *well.Buffer, *well.Uplink
			s.Buffer, s.Uplink, s.Sources = &b, &u, nil
			c.ill(&s)
			text := shown(t, s)
			for _, want := range c.want {
				if !strings.Contains(text, want) {
					t.Errorf("does not say %q:\n%s", want, text)
				}
			}
		})
	}
}

// TestStatusSpeaksPlainly: figures are named and rounded for people.
func TestStatusSpeaksPlainly(t *testing.T) {
	text := shown(t, agent.Status{Fleet: "f", Unit: "u", UptimeS: 11.096,
		Flush:  agent.FlushStatus{EveryS: 1},
		Buffer: &buffer.Stats{BacklogBytes: 147, Gaps: 1, GapsListed: 3, Evicted: 1, RunwayS: 31 * 86400, DiskFree: 2e9, SlowestCommitMS: 4.2},
		Uplink: &agent.UplinkStatus{Connected: true, SessionS: 10.9, Acked: 2, Published: 2, AckRate: 1.9e6, Awaiting: 4}})
	for _, want := range []string{
		"up 11 s", "stored   nothing waits\n", "runway   31 d until the oldest history must go, disk has 2.0 GB free",
		"commits  0, slowest 4 ms, every 1 s", "gaps     3 listed since start, 1 not delivered yet; 1 batch evicted, 0 values dropped in memory",
		"connected for 10 s, round trip <1 ms, link measured at 1.9 MB/s", "sent     2 packets, 2 acknowledged", "receipt  4 batches wait for the cloud's receipt",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("does not say %q:\n%s", want, text)
		}
	}
	text = shown(t, agent.Status{Buffer: &buffer.Stats{RunwayS: 32160, DiskFree: -1, TelemetryQuota: 512 << 20, MediaUsed: 12<<20 - 300<<10, MediaQuota: 12 << 20}})
	if !strings.Contains(text, "8 h 56 min until the oldest history must go; media_quota is used up: the oldest clips go\n") {
		t.Errorf("a full media.db:\n%s", text)
	}
	text = shown(t, agent.Status{Buffer: &buffer.Stats{RunwayS: 1, DiskFree: -1, TelemetryUsed: 12 << 20, TelemetryQuota: 12 << 20, MediaQuota: 12 << 20}})
	if !strings.Contains(text, "telemetry_quota is used up: the oldest history goes\n") {
		t.Errorf("a full telemetry.db:\n%s", text)
	}
	for s, want := range map[float64]string{0: "<1 ms", 0.0412: "41 ms", 1: "1 s", 9.96: "10 s", 2.34: "2.3 s", 59.9: "59 s", 60: "1 min", 3599.9: "60 min", 5*3600 + 12*60: "5 h 12 min", 49 * 3600: "2 d"} {
		if got := seconds(s); got != want {
			t.Errorf("%v s is shown as %q, want %q", s, got, want)
		}
	}
}
