// Package telemetry is the vocabulary of the on-board unit and its wire
// contract: what a Signal, a Sample, a Fix, a Clip, an Anchor and a Gap are,
// how they are grouped into Batches on disk and Envelopes on the wire, and
// how both are encoded and decoded. Cloud developers import it to read what
// a unit sends; CONTRACT.md and telemetry.proto say the same in prose and
// in protobuf.
//
// It does no I/O, reads no clock and starts no goroutine. Units are declared
// in the signal table and nowhere else: angles in degrees, heights in metres,
// speeds of fixes in metres per second, signals in the unit of their VSS path.
// Signal names are COVESA VSS v6.0 paths.
package telemetry

import (
	"encoding/hex"
	"fmt"
	"time"
)

// At is the time of a datum as nanoseconds since the kernel booted
// (CLOCK_BOOTTIME of the boot named beside it). It never jumps; Anchors tie
// it to wall time.
type At int64

// Sub returns the time from u to a.
func (a At) Sub(u At) time.Duration { return time.Duration(a - u) }

// Add returns a shifted by d.
func (a At) Add(d time.Duration) At { return a + At(d) }

// Seconds returns a in seconds since boot.
func (a At) Seconds() float64 { return time.Duration(a).Seconds() }

// BootID names one run of the kernel (/proc/sys/kernel/random/boot_id).
type BootID [16]byte

// String returns the id as 32 hexadecimal digits.
func (b BootID) String() string { return hex.EncodeToString(b[:]) }

// IsZero reports whether the boot is unknown.
func (b BootID) IsZero() bool { return b == BootID{} }

// ParseBootID reads 32 hexadecimal digits, with or without the dashes of a
// UUID.
func ParseBootID(s string) (BootID, error) {
	var b BootID
	err := parseHex(b[:], s)
	return b, err
}

// StoreID is the random name of one database file's life. A cloned, restored
// or retired store never mints names under an old one.
type StoreID [8]byte

// String returns the id as 16 hexadecimal digits.
func (s StoreID) String() string { return hex.EncodeToString(s[:]) }

// IsZero reports whether no store is named.
func (s StoreID) IsZero() bool { return s == StoreID{} }

// ParseStoreID reads 16 hexadecimal digits.
func ParseStoreID(s string) (StoreID, error) {
	var id StoreID
	err := parseHex(id[:], s)
	return id, err
}

func parseHex(dst []byte, s string) error {
	digits := make([]byte, 0, 2*len(dst))
	for i := 0; i < len(s); i++ {
		if s[i] != '-' {
			digits = append(digits, s[i])
		}
	}
	if len(digits) != 2*len(dst) {
		return fmt.Errorf("parse id %q: want %d hexadecimal digits", s, 2*len(dst))
	}
	if _, err := hex.Decode(dst, digits); err != nil {
		return fmt.Errorf("parse id %q: %w", s, err)
	}
	return nil
}

// Class is the stream a batch belongs to; each has its own contiguous seq per
// store, its own topic and its own rank when space runs out.
type Class uint8

// The classes, in the order of the topics in CONTRACT.md.
const (
	ClassTelemetry Class = 1 + iota // samples and fixes
	ClassEvent                      // VIN, DTCs, trips, Gaps, Anchors, clip manifests
	ClassHealth                     // the unit's own statistics
	ClassMedia                      // chunks of clips
)

// Classes lists every class once.
var Classes = [...]Class{ClassTelemetry, ClassEvent, ClassHealth, ClassMedia}

var classNames = map[Class]string{
	ClassTelemetry: "telemetry", ClassEvent: "event", ClassHealth: "health", ClassMedia: "media",
}

// String returns the class as it stands in topics and JSON.
func (c Class) String() string {
	if s, ok := classNames[c]; ok {
		return s
	}
	return fmt.Sprintf("class-%d", uint8(c))
}

// ParseClass is the inverse of String for the known classes.
func ParseClass(s string) (Class, error) {
	for c, n := range classNames {
		if n == s {
			return c, nil
		}
	}
	return 0, fmt.Errorf("parse class %q: want telemetry, event, health or media", s)
}
