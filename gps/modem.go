package gps

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"go.bug.st/serial"
)

const (
	// initWithin and stopWithin bound the wait for a modem's answer: one that
	// starts may be busy for seconds, and an agent that stops must not wait long.
	initWithin = 5 * time.Second
	stopWithin = time.Second
	// modemBaud is the speed of a modem's own port, which on USB means nothing.
	modemBaud = 115200
	// sessionOngoing is Quectel's code for a receiver that runs already.
	sessionOngoing = "+CME ERROR: 504"
)

// errRefused is a modem's answer other than OK.
var errRefused = errors.New("the modem answered")

// begin says the AT commands of Init. A receiver that was left running may
// refuse to start: then it is stopped and started once more.
func (r *Receiver) begin(ctx context.Context, p *Port) error {
	err := r.modem(ctx, p, r.Init, initWithin)
	if errors.Is(err, errRefused) && len(r.Stop) > 0 {
		_ = r.modem(ctx, p, r.Stop, initWithin)
		err = r.modem(ctx, p, r.Init, initWithin)
	}
	if err != nil && ctx.Err() == nil {
		return fmt.Errorf("%w: %w", ErrInit, err)
	}
	return err
}

// modem says AT commands one by one, on the modem's own port where it has one.
func (r *Receiver) modem(ctx context.Context, p *Port, commands []string, wait time.Duration) error {
	var port *Port
	for _, c := range commands {
		if isSentence(c) {
			continue
		}
		if port == nil {
			if port = p; r.InitPort != "" {
				own, err := OpenSerial(r.InitPort, modemBaud)
				if err != nil {
					return fmt.Errorf("open gps.init_port: %w", err)
				}
				defer own.Close()
				port = own
			}
		}
		if err := port.ask(ctx, c, wait); err != nil {
			return err
		}
	}
	return nil
}

// stopper returns what says the commands of Stop, nil without any. On the port
// that is being read no answer can be waited for.
func (r *Receiver) stopper(p *Port) func() {
	if len(r.Stop) == 0 {
		return nil
	}
	return func() {
		if err := configure(p, r.Stop); err != nil {
			return // the device is gone
		}
		var err error
		if r.InitPort != "" {
			err = r.modem(context.Background(), p, r.Stop, stopWithin)
		} else {
			for _, c := range r.Stop {
				if !isSentence(c) && err == nil {
					_, err = p.Write([]byte(c + "\r"))
				}
			}
		}
		if err != nil {
			r.Log.Warn("the receiver was not switched off", "error", err, "next", "check gps.stop and gps.init_port")
		}
	}
}

// isSentence reports whether a command is an NMEA sentence.
func isSentence(command string) bool { return strings.HasPrefix(command, "$") }

// configure sends the commands that are NMEA sentences.
func configure(p *Port, commands []string) error {
	for _, c := range commands {
		if !isSentence(c) {
			continue
		}
		body, _, _ := strings.Cut(c[1:], "*")
		if _, err := p.Write([]byte(Frame(body))); err != nil {
			return err
		}
	}
	return nil
}

// ask says one AT command (3GPP TS 27.007) and waits for its final answer.
// Between echo and answer, sentences of a receiver that runs may come.
func (p *Port) ask(ctx context.Context, command string, wait time.Duration) error {
	if err := p.SetReadTimeout(listenStep); err != nil {
		return err
	}
	defer p.SetReadTimeout(serial.NoTimeout)
	if _, err := p.Write([]byte(command + "\r")); err != nil {
		return fmt.Errorf("say %s: %w", command, err)
	}
	var line []byte
	var buf [256]byte
	for until := time.Now().Add(wait); time.Now().Before(until) && ctx.Err() == nil; {
		n, err := p.Read(buf[:])
		if err != nil {
			return fmt.Errorf("say %s: %w", command, err)
		}
		for _, c := range buf[:n] {
			if c != '\r' && c != '\n' {
				if len(line) < maxLine {
					line = append(line, c)
				}
				continue
			}
			done, err := answer(string(line))
			if line = line[:0]; done {
				if err != nil {
					return fmt.Errorf("say %s: %w", command, err)
				}
				return nil
			}
		}
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return fmt.Errorf("say %s: no answer within %v; is it the modem's port for commands?", command, wait)
}

// answer judges one line of a modem.
func answer(line string) (done bool, err error) {
	switch {
	case line == "OK", line == sessionOngoing:
		return true, nil
	case line == "ERROR", strings.HasPrefix(line, "+CME ERROR"), strings.HasPrefix(line, "+CMS ERROR"):
		return true, fmt.Errorf("%w %s", errRefused, line)
	}
	return false, nil
}
