//go:build linux && (amd64 || arm64)

// Package baddisk is a disk that fails when it is told to, as a worn card does:
// single sectors that cannot be read, writes and syncs that are refused, each
// with the kernel's own EIO, and so with SIGBUS under a mapped page. Tests only.
//
// Its job: Serve passes a directory through at a mount point (FUSE; root and
// /dev/fuse) until its input ends; Mount has a child process do that and cleans
// up after it; Disk.Fail says what fails from now on. What was read before is
// forgotten by the kernel at each change, so that the next access, of the mapped
// file too, asks the disk. Its non-job: power cuts, see crashdisk; syncs here
// cost nothing and promise nothing. Offsets are bytes.
//
// The server has to be another process than the one under test, which would
// wait for itself in a page fault.
package baddisk
