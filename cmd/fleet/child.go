package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// childGrace is how long a child may take to end after its standard input
// was closed before it is killed.
const childGrace = 10 * time.Second

// child is a process of this command's own making. It dies with its parent
// (PR_SET_PDEATHSIG) and ends when its standard input is closed.
type child struct {
	cmd   *exec.Cmd
	stdin io.Closer
	lines *bufio.Scanner
	err   strings.Builder
	first string // the line it said when it was ready
}

// startChild starts this very binary with a hidden subcommand and waits for
// its first line.
func startChild(args ...string) (*child, error) {
	exe, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find own binary: %w", err)
	}
	c := &child{cmd: exec.Command(exe, args...)}
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	c.cmd.Stderr = &c.err
	if c.stdin, err = c.cmd.StdinPipe(); err != nil {
		return nil, fmt.Errorf("start %s: %w", args[0], err)
	}
	stdout, err := c.cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", args[0], err)
	}
	if err := c.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", args[0], err)
	}
	c.lines = bufio.NewScanner(stdout)
	if !c.lines.Scan() {
		err := c.cmd.Wait()
		if said := strings.TrimSpace(strings.TrimPrefix(c.err.String(), errorPrefix)); said != "" {
			return nil, errors.New(said) // it says what it was about itself
		}
		return nil, fmt.Errorf("start %s: %w", args[0], cmp.Or(err, io.ErrUnexpectedEOF))
	}
	c.first = c.lines.Text()
	return c, nil
}

// follow calls f with every further line until the child ends.
func (c *child) follow(f func(line []byte)) {
	for c.lines.Scan() {
		f(c.lines.Bytes())
	}
}

// cpu returns the user and system time the child has used.
func (c *child) cpu() time.Duration { return processCPU(c.cmd.Process.Pid) }

// stop closes the child's standard input and waits for it. Whoever follows
// its lines must have been started before and returns by it.
func (c *child) stop(followed <-chan struct{}) error {
	c.stdin.Close()
	kill := time.AfterFunc(childGrace, func() { c.cmd.Process.Kill() })
	defer kill.Stop()
	if followed == nil {
		c.follow(func([]byte) {})
	} else {
		<-followed
	}
	if err := c.cmd.Wait(); err != nil {
		return fmt.Errorf("%s ended: %w: %s", c.cmd.Args[1], err, strings.TrimSpace(c.err.String()))
	}
	return nil
}

// sleep waits and reports whether ctx is still alive.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// kill ends the child without a word, as a power cut does.
func (c *child) kill(followed <-chan struct{}) error {
	defer c.stdin.Close()
	if err := c.cmd.Process.Kill(); err != nil {
		return fmt.Errorf("kill %s: %w", c.cmd.Args[1], err)
	}
	<-followed
	_ = c.cmd.Wait() // killed
	return nil
}
