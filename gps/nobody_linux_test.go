package gps_test

import (
	"os"
	"os/exec"
	"syscall"
	"testing"
)

// runAsNobody runs one test of this binary as the user nobody.
func runAsNobody(t *testing.T, name, env string) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("not root: cannot become nobody")
	}
	exe, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Skipf("cannot read the test binary: %v", err)
	}
	f, err := os.CreateTemp("", "gps-test-*") // t.TempDir is closed to nobody
	if err != nil {
		t.Fatal(err)
	}
	defer os.Remove(f.Name())
	if _, err := f.Write(exe); err != nil {
		t.Fatal(err)
	}
	f.Chmod(0o755)
	f.Close()
	cmd := exec.Command(f.Name(), "-test.run=^"+name+"$", "-test.v")
	cmd.Env = append(os.Environ(), env)
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("as nobody: %v\n%s", err, out)
	}
}
