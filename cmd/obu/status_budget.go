package main

import (
	"fmt"

	"obu/uplink/budget"
)

// budget shows what the data costs: one line, and one more when the ladder
// holds something back.
func (w rows) budget(b *budget.Report) {
	used := bytesText(float64(b.Used))
	if b.Monthly > 0 {
		used = fmt.Sprintf("%s of %s, forecast %s", used, bytesText(float64(b.Monthly)), bytesText(float64(b.Forecast)))
	}
	link := "no link yet"
	switch {
	case b.Interface != "" && b.Metered:
		link = "metered " + b.Interface
	case b.Interface != "":
		link = "free " + b.Interface
	case b.Day.Total() > 0:
		link = "a link that is not known, so it counts as metered"
	}
	free := ""
	if n := b.DayFree.Total(); n > 0 {
		free = fmt.Sprintf(" and %s on free networks", bytesText(float64(n)))
	}
	w.row("data", "%s this month; %s%s today; %s", used, bytesText(float64(b.Day.Total())), free, link)
	if b.Monthly > 0 && b.Step > 0 {
		w.row("saving", "step %d of %d on metered links: %s", b.Step, b.Steps, b.Saving)
	}
	if b.MediaFree {
		w.row("media", "waits for a free network (uplink.budget.media: free)")
	}
	if b.Monthly > 0 && b.Starts.IsZero() {
		w.next("the month cannot end before the time is known: connect a GPS receiver or an NTP service")
	}
}
