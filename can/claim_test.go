package can_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"obu/can"
	"obu/can/j1939"
	"obu/internal/clock"
)

const ourName = 0x8000FF0010600001

// claimed runs a Source that takes part in a network as 4A and returns what
// the bus saw, as "seconds frame"; script plays the other nodes.
func claimed(t *testing.T, d time.Duration, script func(send func(id uint32, data ...byte))) (seen []string, out *sink, st can.Stats) {
	t.Helper()
	clk := clock.Virtual()
	agent, others := can.Pair(clk)
	out = new(sink)
	cfg := out.config(clk, agent, &can.OBDConfig{Passive: true})
	cfg.J1939 = &can.J1939Config{Name: ourName, Address: 0x4A, Requests: []j1939.PGN{j1939.PGNVehicleID, j1939.PGNDM2}}
	src, err := can.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	var bus sync.WaitGroup
	bus.Go(func() {
		for {
			f, err := others.Receive()
			if err != nil {
				return
			}
			seen = append(seen, fmt.Sprintf("%.2f %08X#%X", time.Since(began).Seconds(), f.ID, f.Data[:f.Len]))
		}
	})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- src.Run(ctx) }()
	if script != nil {
		script(func(id uint32, data ...byte) {
			f := can.Frame{ID: id, Extended: true, Len: uint8(len(data))}
			copy(f.Data[:], data)
			if err := others.Send(f); err != nil {
				t.Error(err)
			}
		})
	}
	time.Sleep(time.Until(began.Add(d)))
	st = src.Stats()
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	others.Close()
	bus.Wait()
	return seen, out, st
}

func nameBytes(n uint64) []byte { return binary.LittleEndian.AppendUint64(nil, n) }

const (
	ourClaim   = "18EEFF4A#0100601000FF0080"
	ourRetreat = "18EEFFFE#0100601000FF0080"
)

// TestClaimAndRequests: listen a second, claim, wait 250 ms, then one request
// each 5 s, all again after ten minutes of a network that speaks; the answer
// arrives.
func TestClaimAndRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		seen, out, st := claimed(t, 12*time.Minute, func(send func(uint32, ...byte)) {
			time.Sleep(2 * time.Second)
			send(0x18FEEC00, 'V', 'I', 'N', '1', '*', 0xFF, 0xFF, 0xFF)
			for range 640 {
				time.Sleep(time.Second)
				send(0x18FEF100, 0, 0, 0, 0, 0, 0, 0, 0)
			}
		})
		equal(t, "the bus saw", seen, []string{"1.00 " + ourClaim, "1.25 18EAFF4A#ECFE00", "6.25 18EAFF4A#CBFE00", "606.25 18EAFF4A#ECFE00", "611.25 18EAFF4A#CBFE00"})
		if st.Claim != "claimed" || st.Claims != 1 || st.Requests != 4 || st.Forbidden != 0 || len(out.events) != 1 {
			t.Errorf("stats %+v, events %v", st, out.events)
		}
	})
}

// TestClaimLetsTheNetworkSleep: a network that fell silent is not asked again
// until it speaks.
func TestClaimLetsTheNetworkSleep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		seen, _, st := claimed(t, 13*time.Hour, func(send func(uint32, ...byte)) {
			for range 100 {
				time.Sleep(time.Second)
				send(0x18FEF100, 0, 0, 0, 0, 0, 0, 0, 0)
			}
			time.Sleep(12 * time.Hour)
			for range 10 {
				time.Sleep(time.Second)
				send(0x18FEF100, 0, 0, 0, 0, 0, 0, 0, 0)
			}
		})
		if st.Requests != 4 || len(seen) != 5 || !strings.HasPrefix(seen[3], "4330") {
			t.Errorf("the bus saw %v", seen)
		}
	})
}

// TestClaimYields: a better NAME, before or after the address is ours, ends
// all we say but "cannot claim".
func TestClaimYields(t *testing.T) {
	for name, after := range map[string]time.Duration{"while waiting": 1100 * time.Millisecond, "later": 3 * time.Second} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				seen, _, st := claimed(t, 20*time.Minute, func(send func(uint32, ...byte)) {
					time.Sleep(after)
					send(0x18EEFF4A, nameBytes(ourName-1)...)
					time.Sleep(time.Second)
					for range 100 { // and whoever asks hears nothing more
						send(0x18EAFFF9, 0x00, 0xEE, 0x00)
						time.Sleep(100 * time.Millisecond)
					}
				})
				for i := range seen { // the last one comes after a random delay
					_, seen[i], _ = strings.Cut(seen[i], " ")
				}
				want := []string{ourClaim, ourRetreat}
				if after > 2*time.Second {
					want = []string{ourClaim, "18EAFF4A#ECFE00", ourRetreat}
				}
				equal(t, "the bus saw", seen, want)
				if st.Claim != "lost" || st.Requests != uint64(len(want)-2) {
					t.Errorf("stats %+v", st)
				}
			})
		})
	}
}

