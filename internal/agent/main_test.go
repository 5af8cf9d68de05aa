package agent_test

import (
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"

	"obu/telemetry"
)

// The test binary is its own child: it tries a folder as a user without
// rights.
const (
	childMode       = "OBU_AGENT_CHILD"
	childUnwritable = "unwritable"
)

func TestMain(m *testing.M) {
	switch os.Getenv(childMode) {
	case childUnwritable:
		os.Exit(unwritableChild(os.Args[len(os.Args)-1]))
	}
	warmUp()
	goleak.VerifyTestMain(m)
}

// warmUp has the compressor's pool made: made inside a synctest bubble on first
// use, it could not be used by the next one.
func warmUp() {
	sig, _ := telemetry.Lookup("Vehicle.VehicleIdentification.VIN")
	warm := telemetry.Batch{Unit: "u"}
	for i := range 1000 {
		warm.Samples = append(warm.Samples, telemetry.Sample{At: telemetry.At(i) * 1e9, Signal: sig, Value: telemetry.Text(fmt.Sprint("WVWZZZ1KZ7W", i*i*7919))})
	}
	blob, err := telemetry.EncodeBatch(&warm)
	if err == nil {
		_, err = telemetry.DecodeBatch(telemetry.Name{}, blob)
	}
	if err != nil {
		panic(err)
	}
}
