package uplink

import (
	"strings"
	"time"
)

// inboundDepth is how many messages wait for the handlers. Past it the reader
// waits, and the broker with it: nothing is dropped.
const inboundDepth = 4

// Handler is called for each message, one at a time and in order; a message is
// acknowledged to the broker when it returns. It may take its time: pings go
// on, and the messages behind it wait at the broker. It must not call Publish,
// Subscribe or Close.
type Handler func(topic string, payload []byte, retained bool)

// route is one subscription.
type route struct {
	filter string
	h      Handler
}

// inbound is one message from the broker.
type inbound struct {
	topic    string
	payload  []byte
	retained bool
	id       uint16 // 0: QoS 0, not acknowledged
}

// route makes h the handler of filters.
func (s *Session) route(h Handler, filters []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range filters {
		s.routes = append(s.routes, route{f, h})
	}
}

// receive queues a message for the handlers. While it waits, the session is not
// taken for dead: it cannot hear.
func (s *Session) receive(m inbound) {
	select {
	case s.inbox <- m:
	default:
		s.stuck.Store(true)
		select {
		case s.inbox <- m:
		case <-s.done:
			return
		}
		s.heard.Store(int64(time.Since(s.began)))
		s.stuck.Store(false)
	}
	if s.dispatching.CompareAndSwap(false, true) {
		go s.dispatch()
	}
}

// dispatch calls the handlers until no message waits.
func (s *Session) dispatch() {
	for {
		select {
		case m := <-s.inbox:
			s.handle(m)
			continue
		case <-s.done:
			return
		default:
		}
		s.dispatching.Store(false)
		if len(s.inbox) == 0 || !s.dispatching.CompareAndSwap(false, true) {
			return // the reader starts it again with the next message
		}
	}
}

// handle gives m to each handler whose filter matches and acknowledges it.
func (s *Session) handle(m inbound) {
	s.mu.Lock()
	routes := s.routes // only ever appended to
	s.mu.Unlock()
	for _, r := range routes {
		if matches(r.filter, m.topic) {
			r.h(m.topic, m.payload, m.retained)
		}
	}
	if m.id != 0 {
		select {
		case s.acks <- m.id:
		case <-s.done:
		}
	}
}

// matches reports whether a topic filter takes a topic (MQTT 3.1.1 §4.7).
func matches(filter, topic string) bool {
	for {
		f, moreF, deeperF := strings.Cut(filter, "/")
		t, moreT, deeperT := strings.Cut(topic, "/")
		switch {
		case f == "#":
			return true
		case f != "+" && f != t:
			return false
		case !deeperT:
			return !deeperF || moreF == "#" // a/# takes a too
		case !deeperF:
			return false
		}
		filter, topic = moreF, moreT
	}
}
