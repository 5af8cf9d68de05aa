package agent

import (
	"testing"
	"time"

	"obu/can"
	"obu/internal/config"
)

// TestOBDSettingsAreUsed: what a technician writes for a bus reaches it.
func TestOBDSettingsAreUsed(t *testing.T) {
	second := config.Duration(time.Second)
	for word, want := range map[string]can.Addressing{"auto": can.AddressAuto, "11bit": can.Address11, "29bit": can.Address29} {
		o := obdConfig(config.OBD{Enabled: true, Period: second, Addressing: word, MaxRequestsPerSecond: 7,
			PIDs: []config.PID{{PID: 0x0C}, {PID: 0x2F, Period: 30 * second}}})
		if o.Addressing != want || o.Passive || o.MaxRate != 7 || o.Every != time.Second || len(o.Polls) != 2 || o.Polls[0].Every != time.Second || o.Polls[1].Every != 30*time.Second {
			t.Errorf("%s: %+v", word, o)
		}
	}
	o := obdConfig(config.OBD{Enabled: true, PIDsPerRequest: 3, DTC: true, DTCEvery: 5 * second, FreezeFrame: true, VehicleInfo: true, PIDs: []config.PID{{PID: 0x0D, OnChange: true}}})
	if o.Several != 3 || !o.Codes || o.CodesEvery != 5*time.Second || !o.Freeze || !o.Info || o.SkipVIN || !o.Polls[0].OnChange {
		t.Errorf("diagnosis: %+v", o)
	}
	if o := obdConfig(config.OBD{Enabled: true, FreezeFrame: true}); o.Codes || o.Freeze || o.Info || !o.SkipVIN {
		t.Errorf("no diagnosis: %+v", o)
	}
	if !obdConfig(config.OBD{}).Passive {
		t.Error("enabled: false still asks")
	}
}
