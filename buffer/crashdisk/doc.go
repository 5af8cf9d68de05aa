//go:build linux && (amd64 || arm64)

// Package crashdisk is a disk that remembers in which order it was written, so
// that a test can cut the power at every point of a program's life. Tests only.
//
// Its job: Mount a file system (FUSE, in memory) whose every write, change of
// size, sync and change of a directory goes into a Log; replay the log up to
// any operation (Disk); say which sectors may have survived a cut there
// (Variants) and write such an image into a directory. Its non-job: to know
// what lies in the files.
//
// What it takes a disk to promise: an operation survives for certain once a sync
// of its file (content, size) or of its directory (names) came after it and
// succeeded. Of the others any subset may survive, each write torn at sectors of
// 512 bytes; one sector is old or new, never mixed. A rename is atomic. That is
// stricter than ext4, whose journal keeps changes of directories in order.
// Sizes and offsets are bytes.
//
// The program under test has to be another process than the one that called
// Mount: a page fault on the mapped file would stop the server it waits for.
// Mount starts the server's goroutines, Close ends them.
package crashdisk
