package agent

import (
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Disk is what the block device below a folder says of itself. Linux tells it
// in sysfs; what it does not tell is unknown.
type Disk struct {
	Device   string // "mmcblk0p3"; "" unknown, as on tmpfs or an overlay
	Shared   bool   // the file system holds other things as well
	LifeUsed int    // eMMC, percent of its rated life: the upper end of the ten it is in, 110 beyond; -1 unknown, as on SD cards
	PreEOL   string // eMMC's spare blocks: "normal", "warning" (80 % used), "urgent" (90 %), "" unknown

	stat string // the device's counters
}

// LookAtDisk finds the device below dir and reads its wear.
func LookAtDisk(dir string) Disk { return linuxFiles().look(dir) }

// diskFiles are where Linux tells of block devices; tests have their own.
type diskFiles struct{ sys, mounts string }

func linuxFiles() diskFiles { return diskFiles{"/sys", "/proc/self/mountinfo"} }

func (d diskFiles) look(dir string) Disk {
	out := Disk{Shared: true, LifeUsed: -1}
	dir, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return out
	}
	mounts, _ := os.ReadFile(d.mounts)
	m := mountOf(string(mounts), dir)
	dev := d.deviceOf(dir, m)
	if dev == "" {
		return out
	}
	out.Device, out.stat = filepath.Base(dev), filepath.Join(dev, "stat")
	out.Shared = m.point == "" || m.root != "/" || holdsOthers(m.point, dir)
	out.LifeUsed, out.PreEOL = emmcWear(dev, maxLayers)
	return out
}

// deviceOf returns the folder of the block device in sysfs, or "".
func (d diskFiles) deviceOf(dir string, m mount) string {
	var st unix.Stat_t
	if unix.Stat(dir, &st) != nil {
		return ""
	}
	dev := uint64(st.Dev) //nolint:unconvert // types differ between platforms
	if unix.Major(dev) == 0 && strings.HasPrefix(m.source, "/dev/") && unix.Stat(m.source, &st) == nil {
		dev = uint64(st.Rdev) //nolint:unconvert // btrfs: a number of its own, and the mount names the device
	}
	path := filepath.Join(d.sys, "dev/block", strconv.Itoa(int(unix.Major(dev)))+":"+strconv.Itoa(int(unix.Minor(dev))))
	path, err := filepath.EvalSymlinks(path)
	if err != nil {
		return ""
	}
	return path
}

// mount is one line of mountinfo: what is mounted where.
type mount struct{ root, point, source string }

// mountOf returns the mount a path is on: the longest, and of several at one
// point the last. Fields as in proc(5); one it cannot read is passed over.
func mountOf(mountinfo, path string) (best mount) {
	for line := range strings.Lines(mountinfo) {
		f := strings.Fields(line)
		dash := 6 // id parent major:minor root point options [optional…] - type source options
		for dash < len(f) && f[dash] != "-" {
			dash++
		}
		if dash+2 >= len(f) {
			continue
		}
		point := unescape(f[4])
		if below(path, point) && len(point) >= len(best.point) {
			best = mount{unescape(f[3]), point, unescape(f[dash+2])}
		}
	}
	return best
}

// below reports whether path is point or lies in it.
func below(path, point string) bool {
	return path == point || strings.HasPrefix(path, strings.TrimSuffix(point, "/")+"/")
}

