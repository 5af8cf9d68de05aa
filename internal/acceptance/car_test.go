package acceptance_test

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"sync"
	"syscall"
	"testing"
	"time"

	"obu/buffer"
	"obu/internal/clock"
	"obu/telemetry"
	"obu/uplink"
)

// car is one unit: a real store and the real uplink on it.
type car struct {
	t    *testing.T
	name string
	clk  *clock.Clock
	buf  *buffer.Buffer
	trip *trip
	want map[telemetry.Name]uint64 // content of everything stored, by name

	up     *uplink.Uplink
	cancel context.CancelFunc
	ended  sync.WaitGroup
	conns  conns
}

// conns are the connections of the car, to be cut.
type conns struct {
	mu   sync.Mutex // guards what follows
	all  []net.Conn
	dead bool // nothing can be dialled
}

func (c *conns) dial(ctx context.Context, address string) (net.Conn, error) {
	c.mu.Lock()
	dead := c.dead
	c.mu.Unlock()
	if dead {
		return nil, syscall.ENETUNREACH
	}
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
	if err == nil {
		c.mu.Lock()
		c.all = append(c.all, conn)
		c.mu.Unlock()
	}
	return conn, err
}

// away cuts and lets nothing through until back.
func (c *conns) away(dead bool) {
	c.mu.Lock()
	c.dead = dead
	c.mu.Unlock()
	if dead {
		c.cut()
	}
}

// cut ends them without a word, as a tunnel does.
func (c *conns) cut() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, k := range c.all {
		k.Close()
	}
	c.all = nil
}

func newCar(t *testing.T, name string) *car {
	t.Helper()
	c := &car{t: t, name: name, clk: clock.Virtual(), trip: newTrip(3), want: make(map[telemetry.Name]uint64)}
	var err error
	if c.buf, err = buffer.Open(t.Context(), buffer.Options{Dir: t.TempDir(), Unit: name, Vehicle: "van-" + name, Boot: c.clk.Boot(), Simulated: true, Now: c.clk.Now}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c.stop()
		c.buf.Close()
	})
	return c
}

// drive stores seconds of telemetry and a tenth as much health and events.
func (c *car) drive(seconds int) {
	c.t.Helper()
	health, ok := telemetry.Lookup("Vehicle.Obu.Uptime")
	if !ok {
		c.t.Fatal("no such signal")
	}
	var entries []buffer.Entry
	for i := range seconds {
		second := c.trip.second()
		entries = append(entries, buffer.Entry{Class: telemetry.ClassTelemetry, Content: second})
		if i%10 == 9 {
			entries = append(entries,
				buffer.Entry{Class: telemetry.ClassHealth, Content: telemetry.Content{Samples: []telemetry.Sample{{At: c.trip.at, Signal: health, Value: telemetry.Int(int64(i))}}}},
				buffer.Entry{Class: telemetry.ClassEvent, Content: telemetry.Content{Anchors: []telemetry.Anchor{{Boot: c.clk.Boot(), At: c.trip.at, Wall: second.Fixes[0].UTC, Uncertainty: 50 * time.Millisecond, By: telemetry.AnchorGNSS}}}})
		}
		if len(entries) >= 1000 || i == seconds-1 {
			if _, err := c.buf.Commit(entries); err != nil {
				c.t.Fatal(err)
			}
			entries = nil
		}
	}
	c.note()
}

// film stores one clip in chunks, and its manifest.
func (c *car) film(name string, size int) {
	c.t.Helper()
	data := make([]byte, size)
	rnd := rand.New(rand.NewPCG(uint64(size), 1))
	for i := 0; i+8 <= size; i += 8 {
		binary.LittleEndian.PutUint64(data[i:], rnd.Uint64())
	}
	m := telemetry.Clip{Camera: "front", Name: name, At: c.trip.at, SizeBytes: int64(size), SHA256: sha256.Sum256(data), Cause: "normal"}
	copy(m.ID[:], m.SHA256[:])
	for off := 0; off < size; off += 256 << 10 {
		if _, err := c.buf.CommitChunk(name, telemetry.Chunk{Clip: m.ID, Offset: int64(off), Data: data[off:min(size, off+256<<10)]}); err != nil {
			c.t.Fatal(err)
		}
	}
	if err := c.buf.FinishClip(name, m); err != nil {
		c.t.Fatal(err)
	}
	if _, err := c.buf.Commit(nil); err != nil {
		c.t.Fatal(err)
	}
	c.note()
}

// note reads everything held and remembers its content.
func (c *car) note() {
	c.t.Helper()
	for _, s := range c.buf.Streams() {
		for from := s.Floor; from < s.Next; {
			held, err := c.buf.Read(s.Store, s.Class, from, 1<<20)
			if err != nil || len(held) == 0 {
				c.t.Fatalf("read %v from %d: %d batches, %v", s.Class, from, len(held), err)
			}
			for _, h := range held {
				b, err := telemetry.DecodeBatch(h.Name, h.Blob)
				if err != nil {
					c.t.Fatal(err)
				}
				c.want[h.Name] = digest(c.t, &b)
				from = h.Seq + 1
			}
		}
	}
}

// start connects the car to a broker; change, if any, alters the settings.
func (c *car) start(url string, change func(*uplink.Config)) {
	c.t.Helper()
	cfg := uplink.Config{Broker: url, Username: c.name, Password: passwordOf(c.name), Fleet: "f1", Unit: c.name,
		HistoryRate: uplink.Unlimited, BackoffMin: 50 * time.Millisecond, BackoffMax: time.Second,
		Clock: c.clk, Backlog: c.buf, Commands: c.buf, Version: "acceptance", Now: time.Now,
		Birth: func() any { return telemetry.Birth{Unit: c.name, Format: telemetry.Format, Stores: c.buf.Stores()} },
		Log:   slog.New(slog.NewTextHandler(c.t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}))}
	if change != nil {
		change(&cfg)
	}
	address := uplink.Address(cfg.Broker)
	cfg.Dial = func(ctx context.Context) (net.Conn, error) { return c.conns.dial(ctx, address) }
	var err error
	if c.up, err = uplink.New(cfg); err != nil {
		c.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	c.cancel = cancel
	c.ended.Go(func() { _ = c.up.Run(ctx) })
	c.ended.Go(func() { // the flush: applies what was acknowledged
		for ctx.Err() == nil {
			time.Sleep(200 * time.Millisecond)
			if _, err := c.buf.Commit(nil); err != nil {
				c.t.Errorf("commit: %v", err)
			}
		}
	})
}

func (c *car) stop() {
	if c.cancel != nil {
		c.cancel()
		c.ended.Wait()
		c.cancel = nil
	}
}

// held is how many batches the car still owes.
func (c *car) held() (n int) {
	for _, s := range c.buf.Streams() {
		n += s.Batches
	}
	return n
}

// drained waits until custody of everything has moved on.
func (c *car) drained(limit time.Duration) {
	c.t.Helper()
	if !await(limit, func() bool { return c.held() == 0 }) {
		c.t.Fatalf("%d batches are still held after %v: %s", c.held(), limit, c.says())
	}
}

// says is the state of the uplink, for failures.
func (c *car) says() string {
	s := c.up.Stats()
	return fmt.Sprintf("%+v", s)
}

// live stores one more second, whose envelope tells the consumer the floor.
func (c *car) live() {
	c.drive(1)
	c.up.Notify()
}
