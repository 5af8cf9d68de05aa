package main

import (
	"time"

	"obu/telemetry"
)

// gapSlack: the bounds of a Gap are those of the interval the loss fell into,
// as the unit knew it.
const gapSlack = 2 * time.Second

// cover hands out the room that Gaps leave for missing values.
type cover struct {
	boot telemetry.BootID
	gaps []telemetry.Gap
	left []int64 // of gaps with a known count
}

func newCover(boot telemetry.BootID, gaps []telemetry.Gap) *cover {
	c := &cover{boot: boot, gaps: gaps, left: make([]int64, len(gaps))}
	for i, g := range gaps {
		c.left[i] = g.Count
	}
	return c
}

// take books one missing value on a Gap that spans its time and still has
// room; false when there is none.
func (c *cover) take(at telemetry.At) bool {
	for i, g := range c.gaps {
		if !g.Boot.IsZero() && !c.boot.IsZero() && g.Boot != c.boot || at < g.From.Add(-gapSlack) || at > g.To.Add(gapSlack) {
			continue
		}
		if g.Count == telemetry.CountUnknown {
			return true
		}
		if c.left[i] > 0 {
			c.left[i]--
			return true
		}
	}
	return false
}
