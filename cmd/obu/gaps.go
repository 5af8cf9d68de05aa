package main

import (
	"fmt"
	"io"
	"time"

	"obu/telemetry"
)

func printGaps(out io.Writer, gaps []telemetry.Gap) {
	for _, g := range gaps {
		fmt.Fprintf(out, "gap %d: %s %s, %s values, %s\n", g.ID, g.Class, placeOf(g), countText(g.Count), g.Reason)
	}
}

// openSeq is the last seq of a gap that has no end.
const openSeq = 1<<53 - 1

// placeOf says where a loss lies: by seq, or by time when it came before one was
// given.
func placeOf(g telemetry.Gap) string {
	switch {
	case g.FromSeq == 0 && g.To >= openSeq:
		return fmt.Sprintf("from %v of boot %s on", time.Duration(g.From), g.Boot)
	case g.FromSeq == 0:
		return fmt.Sprintf("from %v to %v of boot %s", time.Duration(g.From), time.Duration(g.To), g.Boot)
	case g.ToSeq >= openSeq:
		return fmt.Sprintf("%s seq %d and on", g.Store, g.FromSeq)
	}
	return fmt.Sprintf("%s seq %d-%d", g.Store, g.FromSeq, g.ToSeq)
}
