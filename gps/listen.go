package gps

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"obu/telemetry"
)

const (
	// readSize is one read's buffer. At 115200 baud a kilobyte is 90 ms.
	readSize = 1024
	// watchEvery is how often the line is judged: no bytes, no sentences.
	watchEvery = 5 * time.Second
	// silentAfter is how many judgements without a byte make it silent.
	silentAfter = 2
	// garbledBytes is how many bytes without one sentence make a line garbled.
	garbledBytes = 200
	// emptyReads bounds reads that return nothing and no error.
	emptyReads = 100
)

// chunk is what one read brought.
type chunk struct {
	at  telemetry.At
	buf []byte
	n   int
	err error
}

// pump reads rc into the buffers it gets from free until an error.
func (s *Source) pump(rc io.Reader, free <-chan []byte, full chan<- chunk, done <-chan struct{}) {
	empty := 0
	for {
		var c chunk
		select {
		case c.buf = <-free:
		case <-done:
			return
		}
		for {
			c.n, c.err = rc.Read(c.buf[:cap(c.buf)])
			if c.n > 0 || c.err != nil {
				empty = 0
				break
			}
			if empty++; empty == emptyReads {
				c.err = io.ErrNoProgress
				break
			}
		}
		c.at = s.cfg.Clock.Now()
		select {
		case full <- c:
		case <-done:
			return
		}
		if c.err != nil {
			return
		}
	}
}

// input takes what a live line brings. patience is how long the line must be
// quiet before pause is called.
type input interface {
	write(at telemetry.At, p []byte)
	pause()
	finish()
	patience() time.Duration
}

// nmeaInput is a line that speaks NMEA.
type nmeaInput struct {
	*lineReader
	m *merger
}

func (n nmeaInput) pause()                  { n.m.pause() }
func (n nmeaInput) finish()                 { n.m.finish() }
func (n nmeaInput) patience() time.Duration { return n.m.quiet() }

// listen reads a live line. The time of a fix is when the first byte of its
// epoch's first sentence was read: the receiver's own latency (up to about
// half a second) comes on top.
func (s *Source) listen(ctx context.Context, rc io.ReadCloser) error {
	g := guard{faults: &lineFaults}
	if conn, ok := rc.(*daemon); ok {
		g.faults = &daemonFaults
		return s.read(ctx, rc, newReports(s, conn.device), g)
	}
	port, _ := rc.(*Port)
	if g.baud = baudOf(rc); port != nil {
		g.finds = port.found
	}
	lines, m := s.newInput(func(f telemetry.Fix, _ time.Duration) { s.cfg.Emit(f) })
	m.live, m.judge.live = true, true
	return s.read(ctx, rc, nmeaInput{lines, m}, g)
}

// read reads rc into in until it ends.
func (s *Source) read(ctx context.Context, rc io.ReadCloser, in input, g guard) error {
	free, full := make(chan []byte, 2), make(chan chunk)
	done, ended := make(chan struct{}), make(chan struct{})
	free <- make([]byte, readSize)
	free <- make([]byte, readSize)
	go func() {
		defer close(ended)
		s.pump(rc, free, full, done)
	}()
	defer func() {
		close(done)
		rc.Close()
		<-ended
		s.publish()
	}()

	pause := time.NewTimer(in.patience())
	pause.Stop()
	defer pause.Stop()
	watch := time.NewTicker(watchEvery)
	defer watch.Stop()
	g.since, g.bytes, g.sentences, g.ignored = s.cfg.Clock.Now(), s.stats.Bytes, s.stats.Sentences, s.stats.Ignored
	take := func(c chunk) (ended bool, err error) {
		in.write(c.at, c.buf[:c.n])
		free <- c.buf
		pause.Reset(in.patience())
		s.publish()
		if c.err == nil {
			return false, nil
		}
		in.finish()
		if ctx.Err() != nil {
			s.loss.due(c.at, true)
			return true, nil
		}
		s.stats.forget()
		s.loss.lostDevice(c.at)
		if _, ok := rc.(*daemon); ok {
			return true, fmt.Errorf("%w: %w", ErrNoGpsd, gone(s.cfg.Name, c.err))
		}
		return true, gone(s.cfg.Name, c.err)
	}
	for {
		var c chunk
		select {
		case <-ctx.Done():
			in.finish()
			s.loss.due(0, true)
			return nil
		case c = <-full:
		case <-pause.C:
			select {
			case c = <-full: // on a busy machine the timer may win
			default:
				in.pause()
				s.publish()
				continue
			}
		case <-watch.C:
			now := s.cfg.Clock.Now()
			g.judge(s, now)
			s.loss.due(now, false)
			s.publish()
			if g.garbled && g.finds { // its speed has changed: find the new one
				s.stats.forget()
				s.loss.lostDevice(now)
				return fmt.Errorf("read %s at %d baud: %w", s.cfg.Name, g.baud, ErrNoNMEA)
			}
			continue
		}
		if ended, err := take(c); ended {
			return err
		}
	}
}

