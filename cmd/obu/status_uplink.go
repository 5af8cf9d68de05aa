package main

import (
	"fmt"
	"strings"

	"obu/internal/agent"
	"obu/uplink"
)

// trouble is what goes wrong between this unit and the cloud while the figures
// look well, with its next step.
type trouble struct{ text, next string }

// troublesOf says what the running agent knows of it.
func troublesOf(s *agent.Status) []trouble {
	u := s.Uplink
	if u == nil {
		return nil
	}
	var out []trouble
	if u.Echo == uplink.EchoMissing {
		out = append(out, trouble{"the broker acknowledges what is sent and does not deliver it on this unit's topics", uplink.EchoHint(s.Fleet, s.Unit)})
	}
	if u.Rival != "" {
		out = append(out, trouble{fmt.Sprintf("another device uses this unit's client id, for %s now: each ends the other's session, and data is late", seconds(u.RivalS)),
			uplink.ErrTakenOver.Hint})
	}
	if len(u.Denied) > 0 {
		out = append(out, trouble{fmt.Sprintf("the broker closes the connection on what is published to %s, for %s now: that is kept, the rest is sent",
			strings.Join(u.Denied, ", "), seconds(u.DeniedS)), uplink.DeniedHint(s.Fleet, s.Unit, u.Denied[0])})
	}
	if u.ReceiptsLate {
		out = append(out, trouble{fmt.Sprintf("the broker has acknowledged %s that the cloud does not confirm, and no receipt moved for %s",
			times(int(u.Awaiting), "batch"), seconds(u.AwaitingS)), uplink.ReceiptHint(s.Fleet, s.Unit)})
	}
	return out
}

// uplink adds what the running agent knows and a probe cannot find out: a
// session of its own is not the agent's.
func (r *checkReport) uplink(running *watched) {
	if running == nil {
		return
	}
	for _, t := range troublesOf(running.after) {
		r.add("uplink", failedWith(t.next, "%s", t.text))
	}
}
