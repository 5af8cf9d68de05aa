package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"obu/internal/agent"
	"obu/internal/clock"
	"obu/internal/config"
	"obu/uplink"
)

// Bounds of the probe.
const (
	askWithin  = 20 * time.Second // each acknowledgement of the broker
	echoWithin = 5 * time.Second  // from the PUBACK of the probe to the probe itself
)

// unitName is the unit as the agent names itself on this configuration: a
// virtual car, at the other end of a unix bus, gets a name of its own.
func unitName(cfg *config.Config, running *watched) string {
	virtual := false
	for _, c := range cfg.CAN {
		virtual = virtual || strings.HasPrefix(c.Device, "unix:")
	}
	if !virtual {
		return cfg.Unit
	}
	if running != nil {
		return running.after.Unit // it may run with --as-real
	}
	named := *cfg
	new(runOptions).simulate(&named)
	return named.Unit
}

// checkBroker connects as a tool, with the unit's credentials and a client id
// of its own. A PUBACK proves nothing, since a broker acknowledges what its ACL
// then drops: a probe has to come back.
func checkBroker(ctx context.Context, cfg *config.Config, unit string) finding {
	u := cfg.Uplink
	sc := uplink.SessionConfig{Broker: u.Broker, ClientID: cfg.Unit + "-" + toolClientID("check"), Username: u.Username, Password: u.Password}
	if u.TLS != nil {
		sc.TLS = uplink.TLS{CAFile: u.TLS.CA, CertFile: u.TLS.Cert, KeyFile: u.TLS.Key, ServerName: u.TLS.ServerName}
	}
	if clk, err := clock.System(agent.ReadTime(cfg.Buffer.Dir), clock.WithBuild(builtAt())); err == nil {
		sc.Now = clk.VerifyTime // as the agent does: a unit that wakes up in 1970 still connects
	}
	began := time.Now()
	s, err := uplink.Connect(ctx, sc)
	if err != nil {
		return failed(err)
	}
	defer s.Close()
	reached := time.Since(began).Round(time.Millisecond)
	prefix := "obu/v1/" + cfg.Fleet + "/" + unit + "/"
	if err := probe(ctx, s, prefix); err != nil {
		return failed(aclAdvice(err, prefix))
	}
	return passed("%s reached in %v; a probe on %scheck was published and read back", uplink.Address(u.Broker), reached, prefix)
}

// errNoEcho: the broker acknowledged the probe and did not deliver it to the
// session that subscribed to it.
var errNoEcho = errors.New("acknowledged, but not delivered")

// probe subscribes as the agent does, publishes on the unit's topic check and
// waits until the message is back.
func probe(ctx context.Context, s *uplink.Session, prefix string) error {
	asking, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	if err := s.Subscribe(asking, prefix+"cmd", func(string, []byte, bool) {}); err != nil {
		return err
	}
	payload := `{"probe":"` + toolClientID("check") + `"}`
	back := make(chan struct{}, 1)
	if err := s.Subscribe(asking, prefix+"check", func(_ string, p []byte, _ bool) {
		if string(p) == payload {
			select {
			case back <- struct{}{}:
			default:
			}
		}
	}); err != nil {
		return err
	}
	if err := s.Publish(asking, prefix+"check", false, []byte(payload)); err != nil {
		return err
	}
	select {
	case <-back:
		return nil
	case <-time.After(echoWithin):
		return fmt.Errorf("a probe on %scheck: %w within %v", prefix, errNoEcho, echoWithin)
	case <-s.Done():
		return fmt.Errorf("a probe on %scheck: %w", prefix, s.Err())
	case <-ctx.Done():
		return ctx.Err()
	}
}

// aclAdvice adds what to do to the ways in which a broker refuses a topic:
// silently, by its SUBACK, or by hanging up (MQTT 3.1.1 §3.3.5).
func aclAdvice(err error, prefix string) error {
	switch {
	case errors.Is(err, errNoEcho), errors.Is(err, uplink.ErrSubscribeDenied), errors.Is(err, uplink.ErrEndedByBroker):
		return advised{err, "check fleet and unit in the configuration, then the broker's ACL: it has to allow `topic readwrite " + prefix +
			"#` to this unit's user or certificate name (a rule on %c never matches: this check has a client id of its own)"}
	case errors.Is(err, context.DeadlineExceeded):
		return advised{fmt.Errorf("the broker does not acknowledge: %w", err), "look at the broker's log, and at the signal (mmcli -m any)"}
	}
	return err
}
