package agent_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"obu/internal/agent"
	"obu/internal/clock"
	"obu/internal/virtual"
	"obu/telemetry"
)

// smallDisk mounts a file system of its own of some MiB.
func smallDisk(t *testing.T, size string) string {
	dir := t.TempDir()
	if err := syscall.Mount("obu-test", dir, "tmpfs", 0, "size="+size); err != nil {
		t.Skipf("skipped: needs root to mount a small tmpfs: %v", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) })
	return dir
}

// fill takes what is free and returns the file to remove.
func fill(t *testing.T, dir string) string {
	t.Helper()
	f, err := os.Create(filepath.Join(dir, "ballast"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for chunk := make([]byte, 4096); ; {
		if _, err := f.Write(chunk); err != nil {
			return f.Name()
		}
	}
}

// TestFullDisk: live data goes on from memory under a volatile store, and when
// there is space again the agent goes back to the disk without a restart.
func TestFullDisk(t *testing.T) {
	dir := smallDisk(t, "4m")
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, "sim-1")
		r.cfg.Buffer.Dir = filepath.Join(dir, "store")
		a := r.start()
		time.Sleep(10 * time.Second)
		ballast := fill(t, dir)
		r.unplugBroker() // as long as data is delivered the store needs no more room
		r.broker.Cut()
		for n := 0; !a.Status().Buffer.Volatile; n++ {
			if time.Sleep(time.Minute); n > 120 {
				t.Fatalf("a full disk was not noticed: %+v", a.Status().Buffer)
			}
		}
		r.plugBroker()
		await(t, "connection", func() bool { return a.Status().Uplink.Connected })
		n, _ := r.cloud.count()
		time.Sleep(time.Minute)
		if now, _ := r.cloud.count(); now < n+250 {
			t.Errorf("%d values in a minute with a full disk", now-n)
		}
		if s := a.Status(); s.Buffer.Failures == 0 || !s.Buffer.Volatile || s.Flush.Failed == 0 {
			t.Errorf("status says %+v, %+v", s.Buffer, s.Flush)
		}
		if err := os.Remove(ballast); err != nil {
			t.Fatal(err)
		}
		await(t, "the way back to the disk", func() bool { return !a.Status().Buffer.Volatile })
		time.Sleep(10 * time.Second)
		r.hush()
		await(t, "drain", func() bool { return a.owed() == 0 })
		a.stop()
		r.cloud.equals(r.car.Journal())
		r.cloud.settled("sim-1", false)
		live := 0
		for _, o := range r.cloud.order {
			if o.volatile && !o.history {
				live++
			}
		}
		if live < 50 {
			t.Errorf("%d live batches came from memory", live)
		}
		if last := r.cloud.order[len(r.cloud.order)-1]; last.volatile {
			t.Errorf("the last batch came from memory: %+v", last)
		}
	})
}

// TestUnwritableStore runs as another user: the agent ends at once and the
// message names the folder.
func TestUnwritableStore(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("skipped: needs root to become a user without rights")
	}
	dir, err := os.MkdirTemp("/tmp", "obu-agent")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	self, err := os.ReadFile(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	bin := filepath.Join(dir, "test")
	if err := os.WriteFile(bin, self, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, store := range []string{dir, filepath.Join(dir, "new")} {
		cmd := exec.Command(bin, store)
		cmd.Env = append(os.Environ(), childMode+"="+childUnwritable)
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Errorf("%v: %s", err, out)
		}
		if want := "refused true: "; !strings.Contains(string(out), want) || !strings.Contains(string(out), store) {
			t.Errorf("the child said %q, want %q and %s", out, want, store)
		}
	}
}

// unwritableChild is the child: it runs an agent on a folder it may not write.
func unwritableChild(dir string) int {
	line := virtual.NewLine()
	a, err := agent.New(testConfig("sim-1", dir), agent.Deps{Clock: clock.Virtual(),
		Devices: agent.Devices{GPS: &agent.GPSDevice{Name: "gps", Open: line.Open}}})
	if err == nil {
		err = a.Run(context.Background())
	}
	fmt.Printf("refused %v: %v\n", errors.Is(err, fs.ErrPermission), err)
	return 0
}

// TestDamagedStore: it is set aside, what it held is listed as lost, and the
// agent goes on.
func TestDamagedStore(t *testing.T) {
	for name, damage := range map[string]func([]byte) []byte{
		"text":  func([]byte) []byte { return []byte(strings.Repeat("this is no store\n", 1000)) },
		"cut":   func(b []byte) []byte { return b[:2*4096+100] },
		"pages": func(b []byte) []byte { clear(b[2*4096:]); return b },
		"metas": func(b []byte) []byte { clear(b[:2*4096]); return b },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, "sim-1")
				r.unplugBroker()
				a := r.start()
				time.Sleep(20 * time.Second)
				a.stop()
				path := filepath.Join(r.cfg.Buffer.Dir, "telemetry.db")
				text, err := os.ReadFile(path)
				if err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, damage(text), 0o600); err != nil {
					t.Fatal(err)
				}
				// As after a power cut: a store that was closed in order is not walked.
				if err := os.Remove(filepath.Join(r.cfg.Buffer.Dir, "session.json")); err != nil {
					t.Fatal(err)
				}
				r.plugBroker()
				before, _, _ := r.car.Journal().Counts()
				b := r.start()
				time.Sleep(20 * time.Second)
				r.hush()
				await(t, "drain", func() bool { return b.owed() == 0 })
				b.stop()
				r.cloud.settled("sim-1", true)
				emitted, _, _ := r.car.Journal().Counts()
				if n, _ := r.cloud.count(); n < emitted-before {
					t.Errorf("%d values came, %d were emitted after the damage", n, emitted-before)
				}
				if g, ok := r.cloud.gap("sim-1", telemetry.ReasonDamagedStore); !ok {
					t.Errorf("no gap tells of the damage: %+v", r.cloud.gaps("sim-1"))
				} else if g.Count == 0 {
					t.Errorf("gap %+v", g)
				}
				if aside, _ := filepath.Glob(path + ".damaged-*"); len(aside) != 1 {
					t.Errorf("set aside: %v", aside)
				}
			})
		})
	}
}
