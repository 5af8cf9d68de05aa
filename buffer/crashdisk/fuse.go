//go:build linux && (amd64 || arm64)

package crashdisk

import (
	"bytes"
	"slices"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fuse"
)

// The calls of the kernel. It is the only user of the disk, so it may remember
// what it was told for as long as it likes.
const remember = 3600 // seconds

func (m *Mounted) String() string { return "crashdisk" }

// attr describes an inode. mu must be held.
func (m *Mounted) attr(ino uint64, out *fuse.Attr) fuse.Status {
	*out = fuse.Attr{Ino: ino, Nlink: 1, Blksize: pageBytes}
	if names, ok := m.now.Dirs[ino]; ok {
		out.Mode, out.Nlink = fuse.S_IFDIR|0o700, uint32(2+len(names))
		return fuse.OK
	}
	if data, ok := m.now.Files[ino]; ok || ino == marksIno {
		out.Mode, out.Size, out.Blocks = fuse.S_IFREG|0o600, uint64(len(data)), uint64(len(data)+511)/512
		return fuse.OK
	}
	return fuse.ENOENT
}

func (m *Mounted) entry(ino uint64, out *fuse.EntryOut) fuse.Status {
	out.NodeId, out.Generation, out.EntryValid, out.AttrValid = ino, 1, remember, remember
	return m.attr(ino, &out.Attr)
}

func (m *Mounted) lookup(dir uint64, name string) uint64 {
	if dir == Root && name == MarksName {
		return marksIno
	}
	return m.now.Dirs[dir][name]
}

// Lookup implements fuse.RawFileSystem.
func (m *Mounted) Lookup(_ <-chan struct{}, h *fuse.InHeader, name string, out *fuse.EntryOut) fuse.Status {
	m.mu.Lock()
	defer m.mu.Unlock()
	ino := m.lookup(h.NodeId, name)
	if ino == 0 {
		return fuse.ENOENT
	}
	return m.entry(ino, out)
}

// GetAttr implements fuse.RawFileSystem.
func (m *Mounted) GetAttr(_ <-chan struct{}, in *fuse.GetAttrIn, out *fuse.AttrOut) fuse.Status {
	m.mu.Lock()
	defer m.mu.Unlock()
	out.AttrValid = remember
	return m.attr(in.NodeId, &out.Attr)
}

// SetAttr implements fuse.RawFileSystem: of what can be set only the size
// matters.
func (m *Mounted) SetAttr(_ <-chan struct{}, in *fuse.SetAttrIn, out *fuse.AttrOut) fuse.Status {
	m.mu.Lock()
	defer m.mu.Unlock()
	if size, ok := in.GetSize(); ok && in.NodeId != marksIno {
		if st := m.resize(in.NodeId, int64(size)); st != fuse.OK {
			return st
		}
	}
	out.AttrValid = remember
	return m.attr(in.NodeId, &out.Attr)
}

func (m *Mounted) resize(ino uint64, size int64) fuse.Status {
	data, ok := m.now.Files[ino]
	switch {
	case !ok:
		return fuse.ENOENT
	case m.full && size > int64(len(data)):
		return fuse.Status(syscall.ENOSPC)
	case size != int64(len(data)):
		m.record(Op{Kind: Resize, Ino: ino, Size: size})
	}
	return fuse.OK
}

// Create implements fuse.RawFileSystem.
func (m *Mounted) Create(_ <-chan struct{}, in *fuse.CreateIn, name string, out *fuse.CreateOut) fuse.Status {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.full {
		return fuse.Status(syscall.ENOSPC)
	}
	ino := m.next
	m.next++
	m.record(Op{Kind: Create, Dir: in.NodeId, Name: name, Ino: ino})
	return m.entry(ino, &out.EntryOut)
}

// Mkdir implements fuse.RawFileSystem.
func (m *Mounted) Mkdir(_ <-chan struct{}, in *fuse.MkdirIn, name string, out *fuse.EntryOut) fuse.Status {
	m.mu.Lock()
	defer m.mu.Unlock()
	ino := m.next
	m.next++
	m.record(Op{Kind: Mkdir, Dir: in.NodeId, Name: name, Ino: ino})
	return m.entry(ino, out)
}

// Unlink implements fuse.RawFileSystem.
func (m *Mounted) Unlink(_ <-chan struct{}, h *fuse.InHeader, name string) fuse.Status {
	m.mu.Lock()
	defer m.mu.Unlock()
	ino := m.lookup(h.NodeId, name)
	if ino == 0 {
		return fuse.ENOENT
	}
	m.record(Op{Kind: Unlink, Dir: h.NodeId, Name: name, Ino: ino})
	return fuse.OK
}

// Rename implements fuse.RawFileSystem, within a directory.
func (m *Mounted) Rename(_ <-chan struct{}, in *fuse.RenameIn, name, newName string) fuse.Status {
	m.mu.Lock()
	defer m.mu.Unlock()
	ino := m.lookup(in.NodeId, name)
	switch {
	case ino == 0:
		return fuse.ENOENT
	case in.Newdir != in.NodeId:
		return fuse.Status(syscall.EXDEV)
	case in.Flags != 0:
		return fuse.EINVAL
	}
	m.record(Op{Kind: Rename, Dir: in.NodeId, Name: name, NewName: newName, Ino: ino})
	return fuse.OK
}

