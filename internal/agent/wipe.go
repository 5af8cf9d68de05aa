package agent

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"obu/buffer"
	"obu/telemetry"
	"obu/uplink"
)

// wipeArgs are those of the command wipe. The unit's own name is asked for so
// that a command sent to a whole fleet by mistake wipes nothing.
type wipeArgs struct {
	Unit string `json:"unit"`
}

// wipeResult is what its reply says.
type wipeResult struct {
	Wiped []string `json:"wiped"` // ids of the stores that were deleted
	Note  string   `json:"note,omitempty"`
}

// cardsNote tells the owner what a wipe does not reach.
const cardsNote = "clips on a camera's card are the camera's: they stay there and are taken up again; to be rid of them format the card, then send wipe again"

// wipe takes the order in. The agent then stops its parts as at SIGTERM, deletes
// what it stored, and starts afresh with a new store; the reply comes from
// there, because only then it is true.
func (a *Agent) wipe(_ context.Context, c telemetry.Command) (any, error) {
	var args wipeArgs
	d := json.NewDecoder(bytes.NewReader(c.Args))
	d.DisallowUnknownFields()
	switch err := d.Decode(&args); {
	case err != nil || args.Unit == "":
		return nil, fmt.Errorf(`args: want {"unit":%q}, to be sure that this unit is meant`, a.cfg.Unit)
	case args.Unit != a.cfg.Unit:
		return nil, fmt.Errorf("args: unit is %q and this is %q: nothing was deleted", args.Unit, a.cfg.Unit)
	case a.deps.Finite:
		return nil, errors.New("a replay is not wiped: delete its folder")
	}
	select {
	case a.wipes <- c:
		a.log.Warn("everything stored is going to be deleted", "issuer", c.Issuer, "command", c.ID)
		return nil, uplink.ErrReplyLater
	default:
		return nil, errors.New("another wipe is going on")
	}
}

// orderWipe leaves the order in the store, which is about to be closed. When
// that fails nothing is deleted, and the reply says so.
func (a *Agent) orderWipe(buf *buffer.Buffer, c telemetry.Command) {
	var result wipeResult
	for _, id := range buf.Stores() {
		result.Wiped = append(result.Wiped, id.String())
	}
	if len(a.deps.Devices.Dashcam) > 0 {
		result.Note = cardsNote
	}
	reply := telemetry.Reply{ID: c.ID, OK: true}
	if r := a.clock.Wall(); !r.Time.IsZero() {
		at := r.Time.UTC()
		reply.At = &at
	}
	var err error
	if reply.Result, err = json.Marshal(result); err == nil {
		var payload []byte
		if payload, err = json.Marshal(reply); err == nil {
			err = buf.Wipe(c.ID, payload, c.NotAfter)
		}
	}
	if err == nil {
		return
	}
	a.log.Error("the wipe failed and nothing was deleted", "error", err, "next", "check the disk and send the command again, with a new id")
	payload, jsonErr := json.Marshal(telemetry.Reply{ID: c.ID, Error: err.Error(), At: reply.At})
	if err := errors.Join(jsonErr, buf.Record(c.ID, payload, c.NotAfter)); err != nil {
		a.log.Error("the reply to the wipe cannot be stored", "error", err)
	}
}

// away lists what nobody read while the agent began anew, and has the sources
// forget what is in custody no more.
func (a *Agent) away(since telemetry.At) {
	for _, s := range a.sources {
		if s.forget != nil {
			s.forget()
		}
	}
	a.trips = a.newTrips() // the way so far is deleted
	a.batch.gap(telemetry.Gap{Class: telemetry.ClassTelemetry, Boot: a.clock.Boot(), From: since, To: a.clock.Now(),
		Count: telemetry.CountUnknown, Reason: telemetry.ReasonWiped, Source: "restart"})
}
