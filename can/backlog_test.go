package can_test

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"obu/can"
	"obu/internal/clock"
)

// bufferedBus is a bus whose kernel says how much it holds.
type bufferedBus struct {
	can.Bus
	bytes int
}

func (b bufferedBus) ReceiveBuffer() int { return b.bytes }

// TestSmallReceiveBufferIsSaid: what the kernel gave counts, at the bus's own
// bit rate.
func TestSmallReceiveBufferIsSaid(t *testing.T) {
	for _, tt := range []struct {
		bytes, bitrate int
		low, high      float64 // seconds
		said           bool
	}{
		{16 << 20, 1_000_000, 2, 2.5, false}, {16 << 20, 500_000, 4, 5, false},
		{425_984, 500_000, 0.11, 0.13, true}, {8 << 20, 1_000_000, 1, 1.3, true}, {0, 500_000, 0, 0, false},
	} {
		synctest.Test(t, func(t *testing.T) {
			clk, out, log := clock.Virtual(), &sink{}, &logText{}
			agent, _ := can.Pair(clk)
			cfg := out.config(clk, bufferedBus{agent, tt.bytes}, nil)
			cfg.Bitrate, cfg.Log = tt.bitrate, slog.New(slog.NewTextHandler(log, nil))
			src, err := can.New(cfg)
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			if err := src.Run(ctx); err != nil {
				t.Error(err)
			}
			if got := src.Stats().BacklogS; got < tt.low || got > tt.high {
				t.Errorf("%d bytes at %d bit/s: %.2f s", tt.bytes, tt.bitrate, got)
			}
			if said := strings.Contains(log.String(), "sysctl -w net.core.rmem_max"); said != tt.said {
				t.Errorf("%d bytes at %d bit/s: said\n%s", tt.bytes, tt.bitrate, log)
			}
		})
	}
}
