// Command guest is the first process of a rig's machine: it loads the modules
// its image holds, brings the network up, mounts the disk if there is one, runs
// the command the kernel was given after "--", prints how that ended and
// switches the machine off.
package main

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// exitMark is what the last line of every machine begins with.
const exitMark = "RIG EXIT "

func main() {
	code := 255
	if err := setUp(); err != nil {
		fmt.Println("guest:", err)
	} else {
		code = run(os.Args[1:])
	}
	unix.Sync()
	fmt.Printf("\n%s%d\n", exitMark, code)
	time.Sleep(50 * time.Millisecond) // the serial line has no flush
	_ = unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF)
}

func setUp() error {
	for _, m := range [...]struct{ kind, dir string }{
		{"proc", "/proc"}, {"sysfs", "/sys"}, {"devtmpfs", "/dev"}, {"devpts", "/dev/pts"}, {"tmpfs", "/tmp"}, {"tmpfs", "/run"},
	} {
		if err := os.MkdirAll(m.dir, 0o755); err != nil {
			return err
		}
		if err := unix.Mount(m.kind, m.dir, m.kind, 0, ""); err != nil {
			return fmt.Errorf("mount %s: %w", m.dir, err)
		}
	}
	os.Setenv("PATH", "/bin:/sbin:/usr/bin:/usr/sbin")
	os.Setenv("HOME", "/tmp")
	if err := loadModules("/modules"); err != nil {
		return err
	}
	if err := network(); err != nil {
		return err
	}
	return disk()
}

// loadModules loads the files a list names, in its order.
func loadModules(list string) error {
	f, err := os.Open(list)
	if err != nil {
		return err
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		m, err := os.Open(s.Text())
		if err != nil {
			return err
		}
		err = unix.FinitModule(int(m.Fd()), "", 0)
		m.Close()
		if err != nil {
			return fmt.Errorf("load %s: %w", filepath.Base(s.Text()), err)
		}
	}
	return nil
}

// network brings the loopback up, and the way to the host's loopback when the
// machine has one (QEMU's user network: 10.0.2.2 is the host).
func network() error {
	if err := ip("link set lo up"); err != nil {
		return err
	}
	if _, err := os.Stat("/sys/class/net/eth0"); err != nil {
		return nil
	}
	for _, c := range [...]string{"link set eth0 up", "addr add 10.0.2.15/24 dev eth0"} {
		if err := ip(c); err != nil {
			return err
		}
	}
	return nil
}

// ip runs busybox's ip.
func ip(args string) error {
	out, err := exec.Command("/bin/busybox", append([]string{"ip"}, strings.Fields(args)...)...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("ip %s: %w: %s", args, err, out)
	}
	return nil
}

// disk mounts the machine's disk as /disk; the host has made its file system.
func disk() error {
	const dev = "/dev/vda"
	if _, err := os.Stat(dev); err != nil {
		return nil
	}
	if err := os.MkdirAll("/disk", 0o755); err != nil {
		return err
	}
	if err := unix.Mount(dev, "/disk", "ext4", 0, ""); err != nil {
		return fmt.Errorf("mount %s: %w", dev, err)
	}
	return nil
}

func run(args []string) int {
	if len(args) == 0 {
		fmt.Println("guest: no command behind -- on the kernel's command line")
		return 255
	}
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.Dir = "/tmp"
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		fmt.Println("guest:", err)
		return 255
	}
	return cmd.ProcessState.ExitCode()
}
