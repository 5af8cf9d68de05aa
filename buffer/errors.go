package buffer

import (
	"errors"

	"obu/buffer/wreck"
)

// Sentinels of the package; each names its cure.
var (
	// ErrLocked is returned by Open and Inspect when another process holds the
	// directory: stop the other obu, or ask it through its socket.
	ErrLocked = errors.New("another obu is running on this buffer directory")
	// ErrClosed is returned by every writing method after Close.
	ErrClosed = errors.New("buffer is closed")
	// ErrDiskFailed is returned where only a durable store would do while the
	// disk fails: keep the data and try again; the buffer itself retries the
	// disk with every commit once its back-off has passed.
	ErrDiskFailed = errors.New("disk does not take data")
	// ErrGone says that a file of the store was deleted, moved or replaced while
	// it was in use: put it back, or let the buffer move what is undelivered to
	// the configured place, which it does by itself once that can be written.
	ErrGone = errors.New("the store was deleted, moved or replaced while it is in use")
	// ErrOffset is returned by CommitChunk when the chunk does not continue
	// what is stored: ask ClipProgress and go on from there.
	ErrOffset = errors.New("chunk does not continue the stored clip")
	// ErrTooManyCommands is returned while as many command ids are remembered as
	// there is room for and none of them has expired for certain: send the
	// command again later, or wait until the unit knows the time.
	ErrTooManyCommands = errors.New("too many unexpired commands")
	// ErrTooLarge is returned for a command id or reply over its bound:
	// shorten it.
	ErrTooLarge = errors.New("command record too large")
	// ErrNewerFormat says that a file was written by a newer obu: it is set
	// aside unharmed, install that version again to deliver it.
	ErrNewerFormat = errors.New("file has a newer format than this obu knows")
	// ErrDamaged says that a file, or a value in it, is not what was written:
	// Open sets such a file aside and goes on with a new one.
	ErrDamaged = wreck.ErrDamaged
	// ErrNoFile says that a pipe, a device or a folder has the name of a file of
	// the store: move it away.
	ErrNoFile = errors.New("a file is wanted there")
	// ErrNothingLeft is returned by Export for a file in which no part of a store
	// was found: it is another file, or cut short; there is nothing to save.
	ErrNothingLeft = errors.New("nothing of a store is in it")
)
