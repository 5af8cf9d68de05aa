package uplink_test

import (
	"context"
	"fmt"
	"runtime"
	"testing"
	"time"

	"obu/internal/clock"
	"obu/telemetry"
	"obu/uplink"
	"obu/uplink/brokertest"
)

// BenchmarkLiveBatch is the cost of one live second of one unit: ten samples
// from the backlog to the PUBACK, the test broker included.
func BenchmarkLiveBatch(b *testing.B) {
	clk := clock.Virtual()
	br := brokertest.New()
	br.Forget()
	m := newModel(clk)
	u, err := uplink.New(config(clk, m, br))
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error)
	acked := make(chan struct{}, 1)
	br.OnMessage(func(msg brokertest.Message) {
		if !msg.Retained {
			acked <- struct{}{}
		}
	})
	go func() { ended <- u.Run(ctx) }()
	c := telemetry.Content{}
	for range 10 {
		c.Samples = append(c.Samples, m.speed(88).Samples...)
	}
	b.ReportAllocs()
	for b.Loop() {
		m.commit(telemetry.ClassTelemetry, c)
		u.Notify()
		<-acked
	}
	b.StopTimer()
	cancel()
	<-ended
	br.Close()
}

// BenchmarkIdleUnits reports memory and goroutines of 400 connected units.
func BenchmarkIdleUnits(b *testing.B) {
	const units = 400
	for b.Loop() {
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		n := runtime.NumGoroutine()
		clk := clock.Virtual()
		br := brokertest.New()
		ctx, cancel := context.WithCancel(context.Background())
		ended := make(chan error)
		for i := range units {
			c := config(clk, newModel(clk), br)
			c.Unit = fmt.Sprint("u", i)
			u, err := uplink.New(c)
			if err != nil {
				b.Fatal(err)
			}
			go func() { ended <- u.Run(ctx) }()
		}
		for len(br.Messages("/link")) < units {
			time.Sleep(10 * time.Millisecond)
		}
		time.Sleep(time.Second)
		runtime.GC()
		runtime.ReadMemStats(&after)
		b.ReportMetric(float64(after.HeapInuse-before.HeapInuse+after.StackInuse-before.StackInuse)/units, "B/unit")
		b.ReportMetric(float64(runtime.NumGoroutine()-n)/units, "goroutines/unit")
		cancel()
		for range units {
			<-ended
		}
		br.Close()
	}
}
