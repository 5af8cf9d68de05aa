package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestFlagsAreRefusedInPlainWords: what is wrong with the command line is said
// before anything is started, with exit code 2 and no file or folder made.
func TestFlagsAreRefusedInPlainWords(t *testing.T) {
	work := t.TempDir()
	t.Chdir(work)
	for name, text := range map[string]string{"drive/can0.log": "", "empty/notes.txt": "", "binary/can0.blf": ""} {
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	const shows = "; `fleet --help` shows the flags"
	for _, c := range []struct{ args, says string }{
		{"--cars x", "--cars x: it wants a whole number, for example --cars 42" + shows},
		{"--cars", "--cars wants a whole number, for example --cars 42" + shows},
		{"--cars 1 --for 10", "--for 10: it wants a time with its unit, for example --for 60s" + shows},
		{"--fro 10s", "there is no flag --fro" + shows},
		{"-x", "there is no flag -x" + shows},
		{"demo --seconds lots", "--seconds lots: it wants a whole number, for example --seconds 42; `fleet demo --help` shows the flags"},
		{"demo drive", "demo takes flags only; a folder to replay is named with --drive drive"},
		{"--cars 1 --live-every 0s", "--live-every wants 100ms to 1h"},
		{"--cars 1 --gps-late 2s", "--gps-late wants 100ms to 900ms: what comes later comes in the next second"},
		{"--cars 1 --crystal 500", "--crystal wants 0 to 100: no stated uncertainty holds for a worse one"},
		{"--cars 1 --suspend 1h --for 5s", "--suspend wants up to 24h, and --for 20s or more around it"},
		{"--cars 1 --load city --crystal 50", "--gps-late, --crystal, --rtc-error and --suspend go with --load track: city's values come past the unit's clock"},
		{"--cars 1 --broker localhost:1883", "--broker: `localhost:1883` does not say how to connect; write `mqtt://localhost:1883`: mqtts:// is with TLS, mqtt:// without"},
		{"--cars 1 --broker http://h", "--broker: `http://` is not MQTT; use mqtts:// (with TLS) or mqtt:// (without)"},
		{"--cars 1 --report nowhere/r.json", "--report nowhere/r.json: there is no folder nowhere; make it first"},
		{"--cars 1 --report drive", "--report drive is a folder; name a file in it: --report drive/report.json"},
		{"--cars 1 --replay nowhere", "--replay nowhere: there is no such folder"},
		{"--cars 1 --replay drive/can0.log", "--replay drive/can0.log is a file; name the folder it lies in: --replay drive"},
		{"demo --drive empty", "--drive empty: there is nothing to replay in this folder; it wants can*.log (or .asc, .trc, .crtd, .csv; plain or .gz), gps.nmea (or .gz) or a folder dashcam/"},
		{"demo --drive binary", "--drive binary: there is nothing to replay in this folder: can0.blf is a binary log; write it as text (candump, ASC) with the program that made it; it wants can*.log (or .asc, .trc, .crtd, .csv; plain or .gz), gps.nmea (or .gz) or a folder dashcam/"},
		{"demo --drive empty/notes.txt", "--drive empty/notes.txt is a file; name the folder it lies in: --drive empty"},
	} {
		var out, errw bytes.Buffer
		code := run(t.Context(), strings.Fields(c.args), strings.NewReader(""), &out, &errw)
		if want := "fleet: error: " + c.says + "\n"; code != 2 || errw.String() != want {
			t.Errorf("fleet %s: exit %d and\n%swant 2 and\n%s", c.args, code, errw.String(), want)
		}
	}
	if left, err := os.ReadDir(work); err != nil || len(left) != 3 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// TestReportIsCheckedAndNotTouched: an old report stays until there is a new
// one, and a new one does not exist before it is written.
func TestReportIsCheckedAndNotTouched(t *testing.T) {
	dir := t.TempDir()
	old, fresh := filepath.Join(dir, "old.json"), filepath.Join(dir, "new.json")
	if err := os.WriteFile(old, []byte("{}"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{old, fresh, "-", ""} {
		if err := checkReport(path); err != nil {
			t.Error(err)
		}
	}
	if b, err := os.ReadFile(old); err != nil || string(b) != "{}" {
		t.Errorf("the old report is now %q, %v", b, err)
	}
	if _, err := os.Stat(fresh); err == nil {
		t.Error("the new report exists already")
	}
}

// TestUnreachableBrokerIsNamed: no chain of child processes in the message.
func TestUnreachableBrokerIsNamed(t *testing.T) {
	var out, errw bytes.Buffer
	code := run(t.Context(), []string{"--cars", "1", "--broker", "mqtt://127.0.0.1:1", "--dir", t.TempDir()}, strings.NewReader(""), &out, &errw)
	if code != 1 || !strings.HasPrefix(errw.String(), "fleet: error: connect receiver: connect to 127.0.0.1:1: nothing listens") {
		t.Errorf("exit %d: %s", code, errw.String())
	}
}
