package agent

import "time"

// LookAt is LookAtDisk with sysfs and mountinfo elsewhere.
func LookAt(sys, mounts, dir string) Disk { return diskFiles{sys, mounts}.look(dir) }

// Meter returns a counter of what the device below dir is given.
func Meter(sys, mounts, dir string) func(up time.Duration, pages int64) *DiskStatus {
	m := &diskMeter{files: diskFiles{sys, mounts}}
	return func(up time.Duration, pages int64) *DiskStatus { return m.status(dir, up, pages) }
}

// Written, LifeTime, PreEOL and MountPoint read what the kernel wrote.
func (d Disk) Written() int64   { return d.written() }
func Written(stat string) int64 { return parseWritten(stat) }
func LifeTime(text string) int  { return parseLifeTime(text) }
func PreEOL(text string) string { return parsePreEOL(text) }
func MountPoint(mountinfo, path string) (root, point, source string) {
	m := mountOf(mountinfo, path)
	return m.root, m.point, m.source
}

// DiskFrom has the agent read what the kernel tells of its disk elsewhere.
func (a *Agent) DiskFrom(sys, mounts string) { a.diskFiles = diskFiles{sys, mounts} }
