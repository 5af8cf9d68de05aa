//go:build linux && (amd64 || arm64)

package baddisk

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// Disk is a disk in use.
type Disk struct {
	dir  string
	cmd  *exec.Cmd
	in   io.Closer
	said strings.Builder // by the server, of what went wrong
}

// Mount starts server, a command that calls Serve, and waits until it serves.
func Mount(dir string, server *exec.Cmd) (*Disk, error) {
	d := &Disk{dir: dir, cmd: server}
	server.Stderr = &d.said
	in, err := server.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("mount bad disk: %w", err)
	}
	out, err := server.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("mount bad disk: %w", err)
	}
	d.in = in
	if err := server.Start(); err != nil {
		return nil, fmt.Errorf("mount bad disk: %w", err)
	}
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		_ = in.Close()
		_ = server.Wait()
		return nil, fmt.Errorf("mount bad disk: %s", strings.TrimSpace(d.said.String()))
	}
	return d, nil
}

// At returns the disk that another process mounted on dir.
func At(dir string) *Disk { return &Disk{dir: dir} }

// Dir is where the disk is mounted.
func (d *Disk) Dir() string { return d.dir }

// Fail makes f, and nothing else, fail from now on.
func (d *Disk) Fail(f Faults) error {
	raw, err := json.Marshal(f)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(d.dir, orders), raw, 0)
}

// Failed tells what was refused so far.
func (d *Disk) Failed() (f Failed, err error) {
	raw, err := os.ReadFile(filepath.Join(d.dir, orders))
	if err != nil {
		return f, err
	}
	return f, json.Unmarshal(raw, &f)
}

// Close ends the server, which unmounts, at the latest when nothing has a file
// open any more.
func (d *Disk) Close() error {
	_ = d.in.Close()
	err := d.cmd.Wait()
	if err == nil {
		return nil
	}
	_ = unix.Unmount(d.dir, unix.MNT_DETACH) // in place of a server that died
	return fmt.Errorf("unmount bad disk: %w: %s", err, strings.TrimSpace(d.said.String()))
}
