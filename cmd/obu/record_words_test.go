package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestRecordSaysWhatToWrite: what cannot be recorded is refused with its next
// step, before anything is made.
func TestRecordSaysWhatToWrite(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(dir, "rec")
	for name, tt := range map[string]struct {
		args, want string
		rc         int
	}{
		"a serial port":      {"--device /dev/can0 --out " + out, "--device /dev/can0: this is a serial port and not a CAN interface: a serial CAN adapter becomes one with `slcand -o -s6 /dev/can0 can0`", 2},
		"no name":            {"--device a/b --out " + out, "`ip -br link` lists them", 2},
		"a bus twice":        {"--device can0 --device can0 --out " + out, "--device can0 is there twice: name each bus once", 2},
		"a bus without flag": {"can0 --out " + out, "obu record takes no argument, got \"can0\": a bus goes behind --device: --device can0", 2},
		"no age":             {"--device can0 --file-age 0s --out " + out, "a file lasts a second at least", 2},
		"no sync":            {"--device can0 --sync 0s --out " + out, "synced each 100 ms at most", 2},
		"below a file":       {"--device can0 --out " + filepath.Join(file, "rec"), "a file is in the way of a folder", 1},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second) // one that is not refused records for ever
			defer cancel()
			var said bytes.Buffer
			if rc := run(ctx, append([]string{"record"}, strings.Fields(tt.args)...), nil, &said, &said); rc != tt.rc || !strings.Contains(said.String(), tt.want) {
				t.Errorf("exit code %d, said %s\nwant %d, %s", rc, said.String(), tt.rc, tt.want)
			}
			if strings.Contains(said.String(), "0 frames in") {
				t.Errorf("a summary of nothing: %s", said.String())
			}
			if _, err := os.Stat(out); err == nil {
				t.Error("a folder was made")
			}
		})
	}
}

// TestRecordOfNothingFails: a bus that never opened leaves no empty recording
// that looks like one: why, and what to do, is said at the end as well.
func TestRecordOfNothingFails(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 1500*time.Millisecond)
	defer cancel()
	dir := t.TempDir()
	var said bytes.Buffer
	rc := run(ctx, []string{"record", "--device", "unix:" + filepath.Join(dir, "nobody"), "--out", filepath.Join(dir, "rec")}, nil, &said, &said)
	for _, want := range []string{"1 outage\n", "obu: error: nothing was recorded: open unix bus", "obu: hint: start the virtual car that serves this socket"} {
		if !strings.Contains(said.String(), want) {
			t.Errorf("no %q in\n%s", want, said.String())
		}
	}
	if rc != 1 {
		t.Errorf("exit code %d", rc)
	}
}
