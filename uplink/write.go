package uplink

import (
	"bufio"
	"fmt"
	"time"

	"obu/telemetry"
)

// writeBuffer holds some live packets, so that a burst is one system call and
// one TLS record; larger packets pass it by.
const writeBuffer = 2 << 10

// Whole packets without content (MQTT 3.1.1 §3.12, §3.14).
const (
	pingreq    = "\xc0\x00"
	disconnect = "\xe0\x00"
)

// writer is the state of the goroutine that writes.
type writer struct {
	s      *Session
	w      *bufio.Writer
	sentAt time.Time
	queued [telemetry.ClassMedia + 1]int64 // bytes of each class in w, not known to have left
	pingAt time.Time                       // of the oldest PINGREQ after which nothing was heard; zero: none
}

// write sends what is queued until the session ends or says DISCONNECT. What
// is queued together leaves together.
func (s *Session) write() {
	defer close(s.written)
	w := writer{s: s, w: bufio.NewWriterSize(s.conn, writeBuffer), sentAt: time.Now()}
	tick := time.NewTimer(s.keepAlive)
	defer tick.Stop()
	for {
		var err error
		select {
		case <-s.done:
			return
		case f := <-s.out:
			err = w.flight(f)
		case id := <-s.acks:
			err = w.puback(id)
		case <-tick.C:
			var next time.Duration
			next, err = w.keepAlive(time.Now())
			tick.Reset(next)
		case <-s.bye:
			w.w.WriteString(disconnect)
			if err := w.w.Flush(); err != nil {
				s.end(err)
			}
			return
		}
		if err == nil {
			err = w.rest()
		}
		if err != nil {
			s.end(err)
			return
		}
	}
}

func (w *writer) flight(f *flight) error {
	packet := w.s.leave(f)
	w.queued[f.class] += int64(len(packet))
	_, err := w.w.Write(packet)
	return err
}

// left counts what was flushed. A packet that only half left is control.
func (w *writer) left() {
	for class, n := range w.queued {
		if n > 0 {
			w.s.count.wire.classes[class].Add(n)
			w.s.unwritten.Add(-n)
			w.queued[class] = 0
		}
	}
}

// puback answers a message (MQTT 3.1.1 §3.4).
func (w *writer) puback(id uint16) error {
	_, err := w.w.Write([]byte{0x40, 2, byte(id >> 8), byte(id)})
	return err
}

// rest adds what else is queued and flushes.
func (w *writer) rest() error {
	for {
		var err error
		select {
		case f := <-w.s.out:
			err = w.flight(f)
		case id := <-w.s.acks:
			err = w.puback(id)
		default:
			if w.w.Buffered() > 0 {
				err = w.w.Flush()
			}
			if err == nil {
				w.left()
			}
			w.sentAt = time.Now()
			return err
		}
		if err != nil {
			return err
		}
	}
}

// keepAlive pings when nothing was sent or nothing was heard for the keep-alive
// time (MQTT 3.1.1 §3.1.2.10) and fails when nothing at all is heard after a
// ping: on a slow link PINGRESP may stand in a queue that moves. It returns
// when to look again.
func (w *writer) keepAlive(now time.Time) (time.Duration, error) {
	s := w.s
	heardAt := s.began.Add(time.Duration(s.heard.Load()))
	switch {
	case w.pingAt.IsZero():
	case !heardAt.Before(w.pingAt):
		w.pingAt = time.Time{}
	case s.stuck.Load():
		w.pingAt = now // the answer may wait behind a message that no handler takes
	case now.Sub(w.pingAt) >= pingTimeout:
		return 0, why(ErrLost, fmt.Errorf("no answer to a ping in %v", pingTimeout))
	}
	idle := now.Sub(w.sentAt)
	if w.pingAt.IsZero() {
		idle = max(idle, now.Sub(heardAt))
	}
	if idle >= s.keepAlive {
		if w.pingAt.IsZero() {
			w.pingAt = now
		}
		w.sentAt = now
		idle = 0
		if _, err := w.w.WriteString(pingreq); err != nil {
			return 0, err
		}
	}
	next := s.keepAlive - idle
	if !w.pingAt.IsZero() {
		next = min(next, pingTimeout-now.Sub(w.pingAt))
	}
	return next, nil
}
