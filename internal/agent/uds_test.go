package agent_test

import (
	"context"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"obu/can"
	"obu/internal/agent"
	"obu/internal/config"
	"obu/internal/virtual"
	"obu/telemetry"
)

// simECU is what the virtual car's engine answers to UDS, as a technician would
// write it down.
const simECU = `
can:
  - device: can0
    uds:
      - name: engine
        request: 7E0
        period: 1s
        dids:
          - {did: F190, length: 17, period: 30s, signals: [{name: Sim.VIN, type: text}]}
          - did: 1001
            length: 4
            signals:
              - {name: Sim.EngineSpeed, bytes: 2, scale: 0.25, unit: rpm}
              - {name: Sim.CoolantTemperature, byte: 2, offset: -40, unit: Celsius}
              - {name: Sim.IsFaulty, byte: 3, bit: 0, bits: 1}
          - {did: 1002, length: 2, period: 2s, signals: [{name: Sim.Load, bytes: 2, signed: true, scale: 0.01, unit: percent}]}
        dtc: {enabled: true, period: 5s, extended: true}
`

// tap counts what the agent puts on the bus.
type tap struct {
	can.Bus
	mu    sync.Mutex
	seen  map[string]int // by identifier and service, flow control as "flow"
	wrong []can.Frame
}

func (b *tap) Send(f can.Frame) error {
	b.mu.Lock()
	key := "flow"
	if f.Data[0]>>4 == 0 {
		key = f.String()[:4] + string("0123456789ABCDEF"[f.Data[1]>>4]) + string("0123456789ABCDEF"[f.Data[1]&15])
	}
	b.seen[key]++
	if strings.HasSuffix(key, "22") || strings.HasSuffix(key, "19") {
		if f.ID != 0x7E0 || f.Extended {
			b.wrong = append(b.wrong, f)
		}
	}
	b.mu.Unlock()
	return b.Bus.Send(f)
}

// udsRig is a rig whose engine answers UDS.
func udsRig(t *testing.T, fault virtual.UDSFault) (r *rig, seen *tap, done func()) {
	r = newRig(t, "sim-1")
	file := t.TempDir() + "/uds.yaml"
	if err := os.WriteFile(file, []byte(simECU), 0o600); err != nil {
		t.Fatal(err)
	}
	buses, err := config.LoadUDS(file)
	if err != nil {
		t.Fatal(err)
	}
	r.cfg.CAN[0].UDS = buses[0].UDS
	r.cfg.CAN[0].OBD.VehicleInfo = false
	seen = &tap{seen: make(map[string]int)}
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan struct{})
	o := virtual.ECUOptions{Faults: virtual.Faults{After: 20 * time.Second, Repair: 40 * time.Second}, UDS: virtual.UDSOptions{On: true, Fault: fault}}
	r.deps.Devices.CAN = []agent.CANDevice{{Name: "can0", Dial: func(context.Context) (can.Bus, error) {
		ours, theirs := can.Pair(r.clk)
		go func() {
			defer close(served)
			_ = r.car.ServeECU(ctx, quietBus{ours, &r.quiet}, o) // ends with the agent's end of the bus
		}()
		seen.Bus = theirs
		return seen, nil
	}}}
	return r, seen, func() { cancel(); <-served }
}

// drive runs the agent for a minute, and until the cloud has everything.
func (r *rig) driveUDS(done func()) can.Stats {
	a := r.start()
	time.Sleep(time.Minute)
	r.hush()
	await(r.T, "drain", func() bool { return a.owed() == 0 })
	stats := a.source("can").Stats.(can.Stats)
	a.stop()
	done()
	return stats
}

