package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"obu/internal/agent"
	"obu/telemetry"
)

// obuProcess is the real binary at work.
type obuProcess struct {
	socket string
	cmd    *exec.Cmd
	log    *os.File
	done   chan struct{} // closed when it has ended
	err    error         // why; set before done is closed
}

// startObu starts `obu run` with its log in a file. It dies with this process.
func startObu(binary, socket, logPath string, args ...string) (*obuProcess, error) {
	log, err := os.Create(logPath)
	if err != nil {
		return nil, fmt.Errorf("create log of obu: %w", err)
	}
	p := &obuProcess{socket: socket, cmd: exec.Command(binary, args...), log: log, done: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = log, log
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	if err := p.cmd.Start(); err != nil {
		log.Close()
		return nil, fmt.Errorf("start %s: %w", binary, err)
	}
	go func() {
		defer close(p.done)
		p.err = p.cmd.Wait()
		log.Close()
	}()
	return p, nil
}

// findObu returns the binary to show: the one named, the one of this project's
// bin folder, or the one beside this binary.
func findObu(named string) (string, error) {
	candidates := []string{named}
	if named == "" {
		candidates = []string{filepath.Join("bin", "obu")}
		if exe, err := os.Executable(); err == nil {
			candidates = append(candidates, filepath.Join(filepath.Dir(exe), "obu"))
		}
	}
	for _, c := range candidates {
		if st, err := os.Stat(c); err == nil && !st.IsDir() {
			return filepath.Abs(c)
		}
	}
	return "", fmt.Errorf("no obu binary at %s; `go build -o bin/obu ./cmd/obu` makes one, or name it with --obu", strings.Join(candidates, " or "))
}

// status asks the agent over its unix socket.
func (p *obuProcess) status(ctx context.Context) (*agent.Status, error) {
	body, err := agent.Ask(ctx, p.socket, "status")
	if err != nil {
		return nil, err
	}
	var s agent.Status
	if err := json.Unmarshal(body, &s); err != nil {
		return nil, fmt.Errorf("read status: %w", err)
	}
	return &s, nil
}

// startLimit is how long the agent may take to open its sources.
const startLimit = 12 * time.Second

// awaitRunning waits until every source runs.
func (p *obuProcess) awaitRunning(ctx context.Context, sources int) error {
	var last string
	for start := time.Now(); time.Since(start) < startLimit; {
		s, err := p.status(ctx)
		running := 0
		if err == nil {
			for _, src := range s.Sources {
				if src.State == "running" {
					running++
				} else {
					last = src.Name + " " + src.State + " " + src.Error
				}
			}
		} else {
			last = err.Error()
		}
		if running >= sources {
			return nil
		}
		select {
		case <-p.done:
			return p.failure("ended")
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(100 * time.Millisecond):
		}
	}
	return p.failure("is not running after " + startLimit.String() + ": " + last)
}

// failure says what happened with the last lines of the agent's log.
func (p *obuProcess) failure(what string) error {
	text, _ := os.ReadFile(p.log.Name())
	lines := bytes.Split(bytes.TrimSpace(text), []byte("\n"))
	lines = lines[max(0, len(lines)-8):]
	return fmt.Errorf("obu %s; the end of its log:\n%s", what, bytes.Join(lines, []byte("\n")))
}

// obuGrace is how long the agent may take to store what it holds and end
// before it is killed.
const obuGrace = 8 * time.Second

// stop asks the agent to end (SIGTERM: it stores what it holds in memory).
func (p *obuProcess) stop() error {
	select {
	case <-p.done:
		return p.err
	default:
	}
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("stop obu: %w", err)
	}
	kill := time.AfterFunc(obuGrace, func() { p.cmd.Process.Kill() })
	defer kill.Stop()
	<-p.done
	if p.err != nil {
		return p.failure("ended with " + p.err.Error())
	}
	return nil
}

// held is what the agent has stored and not delivered, without its own
// statistics.
type held struct {
	batches int
	values  int64
	bytes   int64
	media   int64 // bytes of clips among them
	oldest  float64
}

func heldBy(s *agent.Status) (h held) {
	h.batches = s.Batcher.Held
	for _, st := range s.Streams {
		if st.Class == telemetry.ClassHealth {
			continue
		}
		h.batches += st.Batches
		h.bytes += st.Bytes
		if st.Class == telemetry.ClassMedia {
			h.media += st.Bytes
		} else {
			h.values += st.Values
		}
	}
	if s.Buffer != nil {
		h.oldest = s.Buffer.OldestS
	}
	return h
}

// reconnectMax is the longest wait of the demo's agent before its next try.
const reconnectMax = 4 * time.Second

// demoConfig is what the demo's obu.yaml says.
type demoConfig struct {
	fleet, unit, broker, dir, socket string
	can, gps, clips                  string // devices; "" without
	history                          int    // KiB/s; 0: 1
}

// write writes the file a technician would write.
func (c demoConfig) write(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "unit: %s\nvehicle: demo-car\nfleet: %s\n", c.unit, c.fleet)
	if c.can != "" {
		fmt.Fprintf(&b, "can:\n  - device: %s\n    bitrate: 500000\n    obd:\n      period: 1s\n      pids: [0C, 0D, \"04\", \"05\", 0F, \"10\", \"11\", 2F, \"42\", 5E, {pid: A6, period: 5s}]\n", c.can)
	}
	if c.gps != "" {
		fmt.Fprintf(&b, "gps:\n  device: %s\n  baud: 9600\n", c.gps)
	}
	if c.clips != "" {
		fmt.Fprintf(&b, "dashcam:\n  - camera: front\n    dir: %s\n    settle: 1s\n", c.clips)
	}
	// Commits four times a second make the picture lively; history as slow as it
	// goes shows that the present does not wait for it.
	fmt.Fprintf(&b, "buffer:\n  dir: %s\n  flush_every: 250ms\nuplink:\n  broker: %s\n  history_rate: %dKiB/s\n  reconnect_max: %v\nstatus:\n  socket: %s\n",
		c.dir, c.broker, max(c.history, 1), reconnectMax, c.socket)
	_, err := io.WriteString(w, b.String())
	return err
}
