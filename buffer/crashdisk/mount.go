//go:build linux && (amd64 || arm64)

package crashdisk

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"sync"

	"github.com/hanwen/go-fuse/v2/fuse"
)

// MarksName is a file in the root of a mount: what the program writes to it
// becomes a Mark at this place of the log. A line that begins with "!" is an
// order to the disk instead, see Mounted.order.
const MarksName = "marks"

const marksIno = 2

// Mounted is a disk in use.
type Mounted struct {
	fuse.RawFileSystem // what is not implemented: ENOSYS
	path               string
	server             *fuse.Server
	rnd                *rand.Rand

	mu       sync.Mutex // guards what follows
	log      Log
	now      Image // as the program sees it
	next     uint64
	disk     *Disk           // as the power cut sees it
	failSync map[string]bool // the next sync of files of this name fails
	full     bool            // no file grows
	halfSync bool            // every other sync does nothing
	skipped  map[uint64]bool // of these files the last one
}

// Mount mounts a disk that holds base on dir. It needs root and /dev/fuse. seed
// decides what a failed sync leaves on the disk.
func Mount(dir string, base Image, seed uint64) (*Mounted, error) {
	d := NewDisk(base)
	m := &Mounted{
		RawFileSystem: fuse.NewDefaultRawFileSystem(), path: dir, rnd: rand.New(rand.NewPCG(seed, 3)),
		log: Log{Base: base}, now: d.durable.clone(), disk: d, next: marksIno + 1, failSync: map[string]bool{}, skipped: map[uint64]bool{},
	}
	for ino := range m.now.Files {
		m.next = max(m.next, ino+1)
	}
	for ino := range m.now.Dirs {
		m.next = max(m.next, ino+1)
	}
	server, err := fuse.NewServer(m, dir, &fuse.MountOptions{
		FsName: "crashdisk", Name: "crashdisk", DirectMountStrict: true, DisableXAttrs: true, DisableReadDirPlus: true,
	})
	if err != nil {
		return nil, fmt.Errorf("mount crash disk: %w", err)
	}
	m.server = server
	go server.Serve()
	if err := server.WaitMount(); err != nil {
		return nil, fmt.Errorf("mount crash disk: %w", err)
	}
	return m, nil
}

// Close unmounts the disk and returns its log.
func (m *Mounted) Close() (*Log, error) {
	if err := m.server.Unmount(); err != nil {
		return nil, fmt.Errorf("unmount crash disk: %w", err)
	}
	m.server.Wait()
	return &m.log, nil
}

// record does an operation and logs it. mu must be held.
func (m *Mounted) record(op Op) {
	m.disk.Apply(len(m.log.Ops), op)
	m.log.Ops = append(m.log.Ops, op)
	switch op.Kind {
	case Mark, Sync, SyncDir, SyncFailed:
	default:
		m.now.apply(op, whole)
	}
}

// order is what the program asks of the disk: "!failsync NAME": the next sync
// of a file of that name fails, and of what was written since its last one an
// arbitrary part is on the disk, for good, though the kernel may still show
// the rest; "!full" and "!room": no file grows, or it does again; "!halfsync":
// from now on every other sync of a file does nothing.
func (m *Mounted) order(line string) {
	verb, name, _ := strings.Cut(strings.TrimSpace(line), " ")
	switch verb {
	case "!failsync":
		m.failSync[name] = true
	case "!full":
		m.full = true
	case "!room":
		m.full = false
	case "!halfsync":
		m.halfSync = true
	}
}

// sync makes a file durable, unless it was ordered to fail.
func (m *Mounted) sync(ino uint64) fuse.Status {
	m.mu.Lock()
	defer m.mu.Unlock()
	for name, failing := range m.failSync {
		if !failing || m.named(name) != ino {
			continue
		}
		delete(m.failSync, name)
		size := int64(len(m.now.Files[ino]))
		left := m.disk.Image(m.chance(ino)).Files[ino]
		m.record(Op{Kind: SyncFailed, Ino: ino, Data: bytes.Clone(left)})
		m.now.Files[ino] = resize(bytes.Clone(left), size)
		if size != int64(len(left)) {
			m.record(Op{Kind: Resize, Ino: ino, Size: size}) // the kernel still knows the size
		}
		return fuse.EIO
	}
	if m.halfSync {
		if m.skipped[ino] = !m.skipped[ino]; m.skipped[ino] {
			return fuse.OK
		}
	}
	m.record(Op{Kind: Sync, Ino: ino})
	return fuse.OK
}

// chance is how a failed sync of a file went.
func (m *Mounted) chance(ino uint64) Survival {
	s := Survival{Ops: make([]survived, len(m.disk.pending))}
	odds := m.rnd.Float64()
	for i, p := range m.disk.pending {
		if p.Ino == ino && !p.naming() {
			s.Ops[i] = p.scattered(func() bool { return m.rnd.Float64() < odds }, SectorBytes)
		}
	}
	return s
}

// named returns the inode of a file by the last part of its path.
func (m *Mounted) named(name string) uint64 {
	for _, names := range m.now.Dirs {
		if ino, ok := names[filepath.Base(name)]; ok {
			return ino
		}
	}
	return 0
}
