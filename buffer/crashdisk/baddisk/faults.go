//go:build linux && (amd64 || arm64)

package baddisk

import (
	"path/filepath"
	"sync"
	"syscall"
)

// All in place of a file's name stands for every file.
const All = "*"

// Faults are what a disk does not do. Writes and syncs fail by the last part of a
// file's path, whichever file bears it then; a sector belongs to the file that
// bore its path when the fault began.
type Faults struct {
	Reads  []Range  // cannot be read
	Writes []string // files that take no data and do not change in size; All: no name changes either
	Full   bool     // Writes are refused for want of room
	Syncs  []string // files that cannot be synced
	// Then is what fails from the moment on that a write of whole pages or a
	// sync was refused, Synced from the end of a sync that was not.
	Then, Synced *Faults
}

// Range is a part of a file.
type Range struct {
	File     string // path below the mount, or All
	From, To int64  // To is not part of it; 0: to the end
}

// Failed counts what was refused since the mount.
type Failed struct{ Reads, Writes, Syncs int }

// state is what the disk is to do, and what it did.
type state struct {
	backing string

	mu     sync.Mutex // guards what follows
	faults Faults
	inodes []uint64 // of faults.Reads
	failed Failed
}

func (s *state) set(f Faults) error {
	inodes := make([]uint64, len(f.Reads))
	for i, r := range f.Reads {
		if r.File == All {
			continue
		}
		var st syscall.Stat_t
		if err := syscall.Stat(filepath.Join(s.backing, r.File), &st); err != nil {
			return err
		}
		inodes[i] = st.Ino
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults, s.inodes = f, inodes
	return nil
}

// worse turns to what follows a refusal or a sync, and reports whether there is
// such.
func (s *state) worse(refused bool) bool {
	s.mu.Lock()
	then := s.faults.Synced
	if refused {
		then = s.faults.Then
	}
	s.mu.Unlock()
	return then != nil && s.set(*then) == nil
}

func (s *state) count() Failed {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.failed
}

func (s *state) readFails(inode uint64, off, n int64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, r := range s.faults.Reads {
		if (r.File == All || s.inodes[i] == inode) && off+n > r.From && (r.To == 0 || off < r.To) {
			s.failed.Reads++
			return true
		}
	}
	return false
}

// write is what a write gets.
func (s *state) write(name string) syscall.Errno {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case !fails(s.faults.Writes, name, &s.failed.Writes):
		return 0
	case s.faults.Full:
		return syscall.ENOSPC
	}
	return syscall.EIO
}

func (s *state) syncFails(name string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return fails(s.faults.Syncs, name, &s.failed.Syncs)
}

func fails(list []string, name string, count *int) bool {
	for _, f := range list {
		if named(f, name) {
			*count++
			return true
		}
	}
	return false
}

func named(pattern, name string) bool { return pattern == All || pattern == filepath.Base(name) }
