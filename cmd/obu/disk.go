package main

import (
	"fmt"
	"strings"

	"obu/internal/agent"
	"obu/internal/config"
)

// diskLine says what the disk has to bear: "310 MB a day, eMMC 20 % worn (by
// its own count)".
func diskLine(d *agent.DiskStatus) string {
	if d == nil {
		return ""
	}
	var parts []string
	switch {
	case d.PerDay != nil && d.Shared:
		line := bytesText(float64(*d.PerDay)) + " a day at this rate, all that is on " + d.Device
		if d.StorePages != nil {
			line += " (the store " + bytesText(float64(*d.StorePages)) + ")"
		}
		parts = append(parts, line)
	case d.PerDay != nil:
		parts = append(parts, bytesText(float64(*d.PerDay))+" a day at this rate")
	case d.StorePages != nil && d.Written == nil:
		parts = append(parts, "the store writes "+bytesText(float64(*d.StorePages))+" a day at this rate")
	}
	if text := wearText(d.LifeUsed); text != "" {
		parts = append(parts, text)
	}
	return strings.Join(parts, ", ")
}

// wearText is what an eMMC says of its own wear.
func wearText(lifeUsed *int) string {
	switch {
	case lifeUsed == nil:
		return ""
	case *lifeUsed > 100:
		return "eMMC beyond its rated life (by its own count)"
	}
	return fmt.Sprintf("eMMC %d %% worn (by its own count)", *lifeUsed)
}

// wornAt is from how much wear on a person should know.
const wornAt = 80

// wearCure is what to do about it.
const wearCure = "plan to replace the unit or its eMMC; until then a buffer.flush_every of 10s writes a fifth of what 1s does"

// wornOut says why an eMMC is to be replaced; "" when it is not.
func wornOut(lifeUsed *int, preEOL *string) string {
	var what []string
	if lifeUsed != nil && *lifeUsed >= wornAt {
		what = append(what, wearText(lifeUsed))
	}
	if preEOL != nil {
		switch *preEOL {
		case "warning":
			what = append(what, "eMMC has used 80 % of its spare blocks")
		case "urgent":
			what = append(what, "eMMC has used 90 % of its spare blocks: it may turn read-only at any time")
		}
	}
	return strings.Join(what, ", ")
}

// wear adds a finding about an eMMC below the store; other disks tell nothing.
func (r *checkReport) wear(cfg *config.Config) {
	near, err := nearestFolder(cfg.Buffer.Dir)
	if err != nil {
		return // the store's finding says so
	}
	if d := agent.LookAtDisk(near); d.LifeUsed >= 0 || d.PreEOL != "" {
		r.add("disk", wearFinding(d))
	}
}

func wearFinding(d agent.Disk) finding {
	var life *int
	text := d.Device
	if d.LifeUsed >= 0 {
		life = &d.LifeUsed
		text += ": " + wearText(life)
	}
	if d.PreEOL != "" {
		text += ", spare blocks " + d.PreEOL
	}
	f := passed("%s", text)
	if what := wornOut(life, &d.PreEOL); what != "" {
		f.Text, f.Next = d.Device+": "+what, wearCure
	}
	return f
}