// TestUDSArrives: what the engine says when it is asked by UDS arrives, value
// for value: DIDs, trouble codes that come and go, the snapshot of that moment.
// The bus sees services 22 and 19 to the engine alone, as often as configured.
func TestUDSArrives(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, seen, done := udsRig(t, virtual.UDSWell)
		stats := r.driveUDS(done)
		compared := r.compareJournal(t)
		text := func(name, suffix string) (list []string) {
			for _, s := range r.cloud.samples[virtual.SeriesKey{Signal: name, Address: "7E8" + suffix}] {
				list = append(list, s.Value.String())
			}
			return list
		}
		for name, want := range map[string]string{"DTCList": "|P0301-00|", "DTCAppeared": "P0301-00", "DTCCleared": "P0301-00",
			"DTCStatus": "P0301-00=testFailed+confirmedDTC+warningIndicatorRequested"} {
			if got := strings.Join(text("Vehicle.Obu.UDS."+name, ""), "|"); got != want {
				t.Errorf("%s: %s, want %s", name, got, want)
			}
		}
		if got := text(virtual.SimSpeed, "/P0301-00/1/freeze"); len(got) != 1 {
			t.Errorf("engine speeds of the snapshot: %v", got)
		}
		if got := text("Vehicle.Obu.UDS.ExtendedData", "/P0301-00"); len(got) != 1 || got[0] != "0103" {
			t.Errorf("extended data: %v", got)
		}
		if got := text(virtual.SimVIN, ""); len(got) != 2 || got[0] != r.car.VIN {
			t.Errorf("VIN %v", got)
		}
		n := len(text(virtual.SimSpeed, ""))
		if s := stats.UDS[0]; n < 57 || n > 61 || s.Refused != 0 || s.Timeouts > 5 || stats.Forbidden != 0 {
			t.Errorf("%d engine speeds in a minute, %+v", n, stats)
		}
		// DID 1001 each second, every second one with 1002; codes each 5 s, and two requests for records
		if a, b := seen.seen["7E0#22"], seen.seen["7E0#19"]; a < 57 || a > 66 || b < 14 || b > 17 || len(seen.wrong) > 0 {
			t.Errorf("%d requests of service 22, %d of 19, elsewhere %v", a, b, seen.wrong)
		}
		for key := range seen.seen {
			if !strings.HasPrefix(key, "7DF#0") && key != "7E0#02" && key != "7E0#22" && key != "7E0#19" && key != "flow" && key != "7E0#01" {
				t.Errorf("the bus saw %s", key)
			}
		}
		t.Logf("%d values compared; requests %v", compared, seen.seen)
		r.cloud.settled("sim-1", false)
	})
}

// TestUDSFaults: an engine that refuses, puts off, breaks off, answers something
// else or leaves out a byte brings no wrong value, and OBD goes on beside it.
func TestUDSFaults(t *testing.T) {
	for fault, values := range map[virtual.UDSFault]bool{virtual.UDSRefuses: false, virtual.UDSPending: true, virtual.UDSUnending: false,
		virtual.UDSBreaksOff: true, virtual.UDSWrongDID: false, virtual.UDSCutShort: false, virtual.UDSOneAtATime: true} {
		synctest.Test(t, func(t *testing.T) {
			r, seen, done := udsRig(t, fault)
			stats := r.driveUDS(done)
			r.compareJournal(t)
			got := r.cloud.samples[virtual.SeriesKey{Signal: virtual.SimSpeed, Address: "7E8"}]
			if (len(got) > 0) != values {
				t.Errorf("fault %d: %d values", fault, len(got))
			}
			for _, s := range got {
				if s.Quality != telemetry.QualityLive {
					t.Errorf("fault %d: %v", fault, s)
				}
			}
			s := stats.UDS[0]
			if fault == virtual.UDSRefuses && (len(s.Left) != 4 || s.Left[0].Said != "security-access-denied" || seen.seen["7E0#22"] > 4 || seen.seen["7E0#19"] != 1) {
				t.Errorf("refused: %+v, %v", s, seen.seen)
			}
			if fault == virtual.UDSCutShort && !strings.Contains(s.Trouble, "bytes of data") {
				t.Errorf("cut short: %+v", s)
			}
			if n := len(r.cloud.samples[virtual.SeriesKey{Signal: "Vehicle.Speed", Address: "7E8"}]); n < 30 {
				t.Errorf("fault %d: %d speeds by OBD beside it", fault, n)
			}
		})
	}
}
