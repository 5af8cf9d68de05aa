package agent

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"obu/telemetry"
)

// The status socket speaks one line and one answer: a question ("status", "gaps",
// "ls STORE CLASS SEQ", "verify …" or "export …") and a newline in, one JSON
// value and a newline out, end. The latter three answer a page, and are asked
// again from behind it until one is empty. `echo status | nc -U obu.sock` works.
// It is read-only. A web server would be a megabyte of a binary that travels
// over LTE.
const (
	maxQuestion   = 64
	maxAnswer     = 64 << 20
	maxAsking     = 8 // questions answered at once; more wait in the socket's queue
	socketTimeout = 10 * time.Second
)

// ErrNoAgent says that nothing answers on the socket. Cure: start the agent,
// or name the right socket.
var ErrNoAgent = errors.New("no agent is running")

// serveStatus answers on the unix socket until ctx ends. A unit whose socket
// cannot be opened still does its work: it says so and goes on.
func (a *Agent) serveStatus(ctx context.Context) {
	path := a.cfg.Status.Socket
	if path == "" || path == "none" {
		return
	}
	if err := clearSocket(path); err != nil {
		a.log.Warn("status socket does not open; `obu status` will not work", "socket", path, "error", err, "next", "give status.socket a path of its own")
		return
	}
	_ = os.MkdirAll(filepath.Dir(path), 0o755) // as a service systemd made it; what is wrong with it Listen says
	listener, err := net.Listen("unix", path)
	if err != nil {
		a.log.Warn("status socket does not open; `obu status` will not work", "socket", path, "error", err, "next", "check the folder and its permissions")
		return
	}
	if err := os.Chmod(path, 0o660); err != nil {
		a.log.Warn("status socket keeps its permissions", "socket", path, "error", err, "next", "run `obu status` as the agent's user or as root")
	}
	defer context.AfterFunc(ctx, func() { listener.Close() })()
	var asking sync.WaitGroup
	defer asking.Wait()
	slots := make(chan struct{}, maxAsking)
	for {
		slots <- struct{}{}
		conn, err := listener.Accept()
		if err != nil {
			if ctx.Err() == nil {
				a.log.Warn("status socket ended; `obu status` will not work", "socket", path, "error", err, "next", "start the agent again: systemctl restart obu")
			}
			return
		}
		asking.Go(func() {
			defer func() { <-slots }()
			defer context.AfterFunc(ctx, func() { conn.Close() })()
			a.answer(conn)
		})
	}
}

// clearSocket removes what a dead agent left at path, and nothing else: another
// agent's socket that answers stays, and so does any other file.
func clearSocket(path string) error {
	st, err := os.Lstat(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil
	case err != nil:
		return err
	case st.Mode()&os.ModeSocket == 0:
		return errors.New("a file that is no socket is in the way")
	}
	if c, err := net.DialTimeout("unix", path, time.Second); err == nil {
		c.Close()
		return errors.New("another agent answers there")
	}
	return os.Remove(path)
}

// answer serves one question; a reader that hangs up is its own affair.
func (a *Agent) answer(conn net.Conn) {
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(socketTimeout))
	question, err := bufio.NewReader(io.LimitReader(conn, maxQuestion)).ReadString('\n')
	if err != nil {
		return
	}
	reply, err := a.reply(strings.TrimSpace(question))
	if err != nil {
		reply = refusal{err.Error()}
	}
	_ = json.NewEncoder(conn).Encode(reply)
}

// reply returns what a question's answer says.
func (a *Agent) reply(question string) (any, error) {
	verb, rest, _ := strings.Cut(question, " ")
	switch verb {
	case "status":
		s := a.Status()
		if a.deps.Changed != nil { // asks the disk: for people, not for who watches the agent
			s.Warnings = append(s.Warnings, a.deps.Changed()...)
		}
		return s, nil
	case "gaps":
		a.mu.Lock()
		buf := a.buffer
		a.mu.Unlock()
		if buf == nil {
			return []telemetry.Gap{}, nil
		}
		return buf.Gaps()
	case "ls", "verify", "export":
	default:
		return nil, fmt.Errorf("unknown question %q: ask status, gaps, ls STORE CLASS SEQ, verify STORE CLASS SEQ or export STORE CLASS SEQ", question)
	}
	p, err := parsePlace(rest)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", verb, err)
	}
	a.mu.Lock()
	buf := a.buffer
	a.mu.Unlock()
	switch verb {
	case "ls":
		return listed(buf, p)
	case "verify":
		return verified(buf, p)
	}
	return exported(buf, p)
}

// refusal is the answer to a question that has none.
type refusal struct {
	Error string `json:"error"`
}

// Ask puts one question to the agent that listens on socket and returns its
// answer, one JSON value.
func Ask(ctx context.Context, socket, question string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, socketTimeout)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, "unix", socket)
	switch {
	case errors.Is(err, os.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		return nil, fmt.Errorf("%w: nothing answers on %s", ErrNoAgent, socket)
	case err != nil:
		return nil, fmt.Errorf("ask the agent: %w", err)
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	if _, err := io.WriteString(conn, question+"\n"); err != nil {
		return nil, fmt.Errorf("ask the agent: %w", err)
	}
	body, err := io.ReadAll(io.LimitReader(conn, maxAnswer))
	if err != nil {
		return nil, fmt.Errorf("read the agent's answer: %w", err)
	}
	var no refusal
	if len(body) > 0 && body[0] == '{' && json.Unmarshal(body, &no) == nil && no.Error != "" {
		return nil, fmt.Errorf("the agent on %s: %s", socket, no.Error)
	}
	return body, nil
}
