package buffer

import (
	"testing"

	"obu/telemetry"
)

// TestUnfinishedFileKeepsItsRank: the clip of a crash, whose file the camera
// never finished, goes as late as any other clip of an event.
func TestUnfinishedFileKeepsItsRank(t *testing.T) {
	for cause, want := range map[string]Rank{"event": RankIncident, "manual": RankRequested, "normal": RankUnrequested, "parking": RankUnrequested} {
		if got := rankOfCause(cause); got != want {
			t.Errorf("%s has rank %d, want %d", cause, got, want)
		}
		if got := rankOfCause(cause + telemetry.CauseIncomplete); got != want {
			t.Errorf("%s, unfinished, has rank %d, want %d", cause, got, want)
		}
	}
}
