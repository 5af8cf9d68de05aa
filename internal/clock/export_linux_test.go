package clock

import "time"

// Slept reads how long this machine was suspended.
func Slept() time.Duration { return slept() }

// SuspendLeast is the shortest suspend that is noticed.
const SuspendLeast = suspendLeast
