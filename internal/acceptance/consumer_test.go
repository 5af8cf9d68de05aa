package acceptance_test

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"hash/fnv"
	"maps"
	"net"
	"net/url"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/eclipse/paho.mqtt.golang/packets"

	"obu/telemetry"
	"obu/telemetry/ledger"
	"obu/uplink"
)

// receiptEvery is how often a consumer confirms what it holds.
const receiptEvery = 200 * time.Millisecond

// consumer is the cloud: a persistent session (clean session off) that
// acknowledges a message after it has booked it, and comes back after each
// loss. What it was not connected for, the broker owes it.
type consumer struct {
	t        *testing.T
	url      string
	unit     string
	files    uplink.TLS    // with a TLS URL
	quiet    time.Duration // how long nothing more comes before the account is closed; 0: 30 s
	receipts bool          // confirm what is booked on the unit's ack topic

	mu       sync.Mutex // guards what follows
	want     map[telemetry.Name]uint64
	conn     net.Conn
	down     bool
	sessions int
	book     ledger.Ledger
	copies   int
	messages int64 // envelopes
	got      map[telemetry.Name]uint64
	link     []byte // newest message of the topic
	replies  [][]byte
	said     map[streamOf]uint64 // last receipt of each stream

	ended   chan struct{}
	stopped atomic.Bool
}

type streamOf struct {
	store telemetry.StoreID
	class telemetry.Class
}

// consume starts a consumer of one car's topics. It ends with the test.
func consume(c *consumer) *consumer {
	c.ended = make(chan struct{})
	c.got, c.said = make(map[telemetry.Name]uint64), make(map[streamOf]uint64)
	go func() {
		defer close(c.ended)
		for !c.stopped.Load() {
			if !c.isDown() {
				_ = c.session() // its end is what the tests are about
			}
			time.Sleep(50 * time.Millisecond)
		}
	}()
	c.t.Cleanup(func() {
		c.stopped.Store(true)
		c.offline()
		<-c.ended
	})
	return c
}

// offline ends the session without a word and opens none until online.
func (c *consumer) offline() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.down = true
	if c.conn != nil {
		c.conn.Close()
	}
}

func (c *consumer) online() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.down = false
}

func (c *consumer) isDown() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.down
}

// subscribed waits until the broker knows of the session.
func (c *consumer) subscribed() {
	c.t.Helper()
	if !await(startLimit, func() bool { c.mu.Lock(); defer c.mu.Unlock(); return c.sessions > 0 }) {
		c.t.Fatal("the consumer gets no session")
	}
}

func (c *consumer) dial() (net.Conn, error) {
	u, err := url.Parse(c.url)
	if err != nil {
		return nil, err
	}
	conn, err := net.Dial("tcp", u.Host)
	if err != nil || u.Scheme == "mqtt" {
		return conn, err
	}
	pair, err := tls.LoadX509KeyPair(c.files.CertFile, c.files.KeyFile)
	if err != nil {
		return nil, err
	}
	ca, err := os.ReadFile(c.files.CAFile)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(ca)
	return tls.Client(conn, &tls.Config{RootCAs: pool, Certificates: []tls.Certificate{pair}, ServerName: u.Hostname()}), nil
}

// session is one connection from CONNECT to its end.
func (c *consumer) session() error {
	conn, err := c.dial()
	if err != nil {
		return err
	}
	defer conn.Close()
	connect := packets.NewControlPacket(packets.Connect).(*packets.ConnectPacket)
	connect.ProtocolName, connect.ProtocolVersion = "MQTT", 4
	connect.ClientIdentifier = "cloud-" + c.unit
	if c.files.CertFile == "" {
		connect.UsernameFlag, connect.Username = true, "cloud"
		connect.PasswordFlag, connect.Password = true, []byte(passwordOf("cloud"))
	}
	subscribe := packets.NewControlPacket(packets.Subscribe).(*packets.SubscribePacket)
	subscribe.MessageID = 1
	subscribe.Topics, subscribe.Qoss = []string{"obu/v1/f1/" + c.unit + "/#"}, []byte{1}
	if err := connect.Write(conn); err != nil {
		return err
	}
	c.mu.Lock()
	c.conn = conn
	down := c.down
	c.mu.Unlock()
	if down {
		return net.ErrClosed
	}
	var writing sync.Mutex
	over := make(chan struct{})
	defer close(over)
	for {
		p, err := packets.ReadPacket(conn)
		if err != nil {
			return err
		}
		switch p := p.(type) {
		case *packets.ConnackPacket:
			if p.ReturnCode != 0 {
				return errors.New("refused")
			}
			if err := subscribe.Write(conn); err != nil {
				return err
			}
		case *packets.SubackPacket:
			c.mu.Lock()
			c.sessions++
			c.mu.Unlock()
			if c.receipts {
				go c.confirm(conn, &writing, over)
			}
		case *packets.PublishPacket:
			c.take(p)
			if p.Qos > 0 {
				ack := packets.NewControlPacket(packets.Puback).(*packets.PubackPacket)
				ack.MessageID = p.MessageID
				writing.Lock()
				err := ack.Write(conn)
				writing.Unlock()
				if err != nil {
					return err
				}
			}
		}
	}
}

