package dashcam_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"obu/dashcam"
	"obu/internal/clock"
)

// asNobody names the folder that a child of the test, without root's rights,
// reads.
const asNobody = "DASHCAM_TEST_AS_NOBODY"

// TestUnreadableWaits runs in a child process as nobody: root reads anything.
func TestUnreadableWaits(t *testing.T) {
	dir, err := os.MkdirTemp("", "obu-dashcam")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	clips, bin := filepath.Join(dir, "clips"), filepath.Join(dir, "test")
	for _, d := range []string{dir, clips, filepath.Join(clips, "Event"), filepath.Join(dir, "locked")} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for name, mode := range map[string]os.FileMode{"locked.mp4": 0, "open.mp4": 0o644, "Event/e.mp4": 0o644} {
		path := filepath.Join(clips, name)
		if err := os.WriteFile(path, movie(uint64(len(name)), 100, time.Second), mode); err != nil {
			t.Fatal(err)
		}
	}
	for _, d := range []string{filepath.Join(clips, "Event"), filepath.Join(dir, "locked")} {
		if err := os.Chmod(d, 0); err != nil {
			t.Fatal(err)
		}
	}
	self, err := os.Open("/proc/self/exe")
	if err != nil {
		t.Skipf("skipped: the test cannot copy itself: %v", err)
	}
	defer self.Close()
	to, err := os.OpenFile(bin, os.O_CREATE|os.O_WRONLY, 0o755)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(to, self); err != nil {
		t.Fatal(err)
	}
	if err := to.Close(); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(bin)
	cmd.Env = append(os.Environ(), asNobody+"="+clips)
	if os.Geteuid() == 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for _, want := range []string{
		"segment cannot be opened, it waits; let the agent's user read it", "locked.mp4",
		"cannot read a folder of the camera; let the agent's user read and enter it", "folder=Event",
		"clips 1 lost 0 unreadable 1",
		"locked folder: permission true, no folder true",
	} {
		if !strings.Contains(string(out), want) {
			t.Errorf("the child did not say %q:\n%s", want, out)
		}
	}
}

// runAsNobody is the child: it drains the folder and prints what it counted.
func runAsNobody(dir string) int {
	cfg := dashcam.Config{Dir: dir, Clock: clock.Virtual(), Custody: newVault(), AppearWhole: true, Poll: true,
		Log: slog.New(slog.NewTextHandler(os.Stdout, nil))}
	src, err := dashcam.New(cfg)
	if err != nil {
		fmt.Println(err)
		return 1
	}
	ctx, cancel := context.WithCancel(context.Background())
	res := make(chan error, 1)
	go func() { res <- src.Run(ctx) }()
	err = src.Drain(ctx)
	cancel()
	if runErr := <-res; err != nil || runErr != nil {
		fmt.Println(err, runErr)
		return 1
	}
	st := src.Stats()
	fmt.Println("clips", st.Clips, "lost", st.Lost, "unreadable", st.Unreadable)

	cfg.Dir = filepath.Join(filepath.Dir(dir), "locked")
	locked, err := dashcam.New(cfg)
	if err != nil {
		fmt.Println(err)
		return 1
	}
	err = locked.Run(context.Background())
	fmt.Printf("locked folder: permission %v, no folder %v (%v)\n", errors.Is(err, fs.ErrPermission), errors.Is(err, dashcam.ErrNoFolder), err)
	return 0
}
