package telemetry

import (
	"encoding/json"
	"fmt"
	"time"
)

// The control messages are small, rare and JSON in either encoding. Each has a
// Decode function that bounds its size and refuses what cannot be meant;
// unknown keys are ignored, so newer versions may add some.

// Bounds of control messages.
const (
	maxCommandID = 64  // bytes of Command.ID and Reply.ID
	maxText      = 256 // bytes of names
)

// The values of Link.State.
const (
	LinkOnline  = "online"
	LinkOffline = "offline"
)

// Birth is the retained message on the birth topic: what speaks here, and in
// which versions. It holds neither VIN nor position, because it is retained
// and read by everybody who may subscribe.
type Birth struct {
	Unit      string    `json:"unit"`
	Vehicle   string    `json:"vehicle"`
	Agent     string    `json:"agent"`  // version of the agent
	Format    int       `json:"format"` // of envelopes
	VSS       string    `json:"vss"`    // release the signal names are from
	Encoding  string    `json:"encoding"`
	Config    string    `json:"config"` // hash of the resolved configuration, hexadecimal
	Simulated bool      `json:"simulated"`
	Boot      BootID    `json:"boot"`
	Stores    []StoreID `json:"stores"` // current one first, then those that only drain
	Session   string    `json:"session,omitempty"`
}

// Link is the retained message on the link topic, and the session's will.
type Link struct {
	State   string     `json:"state"`            // LinkOnline or LinkOffline
	Reason  string     `json:"reason,omitempty"` // why offline: "lost" in the will, "stopped", "restart"…
	Session string     `json:"session"`          // the MQTT session it speaks of
	At      *time.Time `json:"at,omitempty"`     // the unit's best wall time; never in a will
}

// Command asks a unit for something once. It is executed at most once per ID,
// also across restarts, and never after NotAfter.
type Command struct {
	ID       string          `json:"id"`   // chosen by the issuer, unique per unit
	Name     string          `json:"name"` // "ping"
	NotAfter time.Time       `json:"not_after"`
	Issuer   string          `json:"issuer"`
	Args     json.RawMessage `json:"args,omitempty"`
}

// Reply answers one Command. A command that comes again is answered with the
// reply of the first time.
type Reply struct {
	ID     string          `json:"id"`
	OK     bool            `json:"ok"`
	Error  string          `json:"error,omitempty"` // why not, when OK is false
	Result json.RawMessage `json:"result,omitempty"`
	At     *time.Time      `json:"at,omitempty"` // the unit's best wall time
}

// Receipt is what the cloud sends on the ack topic: it holds every batch of
// (Store, Class) up to and including Seq, or a Gap that lists it.
type Receipt struct {
	Store StoreID `json:"store"`
	Class Class   `json:"class"`
	Seq   uint64  `json:"seq"`
}

// DecodeBirth reads a birth message; one of a newer format is readable too.
func DecodeBirth(p []byte) (Birth, error) {
	var b Birth
	return b, decodeControl("birth", p, &b, func() error { return need(b.Format >= 1, "format", "1 or more") })
}

// DecodeLink reads a link message or a will.
func DecodeLink(p []byte) (Link, error) {
	var l Link
	return l, decodeControl("link", p, &l, func() error {
		return need(l.State == LinkOnline || l.State == LinkOffline, "state", "online or offline")
	})
}

// DecodeCommand reads a command. It does not look at the clock: the caller
// compares NotAfter, which must be there.
func DecodeCommand(p []byte) (Command, error) {
	var c Command
	return c, decodeControl("command", p, &c, func() error {
		if err := needID(c.ID); err != nil {
			return err
		}
		if err := need(c.Name != "" && len(c.Name) <= maxText, "name", "a command's name"); err != nil {
			return err
		}
		return need(!c.NotAfter.IsZero(), "not_after", "a time (RFC 3339)")
	})
}

// DecodeReply reads the answer to a command.
func DecodeReply(p []byte) (Reply, error) {
	var r Reply
	return r, decodeControl("reply", p, &r, func() error { return needID(r.ID) })
}

// DecodeReceipt reads a receipt.
func DecodeReceipt(p []byte) (Receipt, error) {
	var r Receipt
	return r, decodeControl("receipt", p, &r, func() error {
		if err := need(!r.Store.IsZero(), "store", "16 hexadecimal digits"); err != nil {
			return err
		}
		return need(r.Class != 0, "class", "telemetry, event, health or media")
	})
}

// decodeControl reads one JSON object into the variable and checks it.
func decodeControl(what string, p []byte, into any, check func() error) error {
	if len(p) > MaxControl {
		return fmt.Errorf("decode %s of %d bytes: %w", what, len(p), ErrTooLarge)
	}
	if err := decodeJSON(p, into); err != nil {
		return fmt.Errorf("decode %s: %w", what, err)
	}
	if err := check(); err != nil {
		return fmt.Errorf("decode %s: %w: %w", what, ErrMalformed, err)
	}
	return nil
}

func need(ok bool, key, want string) error {
	if ok {
		return nil
	}
	return fmt.Errorf("%q: want %s", key, want)
}

func needID(id string) error {
	return need(id != "" && len(id) <= maxCommandID, "id", fmt.Sprintf("1 to %d bytes", maxCommandID))
}
