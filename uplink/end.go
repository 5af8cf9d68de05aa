package uplink

import (
	"errors"
	"time"
)

// disconnectWait is for the socket to take DISCONNECT and the broker to hang up.
const disconnectWait = 250 * time.Millisecond

// Done is closed when the session has ended.
func (s *Session) Done() <-chan struct{} { return s.done }

// Err says why the session ended; nil while it lives.
func (s *Session) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// end records the first cause, fails what is in flight and closes the
// connection. When Done is closed, every flight has been told.
func (s *Session) end(err error) {
	s.mu.Lock()
	if s.err != nil {
		s.mu.Unlock()
		return
	}
	var known *Reason
	select {
	case <-s.bye:
		err = ErrClosed
	default:
	}
	switch {
	case errors.As(err, &known):
	case endedByPeer(err):
		err = why(ErrEndedByBroker, err)
	default:
		err = why(ErrLost, err)
	}
	s.err = err
	lost := s.flights.clear()
	s.mu.Unlock()
	for _, f := range lost {
		f.done(err)
	}
	close(s.done)
	s.conn.Close()
}

// abort ends the session without DISCONNECT, so that the broker publishes the
// will.
func (s *Session) abort(err error) { s.end(err) }

// Close says DISCONNECT, which discards the will, and ends the session. What
// is in flight fails unless its acknowledgement comes within a moment. It may
// be called more than once.
func (s *Session) Close() {
	s.byeOnce.Do(func() { close(s.bye) })
	patience := time.NewTimer(disconnectWait)
	defer patience.Stop()
	select {
	case <-s.done: // the broker hung up on DISCONNECT, as MQTT 3.1.1 §3.14.4 wants
	case <-patience.C:
		s.end(ErrClosed)
	}
	<-s.done
}