// take books one message.
func (c *consumer) take(p *packets.PublishPacket) {
	c.mu.Lock()
	defer c.mu.Unlock()
	topic := p.TopicName[strings.LastIndexByte(p.TopicName, '/')+1:]
	switch topic {
	case "link":
		c.link = p.Payload
		return
	case "reply":
		c.replies = append(c.replies, p.Payload)
		return
	case "birth", "cmd", "ack":
		return
	}
	env, err := telemetry.DecodeEnvelope(p.Payload)
	if err != nil {
		c.t.Errorf("%s: %v", p.TopicName, err)
		return
	}
	c.messages++
	fresh, copies := c.book.Take(env)
	c.copies += copies
	for i := range fresh {
		c.got[fresh[i].Name] = digest(c.t, &fresh[i])
	}
}

// digest is the content of a batch in one number.
func digest(t *testing.T, b *telemetry.Batch) uint64 {
	blob, err := telemetry.EncodeBatch(b)
	if err != nil {
		t.Errorf("encode %v again: %v", b.Name, err)
	}
	h := fnv.New64a()
	h.Write(blob)
	return h.Sum64()
}

// confirm sends cumulative receipts until the session is over.
func (c *consumer) confirm(conn net.Conn, writing *sync.Mutex, over chan struct{}) {
	for id := uint16(2); ; {
		select {
		case <-over:
			return
		case <-time.After(receiptEvery):
		}
		for _, r := range c.due() {
			p := packets.NewControlPacket(packets.Publish).(*packets.PublishPacket)
			p.TopicName, p.Qos, p.MessageID, p.Payload = "obu/v1/f1/"+c.unit+"/ack", 1, id, r
			if id++; id == 0 {
				id = 2
			}
			writing.Lock()
			err := p.Write(conn)
			writing.Unlock()
			if err != nil {
				return
			}
		}
	}
}

// due returns a receipt for each stream of which more is whole than was said.
func (c *consumer) due() [][]byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	var out [][]byte
	for n := range c.want {
		if n.Seq != 1 {
			continue
		}
		s := streamOf{n.Store, n.Class}
		last := c.said[s]
		for c.has(telemetry.Name{Store: s.store, Class: s.class, Seq: last + 1}) {
			last++
		}
		c.said[s] = last
		if last > 0 { // again and again: a receipt may be lost as well
			b, _ := json.Marshal(telemetry.Receipt{Store: s.store, Class: s.class, Seq: last}) // cannot fail
			out = append(out, b)
		}
	}
	return out
}

func (c *consumer) has(n telemetry.Name) bool { _, ok := c.got[n]; return ok }

// expect says what is to come; safe while messages come.
func (c *consumer) expect(want map[telemetry.Name]uint64) {
	want = maps.Clone(want)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.want = want
}

// account is what a consumer made of a car.
type account struct {
	Batches, Missing, Holes, Copies, Wrong int
}

func (c *consumer) account() account {
	c.mu.Lock()
	defer c.mu.Unlock()
	a := account{Copies: c.copies}
	for n, sum := range c.want {
		got, ok := c.got[n]
		switch {
		case !ok:
			a.Missing++
		case got != sum:
			a.Wrong++ // another content than was stored
		default:
			a.Batches++
		}
	}
	for _, h := range c.book.Holes() {
		a.Holes += int(h.To - h.From + 1)
	}
	return a
}

// settled waits until everything came, or nothing more comes for a while.
func (c *consumer) settled() account {
	last, since := c.account(), time.Now()
	for last.Missing > 0 && time.Since(since) < cmp.Or(c.quiet, 30*time.Second) {
		time.Sleep(50 * time.Millisecond)
		if now := c.account(); now != last {
			last, since = now, time.Now()
		}
	}
	return last
}
