package main

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"obu/internal/config"
)

const engineDBC = "BO_ 513 Engine: 8 X\n SG_ Speed : 0|16@1+ (0.1,0) [0|0] \"mph\" X\n SG_ Torque : 16|8@1+ (1,0) [0|0] \"Nm\" X\n"

// TestKeptDatabases: a service uses the last good copy of a DBC file that was
// spoiled or is gone, and says so; a file that has changed is named, one with
// fewer signals as a warning; the same file is not written again.
func TestKeptDatabases(t *testing.T) {
	dir := t.TempDir()
	db, state := filepath.Join(dir, "car.dbc"), filepath.Join(dir, "state", "dbc")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(db, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cfg := &config.Config{CAN: []config.CAN{{Device: "can0", DBC: []string{db}}}}
	read := func() (signals int, wrong, said string) {
		t.Helper()
		var text strings.Builder
		log := slog.New(slog.NewTextHandler(&text, nil))
		kept := keptDatabases{dir: state, log: log}
		all, err := readDatabases(cfg, log, kept.read)
		for _, d := range all["can0"] {
			signals += d.Decoder.Signals()
		}
		for _, e := range append(kept.wrong, err) {
			if e != nil {
				wrong += e.Error()
			}
		}
		return signals, wrong, text.String()
	}
	write("no database")
	if n, wrong, _ := read(); n != 0 || !strings.Contains(wrong, "car.dbc") {
		t.Errorf("without a copy: %d signals, wrong %q", n, wrong)
	}
	write(engineDBC)
	if n, wrong, said := read(); n != 2 || wrong != "" || said != "" {
		t.Errorf("first start: %d signals, wrong %q, said %q", n, wrong, said)
	}
	files, err := os.ReadDir(state)
	if err != nil || len(files) != 1 {
		t.Fatalf("kept %v, %v", files, err)
	}
	before, _ := files[0].Info()
	if _, _, said := read(); said != "" {
		t.Errorf("the same file: said %q", said)
	}
	if after, err := os.Stat(filepath.Join(state, files[0].Name())); err != nil || !os.SameFile(before, after) {
		t.Errorf("the same file was written again (%v)", err)
	}
	for what, spoil := range map[string]func(){"spoiled": func() { write("no database") }, "gone": func() { os.Remove(db) }} {
		spoil()
		if n, wrong, _ := read(); n != 2 || !strings.Contains(wrong, "its last good copy is used: "+state) || !strings.Contains(wrong, "car.dbc") {
			t.Errorf("%s: %d signals, wrong %q", what, n, wrong)
		}
	}
	write(engineDBC[:strings.Index(engineDBC, " SG_ Torque")])
	for range 2 { // it is said until the file is whole again
		if n, wrong, said := read(); n != 1 || wrong != "" || !strings.Contains(said, "level=WARN") || !strings.Contains(said, "signals=1 before=2") || !strings.Contains(said, "if it was meant, remove "+state) {
			t.Errorf("cut short: %d signals, wrong %q, said %q", n, wrong, said)
		}
	}
	kept := filepath.Join(state, files[0].Name())
	if err := errors.Join(os.Remove(kept), os.MkdirAll(filepath.Join(kept, "in the way"), 0o700)); err != nil {
		t.Fatal(err)
	}
	if n, wrong, said := read(); n != 1 || wrong != "" || !strings.Contains(said, "copy of a good DBC file is not kept") {
		t.Errorf("no copy can be written: %d signals, wrong %q, said %q", n, wrong, said)
	}
	if err := os.RemoveAll(kept); err != nil {
		t.Fatal(err)
	}
	read()
	write(engineDBC)
	if n, _, said := read(); n != 2 || strings.Contains(said, "WARN") || !strings.Contains(said, "a DBC file has changed") {
		t.Errorf("another file: %d signals, said %q", n, said)
	}
}

// TestDecodeVSS: obu decode can prints a signal of a DBC file under its path, in
// the path's unit, and says what does not fit.
func TestDecodeVSS(t *testing.T) {
	dir := t.TempDir()
	db, log := filepath.Join(dir, "car.dbc"), filepath.Join(dir, "drive.log")
	if err := os.WriteFile(db, []byte(engineDBC), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(log, []byte("(1.0) can0 201#E80307\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		vss, want string
		code      int
	}{
		{"Engine.Speed=Vehicle.Speed", `"signal":"Vehicle.Speed","value":160.9344,"unit":"km/h"}`, 0},
		{"Engine.Speed[m/s]=Vehicle.Obu.Wheel[mph]", `"signal":"Vehicle.Obu.Wheel","value":223.693629`, 0},
		{"Engine.Torque=Vehicle.Speed", "Nm does not fit km/h", 1},
		{"Engine.Speed[mhp]=Vehicle.Speed", "`from`: mhp is no unit that is known", 1},
		{"Engine.Torqe=Vehicle.Speed", "if you mean Engine.Torque, write that", 1},
		{"Engine.Speed", "want SIGNAL=PATH", 2},
		{"Engine.Speed=Speed", "want SIGNAL=PATH", 2},
	} {
		var out strings.Builder
		code := run(t.Context(), []string{"decode", "can", "--dbc", db, "--vss", c.vss, log}, strings.NewReader(""), &out, &out)
		if code != c.code || !strings.Contains(out.String(), c.want) {
			t.Errorf("%s: code %d, %s", c.vss, code, out.String())
		}
	}
}

// TestVSSOfConfiguration: entries of vss name the signals of a bus, also for the
// entries of signals; one that does not fit or is about nothing is said.
func TestVSSOfConfiguration(t *testing.T) {
	dir := t.TempDir()
	db, conf := filepath.Join(dir, "car.dbc"), filepath.Join(dir, "obu.yaml")
	if err := os.WriteFile(db, []byte(engineDBC), 0o600); err != nil {
		t.Fatal(err)
	}
	load := func(vss string) (cfg *config.Config, names, said string, err error) {
		t.Helper()
		text := "unit: u1\nuplink: {broker: mqtt://h}\ncan:\n- device: can0\n  dbc: [" + db + "]\n  vss: [" + vss + "]\nsignals: [{path: Vehicle.Obu.Torque, timebased: 10s}]\n"
		if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if cfg, err = config.Load(conf); err != nil {
			t.Fatal(err)
		}
		var b strings.Builder
		all, err := readDatabases(cfg, slog.New(slog.NewTextHandler(&b, nil)), nil)
		return cfg, strings.Join(fileNames(nil, all["can0"]), " "), b.String(), err
	}
	if _, names, said, err := load("{signal: Engine.Torque, path: Vehicle.Obu.Torque}"); err != nil || names != "Engine.Speed Vehicle.Obu.Torque" || said != "" {
		t.Errorf("names %s, said %s, %v", names, said, err)
	}
	cfg, names, _, err := load("{signal: Engine.Torque, path: Vehicle.Speed}")
	if err == nil || names != "Engine.Speed Engine.Torque" || !strings.Contains(err.Error(), "Nm does not fit km/h") {
		t.Errorf("names %s, %v", names, err)
	}
	var r checkReport
	if r.signals(cfg); len(r.Findings) != 1 || r.Findings[0].OK || r.Findings[0].Check != "vss" {
		t.Errorf("check: %+v", r.Findings)
	}
	if _, _, said, err := load("{signal: Engine.Torque, path: Vehicle.Obu.Torque}, {signal: Engine.Sped, path: Vehicle.Speed}"); err != nil ||
		!strings.Contains(said, conf+":6: entry 2 of vss is about no signal: Engine.Sped") || !strings.Contains(said, "if you mean Engine.Speed, write that") {
		t.Errorf("said %s, %v", said, err)
	}
}
