package agent

import (
	"bytes"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// ProcessStatus is what the agent costs the machine. In one process with
// others (a fleet) it is the whole process.
type ProcessStatus struct {
	ResidentBytes int64   `json:"resident_bytes"`
	CPUS          float64 `json:"cpu_s"`
}

func processStatus() ProcessStatus {
	var p ProcessStatus
	if statm, err := os.ReadFile("/proc/self/statm"); err == nil {
		if f := bytes.Fields(statm); len(f) > 1 {
			pages, _ := strconv.ParseInt(string(f[1]), 10, 64)
			p.ResidentBytes = pages * int64(os.Getpagesize())
		}
	}
	var ru unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &ru) == nil {
		p.CPUS = float64(ru.Utime.Nano()+ru.Stime.Nano()) / 1e9
	}
	return p
}
