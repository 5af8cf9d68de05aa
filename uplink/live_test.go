package uplink_test

import (
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"obu/telemetry"
	"obu/uplink"
	"obu/uplink/brokertest"
)

// p99 returns the 99th percentile of lags of live arrivals.
func p99(arrivals []arrival) time.Duration {
	var lags []time.Duration
	for _, a := range arrivals {
		if !a.history {
			lags = append(lags, a.lag)
		}
	}
	if len(lags) == 0 {
		return -1
	}
	slices.Sort(lags)
	return lags[len(lags)*99/100]
}

// fat is a content of n samples that do not compress to nothing.
func fat(g *rig, n int) telemetry.Content {
	sig, _ := telemetry.Lookup("Vehicle.OBD.MAF")
	var c telemetry.Content
	for i := range n {
		c.Samples = append(c.Samples, telemetry.Sample{At: g.clk.Now() - telemetry.At(n-i)*telemetry.At(time.Millisecond), Signal: sig,
			Source: telemetry.Source{Bus: "can0", Address: "7E8", Method: "obd"},
			Value:  telemetry.Float(sig.Step.Value(rand.Int64N(65535)))})
	}
	return c
}

func TestNewestFirstThenHistoryWithLiveBesideIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const backlog = 4000
		g := newRig(t, nil)
		link := brokertest.Link{Up: 125_000, Down: 125_000, Delay: 50 * time.Millisecond} // 1 Mbit/s, 100 ms
		g.b.Set(func(f *brokertest.Faults) { f.Link = link })
		var names []telemetry.Name
		for range backlog {
			names = append(names, g.m.commit(telemetry.ClassTelemetry, fat(g, 500))...)
			time.Sleep(time.Second)
		}
		began := time.Now()
		g.start()
		names = append(names, g.drive(90)...)
		arr := g.r.arrivals(telemetry.ClassTelemetry)
		if a := arr[0]; a.history || a.Seq < backlog {
			t.Errorf("first to arrive is seq %d (history %v), want the newest, %d", a.Seq, a.history, backlog)
		}
		if d := arr[0].at.Sub(began); d > 2*time.Second {
			t.Errorf("newest state arrived %v after the connect", d)
		}
		if lag := p99(arr[1:]); lag > time.Second {
			t.Errorf("live p99 %v while history drains", lag)
		} else {
			t.Logf("live p99 %v", lag)
		}
		last, bytes, packets := uint64(0), 0, 0
		var drained time.Duration
		for _, a := range arr {
			if !a.history {
				continue
			}
			if a.Seq <= last {
				t.Fatalf("history seq %d after %d", a.Seq, last)
			}
			last = a.Seq
			drained = a.at.Sub(began)
		}
		var packet time.Time
		for _, a := range arr {
			if a.at.Sub(began) <= drained && a.at != packet {
				packet = a.at
				bytes += a.size
				packets++
			}
		}
		if lost := g.r.missing(names); len(lost) > 0 {
			t.Errorf("not delivered: %s", span(lost))
		}
		used := float64(bytes) / (125_000 * drained.Seconds())
		t.Logf("%d bytes in %v until history was drained, %d packets: %.0f %% of the link", bytes, drained, packets, 100*used)
		if used < 0.90 {
			t.Errorf("link used %.2f, want 0.90", used)
		}
		g.stop()
	})
}

func TestMediaDoesNotDelayLive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, nil)
		g.b.Set(func(f *brokertest.Faults) {
			f.Link = brokertest.Link{Up: 250_000, Down: 250_000, Delay: 50 * time.Millisecond} // 2 Mbit/s
		})
		rng := rand.New(rand.NewPCG(1, 2))
		var media []telemetry.Name
		for range 40 {
			media = append(media, g.m.commit(telemetry.ClassMedia, chunk(rng, 256<<10))...)
		}
		g.start()
		g.drive(60)
		arr := g.r.arrivals(telemetry.ClassTelemetry)
		if lag := p99(arr); lag < 0 || lag > time.Second {
			t.Errorf("live p99 %v behind media", lag)
		} else {
			t.Logf("live p99 %v", lag)
		}
		if lost := g.r.missing(media); len(lost) > 0 {
			t.Errorf("media not delivered: %s; %+v", span(lost), g.u.Stats())
		}
		first, last := g.r.arrivals(telemetry.ClassMedia)[0], g.r.arrivals(telemetry.ClassMedia)
		t.Logf("media took %v for 10 MiB, ideal 42 s", last[len(last)-1].at.Sub(first.at))
		g.stop()
	})
}

// TestLiveOnANarrowLink: 64 kbit/s with 600 ms, and media on it too.
func TestLiveOnANarrowLink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, nil)
		g.b.Set(func(f *brokertest.Faults) {
			f.Link = brokertest.Link{Up: 8_000, Down: 8_000, Delay: 300 * time.Millisecond}
		})
		rng := rand.New(rand.NewPCG(1, 2))
		g.m.commit(telemetry.ClassMedia, chunk(rng, 256<<10))
		g.start()
		g.drive(60)
		if lag := p99(g.r.arrivals(telemetry.ClassTelemetry)); lag < 0 || lag > 2*time.Second {
			t.Errorf("live p99 %v on 64 kbit/s with 600 ms", lag)
		} else {
			t.Logf("live p99 %v", lag)
		}
		if n := len(g.r.arrivals(telemetry.ClassMedia)); n == 0 {
			t.Error("media starves")
		}
		g.stop()
	})
}

func TestHistoryRateIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, func(c *uplink.Config) { c.HistoryRate = 10_000 })
		for range 600 {
			g.m.commit(telemetry.ClassTelemetry, fat(g, 500))
		}
		g.start()
		g.drive(30)
		bytes, size := 0, 0
		for _, a := range g.r.arrivals(telemetry.ClassTelemetry) {
			if a.history && a.size != size {
				size = a.size
				bytes += size
			}
		}
		if bytes < 250_000 || bytes > 350_000 {
			t.Errorf("%d bytes of history in 30 s, want about 300,000", bytes)
		}
		g.stop()
	})
}

// TestLiveOverloadFallsBackToNewest: the link carries half of what the car
// makes. What arrives must stay young, what is skipped must come as history
// once there is room, and history has its share meanwhile.
func TestLiveOverloadFallsBackToNewest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, nil)
		g.b.Set(func(f *brokertest.Faults) {
			f.Link = brokertest.Link{Up: 1_000, Down: 4_000, Delay: 100 * time.Millisecond}
		})
		g.start()
		var names []telemetry.Name
		for range 600 {
			names = append(names, g.m.commit(telemetry.ClassTelemetry, fat(g, 1000))...)
			g.u.Notify()
			time.Sleep(time.Second)
		}
		arr := g.r.arrivals(telemetry.ClassTelemetry)
		history := 0
		for _, a := range arr {
			if a.history {
				history++
			}
		}
		lag := p99(arr)
		s := g.u.Stats()
		t.Logf("live p99 %v, %d live, %d history, %d skips, %+v", lag, len(arr)-history, history, s.LiveSkips, s)
		if lag > 5*time.Second {
			t.Errorf("live p99 %v; a batch takes 2.2 s of this link", lag)
		}
		if s.LiveSkips == 0 || history == 0 {
			t.Errorf("%d skips, %d batches of history", s.LiveSkips, history)
		}
		g.b.Set(func(f *brokertest.Faults) { f.Link = brokertest.Link{Up: 100_000} })
		g.b.Cut()
		names = append(names, g.drive(300)...)
		if lost := g.r.missing(names); len(lost) > 0 {
			t.Errorf("not delivered: %s", span(lost))
		}
		g.stop()
	})
}

// TestLongFatLinkIsFilled: 10 Mbit/s with 300 ms round trip.
func TestLongFatLinkIsFilled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const rate = 1_250_000
		g := newRig(t, nil)
		g.b.Set(func(f *brokertest.Faults) {
			f.Link = brokertest.Link{Up: rate, Down: rate, Delay: 150 * time.Millisecond, Buffer: 1 << 20}
		})
		rng := rand.New(rand.NewPCG(1, 2))
		for range 60 {
			g.m.commit(telemetry.ClassMedia, chunk(rng, 256<<10))
		}
		g.start()
		g.drive(60)
		arr := g.r.arrivals(telemetry.ClassMedia)
		bytes := 0
		for _, a := range arr {
			bytes += a.size
		}
		took := arr[len(arr)-1].at.Sub(arr[0].at)
		// maxWindow bounds what may be in flight: 256 KiB per 300 ms.
		best := min(float64(rate), float64(256<<10)/0.3)
		used := float64(bytes) / took.Seconds() / best
		t.Logf("%d bytes in %v, %.0f %% of what the window allows; live p99 %v", bytes, took, 100*used, p99(g.r.arrivals(telemetry.ClassTelemetry)))
		if used < 0.65 {
			t.Errorf("used %.2f of the link", used)
		}
		g.stop()
	})
}

// TestLiveWhenTheLinkGetsSlow: from 8 Mbit/s to 160 kbit/s within a session.
func TestLiveWhenTheLinkGetsSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, nil)
		g.b.Set(func(f *brokertest.Faults) {
			f.Link = brokertest.Link{Up: 1_000_000, Down: 1_000_000, Delay: 30 * time.Millisecond}
		})
		rng := rand.New(rand.NewPCG(1, 2))
		for range 200 {
			g.m.commit(telemetry.ClassMedia, chunk(rng, 256<<10))
		}
		g.start()
		g.drive(10)
		g.b.Throttle(20_000)
		slow := g.drive(120)
		var worst, late time.Duration
		for _, a := range g.r.arrivals(telemetry.ClassTelemetry) {
			if a.Seq < slow[0].Seq {
				continue
			}
			worst = max(worst, a.lag)
			if a.Seq > slow[40].Seq {
				late = max(late, a.lag)
			}
		}
		t.Logf("live at most %v late when the link got 50 times slower, %v from 40 s on", worst, late)
		if late > 3*time.Second {
			t.Errorf("live still %v late 40 s after the link got slow", late)
		}
		g.stop()
	})
}
