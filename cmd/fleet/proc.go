package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// ownCPU returns the user and system time of this process.
func ownCPU() time.Duration {
	var ru unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &ru) != nil {
		return 0
	}
	return time.Duration(ru.Utime.Nano() + ru.Stime.Nano())
}

// processCPU returns the user and system time of a process, to the kernel's
// clock tick of 10 ms; 0 when it is gone.
func processCPU(pid int) time.Duration {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
	if len(fields) < 13 {
		return 0
	}
	user, _ := strconv.ParseInt(fields[11], 10, 64) // utime and stime, proc(5)
	system, _ := strconv.ParseInt(fields[12], 10, 64)
	return time.Duration(user+system) * 10 * time.Millisecond
}

// rssAnon returns RssAnon of this process in bytes: memory that is its own,
// without the pages of mapped files.
func rssAnon() int64 {
	b, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, "RssAnon:"); ok {
			kb, _ := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			return kb << 10
		}
	}
	return 0
}

// device is the block device a directory lies on, when it is nobody else's.
type device struct{ stat string }

// ownDevice returns the device of dir; nil when it also holds the root or the
// temporary files of this machine, because then others write to it too.
func ownDevice(dir string) *device {
	var st, root, tmp unix.Stat_t
	if unix.Stat(dir, &st) != nil || unix.Stat("/", &root) != nil || unix.Stat(os.TempDir(), &tmp) != nil {
		return nil
	}
	if st.Dev == root.Dev || st.Dev == tmp.Dev {
		return nil
	}
	path := filepath.Join("/sys/dev/block", fmt.Sprintf("%d:%d", unix.Major(st.Dev), unix.Minor(st.Dev)), "stat")
	if _, err := os.Stat(path); err != nil {
		return nil
	}
	return &device{path}
}

// written returns the bytes the device has written since boot.
func (d *device) written() int64 {
	if d == nil {
		return 0
	}
	b, err := os.ReadFile(d.stat)
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(b))
	if len(fields) < 7 {
		return 0
	}
	sectors, _ := strconv.ParseInt(fields[6], 10, 64)
	return sectors * 512
}

// isMemory reports whether dir lies in memory, where commits cost nothing and
// prove nothing.
func isMemory(dir string) bool {
	var st unix.Statfs_t
	kind := func() uint32 { return uint32(st.Type) } // signed, and of 32 bits on some machines
	return unix.Statfs(dir, &st) == nil && (kind() == unix.TMPFS_MAGIC || kind() == unix.RAMFS_MAGIC)
}
