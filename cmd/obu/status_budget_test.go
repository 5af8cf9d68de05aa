package main

import (
	"strings"
	"testing"
	"time"

	"obu/internal/agent"
	"obu/uplink/budget"
)

// TestStatusShowsWhatTheDataCosts: used, forecast and link in one line; what
// is saved, and a month that cannot end, in another.
func TestStatusShowsWhatTheDataCosts(t *testing.T) {
	month := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	for name, c := range map[string]struct {
		b    budget.Report
		says []string
	}{
		"no budget": {budget.Report{Used: 1200, Interface: "wwan0", Metered: true, Day: budget.Usage{Telemetry: 1200}, Starts: month},
			[]string{"data   1.2 kB this month; 1.2 kB today; metered wwan0\n"}},
		"budget": {budget.Report{Monthly: 500e6, Used: 312e6, Forecast: 480e6, Steps: 4, Interface: "wwan0", Metered: true, Day: budget.Usage{Telemetry: 12.1e6}, DayFree: budget.Usage{Media: 2e9}, Starts: month},
			[]string{"data   312.0 MB of 500.0 MB, forecast 480.0 MB this month; 12.1 MB and 2.0 GB on free networks today; metered wwan0\n"}},
		"saving": {budget.Report{Monthly: 500e6, Used: 400e6, Forecast: 520e6, Step: 1, Steps: 4, Saving: "live every 10s", Interface: "wlan0", Starts: month},
			[]string{"; free wlan0\n", "saving  step 1 of 4 on metered links: live every 10s\n"}},
		"never a time": {budget.Report{Monthly: 500e6, Steps: 4, MediaFree: true},
			[]string{"no link yet\n", "media  waits for a free network", "next: the month cannot end before the time is known: connect a GPS receiver or an NTP service\n"}},
	} {
		t.Run(name, func(t *testing.T) {
			text := shown(t, agent.Status{Fleet: "f", Unit: "u", Budget: c.b})
			text = strings.Join(strings.Fields(strings.ReplaceAll(text, "\n", " \\n ")), " ")
			for _, want := range c.says {
				want = strings.Join(strings.Fields(strings.ReplaceAll(want, "\n", " \\n ")), " ")
				if !strings.Contains(text, want) {
					t.Errorf("does not say %q:\n%s", want, text)
				}
			}
		})
	}
}
