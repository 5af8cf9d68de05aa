package agent_test

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"obu/internal/agent"
)

// fakeSys is a sysfs in which the device below dir is an eMMC's partition.
type fakeSys struct {
	*testing.T
	sys, mounts, dir string
	part             string // folder of the partition
}

func newFakeSys(t *testing.T) *fakeSys {
	base := t.TempDir()
	f := &fakeSys{t, filepath.Join(base, "sys"), filepath.Join(base, "mountinfo"), filepath.Join(base, "card/obu"), ""}
	if err := os.MkdirAll(f.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	disk := filepath.Join(f.sys, "devices/mmc_host/block/mmcblk7")
	f.part = filepath.Join(disk, "mmcblk7p3")
	f.put("devices/mmc_host/block/mmcblk7/mmcblk7p3/partition", "3\n")
	f.link("dev/block/"+f.number(f.dir), f.part)
	f.put("devices/mmc_host/block/mmcblk7/device/life_time", "0x01 0x02\n")
	f.put("devices/mmc_host/block/mmcblk7/device/pre_eol_info", "0x01\n")
	f.counted(1000)
	f.mount("/", filepath.Dir(f.dir), "/dev/mmcblk7p3")
	return f
}

func (f *fakeSys) number(dir string) string {
	var st unix.Stat_t
	if err := unix.Stat(dir, &st); err != nil {
		f.Fatal(err)
	}
	return fmt.Sprintf("%d:%d", unix.Major(uint64(st.Dev)), unix.Minor(uint64(st.Dev))) //nolint:unconvert // types differ between platforms
}

func (f *fakeSys) put(path, text string) {
	path = filepath.Join(f.sys, path)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		f.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		f.Fatal(err)
	}
}

func (f *fakeSys) link(path, to string) {
	path = filepath.Join(f.sys, path)
	_ = os.Remove(path)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		f.Fatal(err)
	}
	if err := os.Symlink(to, path); err != nil {
		f.Fatal(err)
	}
}

// counted sets the sectors written.
func (f *fakeSys) counted(sectors int64) {
	rel, _ := filepath.Rel(f.sys, f.part)
	f.put(rel+"/stat", fmt.Sprintf("     162       12     2988       19   137231     8184  %d     5641        0     3104     6690\n", sectors))
}

func (f *fakeSys) mount(root, point, source string) {
	text := fmt.Sprintf("21 26 0:20 / /proc rw,relatime - proc proc rw\n26 1 254:0 / / rw,relatime shared:1 - ext4 /dev/root rw\n"+
		"30 26 179:3 %s %s rw,noatime shared:7 master:2 - ext4 %s rw\n", root, strings.ReplaceAll(point, " ", `\040`), source)
	if err := os.WriteFile(f.mounts, []byte(text), 0o644); err != nil {
		f.Fatal(err)
	}
}

func (f *fakeSys) look() agent.Disk { return agent.LookAt(f.sys, f.mounts, f.dir) }

// TestDiskOfAnEMMC: the partition's counter, the card's own wear, and whether
// the store is alone on it.
func TestDiskOfAnEMMC(t *testing.T) {
	f := newFakeSys(t)
	d := f.look()
	if d.Device != "mmcblk7p3" || d.Shared || d.LifeUsed != 20 || d.PreEOL != "normal" || d.Written() != 512000 {
		t.Errorf("%+v, %d bytes", d, d.Written())
	}
	card := filepath.Dir(f.dir)
	for _, name := range []string{"lost+found", "system.log"} {
		if err := os.WriteFile(filepath.Join(card, name), nil, 0o644); err != nil {
			t.Fatal(err)
		}
		if d := f.look(); d.Shared != (name != "lost+found") {
			t.Errorf("beside %s: %+v", name, d)
		}
	}
	f.mount("/", f.dir, "/dev/mmcblk7p3") // its own mount point
	if d := f.look(); d.Shared {
		t.Errorf("the store's own mount: %+v", d)
	}
	f.mount("/data/obu", f.dir, "/dev/mmcblk7p3") // a folder of a larger file system
	if d := f.look(); !d.Shared {
		t.Errorf("a bind mount: %+v", d)
	}
}

// TestDiskUnderLayers: the card below an encrypted volume tells its wear.
func TestDiskUnderLayers(t *testing.T) {
	f := newFakeSys(t)
	f.put("devices/virtual/block/dm-1/stat", "0 0 0 0 0 0 77 0 0 0 0\n")
	f.link("devices/virtual/block/dm-1/slaves/dm-0", filepath.Join(f.sys, "devices/virtual/block/dm-0"))
	f.link("devices/virtual/block/dm-0/slaves/mmcblk7p3", f.part)
	f.link("dev/block/"+f.number(f.dir), filepath.Join(f.sys, "devices/virtual/block/dm-1"))
	f.put("devices/mmc_host/block/mmcblk7/device/life_time", "0x0b 0x00\n")
	f.put("devices/mmc_host/block/mmcblk7/device/pre_eol_info", "0x03\n")
	if d := f.look(); d.Device != "dm-1" || d.Written() != 77*512 || d.LifeUsed != 110 || d.PreEOL != "urgent" {
		t.Errorf("%+v", d)
	}
	// A loop of layers ends.
	f.link("devices/virtual/block/dm-0/slaves/mmcblk7p3", filepath.Join(f.sys, "devices/virtual/block/dm-1"))
	if d := f.look(); d.LifeUsed != -1 || d.PreEOL != "" {
		t.Errorf("%+v", d)
	}
}

