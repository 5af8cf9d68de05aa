package inside_test

import (
	"os/exec"
	"testing"
)

// TestWholeUnit drives the virtual car on one controller of a real bus and on one
// end of a real serial line, and the shipped binary reads the other ends:
// broker, link cut and ledger as in the demo.
func TestWholeUnit(t *testing.T) {
	car, unit := controllers(t)
	cmd := exec.Command("/bin/fleet", "demo", "--obu", "/bin/obu", "--fast", "--limit", "3m", "--can", car+","+unit, "--gps", "/dev/ttyS3,/dev/ttyS2")
	cmd.Dir = t.TempDir()
	out, err := cmd.CombinedOutput()
	t.Logf("%s", out)
	if err != nil {
		t.Error(err)
	}
}
