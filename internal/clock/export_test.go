package clock

import (
	"time"

	"obu/telemetry"
)

// WithSystemWall replaces the system's wall clock.
func WithSystemWall(f func() time.Time) Option { return func(o *options) { o.sysWall = f } }

// WithStamping replaces the wall clock of kernel stamps.
func WithStamping(f func() time.Time) Option { return func(o *options) { o.stamping = f } }

// WithNTP replaces the question to the kernel whether NTP steers its clock.
func WithNTP(f func() (time.Duration, bool)) Option { return func(o *options) { o.synced = f } }

// WithSuspended replaces the question how long the machine has slept.
func WithSuspended(f func() time.Duration) Option { return func(o *options) { o.suspended = f } }

// WithCeiling sets the date from which no time is believed.
func WithCeiling(t time.Time) Option { return func(o *options) { o.ceiling = t } }

// KernelBoot reads a boot id file.
func KernelBoot(file string) (telemetry.BootID, error) { return kernelBoot(file) }
