package inside_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"obu/internal/agent"
	"obu/internal/virtual"
	"obu/telemetry"
)

// store lies on the machine's own disk, which outlives it.
const store = "/disk/store"

// drive lets a virtual car answer on a bus until the test ends.
func drive(t *testing.T, bus string) {
	t.Helper()
	car := virtual.New(virtual.Config{Seed: 7, Clock: system(t), Start: time.Now().UTC()})
	b := dial(t, bus, nil)
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- car.ServeECU(ctx, b, virtual.ECUOptions{Gearbox: true}) }()
	t.Cleanup(func() {
		stop()
		<-done // the tests take its bus away
	})
}

// TestDriveUntilTheCut drives until somebody takes the power away.
func TestDriveUntilTheCut(t *testing.T) {
	name := vcan(t, "vcan0")
	drive(t, name)
	socket := startUnit(t, canSource(name), kernelWord(t, "broker"), store)
	await(t, socket, time.Minute, running)
	fmt.Println("\nRIG RUNNING")
	time.Sleep(5 * time.Minute)
	t.Error("nobody took the power away")
}

// TestDrainAfterTheCuts sends what the disk still holds.
func TestDrainAfterTheCuts(t *testing.T) {
	socket := startUnit(t, canSource(vcan(t, "vcan0")), kernelWord(t, "broker"), store)
	await(t, socket, 2*time.Minute, func(s *agent.Status) bool {
		held := 0
		for _, st := range s.Streams {
			if st.Class != telemetry.ClassHealth {
				held += st.Batches
			}
		}
		return s.Uplink.Connected && held == 0 && s.Batcher.Held == 0
	})
}
