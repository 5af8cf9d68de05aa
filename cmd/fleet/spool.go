package main

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// message is one MQTT message as the receiver got it.
type message struct {
	At       time.Duration // CLOCK_MONOTONIC at reception, the same in every process
	Topic    string
	Retained bool
	Payload  []byte
}

// maxMessage bounds a record of the spool: MQTT's own limit.
const maxMessage = 256 << 20

// spool writes messages one behind the other: the check reads them after the
// run, and may read them again.
type spool struct {
	f *os.File
	w *bufio.Writer
}

func createSpool(path string) (*spool, error) {
	f, err := os.Create(path)
	if err != nil {
		return nil, fmt.Errorf("create spool: %w", err)
	}
	return &spool{f, bufio.NewWriterSize(f, 256<<10)}, nil
}

// continueSpool opens the spool that a receiver before left, or a new one, and
// calls f for each message in it. A record that was not written whole is cut
// off: it was never confirmed.
func continueSpool(path string, f func(message)) (*spool, error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, fmt.Errorf("open spool: %w", err)
	}
	var end int64
	for in := bufio.NewReaderSize(file, 256<<10); ; {
		m, n, err := readMessage(in)
		if err != nil {
			break
		}
		f(m)
		end += n
	}
	err = file.Truncate(end)
	if err == nil {
		_, err = file.Seek(end, io.SeekStart)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("continue spool: %w", err), file.Close())
	}
	return &spool{file, bufio.NewWriterSize(file, 256<<10)}, nil
}

// spoolHead is length, time, topic length and flags of a record.
const spoolHead = 4 + 8 + 2 + 1

// add appends one message.
func (s *spool) add(m message) error {
	var head [spoolHead]byte
	binary.BigEndian.PutUint32(head[0:], uint32(len(m.Topic)+len(m.Payload)))
	binary.BigEndian.PutUint64(head[4:], uint64(m.At))
	binary.BigEndian.PutUint16(head[12:], uint16(len(m.Topic)))
	if m.Retained {
		head[14] = 1
	}
	_, err := s.w.Write(head[:])
	if err == nil {
		_, err = s.w.WriteString(m.Topic)
	}
	if err == nil {
		_, err = s.w.Write(m.Payload)
	}
	if err != nil {
		return fmt.Errorf("write spool: %w", err)
	}
	return nil
}

func (s *spool) Close() error { return errors.Join(s.w.Flush(), s.f.Close()) }

// readSpool calls f for each message and where its record begins.
func readSpool(r io.Reader, f func(offset int64, m message) error) error {
	br := bufio.NewReaderSize(r, 256<<10)
	var offset int64
	for {
		m, n, err := readMessage(br)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read spool at byte %d: %w", offset, err)
		}
		if err := f(offset, m); err != nil {
			return err
		}
		offset += n
	}
}

// readMessage reads one record and returns its size.
func readMessage(r io.Reader) (message, int64, error) {
	var head [spoolHead]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return message{}, 0, err
	}
	n := binary.BigEndian.Uint32(head[0:])
	topic := int(binary.BigEndian.Uint16(head[12:]))
	if n > maxMessage || uint32(topic) > n {
		return message{}, 0, errors.New("damaged record")
	}
	body := make([]byte, n)
	if _, err := io.ReadFull(r, body); err != nil {
		return message{}, 0, io.ErrUnexpectedEOF
	}
	return message{
		At:       time.Duration(binary.BigEndian.Uint64(head[4:])),
		Topic:    string(body[:topic]),
		Retained: head[14] == 1,
		Payload:  body[topic:],
	}, spoolHead + int64(n), nil
}

// topicParts splits obu/v1/<fleet>/<unit>/<kind>.
func topicParts(topic string) (unit, kind string, ok bool) {
	p := strings.Split(topic, "/")
	if len(p) != 5 || p[0] != "obu" || p[1] != "v1" {
		return "", "", false
	}
	return p[3], p[4], true
}

// stored reports whether topics of that kind carry envelopes.
func stored(kind string) bool {
	switch kind {
	case "telemetry", "event", "health", "media":
		return true
	}
	return false
}

// monotonic is CLOCK_MONOTONIC, which all processes of the machine share.
func monotonic() time.Duration {
	var ts unix.Timespec
	if unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts) != nil {
		return 0
	}
	return time.Duration(ts.Nano())
}
