//go:build linux && (amd64 || arm64)

package baddisk

import (
	"context"
	"encoding/json"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

const pageBytes = 4096

// node is a file or directory passed through.
type node struct {
	*fs.LoopbackNode
	disk *state
}

// WrapChild implements fs.NodeWrapChilder.
func (n *node) WrapChild(_ context.Context, ops fs.InodeEmbedder) fs.InodeEmbedder {
	if passed, ok := ops.(*fs.LoopbackNode); ok {
		return &node{passed, n.disk}
	}
	return ops // the orders
}

// name is the file's present one: it may have been renamed.
func (n *node) name() string {
	name, _ := n.Parent()
	return name
}

// Lookup implements fs.NodeLookuper. The orders are no file of the backing
// directory.
func (n *node) Lookup(ctx context.Context, name string, out *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	if ch := n.GetChild(orders); name == orders && ch != nil {
		out.Attr.Mode = syscall.S_IFREG | 0o600
		return ch, fs.OK
	}
	return n.LoopbackNode.Lookup(ctx, name, out)
}

// Create implements fs.NodeCreater.
func (n *node) Create(ctx context.Context, name string, flags, mode uint32, out *fuse.EntryOut) (*fs.Inode, fs.FileHandle, uint32, syscall.Errno) {
	if errno := n.disk.write(All); errno != fs.OK {
		return nil, nil, 0, errno
	}
	ch, h, _, errno := n.LoopbackNode.Create(ctx, name, flags, mode, out)
	if errno != fs.OK {
		return nil, nil, 0, errno
	}
	return ch, &handle{h.(*fs.LoopbackFile), ch.Operations().(*node)}, fuse.FOPEN_KEEP_CACHE, fs.OK
}

// Mkdir implements fs.NodeMkdirer.
func (n *node) Mkdir(ctx context.Context, name string, mode uint32, out *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	if errno := n.disk.write(All); errno != fs.OK {
		return nil, errno
	}
	return n.LoopbackNode.Mkdir(ctx, name, mode, out)
}

// Unlink implements fs.NodeUnlinker.
func (n *node) Unlink(ctx context.Context, name string) syscall.Errno {
	if errno := n.disk.write(All); errno != fs.OK {
		return errno
	}
	return n.LoopbackNode.Unlink(ctx, name)
}

// Rename implements fs.NodeRenamer.
func (n *node) Rename(ctx context.Context, name string, to fs.InodeEmbedder, newName string, flags uint32) syscall.Errno {
	if errno := n.disk.write(All); errno != fs.OK {
		return errno
	}
	return n.LoopbackNode.Rename(ctx, name, to, newName, flags)
}

// Open implements fs.NodeOpener. The kernel may keep its pages from one opening
// to the next, as with a disk.
func (n *node) Open(ctx context.Context, flags uint32) (fs.FileHandle, uint32, syscall.Errno) {
	if flags&syscall.O_TRUNC != 0 {
		if errno := n.disk.write(n.name()); errno != fs.OK {
			return nil, 0, errno
		}
	}
	h, _, errno := n.LoopbackNode.Open(ctx, flags)
	if errno != fs.OK {
		return nil, 0, errno
	}
	return &handle{h.(*fs.LoopbackFile), n}, fuse.FOPEN_KEEP_CACHE, fs.OK
}

// Setattr implements fs.NodeSetattrer.
func (n *node) Setattr(ctx context.Context, h fs.FileHandle, in *fuse.SetAttrIn, out *fuse.AttrOut) syscall.Errno {
	if _, sized := in.GetSize(); sized {
		if errno := n.disk.write(n.name()); errno != fs.OK {
			return errno
		}
	}
	return n.LoopbackNode.Setattr(ctx, h, in, out)
}

// handle is an open file.
type handle struct {
	*fs.LoopbackFile
	of *node
}

// inode is the file's number in the backing directory.
func (h *handle) inode() uint64 { return h.of.StableAttr().Ino }

// PassthroughFd keeps the kernel from going round the faults.
func (h *handle) PassthroughFd() (int, bool) { return -1, false }

// Read implements fs.FileReader.
func (h *handle) Read(ctx context.Context, buf []byte, off int64) (fuse.ReadResult, syscall.Errno) {
	if h.of.disk.readFails(h.inode(), off, int64(len(buf))) {
		return nil, syscall.EIO
	}
	return h.LoopbackFile.Read(ctx, buf, off)
}

// Write implements fs.FileWriter.
func (h *handle) Write(ctx context.Context, data []byte, off int64) (uint32, syscall.Errno) {
	if errno := h.of.disk.write(h.of.name()); errno != fs.OK {
		if len(data)%pageBytes == 0 { // of a page in part the kernel keeps the lock
			h.worse(true)
		}
		return 0, errno
	}
	return h.LoopbackFile.Write(ctx, data, off)
}

// Allocate implements fs.FileAllocater.
func (h *handle) Allocate(ctx context.Context, off, size uint64, mode uint32) syscall.Errno {
	if errno := h.of.disk.write(h.of.name()); errno != fs.OK {
		return errno
	}
	return h.LoopbackFile.Allocate(ctx, off, size, mode)
}

// Fsync implements fs.FileFsyncer.
func (h *handle) Fsync(context.Context, uint32) syscall.Errno {
	if h.of.disk.syncFails(h.of.name()) {
		h.worse(true)
		return syscall.EIO
	}
	h.worse(false)
	return fs.OK
}

func (h *handle) worse(refused bool) {
	if h.of.disk.worse(refused) {
		forget(h.of.Root())
	}
}

// orderFile is how a program speaks to the disk.
type orderFile struct {
	fs.Inode
	disk *state
	root *fs.Inode
}

// Open implements fs.NodeOpener.
func (o *orderFile) Open(context.Context, uint32) (fs.FileHandle, uint32, syscall.Errno) {
	return nil, fuse.FOPEN_DIRECT_IO, fs.OK
}

// Setattr implements fs.NodeSetattrer: there is nothing to truncate.
func (o *orderFile) Setattr(_ context.Context, _ fs.FileHandle, _ *fuse.SetAttrIn, out *fuse.AttrOut) syscall.Errno {
	out.Mode = syscall.S_IFREG | 0o600
	return fs.OK
}

// Write implements fs.NodeWriter.
func (o *orderFile) Write(_ context.Context, _ fs.FileHandle, data []byte, _ int64) (uint32, syscall.Errno) {
	var f Faults
	if json.Unmarshal(data, &f) != nil {
		return 0, syscall.EINVAL
	}
	if err := o.disk.set(f); err != nil {
		return 0, fs.ToErrno(err)
	}
	forget(o.root)
	return uint32(len(data)), fs.OK
}

// Read implements fs.NodeReader.
func (o *orderFile) Read(_ context.Context, _ fs.FileHandle, buf []byte, off int64) (fuse.ReadResult, syscall.Errno) {
	raw, err := json.Marshal(o.disk.count())
	if err != nil {
		return nil, syscall.EIO
	}
	return fuse.ReadResultData(raw[min(int(off), len(raw)):]), fs.OK
}

// forget makes the kernel drop what it has read of all files.
func forget(n *fs.Inode) {
	for _, ch := range n.Children() {
		if ch.IsDir() {
			forget(ch)
		} else {
			_ = ch.NotifyContent(0, 0) // a file the kernel does not know is forgotten already
		}
	}
}
