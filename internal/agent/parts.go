package agent

import (
	"context"
	"fmt"
	"time"

	"obu/buffer"
	"obu/internal/config"
	"obu/internal/trip"
	"obu/telemetry"
	"obu/uplink"
)

func (a *Agent) openBuffer(ctx context.Context) (*buffer.Buffer, error) {
	c := a.cfg.Buffer
	b, err := buffer.Open(ctx, buffer.Options{
		Dir: c.Dir, Unit: a.cfg.Unit, Vehicle: a.cfg.Vehicle, Boot: a.clock.Boot(), Simulated: a.deps.Devices.Simulated,
		Hardware: hardwareID(), TelemetryQuota: int64(c.TelemetryQuota), MediaQuota: int64(c.MediaQuota),
		MaxAge:     time.Duration(c.MaxAge),
		FlushEvery: time.Duration(c.FlushEvery), Quiet: healthEvery, Now: a.clock.Now, Wall: a.trustedWall, Anchor: a.trustedAnchor, Log: a.log,
	})
	if err != nil {
		return nil, fmt.Errorf("open buffer: %w", err)
	}
	return b, nil
}

// trustedWall is the wall time by which data expires, private mode ends, and
// days and months of the budget begin: zero unless the clock is trusted.
func (a *Agent) trustedWall() time.Time {
	if r := a.clock.Wall(); r.Trusted {
		return r.Time
	}
	return time.Time{}
}

// trustedAnchor is trustedWall with how sure it is.
func (a *Agent) trustedAnchor() telemetry.Anchor {
	at := a.clock.Now()
	if r := a.clock.WallAt(at); r.Trusted {
		return telemetry.Anchor{Boot: a.clock.Boot(), At: at, Wall: r.Time, Uncertainty: r.Uncertainty, By: r.By}
	}
	return telemetry.Anchor{}
}

func (a *Agent) newUplink(buf *buffer.Buffer) (*uplink.Uplink, error) {
	c := a.cfg.Uplink
	var held uplink.Backlog = buf
	if a.deps.Backlog != nil {
		held = a.deps.Backlog(held)
	}
	return uplink.New(uplink.Config{
		Broker: c.Broker, TLS: tlsFiles(c.TLS), Username: c.Username, Password: c.Password, ClientID: c.ClientID,
		Fleet: a.cfg.Fleet, Unit: a.cfg.Unit, Encoding: uplink.Encoding(c.Encoding), Format: a.packed(), Custody: uplink.Custody(c.Custody),
		LiveEvery: time.Duration(c.LiveEvery), HistoryRate: historyRate(c.HistoryRate), MaxPacket: int(c.MaxPacket),
		KeepAlive: time.Duration(c.KeepAlive), BackoffMax: time.Duration(c.ReconnectMax), ReceiptPatience: time.Duration(c.ReceiptPatience),
		Clock: a.clock, Budget: a.budget, Network: a.deps.Network, Backlog: held, Commands: buf, Handlers: map[string]uplink.Action{"private": a.private.command, "wipe": a.wipe},
		ClearRetained: buf.Wiped(),
		Birth:         func() any { return a.birth(buf) }, Version: a.deps.Version, Dial: a.deps.Dial, Now: a.clock.VerifyTime, Log: a.log,
	})
}

func tlsFiles(t *config.TLS) uplink.TLS {
	if t == nil {
		return uplink.TLS{}
	}
	return uplink.TLS{CAFile: t.CA, CertFile: t.Cert, KeyFile: t.Key, ServerName: t.ServerName}
}

// format is the version of the envelopes that leave.
func (a *Agent) format() int {
	if a.cfg.Uplink.Encoding == string(uplink.JSON) {
		return telemetry.FormatJSON
	}
	return a.packed()
}

// packed is the version of those that are not JSON: where nothing is said, the
// one for tracks if the track is of corners.
func (a *Agent) packed() int {
	switch gps := a.cfg.GPS; {
	case a.cfg.Uplink.Format != 0:
		return a.cfg.Uplink.Format
	case gps != nil && gps.Curvelog != nil && detailOf(gps.Curvelog) != trip.Full:
		return telemetry.FormatTrack
	}
	return telemetry.Format
}

// birth is the retained word of what speaks here.
func (a *Agent) birth(buf *buffer.Buffer) telemetry.Birth {
	return telemetry.Birth{
		Unit: a.cfg.Unit, Vehicle: a.cfg.Vehicle, Agent: a.deps.Version, Format: a.format(), VSS: telemetry.VSSVersion,
		Encoding: a.cfg.Uplink.Encoding, Config: a.cfgHash, Simulated: a.deps.Devices.Simulated, Boot: a.clock.Boot(),
		Stores: buf.Stores(),
	}
}
