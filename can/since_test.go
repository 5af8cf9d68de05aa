package can_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"obu/can"
	"obu/internal/clock"
)

// TestSinceReachesBackToWhatWaits: a value that came and was not passed on yet is
// no older than Since, whoever holds it back and for how long; once it has left,
// Since follows the time, and after the bus has ended it holds nothing.
func TestSinceReachesBackToWhatWaits(t *testing.T) {
	curve := ruled(can.Rule{Path: "*", MaxError: 1000, Buffer: 1000})
	turn := ruled(can.Rule{Path: "*", Timebased: 30 * time.Second, Change: 1})
	const broadcast, group, answer = 0x201, 0x0CF00400, 0x7E8
	for name, c := range map[string]struct {
		rule can.Rule
		id   uint32
		data func(n byte) []byte
		left time.Duration // when the first has gone on
	}{
		"turn of a broadcast":  {turn, broadcast, func(n byte) []byte { return []byte{10 * n, 10 * n} }, 30 * time.Second},
		"curve of a broadcast": {curve, broadcast, func(n byte) []byte { return []byte{n, n} }, time.Minute},
		"turn of a group":      {turn, group, func(n byte) []byte { return []byte{0, 125 + n, 125 + n, 0, 10 * n, 0, 0, 0} }, 30 * time.Second},
		"curve of a group":     {curve, group, func(n byte) []byte { return []byte{0, 125 + n, 125 + n, 0, 10 * n, 0, 0, 0} }, time.Minute},
		"turn of an answer":    {turn, answer, func(n byte) []byte { return []byte{3, 0x41, 0x0D, 10 * n, 0, 0, 0, 0} }, 30 * time.Second},
		"curve of an answer":   {curve, answer, func(n byte) []byte { return []byte{3, 0x41, 0x0D, n, 0, 0, 0, 0} }, time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				clk := clock.Virtual()
				ours, theirs := can.Pair(clk)
				out := new(sink)
				cfg := out.config(clk, ours, &can.OBDConfig{Passive: true})
				cfg.Databases, cfg.Rules = databases(t, engineDBC), []can.Rule{c.rule}
				if c.id == group {
					cfg.Databases, cfg.J1939 = nil, &can.J1939Config{}
				}
				src, err := can.New(cfg)
				if err != nil {
					t.Fatal(err)
				}
				if now := clk.Now(); src.Since(now) != now {
					t.Error("it holds something before it runs")
				}
				ctx, cancel := context.WithCancel(t.Context())
				done := make(chan error)
				go func() { done <- src.Run(ctx) }()
				say := func(n byte) {
					t.Helper()
					f := can.Frame{ID: c.id, Extended: c.id > 0x7FF}
					f.Len = uint8(copy(f.Data[:], c.data(n)))
					if err := theirs.Send(f); err != nil {
						t.Fatal(err)
					}
				}
				say(1)
				time.Sleep(1100 * time.Millisecond)
				second := clk.Now()
				say(2)
				time.Sleep(1500 * time.Millisecond)
				for clk.Now().Sub(second) < 25*time.Second {
					if since := src.Since(clk.Now()); since > second || since < second.Add(-time.Second) {
						t.Fatalf("%v: the second value of %v waits, Since is %v", clk.Now(), second, since)
					}
					time.Sleep(time.Second)
				}
				came := out.told()
				time.Sleep(c.left - 20*time.Second)
				if since := src.Since(clk.Now()); out.told() == came || clk.Now().Sub(since) > time.Second {
					t.Errorf("%v: %d values have left, Since is %v", clk.Now(), out.told()-came, since)
				}
				cancel()
				if err := <-done; err != nil {
					t.Error(err)
				}
				if now := clk.Now(); src.Since(now) != now {
					t.Error("it holds something after it ended")
				}
			})
		})
	}
}

func (s *sink) told() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.samples)
}
