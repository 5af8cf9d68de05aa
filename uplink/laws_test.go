package uplink_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/eclipse/paho.mqtt.golang/packets"

	"obu/internal/clock"
	"obu/telemetry"
	"obu/uplink"
	"obu/uplink/brokertest"
)

// audit stands between uplink and backlog and holds the law of custody: a
// name may be acknowledged only after the broker took it and said so.
type audit struct {
	*model
	b *brokertest.Broker

	mu         sync.Mutex
	pubacked   map[telemetry.Name]bool
	parts      map[telemetry.Name]map[uint32]bool
	violations []string
	eager      bool // seeded bug: delete when read, before any PUBACK
}

func newAudit(m *model, b *brokertest.Broker) *audit {
	return &audit{model: m, b: b, pubacked: make(map[telemetry.Name]bool), parts: make(map[telemetry.Name]map[uint32]bool)}
}

// took notes an accepted message.
func (a *audit) took(m brokertest.Message) {
	if !m.Acked || m.Retained || m.Client != "u1" || m.Topic == "obu/v1/f1/u1/reply" {
		return
	}
	e, err := telemetry.DecodeEnvelope(m.Payload)
	if err != nil {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, b := range e.Batches {
		if e.Part != nil {
			if a.parts[b.Name] == nil {
				a.parts[b.Name] = make(map[uint32]bool)
			}
			a.parts[b.Name][e.Part.Index] = true
			if len(a.parts[b.Name]) < int(e.Part.Of) {
				continue
			}
		}
		a.pubacked[b.Name] = true
	}
}

func (a *audit) Ack(names ...telemetry.Name) {
	a.mu.Lock()
	for _, n := range names {
		if !a.pubacked[n] {
			a.violations = append(a.violations, fmt.Sprintf("%v acknowledged without a PUBACK", n))
		}
	}
	a.mu.Unlock()
	a.model.Ack(names...)
}

func (a *audit) Read(store telemetry.StoreID, class telemetry.Class, from uint64, maxBytes int) ([]telemetry.Stored, error) {
	out, err := a.model.Read(store, class, from, maxBytes)
	if a.eager {
		for _, s := range out {
			a.Ack(s.Name)
		}
	}
	return out, err
}

// lawsRun drives one unit through random faults for a virtual while, then
// heals everything and drains. It returns what broke.
func lawsRun(t *testing.T, seed uint64, length time.Duration, seeded func(*audit, *brokertest.Broker)) []string {
	rng := rand.New(rand.NewPCG(seed, 1))
	clk := clock.Virtual()
	b := brokertest.New()
	b.Forget()
	m := newModel(clk)
	a := newAudit(m, b)
	r := &receiver{t: t, seen: make(map[telemetry.Name]int), chunks: make(map[telemetry.Name]map[uint32]int)}
	r.attach(b, clk, a.took)
	if seeded != nil {
		seeded(a, b)
	}
	c := config(clk, a, b)
	c.AckTimeout = 10 * time.Second
	g := &rig{T: t, clk: clk, m: m, b: b, r: r, ended: make(chan error, 1)}
	var err error
	if g.u, err = uplink.New(c); err != nil {
		t.Fatal(err)
	}
	g.start()
	var names []telemetry.Name
	end := time.Now().Add(length)
	next := time.Now()
	for i := 0; time.Now().Before(end); i++ {
		contents := []telemetry.Content{m.speed(float64(i % 200))}
		names = append(names, m.commit(telemetry.ClassTelemetry, contents...)...)
		if i%30 == 0 {
			names = append(names, m.commit(telemetry.ClassEvent, m.speed(1))...)
		}
		if i%120 == 0 {
			names = append(names, m.commit(telemetry.ClassMedia, chunk(rng, 60_000))...)
		}
		g.u.Notify()
		if !time.Now().Before(next) {
			misfortune(rng, b)
			next = time.Now().Add(time.Duration(rng.IntN(90)) * time.Second)
		}
		time.Sleep(time.Second)
	}
	b.Set(func(f *brokertest.Faults) { wrap := f.Wrap; *f = brokertest.Faults{Wrap: wrap} })
	for range 900 {
		m.commit(telemetry.ClassHealth)
		g.u.Notify()
		time.Sleep(time.Second)
	}
	s := g.u.Stats()
	g.stop()
	t.Logf("seed %d: %d names, %d sessions, %d packets sent, %d acknowledged, failures %v",
		seed, len(names), s.Connects, s.Published, s.Acked, s.Failures)
	if seeded == nil && s.Connects < 3 {
		t.Errorf("only %d sessions: the faults did not bite", s.Connects)
	}
	broken := a.violations
	if lost := r.missing(names); len(lost) > 0 {
		broken = append(broken, "never delivered: "+span(lost))
	}
	if len(m.early) > 0 {
		broken = append(broken, fmt.Sprintf("acknowledged before minted: %v", m.early))
	}
	if len(m.refused) > 0 {
		broken = append(broken, fmt.Sprintf("refused although the broker takes everything: %v", m.refused))
	}
	for _, class := range telemetry.Classes {
		if held := m.held(class); held > 0 {
			broken = append(broken, fmt.Sprintf("%d batches of %s delivered and kept", held, class))
		}
	}
	return broken
}

func chunk(rng *rand.Rand, size int) telemetry.Content {
	data := make([]byte, size)
	for i := range data {
		data[i] = byte(rng.Uint32())
	}
	return telemetry.Content{Chunks: []telemetry.Chunk{{Clip: telemetry.ClipID{9}, Offset: 0, Data: data}}}
}

// misfortune changes the weather.
func misfortune(rng *rand.Rand, b *brokertest.Broker) {
	chance := func(p float64) func(brokertest.Message) bool {
		return func(brokertest.Message) bool { return rand.Float64() < p }
	}
	kind := rng.IntN(10)
	b.Set(func(f *brokertest.Faults) {
		wrap := f.Wrap
		*f = brokertest.Faults{Wrap: wrap, Link: brokertest.Link{Up: 50_000, Delay: 50 * time.Millisecond}}
		switch kind {
		case 0:
			f.DropPuback = chance(0.2)
		case 1:
			f.Stall = true
		case 2:
			f.CutOnPublish = chance(0.1)
		case 3:
			f.CutBefore = chance(0.1)
		case 4:
			f.RefuseCode = byte(1 + rng.IntN(5))
		case 5:
			f.DialErr = errors.New("no network")
		case 6:
			f.DupPuback = true
		case 7:
			f.AckDelay = time.Duration(rng.IntN(2000)) * time.Millisecond
		}
	})
	switch kind {
	case 1, 4, 5, 8:
		b.Cut()
	case 9:
		b.HalfOpen()
	}
}

func TestLawsUnderRandomFaults(t *testing.T) {
	for seed := range uint64(3) {
		synctest.Test(t, func(t *testing.T) {
			for _, v := range lawsRun(t, seed, time.Hour, nil) {
				t.Error(v)
			}
		})
	}
}

// TestLawsCatchSeededBugs checks the checker: what loses data must be seen.
func TestLawsCatchSeededBugs(t *testing.T) {
	for name, seeded := range map[string]func(*audit, *brokertest.Broker){
		"delete before PUBACK": func(a *audit, _ *brokertest.Broker) { a.eager = true },
		"PUBACK the broker never sent": func(_ *audit, b *brokertest.Broker) {
			b.Set(func(f *brokertest.Faults) { f.Wrap = func(c net.Conn) net.Conn { return newLiar(c) } })
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				if broken := lawsRun(t, 1, 10*time.Minute, seeded); len(broken) == 0 {
					t.Error("the laws did not notice")
				}
			})
		})
	}
}

