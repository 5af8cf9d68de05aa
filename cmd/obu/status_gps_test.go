package main

import (
	"strings"
	"testing"
	"time"

	"obu/gps"
	"obu/internal/agent"
	"obu/telemetry"
)

// TestStatusTellsTheReception: what the receiver has now, how well its antenna
// sees the sky and why a fix is doubted stand in the text, in the words of
// `obu check`; a receiver that is away has none.
func TestStatusTellsTheReception(t *testing.T) {
	sky := func(used, strong, view, best uint8) (s telemetry.Sky) {
		s.Systems[telemetry.GPS] = telemetry.Reception{InView: view, Heard: view, Strong: strong, Used: used, Best: best}
		return s
	}
	heard := gps.Stats{Bytes: 9000, Sentences: 90, Epochs: 9, Valid: 9, Mode: "3d", Sats: 9}
	with := func(f func(*gps.Stats)) gps.Stats { s := heard; f(&s); return s }
	for name, c := range map[string]struct {
		stats  gps.Stats
		state  string
		want   []string
		absent []string
	}{
		"good": {with(func(s *gps.Stats) { s.Sky, s.HorizontalM = sky(9, 8, 14, 44), 2.14 }), "running",
			[]string{" now: 3d fix, 9 satellites used, error about 2.1 m\n", " 8 of 14 satellites above 30 dB-Hz, the best 44\n"}, []string{"next:", "doubtful"}},
		"poor": {with(func(s *gps.Stats) { s.Sky = sky(4, 3, 11, 34) }), "running",
			[]string{"the antenna sees the sky poorly: 3 of 11 satellites above 30 dB-Hz, the best 34\n", "next: move the antenna to the roof"}, nil},
		"doubted": {with(func(s *gps.Stats) { s.Doubts = "frozen, jump" }), "running",
			[]string{"now: 3d fix, 9 satellites used; it is doubtful: frozen, jump\n", "next: wait a minute under a free sky"}, nil},
		"no fix": {with(func(s *gps.Stats) { s.Valid, s.Mode, s.Sats, s.Sky = 0, "none", 0, sky(0, 1, 3, 31) }), "running",
			[]string{"now: no fix\n", "sees the sky poorly: 1 of 3", "next: no fix yet"}, []string{"next: move the antenna"}},
		"antenna off": {with(func(s *gps.Stats) { s.Antenna = telemetry.AntennaOpen }), "running",
			[]string{"the receiver says that its antenna is open\n", "next: check the antenna's plug"}, nil},
		"nothing said of satellites": {heard, "running", []string{"now: 3d fix, 9 satellites used\n"}, []string{"dB-Hz"}},
		"away":                       {with(func(s *gps.Stats) { s.Sky = sky(9, 8, 14, 44) }), "waiting", nil, []string{"now:", "dB-Hz"}},
		"an older agent":             {gps.Stats{Bytes: 9, Sentences: 9, Epochs: 9, Valid: 9}, "running", nil, []string{"now:"}},
	} {
		t.Run(name, func(t *testing.T) {
			text := shown(t, agent.Status{Sources: []agent.SourceReport{{Kind: "gps", Stats: c.stats,
				SourceStatus: agent.SourceStatus{Name: "gps", State: c.state, Since: time.Now()}}}})
			for _, want := range c.want {
				if !strings.Contains(text, want) {
					t.Errorf("does not say %q:\n%s", want, text)
				}
			}
			for _, not := range c.absent {
				if strings.Contains(text, not) {
					t.Errorf("says %q:\n%s", not, text)
				}
			}
			for line := range strings.Lines(text) {
				if !strings.Contains(line, "next:") && len(line) > 120 {
					t.Errorf("a line of %d bytes: %s", len(line), line)
				}
			}
		})
	}
}

// TestStatusTellsTheTime: its source in plain words, how sure it is, and how long
// ago that was known.
func TestStatusTellsTheTime(t *testing.T) {
	wall := time.Date(2026, 5, 4, 6, 12, 1, 0, time.UTC)
	p := func(f float64) *float64 { return &f }
	for want, ts := range map[string]agent.TimeStatus{
		"time     2026-05-04T06:12:01Z by GPS, give or take 700 ms, told 2 s ago\n":                                                                   {Wall: &wall, UncertaintyS: p(0.7), By: "gnss", Trusted: true, AnchorAgeS: p(2)},
		"time     2026-05-04T06:12:01Z by a time service, give or take 50 ms, told 3 min ago\n":                                                       {Wall: &wall, UncertaintyS: p(0.05), By: "ntp", Trusted: true, AnchorAgeS: p(180)},
		"time     2026-05-04T06:12:01Z by the battery clock, give or take 49 d, too unsure to go by, told 5 s ago\n":                                  {Wall: &wall, UncertaintyS: p(49 * 86400), By: "rtc", AnchorAgeS: p(5)},
		"time     2026-05-04T06:12:01Z by the recording, give or take <1 ms\n":                                                                        {Wall: &wall, UncertaintyS: p(0), By: "replay", Trusted: true},
		"by GPS, give or take 700 ms, told 2 s ago\n the receiver's date is off by 1024 weeks and is repaired\n next: update the receiver's firmware": {Wall: &wall, UncertaintyS: p(0.7), By: "gnss", Trusted: true, AnchorAgeS: p(2), Receiver: "repaired", ReceiverOffS: 1024 * 7 * 86400},
		"time     unknown yet; it heals with the first fix\n":                                                                                         {},
	} {
		text := shown(t, agent.Status{Time: ts})
		if got, all := strings.Join(strings.Fields(want), " "), strings.Join(strings.Fields(text), " "); !strings.Contains(all, got) {
			t.Errorf("does not say %q:\n%s", want, text)
		}
	}
}
