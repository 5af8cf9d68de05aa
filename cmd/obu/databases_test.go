package main

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"obu/can"
	"obu/can/dbc"
	"obu/internal/config"
)

// TestDatabasesOfConfiguration: the good files are used, the bad ones named;
// an interactive start stops at them, `obu check` fails.
func TestDatabasesOfConfiguration(t *testing.T) {
	dir := t.TempDir()
	good, none := filepath.Join(dir, "car.dbc"), filepath.Join(dir, "none.dbc")
	text := "BO_ 513 Engine: 8 X\n SG_ Speed : 0|8@1+ (0.5,0) [0|0] \"rpm\" X\n SG_ R : x\n"
	if err := os.WriteFile(good, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	var said strings.Builder
	cfg := &config.Config{CAN: []config.CAN{{Device: "can0", DBC: []string{none, good}}, {Device: "can1"}}}
	all, err := readDatabases(cfg, slog.New(slog.NewTextHandler(&said, nil)))
	if !errors.Is(err, dbc.ErrFile) || !strings.Contains(err.Error(), none+": ") || !strings.Contains(err.Error(), "there is no such file") {
		t.Errorf("error %v", err)
	}
	if len(all) != 1 || len(all["can0"]) != 1 || all["can0"][0].Decoder.Signals() != 1 {
		t.Errorf("read %v", all)
	}
	if !strings.Contains(said.String(), "car.dbc:3: ") {
		t.Errorf("said %s", said.String())
	}
	cfg.CAN[0].DBC = []string{good}
	cfg.Signals = []config.Signal{{Path: "Engine.*"}, {Path: "Motor.Speed"}}
	said.Reset()
	if _, err := readDatabases(cfg, slog.New(slog.NewTextHandler(&said, nil))); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(said.String(), "Engine.*") || !strings.Contains(said.String(), "path=Motor.Speed") {
		t.Errorf("said %s", said.String())
	}
	if f := can.Filters("can0", all["can0"]); len(f) != len(can.OBDFilters())+1 {
		t.Errorf("filters %v", f)
	}
	if f := checkDatabase(good); !f.OK || !strings.Contains(f.Text, "1 messages, 1 signals; left out in 1 places, the first: car.dbc:3: ") {
		t.Errorf("check: %+v", f)
	}
	if f := checkDatabase(none); f.OK || f.Next == "" || !strings.Contains(f.Text, "no such file") {
		t.Errorf("check: %+v", f)
	}
	conf := filepath.Join(dir, "obu.yaml")
	if err := os.WriteFile(conf, []byte("unit: u1\nuplink:\n  broker: mqtt://127.0.0.1:1\nbuffer:\n  dir: "+dir+"\ncan:\n  - device: can0\n    dbc: ["+none+"]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var errw strings.Builder
	if code := run(t.Context(), []string{"run", "-c", conf}, strings.NewReader(""), &errw, &errw); code != 1 || !strings.Contains(errw.String(), "there is no such file; correct the path") {
		t.Errorf("run: code %d, %s", code, errw.String())
	}
}