// liar acknowledges each PUBLISH itself, as paho's token does after an
// automatic reconnect.
type liar struct {
	net.Conn
	in   chan []byte
	out  []byte // what was written and is no whole packet yet
	gone chan struct{}
}

func newLiar(c net.Conn) *liar {
	l := &liar{Conn: c, in: make(chan []byte, 4096), gone: make(chan struct{})}
	go func() {
		defer close(l.gone)
		for {
			buf := make([]byte, 4096)
			n, err := c.Read(buf)
			if err != nil {
				return
			}
			l.in <- buf[:n]
		}
	}()
	return l
}

func (l *liar) Read(p []byte) (int, error) {
	select {
	case b := <-l.in:
		return copy(p, b), nil
	case <-l.gone:
		return 0, net.ErrClosed
	}
}

func (l *liar) Write(p []byte) (int, error) {
	l.out = append(l.out, p...) // a write is no packet: several, or a part of one
	for {
		size, head := 0, 1
		for ; head < len(l.out) && head < 5; head++ {
			size |= int(l.out[head]&0x7f) << (7 * (head - 1))
			if l.out[head]&0x80 == 0 {
				break
			}
		}
		if head++; len(l.out) < head+size || size == 0 && len(l.out) < 2 {
			return l.Conn.Write(p)
		}
		if packet := l.out[head : head+size]; l.out[0]>>4 == packets.Publish {
			topic := int(packet[0])<<8 | int(packet[1])
			l.in <- []byte{0x40, 2, packet[2+topic], packet[3+topic]}
		}
		l.out = l.out[head+size:]
	}
}