// TestClaimDefends: a worse NAME hears our claim again, and so does a node
// that asks; one that does so for ever makes us leave.
func TestClaimDefends(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		seen, _, st := claimed(t, 5*time.Second, func(send func(uint32, ...byte)) {
			time.Sleep(2 * time.Second)
			send(0x18EEFF4A, nameBytes(ourName+1)...)
			time.Sleep(time.Second)
			send(0x18EAFFF9, 0x00, 0xEE, 0x00)
			time.Sleep(time.Second)
			send(0x18EA4AF9, 0x00, 0xEE, 0x00)
			send(0x18EAFFF9, 0xEC, 0xFE, 0x00) // for the VIN: not ours to answer
		})
		equal(t, "the bus saw", seen, []string{"1.00 " + ourClaim, "1.25 18EAFF4A#ECFE00", "2.00 " + ourClaim, "3.00 " + ourClaim, "4.00 " + ourClaim})
		if st.Claim != "claimed" {
			t.Errorf("stats %+v", st)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		seen, _, st := claimed(t, time.Hour, func(send func(uint32, ...byte)) {
			time.Sleep(2 * time.Second)
			for range 3000 {
				send(0x18EEFF4A, nameBytes(ourName+1)...)
				time.Sleep(time.Second)
			}
		})
		if st.Claim != "lost" || len(seen) > 15 || st.Claims > 12 {
			t.Errorf("%d frames; stats %+v", len(seen), st)
		}
	})
}

// TestClaimLeavesOthersAlone: an address that somebody uses, whatever his
// NAME, is never claimed; not a frame is sent.
func TestClaimLeavesOthersAlone(t *testing.T) {
	for name, data := range map[string][]byte{"claims": nameBytes(ourName + 1), "speaks": nil} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				seen, _, st := claimed(t, time.Hour, func(send func(uint32, ...byte)) {
					time.Sleep(500 * time.Millisecond)
					if data != nil {
						send(0x18EEFF4A, data...)
						return
					}
					send(0x18FEF14A, 0, 0, 0, 0, 0, 0, 0, 0)
				})
				if len(seen) > 0 || st.Claim != "lost" || st.Claims != 0 {
					t.Errorf("the bus saw %q; stats %+v", seen, st)
				}
			})
		})
	}
}

// TestNetworkAllowList: nothing but our claims and reading requests to all
// passes, whatever the settings.
func TestNetworkAllowList(t *testing.T) {
	cfg := can.J1939Config{Name: ourName, Address: 0x4A}
	claim := func(source uint32, name uint64) can.Frame {
		f := can.Frame{ID: 0x18EEFF00 | source, Extended: true, Len: 8}
		copy(f.Data[:], nameBytes(name))
		return f
	}
	request := func(id, pgn uint32) can.Frame {
		return can.Frame{ID: id, Extended: true, Len: 3, Data: [64]byte{byte(pgn), byte(pgn >> 8), byte(pgn >> 16)}}
	}
	passes := 0
	for pgn := range uint32(1 << 18) {
		f := request(0x18EAFF4A, pgn)
		if can.AllowedNetwork(&f, &cfg) {
			passes++
		}
	}
	if passes != 3 {
		t.Errorf("%d groups may be asked for, want VIN, component and DM2", passes)
	}
	for i, c := range []struct {
		f    can.Frame
		want bool
	}{
		{claim(0x4A, ourName), true}, {claim(0xFE, ourName), true}, {claim(0x4B, ourName), false}, {claim(0x4A, ourName+1), false},
		{request(0x18EA004A, 0xFEEC), false}, {request(0x18EAFF4B, 0xFEEC), false}, {request(0x0CEAFF4A, 0xFEEC), false},
		{can.Frame{ID: 0x0C00034A, Extended: true, Len: 8}, false}, {can.Frame{ID: 0x18FECA4A, Extended: true, Len: 8}, false},
	} {
		if got := can.AllowedNetwork(&c.f, &cfg); got != c.want {
			t.Errorf("%d: %v passes: %v", i, c.f, got)
		}
	}
	f := claim(0x4A, 0)
	if can.AllowedNetwork(&f, &can.J1939Config{Address: 0x4A}) {
		t.Error("a claim without a NAME passes")
	}
	for _, bad := range []can.J1939Config{{Requests: []j1939.PGN{j1939.PGNDM2}}, {Name: 1, Address: 0xFE}, {Name: 1, Address: 1, Requests: []j1939.PGN{0xFED3}}} {
		sink := new(sink)
		cfg := sink.config(clock.Virtual(), nil, nil)
		cfg.J1939 = &bad
		if _, err := can.New(cfg); !errors.Is(err, can.ErrConfig) {
			t.Errorf("%+v: %v", bad, err)
		}
	}
}
