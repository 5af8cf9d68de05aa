package main

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
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
	all, err := readDatabases(cfg, slog.New(slog.NewTextHandler(&said, nil)), nil)
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
	if _, err := readDatabases(cfg, slog.New(slog.NewTextHandler(&said, nil)), nil); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(said.String(), "Engine.*") || strings.Count(said.String(), "entry 2 of signals is about no signal: Motor.Speed") != 1 ||
		!strings.Contains(said.String(), "Engine.Speed") {
		t.Errorf("said %s", said.String())
	}
	if f := can.Filters("can0", all["can0"]); len(f) != len(can.OBDFilters())+1 {
		t.Errorf("filters %v", f)
	}
	if f := checkDatabase(good, new([]*dbc.File)); !f.OK || f.Next == "" || !strings.Contains(f.Text, "1 messages, 1 signals; left out in 1 places, the first: car.dbc:3: ") {
		t.Errorf("check: %+v", f)
	}
	if f := checkDatabase(none, new([]*dbc.File)); f.OK || f.Next == "" || !strings.Contains(f.Text, "no such file") {
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

// TestIdleRules: an entry of signals that is about nothing is named with its
// line and what may be meant; names of OBD, and of J1939 where it is on, count.
func TestIdleRules(t *testing.T) {
	dir := t.TempDir()
	db, conf := filepath.Join(dir, "car.dbc"), filepath.Join(dir, "obu.yaml")
	text := "BO_ 513 Engine: 8 X\n SG_ Speed : 0|8@1+ (0.5,0) [0|0] \"rpm\" X\n SG_ OilTemperature : 8|8@1+ (1,0) [0|0] \"degC\" X\n"
	if err := os.WriteFile(db, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	head := "unit: u1\nuplink: {broker: mqtt://h}\ncan: [{device: can0, dbc: [" + db + "], j1939: %s}]\nsignals:\n"
	load := func(j1939, rules string) (lines []string) {
		if err := os.WriteFile(conf, []byte(strings.Replace(head, "%s", j1939, 1)+rules), 0o600); err != nil {
			t.Fatal(err)
		}
		cfg, err := config.Load(conf)
		if err != nil {
			t.Fatal(err)
		}
		all, err := readDatabases(cfg, slog.New(slog.DiscardHandler), nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range idleRules(cfg, all) {
			lines = append(lines, strings.TrimPrefix(r.String(), conf+":")+"; "+r.next())
		}
		return lines
	}
	got := load("false", "- path: Engine.Sped\n- path: engine.speed\n- path: Vehicle.Speed\n- path: OilTemperature\n- path: Vehicle.OBD.*\n- path: Gearbox.*\n- path: Vehicle.Obu.J1939.FuelRate\n")
	want := []string{
		"5: entry 1 of signals is about no signal: Engine.Sped; if you mean Engine.Speed, write that",
		"6: entry 2 of signals is about no signal: engine.speed; if you mean Engine.Speed or Vehicle.Powertrain.CombustionEngine.Speed or Vehicle.Speed, write that",
		"8: entry 4 of signals is about no signal: OilTemperature; if you mean Engine.OilTemperature, write that",
		"10: entry 6 of signals is about no signal: Gearbox.*; obu decode can prints the names, with --dbc, --obd or --j1939",
		"11: entry 7 of signals is about no signal: Vehicle.Obu.J1939.FuelRate; if you mean Vehicle.OBD.FuelRate, write that",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if got := load("true", "- path: Vehicle.Obu.J1939.FuelRate\n"); len(got) != 0 {
		t.Errorf("with J1939: %q", got)
	}
	if err := os.WriteFile(conf, []byte("unit: u1\nuplink: {broker: mqtt://h}\ncan: [{device: can0, uds: [{name: bms, request: 7E4, dids: [{did: 0101, signals: [{name: Vehicle.Obu.Charge, byte: 0}]}]}]}]\n"+
		"signals: [{path: Vehicle.Obu.Charge}, {path: Vehicle.Obu.UDS.DID0101}, {path: Vehicle.Obu.UDS.DTCList}, {path: Vehicle.Obu.Charg}]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, err := config.Load(conf)
	if err != nil {
		t.Fatal(err)
	}
	if idle := idleRules(cfg, nil); len(idle) != 1 || idle[0].entry != 4 || !slices.Contains(idle[0].near, "Vehicle.Obu.Charge") {
		t.Errorf("with UDS: %+v", idle)
	}
	if err := os.WriteFile(conf, []byte(strings.Replace(head, "%s", "false", 1)+"- path: Engine.Sped\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var r checkReport
	cfg, err = config.Load(conf)
	if err != nil {
		t.Fatal(err)
	}
	if r.signals(cfg); len(r.Findings) != 1 || !r.Findings[0].OK || r.Findings[0].Next == "" {
		t.Errorf("check: %+v", r.Findings)
	}
}

// TestDatabasesThatMix: of two files of one bus that explain the same message the
// first goes; the second is named, and what it alone has is used.
func TestDatabasesThatMix(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	a := write("a.dbc", "BO_ 513 Engine: 8 X\n SG_ Speed : 0|8@1+ (0.5,0) [0|0] \"rpm\" X\nBO_ 2028 Answers: 8 X\n SG_ A : 0|8@1+ (1,0) [0|0] \"\" X\n")
	b := write("b.dbc", "BO_ 513 Engine: 8 X\n SG_ Speed : 0|8@1+ (0.25,0) [0|0] \"rpm\" X\nBO_ 2028 Answers: 8 X\n SG_ B : 8|8@1+ (1,0) [0|0] \"\" X\nBO_ 514 Gear: 8 X\n SG_ N : 0|8@1+ (1,0) [0|0] \"\" X\n")
	var said strings.Builder
	cfg := &config.Config{CAN: []config.CAN{{Device: "can0", DBC: []string{a, b}}, {Device: "can1", DBC: []string{b}}}}
	all, err := readDatabases(cfg, slog.New(slog.NewTextHandler(&said, nil)), nil)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := strings.Join(fileNames(nil, all["can0"]), " "), "Engine.Speed Answers.A Answers.B Gear.N"; got != want {
		t.Errorf("can0 brings %s, want %s", got, want)
	}
	if got, want := strings.Join(fileNames(nil, all["can1"]), " "), "Engine.Speed Answers.B Gear.N"; got != want {
		t.Errorf("can1 brings %s, want %s", got, want)
	}
	const warning = "b.dbc:1: message Engine, the first of 1 that a.dbc explains too, was left out"
	if strings.Count(said.String(), warning) != 1 {
		t.Errorf("said %s", said.String())
	}
	var before []*dbc.File
	if f := checkDatabase(a, &before); !f.OK || f.Next != "" {
		t.Errorf("check of the first: %+v", f)
	}
	if f := checkDatabase(b, &before); !f.OK || f.Next == "" || !strings.Contains(f.Text, warning) {
		t.Errorf("check of the second: %+v", f)
	}
	if f := checkDatabase(a, &before); f.OK {
		t.Errorf("check of a file that adds nothing: %+v", f)
	}
}
