package rig_test

import (
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"obu/telemetry"
	"obu/telemetry/ledger"
	"obu/uplink/brokertest"
)

// cloud books what a unit sends to a broker on the host's loopback.
type cloud struct {
	t      *testing.T
	broker *brokertest.Broker
	url    string // as the machine sees it

	mu   sync.Mutex // guards what follows
	book ledger.Ledger
	sums map[telemetry.Name]uint64
}

func newCloud(t *testing.T) *cloud {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &cloud{t: t, broker: brokertest.New(), sums: make(map[telemetry.Name]uint64)}
	c.url = fmt.Sprintf("mqtt://10.0.2.2:%d", l.Addr().(*net.TCPAddr).Port)
	c.broker.OnMessage(c.take)
	served := make(chan struct{})
	go func() { defer close(served); _ = c.broker.Serve(l) }() // it ends with the listener
	t.Cleanup(func() { l.Close(); c.broker.Close(); <-served })
	return c
}

// take books an envelope; one name must never stand for two contents.
func (c *cloud) take(m brokertest.Message) {
	switch m.Topic[strings.LastIndexByte(m.Topic, '/')+1:] {
	case "telemetry", "event", "media", "health":
	default:
		return
	}
	env, err := telemetry.DecodeEnvelope(m.Payload)
	if err != nil {
		c.t.Errorf("%s: %v", m.Topic, err)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range env.Batches {
		b := &env.Batches[i]
		blob, err := telemetry.EncodeBatch(b)
		if err != nil {
			c.t.Errorf("encode %v again: %v", b.Name, err)
		}
		h := fnv.New64a()
		h.Write(blob)
		if sum, ok := c.sums[b.Name]; ok && sum != h.Sum64() && env.Part == nil {
			c.t.Errorf("%v came with two contents", b.Name)
		}
		c.sums[b.Name] = h.Sum64()
	}
	c.book.Take(env)
}

// newDisk makes a disk with an ext4 on it.
func newDisk(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "disk")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, 256<<20); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", os.Getenv("PATH")+":/sbin:/usr/sbin")
	command(t, "", "mkfs.ext4", "-q", path)
	return path
}

// cuts is how many power cuts TestPowerCuts makes; OBU_RIG_CUTS says another number.
func cuts(t *testing.T) int {
	t.Helper()
	s := os.Getenv("OBU_RIG_CUTS")
	if s == "" {
		return 20
	}
	n, err := strconv.Atoi(s)
	if err != nil {
		t.Fatalf("OBU_RIG_CUTS: %v", err)
	}
	return n
}

// TestPowerCuts drives a unit whose machine is killed again and again, with
// and without a link, on one disk. In the end nothing that was stored is
// missing and every loss is listed.
func TestPowerCuts(t *testing.T) {
	r := need(t)
	c := newCloud(t)
	devices := []string{"-drive", "file=" + newDisk(t) + ",if=virtio,format=raw,cache=writeback",
		"-netdev", "user,id=n0", "-device", "virtio-net-pci,netdev=n0"}
	n := cuts(t)
	rng := rand.New(rand.NewPCG(1, uint64(n)))
	for i := range n {
		offline := i%3 == 1
		c.broker.Set(func(f *brokertest.Faults) {
			f.RefuseCode = 0
			if offline {
				f.RefuseCode = 3
			}
		})
		m := boot(t, r, "broker="+c.url, devices, "/bin/inside.test", "-test.v", "-test.run=TestDriveUntilTheCut")
		if err := m.await("RIG RUNNING", 2*time.Minute); err != nil {
			t.Fatalf("cut %d: %v\n%s", i, err, m.console())
		}
		time.Sleep(time.Duration(1000+rng.IntN(4000)) * time.Millisecond)
		m.kill()
	}
	c.broker.Set(func(f *brokertest.Faults) { f.RefuseCode = 0 })
	m := boot(t, r, "broker="+c.url, devices, "/bin/inside.test", "-test.v", "-test.run=TestDrainAfterTheCuts")
	if code, err := m.wait(4 * time.Minute); err != nil || code != 0 {
		t.Fatalf("drain: exit %d, %v\n%s", code, err, m.console())
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	sum := ledger.Sum(c.book.Report())
	for _, h := range c.book.Holes() {
		t.Errorf("hole: %+v", h)
	}
	starts := 0
	for _, g := range c.book.Gaps("rig") {
		if g.Reason == telemetry.ReasonUncleanStart {
			starts++
		}
		t.Logf("listed: %s %s, %d values, %v to %v", g.Reason, g.Class, g.Count, g.From, g.To)
	}
	if sum.Values == 0 || sum.Pending > 0 || starts == 0 {
		t.Errorf("%d values, %d pending, %d unclean starts listed after %d cuts", sum.Values, sum.Pending, starts, n)
	}
	t.Logf("%d cuts: %d batches, %d values, %d copies, %d holes, %d unclean starts listed", n, sum.Batches, sum.Values, sum.Copies, sum.Holes, starts)
}
