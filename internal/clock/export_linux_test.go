package clock

import "time"

// Slept reads how long this machine was suspended.
func Slept() time.Duration { return slept() }

// SuspendLeast is the shortest suspend that is noticed.
const SuspendLeast = suspendLeast

// RTCAgrees asks the battery-backed clocks in dir.
func RTCAgrees(dir string, t time.Time) bool { return rtcAgrees(dir, t) }

// WithBattery replaces the question to them.
func WithBattery(f func(time.Time) bool) Option { return func(o *options) { o.battery = f } }
