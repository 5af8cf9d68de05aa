package clock

import (
	"fmt"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"obu/telemetry"
)

// suspendNap bounds one timer of a System clock: Go's timers stand still while
// the machine is suspended and CLOCK_BOOTTIME does not, so a sleeper looks
// again after this long.
const suspendNap = 30 * time.Second

// System returns the clock of this machine: CLOCK_BOOTTIME, the kernel's boot
// id, the system's wall clock and whether NTP vouches for it. An unreadable
// boot id is replaced by a random one and reported: each start then counts as
// a boot.
func System(opts ...Option) (*Clock, error) {
	if _, err := boottime(); err != nil {
		return nil, fmt.Errorf("read CLOCK_BOOTTIME: %w", err)
	}
	c := newClock(opts, floorDate)
	if c.opt.build.After(c.opt.floor) {
		c.opt.floor = c.opt.build
	}
	c.opt.ceiling = c.opt.windowStart().Add(rollover) // a receiver cannot tell later from earlier
	if c.opt.synced == nil {
		c.opt.synced = ntpSynced
	}
	c.opt.suspended = slept
	c.opt.battery = func(t time.Time) bool { return rtcAgrees(rtcClass, t) }
	if c.opt.boot.IsZero() {
		id, err := kernelBoot(bootIDFile)
		if err != nil {
			c.log.Warn("the kernel's boot id cannot be read: this start counts as a boot of its own; mount /proc to cure it",
				"file", bootIDFile, "error", err)
		} else {
			c.boot = id
		}
	}
	c.read = func() telemetry.At {
		at, _ := boottime() // it worked above
		return at
	}
	c.maxNap = suspendNap
	c.wall.start(c)
	return c, nil
}

const bootIDFile = "/proc/sys/kernel/random/boot_id"

func kernelBoot(file string) (telemetry.BootID, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return telemetry.BootID{}, err
	}
	return telemetry.ParseBootID(strings.TrimSpace(string(b)))
}

func boottime() (telemetry.At, error) {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
		return 0, err
	}
	return telemetry.At(ts.Nano()), nil
}

// sleptLooks is how often slept looks for a moment without interruption.
const sleptLooks = 5

// slept returns how long the machine was suspended since it booted, which is
// what CLOCK_BOOTTIME counted and CLOCK_MONOTONIC did not.
func slept() (total time.Duration) {
	var before, boot, after unix.Timespec
	least := int64(1 << 62)
	for range sleptLooks {
		_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &before) // as boottime: it worked at the start
		_ = unix.ClockGettime(unix.CLOCK_BOOTTIME, &boot)
		_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &after)
		if width := after.Nano() - before.Nano(); width < least {
			least, total = width, time.Duration(boot.Nano()-before.Nano()-width/2)
		}
		if least < int64(time.Millisecond) {
			break
		}
	}
	return total
}

// SetSystem sets the system clock, which needs CAP_SYS_TIME.
func SetSystem(t time.Time) error {
	ts := unix.NsecToTimespec(t.UnixNano())
	return unix.ClockSettime(unix.CLOCK_REALTIME, &ts)
}

// ntpSynced asks the kernel whether a time daemon disciplines its clock, and
// for the daemon's bound of the error.
func ntpSynced() (time.Duration, bool) {
	var tx unix.Timex // Modes 0: read only
	state, err := unix.Adjtimex(&tx)
	if err != nil || state == unix.TIME_ERROR || tx.Status&unix.STA_UNSYNC != 0 {
		return 0, false
	}
	return time.Duration(tx.Maxerror) * time.Microsecond, true
}
