package main

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"obu/can"
	"obu/internal/config"
)

// TestFiltersFitTheKernel: a socket takes 512 filters (CAN_RAW_FILTER_MAX) and
// refuses more, so that the bus could not be opened: then every frame passes.
// The ECUs of uds and the network of j1939 count, too.
func TestFiltersFitTheKernel(t *testing.T) {
	const most = 512
	var text strings.Builder
	room := most - len(can.OBDFilters())
	for i := range room {
		fmt.Fprintf(&text, "BO_ %d M%d: 8 X\n SG_ S : 0|8@1+ (1,0) [0|0] \"\" X\n", i, i)
	}
	path := filepath.Join(t.TempDir(), "car.dbc")
	if err := os.WriteFile(path, []byte(text.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]config.CAN{
		"as many as there is room for": {},
		"an ECU":                       {UDS: []config.ECU{{Name: "bms", Request: 0x18DA10F1, Response: 0x18DAF110}}},
		"j1939":                        {J1939: config.J1939{Enabled: true}},
	} {
		c.Device, c.DBC = "can0", []string{path}
		all, err := readDatabases(&config.Config{CAN: []config.CAN{c}}, slog.New(slog.DiscardHandler), nil)
		if err != nil {
			t.Fatal(err)
		}
		got := busFilters(&c, all["can0"])
		if plain := len(c.UDS) == 0 && !c.J1939.Enabled; plain && len(got) != most || !plain && got != nil {
			t.Errorf("%s: %d filters", name, len(got))
		}
	}
}