// Open implements fuse.RawFileSystem. The kernel may keep its pages from one
// opening to the next, as with a disk; the marks it must pass on at once.
func (m *Mounted) Open(_ <-chan struct{}, in *fuse.OpenIn, out *fuse.OpenOut) fuse.Status {
	m.mu.Lock()
	defer m.mu.Unlock()
	out.OpenFlags = fuse.FOPEN_KEEP_CACHE
	if in.NodeId == marksIno {
		out.OpenFlags = fuse.FOPEN_DIRECT_IO
		return fuse.OK
	}
	if in.Flags&syscall.O_TRUNC != 0 {
		return m.resize(in.NodeId, 0)
	}
	return fuse.OK
}

// Read implements fuse.RawFileSystem.
func (m *Mounted) Read(_ <-chan struct{}, in *fuse.ReadIn, buf []byte) (fuse.ReadResult, fuse.Status) {
	m.mu.Lock()
	defer m.mu.Unlock()
	data := m.now.Files[in.NodeId]
	from := min(int(in.Offset), len(data))
	n := copy(buf, data[from:])
	return fuse.ReadResultData(buf[:n]), fuse.OK
}

// Write implements fuse.RawFileSystem.
func (m *Mounted) Write(_ <-chan struct{}, in *fuse.WriteIn, data []byte) (uint32, fuse.Status) {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch old, ok := m.now.Files[in.NodeId]; {
	case in.NodeId == marksIno && len(data) > 0 && data[0] == '!':
		m.order(string(data))
	case in.NodeId == marksIno:
		m.record(Op{Kind: Mark, Data: bytes.Clone(data)})
	case !ok:
		return 0, fuse.ENOENT
	case m.full && int64(in.Offset)+int64(len(data)) > int64(len(old)):
		return 0, fuse.Status(syscall.ENOSPC)
	default:
		m.record(Op{Kind: Write, Ino: in.NodeId, Off: int64(in.Offset), Data: bytes.Clone(data)})
	}
	return uint32(len(data)), fuse.OK
}

// Fallocate implements fuse.RawFileSystem: room at the end of a file.
func (m *Mounted) Fallocate(_ <-chan struct{}, in *fuse.FallocateIn) fuse.Status {
	m.mu.Lock()
	defer m.mu.Unlock()
	if in.Mode != 0 {
		return fuse.Status(syscall.EOPNOTSUPP)
	}
	return m.resize(in.NodeId, max(int64(len(m.now.Files[in.NodeId])), int64(in.Offset+in.Length)))
}

// Fsync implements fuse.RawFileSystem, for fsync and fdatasync alike: both
// make the content and the size that leads to it durable.
func (m *Mounted) Fsync(_ <-chan struct{}, in *fuse.FsyncIn) fuse.Status { return m.sync(in.NodeId) }

// FsyncDir implements fuse.RawFileSystem.
func (m *Mounted) FsyncDir(_ <-chan struct{}, in *fuse.FsyncIn) fuse.Status {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.record(Op{Kind: SyncDir, Dir: in.NodeId})
	return fuse.OK
}

// Flush implements fuse.RawFileSystem: closing a file makes nothing durable.
func (m *Mounted) Flush(<-chan struct{}, *fuse.FlushIn) fuse.Status { return fuse.OK }

// OpenDir implements fuse.RawFileSystem.
func (m *Mounted) OpenDir(<-chan struct{}, *fuse.OpenIn, *fuse.OpenOut) fuse.Status { return fuse.OK }

// ReadDir implements fuse.RawFileSystem.
func (m *Mounted) ReadDir(_ <-chan struct{}, in *fuse.ReadIn, out *fuse.DirEntryList) fuse.Status {
	m.mu.Lock()
	defer m.mu.Unlock()
	var names []string
	for name := range m.now.Dirs[in.NodeId] {
		names = append(names, name)
	}
	slices.Sort(names)
	for i := int(in.Offset); i < len(names); i++ {
		ino := m.now.Dirs[in.NodeId][names[i]]
		mode := uint32(fuse.S_IFREG)
		if _, dir := m.now.Dirs[ino]; dir {
			mode = fuse.S_IFDIR
		}
		if !out.AddDirEntry(fuse.DirEntry{Mode: mode, Name: names[i], Ino: ino, Off: uint64(i + 1)}) {
			break
		}
	}
	return fuse.OK
}

// StatFs implements fuse.RawFileSystem.
func (m *Mounted) StatFs(_ <-chan struct{}, _ *fuse.InHeader, out *fuse.StatfsOut) fuse.Status {
	const blocks = 1 << 18 // 1 GiB
	*out = fuse.StatfsOut{Blocks: blocks, Bfree: blocks, Bavail: blocks, Files: 1000, Ffree: 1000, Bsize: pageBytes, NameLen: 255, Frsize: pageBytes}
	return fuse.OK
}
