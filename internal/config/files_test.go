package config_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"obu/internal/config"
)

func fifo(t *testing.T, path string) string {
	t.Helper()
	if err := unix.Mkfifo(path, 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func link(t *testing.T, target, path string) string {
	t.Helper()
	if err := os.Symlink(target, path); err != nil {
		t.Fatal(err)
	}
	return path
}

const plainCure = "\n  cure: put a plain text file, or a link to one, in its place"

// TestPipeIsNoConfiguration: nothing is waited for that is not a file; a hang
// here is every command's, and a signal does not end it.
func TestPipeIsNoConfiguration(t *testing.T) {
	dir := t.TempDir()
	pipe := fifo(t, filepath.Join(dir, "obu.yaml"))
	for path, what := range map[string]string{pipe: "a pipe (FIFO)", "/dev/zero": "a device",
		link(t, pipe, filepath.Join(dir, "link.yaml")): "a pipe (FIFO)"} {
		_, err := config.Load(path)
		wantError(t, err, path+": it is "+what+", not a file"+plainCure)
		if !errors.Is(err, config.ErrUnreadable) {
			t.Errorf("%s: %v is not ErrUnreadable", path, err)
		}
		if _, err = config.ReadBytes(path); !errors.Is(err, config.ErrUnreadable) {
			t.Errorf("bytes of %s: %v", path, err)
		}
	}
}

// TestOverlaysThatAreNoFiles: each one is named with its cure, and a link to a
// file is as good as the file.
func TestOverlaysThatAreNoFiles(t *testing.T) {
	dir := t.TempDir()
	path := write(t, dir, "obu.yaml", small)
	link(t, write(t, dir, "elsewhere", "vehicle: linked\n"), filepath.Join(filepath.Dir(write(t, dir, "obu.yaml.d/README", "")), "05.yaml"))
	if c, err := config.Load(path); err != nil || c.Vehicle != "linked" {
		t.Fatalf("a linked overlay: %+v, %v", c, err)
	}
	over := path + ".d"
	for _, d := range []string{"10.yaml", "sub"} {
		if err := os.Mkdir(filepath.Join(over, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	link(t, "nowhere", filepath.Join(over, "20.yaml"))
	fifo(t, filepath.Join(over, "30.yaml"))
	link(t, "/dev/zero", filepath.Join(over, "40.yaml"))
	_, err := config.Load(path)
	wantError(t, err, over+"/10.yaml: it is a folder, and only files are read here\n  cure: move its files to "+over+" and remove it\n\n"+
		over+"/20.yaml: it is a link to nowhere, which is not there\n  cure: put the file there (is its disk mounted?), or remove the link\n\n"+
		over+"/30.yaml: it is a pipe (FIFO), not a file"+plainCure+"\n\n"+
		over+"/40.yaml: it is a device, not a file"+plainCure)
}

// TestOverlaysAreBounded: thousands of them are refused before any is read.
func TestOverlaysAreBounded(t *testing.T) {
	dir := t.TempDir()
	path := write(t, dir, "obu.yaml", small)
	for i := range 256 {
		write(t, dir, fmt.Sprintf("obu.yaml.d/%03d.yaml", i), "fleet: f\n")
	}
	if _, err := config.Load(path); err != nil {
		t.Error(err)
	}
	write(t, dir, "obu.yaml.d/256.yaml", "fleet: f\n")
	_, err := config.Load(path)
	wantError(t, err, path+".d: there are 257 files in it, more than the 256 that are read\n"+
		"  cure: put the settings into fewer files; has a script written there again and again?")
}

// TestLastGoodIsAFile: neither reading nor keeping the last good configuration
// waits for a pipe in its place.
func TestLastGoodIsAFile(t *testing.T) {
	dir := t.TempDir()
	pipe := fifo(t, filepath.Join(dir, "last-good.yaml"))
	_, err := config.LoadLastGood(dir)
	if !errors.Is(err, config.ErrUnreadable) || !strings.Contains(err.Error(), "pipe") {
		t.Errorf("a pipe: %v", err)
	}
	if err := config.SaveLastGood(dir, parse(t, small)); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Lstat(pipe); err != nil || !info.Mode().IsRegular() {
		t.Errorf("kept as %v, %v", info, err)
	}
}

// TestLastGoodOfAnOlderRelease: what is refused now and ran well with an older
// release still starts a unit out of reach; as obu.yaml it is a mistake.
func TestLastGoodOfAnOlderRelease(t *testing.T) {
	const text = small + `gps: {device: ttyUSB0, init: [AT]}
signals:
  - {path: A.*, change: -3}
  - {path: B.*, curvelog: {max_error: -1}}
can:
  - device: can0
    uds:
      - name: bms
        request: 7E4
        dids:
          - did: 0101
            signals:
              - {name: Cabin.Temp, scale: 0}
              - {name: Cabin.Temp, byte: 1}
              - {name: Vehicle.Powertrain.TractionBattery.StateOfCharge.Current, byte: 2, unit: km}
`
	dir := t.TempDir()
	lastGood := func(text string) (*config.Config, error) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, "last-good.yaml"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return config.LoadLastGood(dir)
	}
	if c, err := lastGood(text); err != nil || len(c.CAN[0].UDS[0].DIDs[0].Signals) != 3 {
		t.Errorf("%v", err)
	}
	for _, gps := range []string{"{device: gpsd://localhost:2947, baud: 9600, init: [AT], init_port: /dev/ttyUSB2, stop: [AT]}",
		"{device: /dev/ttyUSB1, init_port: /dev/ttyUSB2}", `{device: /dev/ttyUSB1, init: [""], stop: [" "]}`, "{device: auto, init: [AT+QGPS=1]}", "{device: /dev/ttyUSB1, pps: pps0}"} {
		one := small + "gps: " + gps + "\n"
		if _, err := lastGood(one); err != nil {
			t.Errorf("gps: %s does not start any more: %v", gps, err)
		}
		if _, err := config.Parse("obu.yaml", []byte(one), nil); err == nil {
			t.Errorf("gps: %s is no mistake", gps)
		}
	}
	var wrong config.Errors
	if _, err := config.Parse("obu.yaml", []byte(text), nil); !errors.As(err, &wrong) || len(wrong) != 6 {
		t.Errorf("as obu.yaml: %v", err)
	}
}
