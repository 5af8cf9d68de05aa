package main

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"obu/internal/config"
)

// TestDoubtfulEntries: ECUs that nobody asks, PIDs that no standard has and slips
// in paths of VSS are told with their line, by `obu check` as warnings; paths and
// instances of one's own are nobody's business.
func TestDoubtfulEntries(t *testing.T) {
	dir := t.TempDir()
	db, conf := filepath.Join(dir, "car.dbc"), filepath.Join(dir, "obu.yaml")
	if err := os.WriteFile(db, []byte("BO_ 513 A: 8 X\n SG_ S : 0|8@1+ (1,0) [0|0] \"km/h\" X\n SG_ T : 8|8@1+ (1,0) [0|0] \"km/h\" X\n SG_ U : 16|8@1+ (1,0) [0|0] \"kPa\" X\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	const ecus = `[{name: bms, request: 7E4, dids: [{did: 0101, signals: [{name: Vehicle.Powertrain.TractionBattery.StateOfCharge.Curent}, {name: Vehicle.Fleet.Charge, byte: 1}]}]}]`
	text := `unit: u1
uplink: {broker: mqtt://h}
can:
  - device: can0
    dbc: [` + db + `]
    vss: 
      - {signal: A.S, path: Vehicle.Sped}
      - {signal: A.T, path: Vehicle.Obu.Sped}
      - {signal: A.U, path: Vehicle.Chassis.Axle.Row7.Wheel.Middle.Tire.Presure}
    obd: {enabled: false, pids: [0C, FF, A6]}
    uds: ` + ecus + `
  - device: can1
    j1939: true
    uds: ` + ecus + `
`
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, err := config.Load(conf)
	if err != nil {
		t.Fatal(err)
	}
	_, idle, err := loadDatabases(cfg, slog.New(slog.DiscardHandler), nil)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for i := range idle {
		got = append(got, strings.TrimPrefix(idle[i].String(), conf+":")+"; "+idle[i].next())
	}
	want := []string{
		"11: entry 1 of uds is asked nothing: obd.enabled is false, so this bus is only listened to; write obd: {enabled: true}, or remove uds",
		"10: entry 2 of pids is no PID of SAE J1979 that is known: FF; compare it with the standard, or with what the maker says: what a vehicle answers is kept as bytes",
		"14: entry 1 of uds is asked nothing: j1939 is on, and on such a network nobody is asked by UDS; remove uds from this bus, or j1939",
		"7: entry 1 of vss has a path that VSS does not: Vehicle.Sped; if you mean Vehicle.Speed, write that",
		"9: entry 3 of vss has a path that VSS does not: Vehicle.Chassis.Axle.Row7.Wheel.Middle.Tire.Presure; if you mean Vehicle.Chassis.Axle.Row7.Wheel.Middle.Tire.Pressure, write that",
		"11: entry 1 of signals of DID 0101 has a path that VSS does not: Vehicle.Powertrain.TractionBattery.StateOfCharge.Curent; if you mean Vehicle.Powertrain.TractionBattery.StateOfCharge.Current, write that",
		"14: entry 1 of signals of DID 0101 has a path that VSS does not: Vehicle.Powertrain.TractionBattery.StateOfCharge.Curent; if you mean Vehicle.Powertrain.TractionBattery.StateOfCharge.Current, write that",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	for _, own := range []string{"Vehicle.Powertrain.CombustionEngine.EOX", "Vehicle.Fleet.Speed", "Engine.Sped", "Vehicle.Speed"} {
		if near := nearPath(own); near != "" {
			t.Errorf("%s was taken for a slip of %s", own, near)
		}
	}
}
