package uplink

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/eclipse/paho.mqtt.golang/packets"
)

// This file is the only one that knows paho, and of paho only the packet codec.

// controlPacket is any MQTT packet.
type controlPacket = packets.ControlPacket

// connectPacket says who we are and that nothing is to be resumed: custody is
// the backlog's.
func connectPacket(c *SessionConfig, e endpoint) *packets.ConnectPacket {
	p := packets.NewControlPacket(packets.Connect).(*packets.ConnectPacket)
	p.ProtocolName, p.ProtocolVersion = "MQTT", 4
	p.CleanSession = true
	p.ClientIdentifier = c.ClientID
	p.Keepalive = uint16(min(math.Ceil(c.KeepAlive.Seconds()), math.MaxUint16))
	if user, password := c.credentials(e); user != "" {
		p.UsernameFlag, p.Username = true, user
		p.PasswordFlag, p.Password = password != "", []byte(password)
	}
	if c.WillTopic != "" {
		p.WillFlag, p.WillQos, p.WillRetain = true, 1, true
		p.WillTopic, p.WillMessage = c.WillTopic, c.WillPayload
	}
	return p
}

// handshake sends CONNECT and waits for the CONNACK or the end of ctx.
func handshake(ctx context.Context, conn *mqttConn, connect *packets.ConnectPacket) error {
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	err := func() error {
		if err := connect.Write(conn); err != nil {
			return err
		}
		p, err := readPacket(conn)
		if err != nil {
			return err
		}
		ack, ok := p.(*packets.ConnackPacket)
		if !ok {
			return unexpected(p)
		}
		return connackReason(ack.ReturnCode)
	}()
	if !stop() {
		return ctx.Err()
	}
	return err
}

// connackReason maps the return codes of MQTT 3.1.1 §3.2.2.3.
func connackReason(code byte) error {
	switch code {
	case packets.Accepted:
		return nil
	case packets.ErrRefusedBadProtocolVersion:
		return ErrProtocolVersion
	case packets.ErrRefusedIDRejected:
		return ErrIDRejected
	case packets.ErrRefusedServerUnavailable:
		return ErrBrokerBusy
	case packets.ErrRefusedBadUsernameOrPassword:
		return ErrBadCredentials
	case packets.ErrRefusedNotAuthorised:
		return ErrNotAuthorised
	}
	return why(ErrNotMQTT, fmt.Errorf("CONNACK with return code %d", code))
}

// readPacket reads one packet within the bounds of c. A packet that cannot be
// decoded is the broker's doing and is never taken for the end of the stream.
func readPacket(c *mqttConn) (p packets.ControlPacket, err error) {
	length, err := c.next()
	if err != nil {
		return nil, err
	}
	defer func() { // the decoder trusts what it reads
		if r := recover(); r != nil {
			p, err = nil, why(ErrNotMQTT, fmt.Errorf("packet of %d bytes: %v", length, r))
		}
	}()
	p, err = packets.ReadPacket(c.r)
	if err != nil && p != nil {
		return nil, why(ErrNotMQTT, fmt.Errorf("packet of %d bytes: %w", length, errMalformed))
	}
	if ack, ok := p.(*packets.PubackPacket); ok && ack.RemainingLength != 2 {
		return nil, why(ErrNotMQTT, fmt.Errorf("PUBACK of %d bytes: %w", length, errMalformed))
	}
	return p, err
}

var errMalformed = errors.New("malformed")

func unexpected(p packets.ControlPacket) error {
	return why(ErrNotMQTT, fmt.Errorf("unexpected %v", p))
}

func (s *Session) take(p packets.ControlPacket) error {
	switch p := p.(type) {
	case *packets.PubackPacket:
		s.settle(p.MessageID, false, nil)
	case *packets.SubackPacket:
		s.settle(p.MessageID, true, p.ReturnCodes)
	case *packets.PublishPacket:
		if p.Qos > 1 {
			return why(ErrNotMQTT, fmt.Errorf("message of QoS %d, granted was 1", p.Qos))
		}
		s.receive(inbound{p.TopicName, p.Payload, p.Retain, p.MessageID})
	case *packets.PingrespPacket:
	default:
		return unexpected(p)
	}
	return nil
}

func publishPacket(topic string, retained bool, payload []byte) (*packets.PublishPacket, error) {
	if len(topic) > maxTopic || len(topic)+len(payload)+overhead > maxRemaining {
		return nil, fmt.Errorf("topic of %d and payload of %d bytes: more than MQTT allows", len(topic), len(payload))
	}
	p := packets.NewControlPacket(packets.Publish).(*packets.PublishPacket)
	p.TopicName, p.Retain, p.Payload, p.Qos = topic, retained, payload, 1
	return p, nil
}

func subscribePacket(filters []string) (*packets.SubscribePacket, error) {
	p := packets.NewControlPacket(packets.Subscribe).(*packets.SubscribePacket)
	for _, f := range filters {
		if f == "" || len(f) > maxTopic {
			return nil, fmt.Errorf("filter of %d bytes", len(f))
		}
		p.Topics, p.Qoss = append(p.Topics, f), append(p.Qoss, 1)
	}
	return p, nil
}

// prepare gives a packet its id and encodes it. From now on the end of the
// session calls f.done.
func (s *Session) prepare(p packets.ControlPacket, f *flight) error {
	if err := s.register(f); err != nil {
		return err
	}
	size := overhead
	switch p := p.(type) {
	case *packets.PublishPacket:
		p.MessageID = f.id
		size += len(p.TopicName) + len(p.Payload)
	case *packets.SubscribePacket:
		p.MessageID = f.id
	}
	b := bytes.NewBuffer(make([]byte, 0, size))
	if err := p.Write(b); err != nil {
		return s.withdraw(f, err)
	}
	f.packet = b.Bytes()
	s.unwritten.Add(int64(len(f.packet)))
	return nil
}
