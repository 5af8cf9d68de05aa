package uplink_test

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"obu/internal/clock"
	"obu/telemetry"
	"obu/uplink"
	"obu/uplink/brokertest"
)

// model is a backlog in memory that keeps the laws of the buffer: acks take
// effect with the next commit, seqs are contiguous, nothing is minted twice.
type model struct {
	clk *clock.Clock

	mu      sync.Mutex
	store   telemetry.StoreID
	media   telemetry.StoreID
	retired []telemetry.StoreID
	streams map[streamKey]*stream
	queued  []telemetry.Name
	early   []telemetry.Name // acked before it was minted: a bug
	refused map[telemetry.Name]telemetry.Reason
	reads   int
	vehicle string
}

type streamKey struct {
	store telemetry.StoreID
	class telemetry.Class
}

type stream struct {
	next  uint64
	held  []telemetry.Stored
	acked map[uint64]bool
}

func newModel(clk *clock.Clock) *model {
	return &model{clk: clk, store: telemetry.StoreID{1}, media: telemetry.StoreID{2}, vehicle: "van-1",
		streams: make(map[streamKey]*stream), refused: make(map[telemetry.Name]telemetry.Reason)}
}

func (m *model) stream(k streamKey) *stream {
	s := m.streams[k]
	if s == nil {
		s = &stream{next: 1, acked: make(map[uint64]bool)}
		m.streams[k] = s
	}
	return s
}

// commit applies queued acks and stores contents.
func (m *model) commit(class telemetry.Class, contents ...telemetry.Content) []telemetry.Name {
	m.mu.Lock()
	defer m.mu.Unlock()
	touched := make(map[*stream]bool)
	for _, n := range m.queued {
		s := m.stream(streamKey{n.Store, n.Class})
		if n.Seq >= s.next {
			m.early = append(m.early, n)
		}
		s.acked[n.Seq] = true
		touched[s] = true
	}
	for s := range touched {
		s.held = slices.DeleteFunc(s.held, func(b telemetry.Stored) bool { return s.acked[b.Seq] })
	}
	m.queued = nil
	store := m.store
	if class == telemetry.ClassMedia {
		store = m.media
	}
	var names []telemetry.Name
	for _, c := range contents {
		s := m.stream(streamKey{store, class})
		b := telemetry.Batch{Unit: "u1", Vehicle: m.vehicle, Boot: m.clk.Boot(),
			Name: telemetry.Name{Store: store, Class: class, Seq: s.next}, Content: c}
		blob, err := telemetry.EncodeBatch(&b)
		if err != nil {
			panic(err)
		}
		s.held = append(s.held, telemetry.Stored{Name: b.Name, Values: c.Values(), Blob: blob})
		s.next++
		names = append(names, b.Name)
	}
	return names
}

// retire makes the telemetry store an old one that only drains.
func (m *model) retire(next telemetry.StoreID) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.retired = append(m.retired, m.store)
	m.store = next
}

func (m *model) Streams() []telemetry.Stream {
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []telemetry.Stream
	for _, store := range append(slices.Clone(m.retired), m.store, m.media) {
		for _, class := range telemetry.Classes {
			s := m.streams[streamKey{store, class}]
			if s == nil {
				continue
			}
			st := telemetry.Stream{Store: store, Class: class, Floor: s.next, Next: s.next, Batches: len(s.held),
				Current: store == m.store || store == m.media}
			if len(s.held) > 0 {
				st.Floor = s.held[0].Seq
			}
			out = append(out, st)
		}
	}
	return out
}

func (m *model) Read(store telemetry.StoreID, class telemetry.Class, from uint64, maxBytes int) ([]telemetry.Stored, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.reads++
	s := m.stream(streamKey{store, class})
	i, _ := slices.BinarySearchFunc(s.held, from, func(b telemetry.Stored, seq uint64) int { return int(int64(b.Seq) - int64(seq)) })
	var out []telemetry.Stored
	for _, b := range s.held[i:] {
		if len(out) > 0 && maxBytes < len(b.Blob) {
			break
		}
		maxBytes -= len(b.Blob)
		out = append(out, b)
	}
	return out, nil
}