// unescape undoes what mountinfo does to spaces.
func unescape(s string) string {
	return strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`).Replace(s)
}

// holdsOthers reports whether the file system mounted at point holds more than
// the way to dir. What cannot be looked into counts as others'.
func holdsOthers(point, dir string) bool {
	for at := dir; at != point; {
		ours := filepath.Base(at)
		if at = filepath.Dir(at); len(at) < len(point) {
			return true
		}
		h, err := os.Open(at)
		if err != nil {
			return true
		}
		names, _ := h.Readdirnames(3) // a third is another's
		h.Close()
		for _, n := range names {
			if n != ours && n != "lost+found" {
				return true
			}
		}
	}
	return false
}

// maxLayers bounds the way from a mapped device (encryption, volumes) to the
// card below it.
const maxLayers = 4

// emmcWear reads what an eMMC says of its wear (JEDEC JESD84-B51,
// DEVICE_LIFE_TIME_EST_TYP and PRE_EOL_INFO in EXT_CSD).
func emmcWear(dev string, layers int) (lifeUsed int, preEOL string) {
	disk := dev
	if _, err := os.Stat(filepath.Join(dev, "partition")); err == nil {
		disk = filepath.Dir(dev)
	}
	life, _ := os.ReadFile(filepath.Join(disk, "device/life_time"))
	eol, _ := os.ReadFile(filepath.Join(disk, "device/pre_eol_info"))
	lifeUsed, preEOL = parseLifeTime(string(life)), parsePreEOL(string(eol))
	if lifeUsed >= 0 || preEOL != "" || layers == 0 {
		return lifeUsed, preEOL
	}
	slaves, _ := filepath.Glob(filepath.Join(dev, "slaves/*"))
	for _, s := range slaves {
		under, err := filepath.EvalSymlinks(s)
		if err != nil {
			continue
		}
		l, e := emmcWear(under, layers-1)
		if lifeUsed = max(lifeUsed, l); e > preEOL { // in order of alphabet, as it happens, and of alarm
			preEOL = e
		}
	}
	return lifeUsed, preEOL
}

// parseLifeTime reads "0x01 0x02": for each kind of cell the tenth of its rated
// life that it is in, 0x0B beyond. The worse counts; -1 when none is defined.
func parseLifeTime(text string) int {
	const beyond = 0x0B
	worst := -1
	for _, f := range strings.Fields(text) {
		if n, err := strconv.ParseUint(f, 0, 8); err == nil && n >= 1 && n <= beyond {
			worst = max(worst, int(n)*10)
		}
	}
	return worst
}

func parsePreEOL(text string) string {
	n, err := strconv.ParseUint(strings.TrimSpace(text), 0, 8)
	if err != nil || n < 1 || n > 3 {
		return ""
	}
	return [...]string{"", "normal", "warning", "urgent"}[n]
}

// written returns the bytes the device was given to write since it exists, or
// since the machine started; -1 when it does not say.
func (d Disk) written() int64 {
	if d.stat == "" {
		return -1
	}
	text, err := os.ReadFile(d.stat)
	if err != nil {
		return -1
	}
	return parseWritten(string(text))
}

// parseWritten reads the sectors written of Documentation/block/stat.rst.
func parseWritten(stat string) int64 {
	const sectorsWritten, sector = 6, 512
	f := strings.Fields(stat)
	if len(f) <= sectorsWritten {
		return -1
	}
	n, err := strconv.ParseInt(f[sectorsWritten], 10, 64)
	if err != nil || n < 0 || n > math.MaxInt64/sector {
		return -1
	}
	return n * sector
}

// DiskStatus is what the store's disk has to bear. A null is unknown.
type DiskStatus struct {
	Device     string  `json:"device"`                 // "mmcblk0p3"; "" when the store is on no block device
	Shared     bool    `json:"shared_disk"`            // the file system holds other things too: the device's figures are all of it
	Written    *int64  `json:"device_bytes"`           // given to the device since the agent's start, by its own counter
	PerDay     *int64  `json:"host_bytes_per_day"`     // the same a day, at the rate so far
	StorePages *int64  `json:"store_bytes_per_day"`    // what the store itself wrote; the file system's journal comes on top
	LifeUsed   *int    `json:"emmc_life_used_percent"` // the eMMC's own count, in tens; 110: beyond its rated life
	PreEOL     *string `json:"emmc_pre_eol"`           // "normal", "warning", "urgent": its spare blocks
}

const (
	// rateFrom is how long to count before a day is extrapolated.
	rateFrom = 10 * time.Minute
	// lookEvery is how often the device is looked for anew.
	lookEvery = time.Hour
)

// diskMeter counts what the device was given from the start, which a wipe makes
// anew.
type diskMeter struct {
	files diskFiles
	mu    sync.Mutex // guards what follows
	disk  Disk
	from  int64 // of the device's counter; -1: not known
	since time.Duration
	look  time.Duration // next; 0: never looked
}

// status is the state after up of running; pages is what the store wrote in it.
func (m *diskMeter) status(dir string, up time.Duration, pages int64) *DiskStatus {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.look == 0 || up >= m.look {
		was := m.disk.Device
		m.disk, m.look = m.files.look(dir), up+lookEvery
		if m.disk.Device != was {
			m.from, m.since = m.disk.written(), up
		}
	}
	s := &DiskStatus{Device: m.disk.Device, Shared: m.disk.Shared}
	s.StorePages = perDay(pages, up)
	switch now := m.disk.written(); {
	case now < 0:
	case m.from < 0 || now < m.from: // a counter of 32 bits went round
		m.from, m.since = now, up
	default:
		n := now - m.from
		s.Written, s.PerDay = &n, perDay(n, up-m.since)
	}
	if m.disk.LifeUsed >= 0 {
		s.LifeUsed = &m.disk.LifeUsed
	}
	if m.disk.PreEOL != "" {
		s.PreEOL = &m.disk.PreEOL
	}
	return s
}

func perDay(n int64, in time.Duration) *int64 {
	if in < rateFrom {
		return nil
	}
	day := int64(float64(n) / in.Hours() * 24)
	return &day
}