func gone(name string, err error) error {
	if errors.Is(err, io.EOF) {
		return fmt.Errorf("read %s: %w", name, ErrGone)
	}
	return fmt.Errorf("read %s: %w: %w", name, ErrGone, err)
}

// baudOf returns the speed of a serial port, 0 for anything else.
func baudOf(rc io.Reader) int {
	if p, ok := rc.(interface{ Baud() int }); ok {
		return p.Baud()
	}
	return 0
}

// faults are the words for what is wrong with a line.
type faults struct{ silent, power, garbled, speed string }

var (
	lineFaults = faults{
		silent: "receiver is silent: no byte for 10 s", power: "check its power, its TX wire to our RX, and that gps.device names this receiver",
		garbled: "bytes arrive but no NMEA sentence among them: the baud rate is wrong, or the receiver is set to a binary protocol",
		speed:   "set gps.baud to auto",
	}
	daemonFaults = faults{
		silent: "gpsd is silent: no report for 10 s", power: "`cgps` shows what it has: a receiver without power or plug, or none at all (DEVICES in /etc/default/gpsd, or gpsdctl add /dev/ttyUSB0)",
		garbled: "what answers does not speak gpsd's protocol", speed: "correct the address in gps.device: gpsd://localhost:2947",
	}
)

// guard watches a line for the two faults a technician can cure: silence and
// the wrong baud rate. It speaks of each when it begins, and of one that comes
// and goes at most once per lastWindow.
type guard struct {
	faults          *faults
	baud            int
	finds           bool   // a garbled line is opened again at another speed
	bytes           uint64 // as of the last judgement
	sentences       uint64
	ignored         uint64
	since           telemetry.At
	quiet           int  // judgements without a byte
	silent, garbled bool // noticed already
	saidSilent      telemetry.At
	saidGarbled     telemetry.At
}

// speak reports whether it is time to log a fault again, and notes that it was.
func speak(said *telemetry.At, now telemetry.At) bool {
	if *said != 0 && now.Sub(*said) < lastWindow {
		return false
	}
	*said = now
	return true
}

// hear notes whether the receiver says nothing though its port is open, which is
// an outage like that of a port.
func (s *Source) hear(silent bool, now telemetry.At) {
	s.stats.Silent, s.stats.spoke = silent, max(s.loss.heard, s.stats.opened)
	if silent {
		s.stats.forget()
		s.loss.silence(now)
	}
}

func (g *guard) judge(s *Source, now telemetry.At) {
	bytes, sentences, ignored := s.stats.Bytes-g.bytes, s.stats.Sentences-g.sentences, s.stats.Ignored-g.ignored
	if g.faults == &daemonFaults && sentences > 0 && sentences == ignored {
		bytes, sentences = 0, 0 // gpsd speaks, and its receiver does not
	}
	switch {
	case sentences > 0:
		g.quiet, g.silent, g.garbled = 0, false, false
	case bytes == 0:
		if g.quiet++; g.quiet >= silentAfter && !g.silent {
			g.silent = true
			if speak(&g.saidSilent, now) {
				s.log.Warn(g.faults.silent, "next", g.faults.power)
			}
		}
	case bytes < garbledBytes:
		return // too few to judge: go on counting
	default:
		g.quiet = 0
		s.loss.unknown(g.since, now)
		if !g.garbled {
			g.garbled = true
			s.stats.Garbled++
			if !g.finds && speak(&g.saidGarbled, now) {
				s.log.Warn(g.faults.garbled, "bytes", bytes, "baud", g.baud, "next", g.faults.speed)
			}
		}
	}
	g.bytes, g.sentences, g.ignored, g.since = s.stats.Bytes, s.stats.Sentences, s.stats.Ignored, now
	s.hear(bytes == 0 && (s.loss.gone || g.quiet >= silentAfter), now)
}
