package uplink

import (
	"testing"
	"time"
)

// filled returns a pacer that measured 100,000 B/s with 300 ms, and a packet in
// flight since now.
func filled(now time.Time) (*pacer, mark) {
	p := &pacer{}
	p.start(now)
	p.rtt, p.rttAt = 300*time.Millisecond, now
	p.rates.add(100_000, true, true, now)
	p.rate = p.rates.best()
	for range 9 {
		p.sent(5000, now)
	}
	return p, p.sent(5000, now)
}

// TestLossIsNoSlowerLink: a PUBACK that comes two seconds late, and nine more
// with it, say that the link got slow, unless TCP says that it sent something
// again and that segments arrive as fast as before. What it says of their rate
// is then taken, and not the burst.
func TestLossIsNoSlowerLink(t *testing.T) {
	now := time.Now()
	ends := func(s *tcpState) float64 {
		p, m := filled(now)
		if s != nil {
			p.hop.observe(*s, 0, now.Add(2*time.Second))
		}
		for range 10 {
			p.acked(5000, m, now.Add(2*time.Second))
		}
		return p.rate
	}
	well := tcpState{resent: 3, rate: 90_000, drain: 200_000, srtt: 320 * time.Millisecond, minRTT: 300 * time.Millisecond}
	queued := well
	queued.srtt, queued.rate = 2*time.Second, 20_000
	quiet := well
	quiet.resent = 0
	for _, c := range []struct {
		name string
		s    *tcpState
		want float64
	}{
		{"no TCP", nil, 25_000},
		{"nothing was lost", &quiet, 25_000},
		{"lost", &well, 100_000},
		{"lost, and the link got slow", &queued, 20_000},
	} {
		if got := ends(c.s); got < c.want*0.99 || got > c.want*1.01 {
			t.Errorf("%s: rate %.0f, want %.0f", c.name, got, c.want)
		}
	}
}

// TestBestRateIsForgotten: a best rate counts for rateHorizon at most, and half
// of it at least.
func TestBestRateIsForgotten(t *testing.T) {
	now := time.Now()
	var r rates
	r.add(1000, true, false, now)
	for at := time.Duration(0); at < 2*rateHorizon; at += time.Second {
		r.add(100, true, false, now.Add(at))
		if got := r.best(); at <= rateHorizon/2 && got != 1000 || at > rateHorizon+time.Second && got != 100 {
			t.Errorf("after %v: %v", at, got)
		}
	}
	r.add(10, false, false, now.Add(time.Hour))
	if r.best() != 100 {
		t.Errorf("a sample of an idle session lowers the rate to %v", r.best())
	}
}

// TestLiveHasRoomBehindAHole: on a lossy link what waits for a PUBACK may be
// several windows; live may leave all the same, and bulk as long as little waits
// for TCP.
func TestLiveHasRoomBehindAHole(t *testing.T) {
	now := time.Now()
	p, _ := filled(now)
	w := p.window()
	for p.inflight < 2*w {
		p.sent(5000, now)
	}
	if p.room(now) || p.roomForLive(now) {
		t.Error("room although two windows wait for the link")
	}
	s := tcpState{resent: 1, away: w / 2, unsent: 1000, rate: 100_000, drain: 100_000, srtt: p.rtt, minRTT: p.rtt}
	p.hop.observe(s, 0, now)
	if !p.room(now) || !p.roomForLive(now) {
		t.Error("no room although half a window is away")
	}
	s.unsent = 35_000 // 350 ms
	if p.hop.observe(s, 0, now); p.room(now) || !p.roomForLive(now) {
		t.Error("bulk has room although 350 ms of it wait for TCP, or live has none")
	}
	if p.hop.observe(s, 3*w, now); p.roomForLive(now) {
		t.Error("live has room although three windows were not even written")
	}
}