func (m *model) Ack(names ...telemetry.Name) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.queued = append(m.queued, names...)
}

func (m *model) Refuse(n telemetry.Name, why telemetry.Reason) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.refused[n] = why
	m.queued = append(m.queued, n)
}

// held returns how many batches wait, queued acks not counted.
func (m *model) held(class telemetry.Class) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	queued := make(map[telemetry.Name]bool, len(m.queued))
	for _, q := range m.queued {
		queued[q] = true
	}
	n := 0
	for k, s := range m.streams {
		if k.class != class {
			continue
		}
		for _, b := range s.held {
			if !queued[b.Name] {
				n++
			}
		}
	}
	return n
}

// speed returns a content of one sample.
func (m *model) speed(v float64) telemetry.Content {
	sig, _ := telemetry.Lookup("Vehicle.Speed")
	return telemetry.Content{Samples: []telemetry.Sample{{At: m.clk.Now(), Signal: sig,
		Source: telemetry.Source{Bus: "can0", Address: "7E8", Method: "obd"}, Value: telemetry.Float(v)}}}
}

// receiver decodes what the broker accepted.
type receiver struct {
	t      testing.TB
	mu     sync.Mutex
	seen   map[telemetry.Name]int
	order  []arrival
	chunks map[telemetry.Name]map[uint32]int
}

type arrival struct {
	telemetry.Name
	history bool
	at      time.Time // when the broker read it
	lag     time.Duration
	conn    int
	part    *telemetry.Part
	size    int
}

func listen(t testing.TB, b *brokertest.Broker, clk *clock.Clock) *receiver {
	r := &receiver{t: t, seen: make(map[telemetry.Name]int), chunks: make(map[telemetry.Name]map[uint32]int)}
	r.attach(b, clk, nil)
	return r
}

// attach makes r see what b accepts, after also did.
func (r *receiver) attach(b *brokertest.Broker, clk *clock.Clock, also func(brokertest.Message)) {
	t := r.t
	b.OnMessage(func(m brokertest.Message) {
		if also != nil {
			also(m)
		}
		if m.Retained || m.Client != "u1" || m.Topic == "obu/v1/f1/u1/reply" {
			return
		}
		e, err := telemetry.DecodeEnvelope(m.Payload)
		if err != nil {
			t.Errorf("decode envelope on %s: %v", m.Topic, err)
			return
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		for _, b := range e.Batches {
			a := arrival{Name: b.Name, history: e.History, at: m.At, conn: m.Conn, part: e.Part, size: len(m.Payload)}
			if len(b.Samples) > 0 {
				a.lag = clk.Now().Sub(b.Samples[len(b.Samples)-1].At)
			}
			r.order = append(r.order, a)
			if e.Part != nil {
				if r.chunks[b.Name] == nil {
					r.chunks[b.Name] = make(map[uint32]int)
				}
				r.chunks[b.Name][e.Part.Index]++
				if len(r.chunks[b.Name]) < int(e.Part.Of) {
					continue
				}
			}
			r.seen[b.Name]++
		}
	})
}

func (r *receiver) count(n telemetry.Name) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.seen[n]
}

func (r *receiver) arrivals(class telemetry.Class) []arrival {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []arrival
	for _, a := range r.order {
		if a.Class == class {
			out = append(out, a)
		}
	}
	return out
}

// missing returns the names nobody received.
func (r *receiver) missing(names []telemetry.Name) []telemetry.Name {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []telemetry.Name
	for _, n := range names {
		if r.seen[n] == 0 {
			out = append(out, n)
		}
	}
	return out
}

func config(clk *clock.Clock, m uplink.Backlog, b *brokertest.Broker) uplink.Config {
	return uplink.Config{Broker: "mqtt://broker", Fleet: "f1", Unit: "u1", Clock: clk, Backlog: m, Dial: b.Dial,
		HistoryRate: uplink.Unlimited, Birth: func() any { return map[string]string{"agent": "test"} }}
}

func span(names []telemetry.Name) string {
	if len(names) == 0 {
		return "none"
	}
	return fmt.Sprintf("%d from seq %d to %d", len(names), names[0].Seq, names[len(names)-1].Seq)
}
