package agent

import (
	"context"
	"fmt"
	"hash/fnv"
	"os"
	"strings"
	"time"

	"obu/can"
	"obu/dashcam"
	"obu/gps"
	"obu/internal/config"
	"obu/telemetry"
	"obu/uplink"
)

// healthEvery is how often the unit's statistics are stored for the cloud: at
// about 150 bytes each on the wire, under 10 KB an hour.
const healthEvery = time.Minute

// healthFirst is when they are stored for the first time: late enough to know
// whether the devices came up.
const healthFirst = 10 * time.Second

// healthLoop stores the statistics until ctx ends. It follows the car's time,
// but a replay's time does not wait for it.
func (a *Agent) healthLoop(ctx context.Context) {
	wait := time.NewTimer(healthFirst)
	defer wait.Stop()
	for n := 0; ; n++ {
		select {
		case <-ctx.Done():
			return
		case <-wait.C:
			a.batch.statistics(a.health(n))
			wait.Reset(healthEvery)
		}
	}
}

// health is what the unit says of itself for the nth time.
func (a *Agent) health(n int) []telemetry.Sample {
	s := a.Status()
	out := a.statistics(&s)
	if n%receptionEvery == 0 {
		out = append(out, a.reception(&s)...)
	}
	return out
}

// statistics turns the status into samples of the Vehicle.Obu signals.
func (a *Agent) statistics(s *Status) []telemetry.Sample {
	now, src := a.clock.Now(), telemetry.Source{Bus: "obu", Method: "stat"}
	var out []telemetry.Sample
	add := func(name string, v telemetry.Value) {
		if sig, ok := telemetry.Lookup("Vehicle.Obu." + name); ok {
			out = append(out, telemetry.Sample{At: now, Signal: sig, Source: src, Value: v})
		}
	}
	count := func(name string, n int64) { add(name, telemetry.Int(n)) }

	count("Uptime", int64(s.UptimeS))
	count("Process.ResidentBytes", s.Process.ResidentBytes)
	add("Process.CPUSeconds", telemetry.Float(telemetry.Step{Num: 1, Den: 100}.Value(int64(s.Process.CPUS*100))))
	a.sourceStatistics(s.Sources, count)
	out = a.controllerStatistics(out, s.Sources)
	add("IsPrivate", telemetry.Bool(s.Private != nil))
	count("Batcher.Held", int64(s.Batcher.Held))
	count("Batcher.Drops", int64(s.Batcher.Drops))
	if b := s.Buffer; b != nil {
		count("Buffer.Batches", int64(b.Batches))
		count("Buffer.BacklogBytes", b.BacklogBytes)
		count("Buffer.OldestUnsent", int64(b.OldestS))
		count("Buffer.Runway", int64(b.RunwayS))
		count("Buffer.Commits", int64(b.Commits))
		count("Buffer.SlowestCommit", int64(b.SlowestCommitMS))
		count("Buffer.FlushEvery", time.Duration(a.cfg.Buffer.FlushEvery).Milliseconds())
		count("Buffer.Evicted", int64(b.Evicted))
		count("Buffer.Expired", int64(b.Expired))
		count("Buffer.Salvaged", int64(b.Salvaged))
		count("Buffer.Gaps", int64(b.Gaps))
		add("Buffer.IsVolatile", telemetry.Bool(b.Volatile))
	}
	if d := s.Disk; d != nil {
		if d.PerDay != nil {
			count("Buffer.HostBytesPerDay", *d.PerDay)
		}
		if d.LifeUsed != nil {
			count("Buffer.EMMCLifeUsed", int64(*d.LifeUsed))
		}
	}
	if u := s.Uplink; u != nil {
		count("Uplink.Connects", u.Connects)
		count("Uplink.Published", u.Published)
		count("Uplink.Acked", u.Acked)
		count("Uplink.WireBytes", u.WireIn+u.WireOut)
		count("Uplink.AckRate", int64(u.AckRate))
		count("Uplink.Refused", u.Refused)
		count("Uplink.Awaiting", u.Awaiting)
		add("Uplink.IsTakenOver", telemetry.Bool(u.Rival != ""))
		add("Uplink.IsDenied", telemetry.Bool(len(u.Denied) > 0))
	}
	if s.Time.UncertaintyS != nil {
		count("Clock.Uncertainty", int64(*s.Time.UncertaintyS*1000))
	}
	add("Clock.By", telemetry.Text(s.Time.By))
	return append(out, a.budgetStatistics()...)
}

