package main

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"obu/telemetry"
	"obu/telemetry/ledger"
	"obu/uplink"
)

// tailOptions are the flags of `obu tail`.
type tailOptions struct {
	session uplink.SessionConfig
	fleet   string
	unit    string
	media   string
}

func tailCommand() *command {
	var o tailOptions
	cmd := &command{
		Use:   "tail --broker URL",
		Short: "what the cloud receives, as JSON lines",
		Long: `Subscribes like a consumer and prints each record once: copies are dropped by
name, parts are joined, the time comes from the unit's anchors. Its client id
has a suffix of its own and never takes over the agent's session.`,
		Example: "  obu tail --broker mqtt://localhost\n  obu tail --broker mqtts://broker.example.com --ca ca.pem --unit unit-0001 --media clips/",
		Args:    atMost(0),
		RunE: func(cmd *command, _ []string) error {
			if o.session.Broker == "" {
				return usageError{errors.New("obu tail wants --broker, for example --broker mqtt://localhost")}
			}
			if uplink.Address(o.session.Broker) == "?" {
				return usageError{fmt.Errorf("--broker %q: want mqtt://HOST[:PORT] or mqtts://HOST[:PORT]", o.session.Broker)}
			}
			return tail(cmd.Context(), o, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.session.Broker, "broker", "", "mqtt:// or mqtts:// address")
	f.StringVar(&o.fleet, "fleet", "+", "only this fleet")
	f.StringVar(&o.unit, "unit", "+", "only this unit")
	f.StringVar(&o.media, "media", "", "write finished clips into this folder")
	brokerFlags(cmd, &o.session)
	return cmd
}

// brokerFlags are the credentials every tool that speaks to a broker takes.
func brokerFlags(cmd *command, s *uplink.SessionConfig) {
	f := cmd.Flags()
	f.StringVar(&s.TLS.CAFile, "ca", "", "who signed the broker's certificate (PEM)")
	f.StringVar(&s.TLS.CertFile, "cert", "", "own certificate (PEM)")
	f.StringVar(&s.TLS.KeyFile, "key", "", "its key (PEM)")
	f.StringVar(&s.TLS.ServerName, "server-name", "", "name in the broker's certificate, if not that of its address")
	f.StringVar(&s.Username, "username", "", "name at the broker")
	f.StringVar(&s.Password, "password", "", "password at the broker")
}

// toolClientID is a client id that no agent has.
func toolClientID(tool string) string {
	var b [6]byte
	_, _ = rand.Read(b[:]) // never fails
	return "obu-" + tool + "-" + hex.EncodeToString(b[:])
}

// message is one publish on its way from the session to the printer.
type message struct {
	topic   string
	payload []byte
}

// inboxDepth bounds what waits for the printer; past it the reader of the
// socket waits, and the broker with it. Nothing is dropped.
const inboxDepth = 256

// reconnectEvery is how soon tail tries again after it lost the broker.
const reconnectEvery = 2 * time.Second

func tail(ctx context.Context, o tailOptions, out, errw io.Writer) error {
	o.session.ClientID = toolClientID("tail")
	o.session.MaxInbound = 16 << 20
	t := &tailer{out: bufio.NewWriter(out), errw: errw}
	if o.media != "" {
		asm, err := ledger.NewAssembler(o.media)
		if err != nil {
			return err
		}
		defer asm.Close()
		t.media = asm
	}
	for ever := false; ctx.Err() == nil; {
		came, err := t.session(ctx, o)
		if t.failed != nil {
			return fmt.Errorf("write: %w", t.failed)
		}
		if ever = ever || came; err != nil && !ever && ctx.Err() == nil {
			return err // wrong address or credentials: say so at once
		}
		if ctx.Err() != nil {
			break
		}
		fmt.Fprintf(errw, "obu: warning: %v; connecting again\n", err)
		select {
		case <-ctx.Done():
		case <-time.After(reconnectEvery):
		}
	}
	return nil
}

// tailer prints records; it belongs to one goroutine.
type tailer struct {
	out   *bufio.Writer
	errw  io.Writer
	book  ledger.Ledger
	media *ledger.Assembler
	line  []byte

	failed error // standard output takes nothing any more
}

// session prints until the broker is lost or ctx ends. It reports whether the
// connection came up and was allowed to read.
func (t *tailer) session(ctx context.Context, o tailOptions) (came bool, err error) {
	s, err := uplink.Connect(ctx, o.session)
	if err != nil {
		return false, err
	}
	defer s.Close()
	inbox := make(chan message, inboxDepth)
	prefix := "obu/v1/" + o.fleet + "/" + o.unit + "/"
	for _, class := range telemetry.Classes {
		err := s.Subscribe(ctx, prefix+class.String(), func(topic string, payload []byte, _ bool) {
			select {
			case inbox <- message{topic, append([]byte(nil), payload...)}:
			case <-ctx.Done():
			case <-s.Done():
			}
		})
		if err != nil {
			return false, err
		}
	}
	for {
		select {
		case <-ctx.Done():
			return true, nil
		case m := <-inbox:
			if err := t.print(m); err != nil {
				return true, err
			}
			if len(inbox) == 0 {
				if t.failed = t.out.Flush(); t.failed != nil {
					return true, t.failed
				}
			}
		case <-s.Done():
			return true, s.Err()
		}
	}
}

// print writes the records of one envelope that were not seen before. What
// cannot be decoded is said on standard error; a newer format names itself.
func (t *tailer) print(m message) error {
	env, err := telemetry.DecodeEnvelope(m.payload)
	if err != nil {
		fmt.Fprintf(t.errw, "obu: warning: %s: %v\n", m.topic, err)
		return nil
	}
	fresh, _ := t.book.Take(env)
	env.Batches = fresh
	wall := func(boot telemetry.BootID, at telemetry.At) time.Time {
		w, _, ok := t.book.WallTime(env.Unit, boot, at)
		if !ok && boot == env.SentBoot && !env.SentWall.IsZero() {
			return env.SentWall.Add(at.Sub(env.SentAt)) // the unit's own hint
		}
		return w
	}
	if t.line, err = telemetry.AppendLines(t.line[:0], &env, wall); err != nil {
		fmt.Fprintf(t.errw, "obu: warning: %s: %v\n", m.topic, err)
	}
	if _, t.failed = t.out.Write(t.line); t.failed != nil {
		return t.failed
	}
	if t.media == nil {
		return nil
	}
	for _, b := range fresh {
		finished, err := t.media.Take(b)
		if err != nil {
			fmt.Fprintf(t.errw, "obu: warning: clip: %v\n", err)
		}
		for _, f := range finished {
			verdict := "SHA-256 as promised"
			if !f.OK {
				verdict = "SHA-256 differs: kept with the ending .mismatch"
			}
			fmt.Fprintf(t.errw, "obu: clip %s from %s: %d bytes, %s\n", f.Path, strings.TrimSpace(f.Unit), f.Clip.SizeBytes, verdict)
		}
	}
	return nil
}
