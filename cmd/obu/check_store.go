package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"obu/buffer"
	"obu/internal/config"
)

// checkStore looks whether the store's folder takes what the quotas allow. It
// makes no folder and leaves no file.
func checkStore(cfg *config.Config) finding {
	dir := cfg.Buffer.Dir
	near, err := nearestFolder(dir)
	if err != nil {
		return failed(err)
	}
	state := "writable"
	if near == dir {
		err = writable(dir)
	} else {
		state = "will be created"
		err = creatable(near)
	}
	if err != nil {
		return failed(err)
	}
	var disk unix.Statfs_t
	if err := unix.Statfs(near, &disk); err != nil {
		return failed(fmt.Errorf("look at free space of %s: %w", near, err))
	}
	free := float64(disk.Bavail) * float64(disk.Bsize)
	var used int64
	for _, name := range [...]string{"telemetry.db", "media.db"} {
		if st, err := os.Stat(filepath.Join(dir, name)); err == nil {
			used += st.Size()
		}
	}
	telemetry, media := buffer.Ceilings(wordBits)
	want := buffer.MostOnDisk(min(cfg.Buffer.TelemetryQuota.Bytes(), telemetry))
	if len(cfg.Dashcam) > 0 {
		want += buffer.MostOnDisk(min(cfg.Buffer.MediaQuota.Bytes(), media))
	}
	if free+float64(used) < float64(want) {
		return failedWith("lower buffer.telemetry_quota or buffer.media_quota, or use a larger card",
			"%s has room for %s, the quotas and their slack of a tenth want %s", dir, bytesText(free+float64(used)), bytesText(float64(want)))
	}
	return mounted(dir, near, "buffer.dir", passed("%s, %s, %s free", dir, state, bytesText(free)))
}

// wordBits is the word size of this obu.
const wordBits = strconv.IntSize

// quotas adds a finding for each quota that an obu of so many bits cannot use.
// One that nobody wrote is lowered without a word.
func (r *checkReport) quotas(cfg *config.Config, bits int) {
	telemetry, media := buffer.Ceilings(bits)
	def := config.Default().Buffer
	for _, q := range [...]struct {
		key       string
		is, unset config.Size
		most      int64
	}{
		{"telemetry_quota", cfg.Buffer.TelemetryQuota, def.TelemetryQuota, telemetry},
		{"media_quota", cfg.Buffer.MediaQuota, def.MediaQuota, media},
	} {
		if q.is.Bytes() > q.most && q.is != q.unset {
			f := passed("buffer.%s is %s, and a %d-bit obu can use %s of it: that is what counts", q.key, q.is, bits, config.Size(q.most))
			f.Next = fmt.Sprintf("write %s: %s, or use a 64-bit system and obu", q.key, config.Size(q.most))
			r.add("quota", f)
		}
	}
}

// nearestFolder returns dir, or the nearest folder above it that exists.
func nearestFolder(dir string) (string, error) {
	for at := dir; ; at = filepath.Dir(at) {
		st, err := os.Stat(at)
		switch {
		case err == nil && st.IsDir():
			return at, nil
		case err == nil:
			return "", fmt.Errorf("%s: %w", at, syscall.ENOTDIR)
		case !errors.Is(err, fs.ErrNotExist) || at == filepath.Dir(at):
			return "", err
		}
	}
}

// writable writes a file and removes it, whatever comes of it.
func writable(dir string) error {
	f, err := os.CreateTemp(dir, ".obu-check-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	defer f.Close()
	if _, err := f.Write(make([]byte, os.Getpagesize())); err != nil {
		return err
	}
	return f.Sync() // some file systems find out only now that they are full
}

// creatable reports whether a folder can be made in dir, and makes none.
func creatable(dir string) error {
	if err := unix.Access(dir, unix.W_OK|unix.X_OK); err != nil {
		return &fs.PathError{Op: "make a folder in", Path: dir, Err: err}
	}
	return nil
}

// mounted turns a good finding on a path below a usual mount point into a
// warning when it would lie on the root file system: the card is missing.
// near is the part of dir that exists.
func mounted(dir, near, setting string, good finding) finding {
	for _, above := range [...]string{"/media/", "/mnt/", "/run/media/"} {
		if strings.HasPrefix(dir, above) && sameDisk(near, "/") {
			good.Text += "; but it is on the root file system: no card is mounted there"
			good.Next = "mount the card first (lsblk lists cards and where they are mounted), or correct " + setting
		}
	}
	return good
}

func sameDisk(a, b string) bool {
	var at, bt unix.Stat_t
	return unix.Stat(a, &at) == nil && unix.Stat(b, &bt) == nil && at.Dev == bt.Dev
}
