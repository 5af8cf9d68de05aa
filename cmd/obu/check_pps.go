package main

import (
	"context"
	"time"

	"obu/gps"
	"obu/internal/agent"
	"obu/internal/clock"
	"obu/internal/config"
	"obu/telemetry"
)

// checkPPS counts a receiver's pulses for listenFor, or looks at the count of
// the agent that reads them.
func checkPPS(ctx context.Context, running *watched, g *config.GPS) finding {
	if running != nil {
		before, after, why := running.reads("pps", g.PPS)
		if after == nil {
			return why
		}
		b, a := statsOf[agent.PPSStats](before), statsOf[agent.PPSStats](after)
		return judgePPS(agentFirst, max(0, a.Pulses-b.Pulses), running.span())
	}
	clk, err := clock.System()
	if err != nil {
		return failed(err)
	}
	ctx, stop := context.WithTimeout(ctx, listenFor)
	defer stop()
	pulses := 0
	count := func(telemetry.At, time.Duration) { pulses++ }
	// Asked for one edge it needs no time to find out about both.
	edge := gps.Edge(g.PPSEdge)
	if edge == gps.EdgeAuto {
		edge = gps.EdgeAssert
	}
	if err := (gps.PPS{Path: g.PPS, Edge: edge, Clock: clk}).Run(ctx, count); err != nil {
		return failed(plainly(err))
	}
	return judgePPS(opensFirst, pulses, listenFor)
}

func judgePPS(first string, pulses int, span time.Duration) finding {
	if pulses == 0 {
		return failedWith("check the wire and that the receiver has a fix, without which many do not pulse; gps.pps_edge names the edge the driver stamps", "%s; no pulse in %v", first, span)
	}
	return passed("%s; %d pulses in %v", first, pulses, span)
}