// sourceStatistics sums up the sources of each kind.
func (a *Agent) sourceStatistics(sources []SourceReport, count func(string, int64)) {
	var c can.Stats
	var g gps.Stats
	var d dashcam.Stats
	restarts := 0
	kinds := map[string]bool{}
	for _, s := range sources {
		restarts += s.Restarts
		kinds[s.Kind] = true
		switch v := s.Stats.(type) {
		case can.Stats:
			c.Frames += v.Frames
			c.Samples += v.Samples
			c.Drops += v.Drops
			c.DecodeErrors += v.DecodeErrors
		case gps.Stats:
			g = v
		case dashcam.Stats:
			d.Clips += v.Clips
			d.Bytes += v.Bytes
			d.Lost += v.Lost
		}
	}
	count("Process.Restarts", int64(restarts))
	if kinds["can"] {
		count("CAN.Frames", int64(c.Frames))
		count("CAN.Samples", int64(c.Samples))
		count("CAN.Drops", int64(c.Drops))
		count("CAN.DecodeErrors", int64(c.DecodeErrors))
	}
	if kinds["gps"] {
		count("GPS.Sentences", int64(g.Sentences))
		count("GPS.Rejected", int64(g.Rejected.Total()))
		count("GPS.Fixes", int64(g.Epochs))
		count("GPS.Valid", int64(g.Valid))
	}
	if kinds["dashcam"] {
		count("Dashcam.Clips", d.Clips)
		count("Dashcam.Bytes", d.Bytes)
		count("Dashcam.Lost", d.Lost)
	}
}

// controllerStatistics appends how the controllers of the buses are, each under
// the name of its bus. One with which nothing is or was wrong says only that.
func (a *Agent) controllerStatistics(out []telemetry.Sample, sources []SourceReport) []telemetry.Sample {
	now := a.clock.Now()
	for _, s := range sources {
		v, ok := s.Stats.(can.Stats)
		if !ok {
			continue
		}
		add := func(name string, value telemetry.Value) {
			if sig, ok := telemetry.Lookup("Vehicle.Obu.CAN." + name); ok {
				out = append(out, telemetry.Sample{At: now, Signal: sig, Source: telemetry.Source{Bus: s.Name, Method: "stat"}, Value: value})
			}
		}
		c := &v.Controller
		n := &c.Errors
		add("ErrorFrames", telemetry.Int(int64(v.ErrorFrames)))
		if c.State == can.ControllerActive && c.TXErrors == 0 && c.RXErrors == 0 && *n == (can.ErrorCounts{LostArbitrations: n.LostArbitrations}) {
			continue
		}
		for _, x := range [...]struct {
			name string
			n    uint64
		}{{"Overruns", n.Overruns}, {"NoACKs", n.NoACKs}, {"Warnings", n.Warnings}, {"Passives", n.Passives}, {"BusOffs", n.BusOffs},
			{"ControllerRestarts", n.Restarts}, {"TXErrors", uint64(c.TXErrors)}, {"RXErrors", uint64(c.RXErrors)}} {
			add(x.name, telemetry.Int(int64(x.n)))
		}
		state := c.State
		if state == can.ControllerActive {
			state = "active"
		}
		add("ControllerState", telemetry.Text(state))
	}
	return out
}

// hardwareID names the board the store is bound to, so that a cloned card gets
// a store id of its own. "" when the machine does not say.
func hardwareID() string {
	for _, path := range [...]string{"/sys/firmware/devicetree/base/serial-number", "/sys/class/dmi/id/product_uuid", "/etc/machine-id"} {
		if b, err := os.ReadFile(path); err == nil {
			if id := strings.Trim(string(b), "\x00\n "); id != "" {
				h := fnv.New64a() // not the serial itself: it need not stand on a card that is thrown away
				h.Write([]byte(id))
				return fmt.Sprintf("%016x", h.Sum64())
			}
		}
	}
	return ""
}

func historyRate(r config.Rate) int64 {
	if r.IsUnlimited() {
		return uplink.Unlimited
	}
	return r.BytesPerSecond()
}
