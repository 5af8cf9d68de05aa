package main

import (
	"encoding/json"
	"fmt"

	"obu/can"
	"obu/internal/agent"
)

// smallBacklog is how much of a full bus the kernel should hold, in seconds.
const smallBacklog = 2

// busStats reads a bus's statistics as they came through the socket.
func busStats(m map[string]any) (s can.Stats) {
	if b, err := json.Marshal(m); err == nil {
		_ = json.Unmarshal(b, &s) // another version's stay zero
	}
	return s
}

// controllerLine says how the controller of a bus is, and what was wrong since
// the agent's start; "" when nothing is or was.
func controllerLine(m map[string]any) string {
	s := busStats(m)
	c := &s.Controller
	line := ""
	if c.State != can.ControllerActive {
		line = fmt.Sprintf(", controller %s for %s", c.State, seconds(c.ForS))
	}
	if c.TXErrors > 0 || c.RXErrors > 0 {
		line += fmt.Sprintf(" (error counters: sending %d, receiving %d)", c.TXErrors, c.RXErrors)
	}
	n, sep := &c.Errors, "; since start: "
	for _, x := range [...]struct {
		n    uint64
		what string
	}{{n.BusOffs, "bus-off"}, {n.Restarts, "restarted"}, {n.Passives, "error-passive"}, {n.Warnings, "error warning"},
		{n.Overruns, "overrun"}, {n.Protocol, "broken frame"}, {n.NoACKs, "not acknowledged"}} {
		if x.n > 0 {
			line += fmt.Sprintf("%s%s %d×", sep, x.what, x.n)
			sep = ", "
		}
	}
	return line
}

// searchLine says when a car that does not answer is asked again.
func searchLine(inS float64) string {
	if inS > 0 {
		return "; no ECU answers: asked again in " + seconds(inS) + ", sooner when the bus speaks or the car travels"
	}
	return ""
}

// leftOut says what could not be read of a bus's DBC files.
func (w rows) leftOut(src *agent.SourceReport) {
	if src.Kind != "can" {
		return
	}
	s := statsOf[can.Stats](src)
	if n := len(s.LeftOut) + s.LeftOutMore; len(s.LeftOut) > 0 {
		w.row("", "left out of its DBC files in %s, the first:", times(n, "place"))
		w.row("", "%s", s.LeftOut[0])
		w.next(leftOutNext + "; obu status --json lists more")
	}
}

// leftOutNext is what to do about it.
const leftOutNext = "if these are needed correct the file in the tool that wrote it"

// nextOfBus is what to do about a bus that is open.
func nextOfBus(m map[string]any) string {
	s := busStats(m)
	switch n := &s.Controller.Errors; {
	case s.Controller.State == can.ControllerBusOff:
		return "check bit rate and wiring, then restart the controller: ip link set DEVICE type can restart; by itself: ip link set DEVICE down, then type can restart-ms 1000, then up"
	case s.Controller.State != can.ControllerActive:
		return "compare the bit rate with the vehicle's (ip -details link show), then check CAN-H, CAN-L and the 120 ohm at both ends; requests are held back meanwhile"
	case n.NoACKs > 0 && s.Responses == 0:
		return "nobody acknowledges what is sent: check ignition, bit rate and plug"
	case s.BacklogS > 0 && s.BacklogS < smallBacklog:
		return fmt.Sprintf("the kernel holds %.1f s of a full bus: sysctl -w net.core.rmem_max=8388608, and for ever: echo net.core.rmem_max=8388608 > /etc/sysctl.d/60-obu.conf", s.BacklogS)
	}
	return ""
}
