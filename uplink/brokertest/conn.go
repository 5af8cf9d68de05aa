package brokertest

import (
	"net"
	"strings"
	"time"

	"github.com/eclipse/paho.mqtt.golang/packets"
)

// conn is one client's connection.
type conn struct {
	b      *Broker
	nc     net.Conn
	number int
	out    chan packets.ControlPacket
	gone   chan struct{} // reader ended

	// guarded by b.mu
	client  string
	filters []string
	will    *Message
	nextID  uint16
}

func (c *conn) read() {
	defer c.b.wg.Done()
	err := c.serve()
	b := c.b
	b.mu.Lock()
	delete(b.conns, c)
	will := c.will
	if err == nil { // DISCONNECT
		will = nil
	}
	b.mu.Unlock()
	close(c.gone)
	c.nc.Close()
	if will != nil {
		will.At = time.Now()
		b.record(*will)
		b.deliver(*will)
	}
}

func (c *conn) write() {
	defer c.b.wg.Done()
	for {
		select {
		case p := <-c.out:
			if _, ok := p.(*packets.PubackPacket); ok {
				if d := c.b.current().AckDelay; d > 0 {
					select {
					case <-time.After(d):
					case <-c.gone:
						return
					}
				}

			}
			if p.Write(c.nc) != nil {
				c.nc.Close()
				return
			}
		case <-c.gone:
			return
		}
	}
}

func (b *Broker) current() Faults {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.faults
}

// unstalled waits until the broker reads again.
func (b *Broker) unstalled() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for b.faults.Stall && !b.closed {
		b.changed.Wait()
	}
}

func (b *Broker) record(m Message) {
	b.mu.Lock()
	on := b.on
	if b.keep == nil || b.keep(m) {
		b.log = append(b.log, m)
	}
	b.mu.Unlock()
	if on != nil {
		on(m)
	}
}

type cutError struct{}

func (cutError) Error() string { return "cut by fault" }

// serve reads packets until the connection ends; nil after a DISCONNECT.
func (c *conn) serve() error {
	for {
		c.b.unstalled()
		p, err := readPacket(c.nc, c.b.current().MaxPacket)
		if err != nil {
			return err
		}
		c.b.unstalled()
		switch p := p.(type) {
		case *packets.ConnectPacket:
			if err := c.connect(p); err != nil {
				return err
			}
		case *packets.PublishPacket:
			if err := c.publish(p); err != nil {
				return err
			}
		case *packets.SubscribePacket:
			c.subscribe(p)
		case *packets.PingreqPacket:
			c.send(packets.NewControlPacket(packets.Pingresp))
		case *packets.DisconnectPacket:
			return nil
		}
	}
}

func (c *conn) send(p packets.ControlPacket) {
	select {
	case c.out <- p:
	default: // a client that does not read its answers
		c.nc.Close()
	}
}

func (c *conn) connect(p *packets.ConnectPacket) error {
	f := c.b.current()
	ack := packets.NewControlPacket(packets.Connack).(*packets.ConnackPacket)
	ack.ReturnCode = f.RefuseCode
	if f.RefuseCode != 0 {
		ack.Write(c.nc)
		return cutError{}
	}
	b := c.b
	b.mu.Lock()
	for o := range b.conns { // taken over: the older connection ends, its will goes out
		if o != c && o.client == p.ClientIdentifier {
			o.nc.Close()
		}
	}
	c.client = p.ClientIdentifier
	b.connects = append(b.connects, c.client)
	b.times = append(b.times, time.Now())
	if p.WillFlag {
		c.will = &Message{Topic: p.WillTopic, Payload: p.WillMessage, Retained: p.WillRetain,
			Client: c.client, Conn: c.number, Will: true}
	}
	b.mu.Unlock()
	c.send(ack)
	return nil
}

func (c *conn) publish(p *packets.PublishPacket) error {
	f := c.b.current()
	m := Message{Topic: p.TopicName, Payload: p.Payload, Retained: p.Retain, Client: c.client, Conn: c.number,
		At: time.Now(), ID: p.MessageID}
	if f.CutBefore != nil && f.CutBefore(m) {
		return cutError{}
	}
	cut := f.CutOnPublish != nil && f.CutOnPublish(m)
	drop := f.DropPuback != nil && f.DropPuback(m)
	m.Acked = p.Qos > 0 && !cut && !drop
	c.b.record(m)
	if f.Swallow == nil || !f.Swallow(m) {
		c.b.deliver(m)
	}
	if cut {
		return cutError{}
	}
	for n := 0; m.Acked && (n == 0 || n == 1 && f.DupPuback); n++ {
		ack := packets.NewControlPacket(packets.Puback).(*packets.PubackPacket)
		ack.MessageID = p.MessageID
		c.send(ack)
	}
	return nil
}

func (c *conn) subscribe(p *packets.SubscribePacket) {
	ack := packets.NewControlPacket(packets.Suback).(*packets.SubackPacket)
	ack.MessageID = p.MessageID
	ack.ReturnCodes = p.Qoss
	c.send(ack)
	c.b.mu.Lock()
	defer c.b.mu.Unlock()
	c.filters = append(c.filters, p.Topics...)
	for _, m := range c.b.retained {
		for _, f := range p.Topics {
			if Match(f, m.Topic) {
				c.push(m, true)
			}
		}
	}
}

// offer sends m if a filter matches; b.mu is held.
func (c *conn) offer(m Message, retained bool) {
	for _, f := range c.filters {
		if Match(f, m.Topic) {
			c.push(m, retained)
			return
		}
	}
}

func (c *conn) push(m Message, retained bool) {
	p := packets.NewControlPacket(packets.Publish).(*packets.PublishPacket)
	p.TopicName, p.Payload, p.Qos, p.Retain = m.Topic, m.Payload, 1, retained
	c.nextID = c.nextID%65535 + 1
	p.MessageID = c.nextID
	c.send(p)
}

// Match reports whether an MQTT filter matches a topic.
func Match(filter, topic string) bool {
	fs, ts := strings.Split(filter, "/"), strings.Split(topic, "/")
	for i, f := range fs {
		if f == "#" {
			return true
		}
		if i >= len(ts) || f != "+" && f != ts[i] {
			return false
		}
	}
	return len(fs) == len(ts)
}
