package gps

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// process is one that has a serial port open, or is likely to; the zero one is
// nobody.
type process struct {
	name   string
	pid    string
	likely bool // its open files cannot be seen
}

// String names it as a technician looks for it.
func (p process) String() string {
	switch {
	case p.name == "":
		return "`sudo fuser -v` with the port's path names it"
	case p.likely:
		return "probably " + p.name + ", which runs (pid " + p.pid + ")"
	}
	return "it is " + p.name + " (pid " + p.pid + ")"
}

// greedy are programs that open every serial port to see whether it is theirs,
// or read the receiver's: two readers each get half of what it says.
func greedy(name string) bool { return name == "gpsd" || name == "ModemManager" }

// steals reports whether the process is known to read the port for itself.
// Others may hold a port open without a word, as the other end of a pseudo
// terminal does.
func (p process) steals() bool { return greedy(p.name) && !p.likely }

// holder finds who else has a serial port open. The files of another user's
// processes can be seen by root alone; for others the usual suspects are named.
func holder(path string) process {
	var other, suspect process
	real, err := filepath.EvalSymlinks(path)
	if err != nil || real == os.DevNull { // which every daemon has open
		return process{}
	}
	own := strconv.Itoa(os.Getpid())
	entries, _ := os.ReadDir("/proc")
	for _, e := range entries {
		pid := e.Name()
		if pid[0] < '0' || pid[0] > '9' || pid == own {
			continue
		}
		dir := filepath.Join("/proc", pid)
		files, err := os.ReadDir(filepath.Join(dir, "fd"))
		for _, f := range files {
			if to, err := os.Readlink(filepath.Join(dir, "fd", f.Name())); err == nil && to == real {
				p := process{name: commandOf(dir), pid: pid}
				if greedy(p.name) {
					return p
				}
				if other.name == "" {
					other = p // goes on: who reads the port counts
				}
			}
		}
		if err != nil && suspect.name == "" {
			if name := commandOf(dir); greedy(name) {
				suspect = process{name, pid, true}
			}
		}
	}
	if other.name != "" {
		return other
	}
	return suspect
}

// commandOf returns the name of a process.
func commandOf(dir string) string {
	b, _ := os.ReadFile(filepath.Join(dir, "comm"))
	return strings.TrimSpace(string(b))
}
