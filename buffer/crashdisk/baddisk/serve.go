//go:build linux && (amd64 || arm64)

package baddisk

import (
	"context"
	"fmt"
	"io"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

// orders is a file in the root of the mount: Faults are written to it, Failed is
// read from it.
const orders = ".faults"

// Serve mounts the directory backing on dir, says so on out, and passes through
// until in ends.
func Serve(backing, dir string, in io.Reader, out io.Writer) error {
	var st syscall.Stat_t
	if err := syscall.Stat(backing, &st); err != nil {
		return fmt.Errorf("mount bad disk: %w", err)
	}
	d := &state{backing: backing}
	data := &fs.LoopbackRoot{Path: backing, Dev: uint64(st.Dev)} //nolint:unconvert // types differ between platforms
	root := &node{LoopbackNode: &fs.LoopbackNode{RootData: data}, disk: d}
	data.RootNode = root
	keep := time.Hour // there is no other user
	server, err := fs.Mount(dir, root, &fs.Options{
		AttrTimeout: &keep, EntryTimeout: &keep,
		MountOptions: fuse.MountOptions{FsName: "baddisk", Name: "baddisk", DirectMountStrict: true, DisableXAttrs: true, ExplicitDataCacheControl: true},
		OnAdd: func(ctx context.Context) {
			file := root.EmbeddedInode().NewPersistentInode(ctx, &orderFile{disk: d, root: root.EmbeddedInode()}, fs.StableAttr{Mode: syscall.S_IFREG})
			root.EmbeddedInode().AddChild(orders, file, true)
		},
	})
	if err != nil {
		return fmt.Errorf("mount bad disk: %w", err)
	}
	fmt.Fprintln(out, "mounted")
	_, _ = io.Copy(io.Discard, in) // until it ends, however it does
	_ = d.set(Faults{})
	if server.Unmount() == nil {
		return nil
	}
	if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil { // a leaked memory map keeps it busy
		return fmt.Errorf("unmount bad disk: %w", err)
	}
	return nil
}