// TestDiskThatTellsNothing: an SD card has no wear, a tmpfs no device, and
// neither stops anything.
func TestDiskThatTellsNothing(t *testing.T) {
	f := newFakeSys(t)
	if err := os.RemoveAll(filepath.Join(filepath.Dir(f.part), "device")); err != nil {
		t.Fatal(err)
	}
	if d := f.look(); d.LifeUsed != -1 || d.PreEOL != "" || d.Device != "mmcblk7p3" {
		t.Errorf("an SD card: %+v", d)
	}
	if d := agent.LookAt(t.TempDir(), "/nonexistent", f.dir); d.Device != "" || d.Written() != -1 || !d.Shared {
		t.Errorf("no device: %+v", d)
	}
	s := agent.Meter(t.TempDir(), "/nonexistent", f.dir)(time.Hour, 24e6)
	if s.Written != nil || s.PerDay != nil || s.LifeUsed != nil || s.PreEOL != nil || s.StorePages == nil || *s.StorePages != 24*24e6 {
		t.Errorf("%+v", s)
	}
}

// TestDiskRate: a day at the rate since the start, once there is a rate, and a
// counter that went round starts anew.
func TestDiskRate(t *testing.T) {
	f := newFakeSys(t)
	status := agent.Meter(f.sys, f.mounts, f.dir)
	if s := status(0, 0); s.PerDay != nil || s.Written == nil || *s.Written != 0 {
		t.Errorf("at the start: %+v", s)
	}
	f.counted(1000 + 2048)
	if s := status(5*time.Minute, 1e6); s.PerDay != nil || *s.Written != 1<<20 {
		t.Errorf("too early: %+v", s)
	}
	if s := status(12*time.Hour, 1e6); s.PerDay == nil || *s.PerDay != 2<<20 || *s.StorePages != 2e6 {
		t.Errorf("after half a day: %+v", s)
	}
	f.counted(3)
	if s := status(13*time.Hour, 1e6); s.Written != nil || s.PerDay != nil {
		t.Errorf("gone round: %+v", s)
	}
	f.counted(3 + 2048)
	if s := status(25*time.Hour, 1e6); *s.Written != 1<<20 || *s.PerDay != 2<<20 {
		t.Errorf("counted anew: %+v", s)
	}
}

// FuzzDiskFiles: whatever the kernel or a driver writes there, a figure is in
// its range or unknown.
func FuzzDiskFiles(f *testing.F) {
	f.Add("     162       12     2988       19   137231     8184  1159644     5641 0 3104 6690", "0x01 0x02\n", "0x01\n")
	f.Add("0 0 0 0 0 0 9223372036854775807", "0x0b 0x00", "0x03")
	f.Add("1 2 3 4 5 6 -7", "0x0c 0xff 257", "4")
	f.Add("", "", "")
	f.Fuzz(func(t *testing.T, stat, life, eol string) {
		if n := agent.Written(stat); n < -1 || n > math.MaxInt64/512*512 || n > 0 && n%512 != 0 {
			t.Errorf("%d bytes from %q", n, stat)
		}
		if n := agent.LifeTime(life); n != -1 && (n < 10 || n > 110 || n%10 != 0) {
			t.Errorf("%d %% from %q", n, life)
		}
		switch agent.PreEOL(eol) {
		case "", "normal", "warning", "urgent":
		default:
			t.Errorf("%q from %q", agent.PreEOL(eol), eol)
		}
	})
}

// FuzzMountInfo: the mount found is one that the path lies on.
func FuzzMountInfo(f *testing.F) {
	f.Add("26 1 254:0 / / rw,relatime shared:1 - ext4 /dev/root rw\n30 26 179:3 / /var/lib/obu rw - ext4 /dev/mmcblk0p3 rw\n", "/var/lib/obu")
	f.Add("26 1 254:0 / /media/my\\040card rw - vfat /dev/sda1 rw", "/media/my card/store")
	f.Add("26 1 254:0 / - - - -", "/")
	f.Fuzz(func(t *testing.T, text, path string) {
		_, point, _ := agent.MountPoint(text, path)
		if point != "" && path != point && !strings.HasPrefix(path, strings.TrimSuffix(point, "/")+"/") {
			t.Errorf("%q is said to lie on %q", path, point)
		}
	})
}
