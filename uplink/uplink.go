// Package uplink delivers what the backlog holds to an MQTT broker: it keeps
// one session alive, sends the newest state first and history behind it,
// bounds what is in flight by the measured link, and tells the backlog that a
// batch is delivered only after a PUBACK of the very connection it left on.
// It also announces the unit (birth, link, will) and executes commands.
//
// It stores nothing (buffer does), decides nothing about sources, and retries
// in one place only: Uplink.Run. The session is our own; of paho it uses the
// packet codec, in mqtt.go alone.
//
// Sizes and rates are bytes and bytes per second of MQTT payload unless named
// wire, which counts TLS and MQTT framing too. Spec: MQTT 3.1.1, QoS 1 (§4.3.2);
// topics and JSON shapes: telemetry/CONTRACT.md. New starts nothing; Run owns
// every goroutine and returns nil when its context ends.
package uplink

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"log/slog"
	"time"

	"obu/telemetry"
	"obu/uplink/budget"
)

// Uplink keeps one unit connected. Notify and Stats may be called from any
// goroutine; everything else happens in Run's.
type Uplink struct {
	cfg    Config
	notify chan struct{} // one token: the backlog changed
	wire   Wire
	stats  counters

	// The fields below belong to Run's goroutine and outlive a session.
	route    func() string // the way out
	sessions []string      // ids this unit gave itself lately, see seen
	lanes    lanes
	pacer    pacer
	history  bucket
	ratios   [telemetry.ClassMedia + 1]float64 // envelope per stored byte, as learnt; 0: not yet
	poison   poison
	told     budget.Usage // of wire, what the budget knows
	replies  []*packet    // not acknowledged yet
	inbox    chan message
	cleared  bool // ClearRetained is done
	cmds     commander

	badLogged time.Time // when an inbound message of no use was logged; under stats
	badSince  int64     // how many since; under stats
}

// New checks the configuration. It starts nothing.
func New(c Config) (*Uplink, error) {
	c.defaults()
	if err := c.check(); err != nil {
		return nil, err
	}
	u := &Uplink{
		cfg:     c,
		route:   c.Route,
		notify:  make(chan struct{}, 1),
		history: bucket{rate: float64(max(c.HistoryRate, 0))},
		inbox:   make(chan message, inboxDepth),
	}
	if u.route == nil {
		u.route = routeTo(&c)
	}
	u.cmds.done = make(chan answer, 1)
	return u, nil
}

// Notify says that new data was committed. It never blocks.
func (u *Uplink) Notify() {
	select {
	case u.notify <- struct{}{}:
	default:
	}
}

// Run connects, delivers and reconnects until ctx ends, then says goodbye and
// returns nil.
func (u *Uplink) Run(ctx context.Context) error {
	defer u.stats.disconnected()
	defer u.cmds.wait()
	u.interrupted()
	delay := backoff{lo: u.cfg.BackoffMin, hi: u.cfg.BackoffMax}
	route := u.route()
	for {
		connects, began := u.stats.connects(), time.Now()
		err := u.session(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if errors.Is(err, errMoving) {
			u.stats.disconnected()
			route = u.route()
			continue
		}
		if u.stats.connects() > connects {
			delay.ended(time.Since(began))
		}
		why, was := causeOf(err), route
		if route = u.route(); why != causeRival && (route != was || route == noRoute) {
			why = causeLocal
		}
		wait := delay.next(why)
		level := slog.LevelDebug
		if u.stats.failed(err, time.Now()) {
			level = slog.LevelWarn
		}
		u.cfg.Log.Log(ctx, level, "uplink: not connected", "reason", err, "next", HintFor(err), "retry_in", wait.Round(time.Millisecond))
		if route = u.pause(ctx, wait, route); ctx.Err() != nil {
			return nil
		}
	}
}

// session runs one connection from dial to loss and says why it ended.
func (u *Uplink) session(ctx context.Context) error {
	defer func() { u.account(nil); u.cfg.Budget.Disconnected() }()
	id := newSessionID()
	known := u.sessions
	if u.sessions = append(known[:len(known):len(known)], id); len(u.sessions) > ownSessions {
		u.sessions = u.sessions[1:]
	}
	sess, err := Connect(ctx, SessionConfig{
		Broker: u.cfg.Broker, TLS: u.cfg.TLS, ClientID: u.cfg.ClientID,
		Username: u.cfg.Username, Password: u.cfg.Password,
		WillTopic: u.topic("link"), WillPayload: u.linkPayload(telemetry.LinkOffline, reasonLost, id),
		KeepAlive: u.cfg.KeepAlive, ConnectTimeout: u.cfg.ConnectTimeout,
		Dial: u.cfg.Dial, Now: u.cfg.Now, Wire: &u.wire, Opened: u.opened,
	})
	if errors.Is(err, ErrUnreachable) || errors.Is(err, ErrNameNotFound) || errors.Is(err, ErrConnRefused) {
		u.sessions = known // nobody has heard of it
	}
	if err != nil {
		return err
	}
	u.stats.connected(id, time.Now())
	u.cfg.Log.Info("uplink: connected", "broker", Address(u.cfg.Broker), "session", id)
	p := newPump(u, sess, id)
	err = p.run(ctx)
	<-sess.written // it returns with the session's end, and counts its last bytes
	u.account(sess)
	return err
}

// topic returns obu/v1/<fleet>/<unit>/name.
func (u *Uplink) topic(name string) string {
	return "obu/v1/" + u.cfg.Fleet + "/" + u.cfg.Unit + "/" + name
}

// Address returns host:port of a broker URL, without user and password, for
// people to read; "?" when it is not a broker URL.
func Address(broker string) string {
	e, err := parseBroker(broker)
	if err != nil {
		return "?"
	}
	return e.address
}

func newSessionID() string {
	var b [8]byte
	rand.Read(b[:])
	return hex.EncodeToString(b[:])
}

// sleep waits for d or the end of ctx and reports whether it slept in full.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
