package agent

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"obu/internal/config"
	"obu/telemetry"
)

// privateName is the file in buffer.dir that keeps private mode over restarts.
const privateName = "private.json"

// privacy decides whether positions are kept. In private mode a fix ends where
// the receiver hands it over: it reaches neither memory's batches nor the disk,
// is counted, and is listed as a Gap. The clock has heard it: time is no
// position. Everything else (speed from the bus, clips of the dashcam) goes on.
//
// A doubt is decided for privacy: an order that cannot be read counts as on, and
// one with a time limit ends after a restart only when the clock is trusted.
type privacy struct {
	dir   string
	fixed bool // by the configuration
	boot  telemetry.BootID
	now   func() telemetry.At
	wall  func() time.Time // zero: not trusted
	lost  func(telemetry.Gap)
	log   *slog.Logger

	mu      sync.Mutex // guards what follows
	order   privateOrder
	ended   telemetry.At // when a command ended it last
	dropped uint64       // fixes since start
}

// privateOrder is what the last command said.
type privateOrder struct {
	On        bool             `json:"on"`
	Since     *time.Time       `json:"since,omitempty"` // when the clock was trusted
	Boot      telemetry.BootID `json:"boot"`
	UntilAt   telemetry.At     `json:"until_ns,omitempty"` // in Boot; 0: until another command
	UntilWall *time.Time       `json:"until,omitempty"`    // the same by the wall clock
}

// PrivateStatus says why positions are not kept.
type PrivateStatus struct {
	By      string     `json:"by"`              // "configuration" or "command"
	Since   *time.Time `json:"since,omitempty"` // of the command, if the time was known
	Until   *time.Time `json:"until,omitempty"`
	Dropped uint64     `json:"dropped"` // fixes since the agent started
}

// load reads what a command before the start said.
func (p *privacy) load() {
	p.mu.Lock()
	defer p.mu.Unlock()
	path := filepath.Join(p.dir, privateName)
	raw, err := config.ReadBytes(path)
	if errors.Is(err, os.ErrNotExist) {
		return
	}
	var o privateOrder
	if err == nil {
		err = json.Unmarshal(raw, &o)
	}
	if err != nil {
		o = privateOrder{On: true}
		p.log.Error("private mode is on because nobody can say that it is off", "file", path, "error", err,
			"next", `send the command private with {"on":false}, or delete the file while obu is stopped`)
	}
	p.order = o
}

// on reports whether positions are to be left out now. p.mu must be held.
func (p *privacy) on() bool { return p.covers(p.now()) }

// covers reports whether positions of a moment are to be left out: a receiver
// hands over a fix some time after its moment. p.mu must be held.
func (p *privacy) covers(at telemetry.At) bool {
	o := &p.order
	switch {
	case p.fixed || at < p.ended:
		return true
	case !o.On || o.UntilAt == 0:
		return o.On
	case o.Boot == p.boot:
		return at < o.UntilAt
	}
	wall := p.wall()
	return o.UntilWall == nil || wall.IsZero() || wall.Add(at.Sub(p.now())).Before(*o.UntilWall)
}

// keeps reports whether a fix may be kept. One that may not is counted and
// listed.
func (p *privacy) keeps(f telemetry.Fix) bool {
	p.mu.Lock()
	on := p.covers(f.At)
	if on {
		p.dropped++
	}
	p.mu.Unlock()
	if on {
		p.lost(telemetry.Gap{Class: telemetry.ClassTelemetry, Boot: p.boot, From: f.At, To: f.At, Count: 1,
			Reason: telemetry.ReasonPrivate, Source: f.Receiver})
	}
	return !on
}

// status is nil while positions are kept.
func (p *privacy) status() *PrivateStatus {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case !p.on():
		return nil
	case p.fixed:
		return &PrivateStatus{By: "configuration", Dropped: p.dropped}
	}
	return &PrivateStatus{By: "command", Since: p.order.Since, Until: p.order.UntilWall, Dropped: p.dropped}
}

// privateArgs are those of the command private.
type privateArgs struct {
	On  *bool  `json:"on"`
	For string `json:"for"` // "2h"; "": until another command
}

// privateResult is what its reply says.
type privateResult struct {
	On    bool       `json:"on"`
	Until *time.Time `json:"until,omitempty"`
	Lasts string     `json:"lasts,omitempty"` // when it could not be stored
}

// command switches private mode. An argument it does not know is refused, so
// that nobody believes that it covers more than it does.
func (p *privacy) command(_ context.Context, c telemetry.Command) (any, error) {
	var args privateArgs
	d := json.NewDecoder(bytes.NewReader(c.Args))
	d.DisallowUnknownFields()
	if err := d.Decode(&args); err != nil || args.On == nil {
		return nil, errors.New(`args: want {"on":true}, {"on":true,"for":"2h"} or {"on":false}; it covers the position alone`)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.fixed && !*args.On {
		return nil, errors.New("gps.private is true in the configuration of the unit: change it there")
	}
	o := privateOrder{On: *args.On, Boot: p.boot}
	if wall := p.wall(); !wall.IsZero() {
		wall = wall.UTC()
		o.Since = &wall
	}
	if args.For != "" {
		limit, err := time.ParseDuration(args.For)
		if err != nil || limit <= 0 || !o.On {
			return nil, fmt.Errorf(`for: %q: want a time with its unit, for example "2h", with "on":true`, args.For)
		}
		o.UntilAt = p.now().Add(limit)
		if o.Since != nil {
			until := o.Since.Add(limit)
			o.UntilWall = &until
		}
	}
	if p.on() && !o.On {
		p.ended = p.now()
	}
	p.order = o
	p.log.Info("private mode", "on", o.On, "for", args.For, "issuer", c.Issuer)
	result := privateResult{On: o.On, Until: o.UntilWall}
	if err := p.store(); err != nil {
		p.log.Error("private mode cannot be stored: it lasts until the agent restarts", "error", err, "next", "check the disk and send the command again")
		result.Lasts = "until the agent restarts: " + err.Error()
	}
	return result, nil
}

// store makes the order durable. p.mu must be held.
func (p *privacy) store() error {
	raw, err := json.Marshal(p.order)
	if err != nil {
		return fmt.Errorf("encode private mode: %w", err)
	}
	if err := config.WriteBytes(filepath.Join(p.dir, privateName), append(raw, '\n')); err != nil {
		return fmt.Errorf("store private mode: %w", err)
	}
	return nil
}
