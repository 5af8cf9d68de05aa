package can

import (
	"sync"

	"obu/can/obd"
	"obu/can/uds"
)

// maxLeft bounds what is listed of one ECU; the rest is counted.
const maxLeft = 16

// notAsked is the trouble with ECUs of a bus on which nothing is asked.
const notAsked = "not asked, as nothing is on this bus: obd.enabled is false, or j1939 is on, or its bit rate is not one of OBD; what it answers to others is read"

// ECUStats says how an ECU takes being asked by UDS.
type ECUStats struct {
	Name     string    `json:"name"`
	Request  string    `json:"request"`
	Response string    `json:"response"`
	Requests uint64    `json:"requests"`
	Answers  uint64    `json:"answers"`
	Refused  uint64    `json:"refused"`  // negative answers
	Timeouts uint64    `json:"timeouts"` // no answer, or one that never became whole
	Codes    int       `json:"codes"`    // trouble codes in its last list
	LeftMore int       `json:"left_more,omitempty"`
	Left     []LeftECU `json:"left,omitempty"`      // not asked for again in this drive
	Trouble  string    `json:"trouble,omitempty"`   // the last answer that could not be read
	PutOff   int       `json:"put_off,omitempty"`   // DIDs and lists without a value when asked last: asked less and less often,
	PutOffS  float64   `json:"put_off_s,omitempty"` // and the longest time until one is asked for again
}

// LeftECU is something an ECU is not asked for any more.
type LeftECU struct {
	What string `json:"what"` // "DID F190", "trouble codes"
	Said string `json:"said"` // the negative answer
	Next string `json:"next"` // what to do
}

// book keeps ECUStats. It survives a lost device.
type book struct {
	mu   sync.Mutex // guards what follows
	ecus []ECUStats
}

func newBook(all map[ecuKey]*enhanced, order []ECU) *book {
	b := &book{}
	for i := range order {
		e := &order[i]
		if c := all[e.answerKey()]; c != nil {
			b.ecus = append(b.ecus, ECUStats{Name: e.Name, Request: keyOf(e.Request, e.Extended).String(), Response: c.key.String()})
		}
	}
	return b
}

// of runs f on the figures of an ECU.
func (b *book) of(name string, f func(*ECUStats)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i := range b.ecus {
		if b.ecus[i].Name == name {
			f(&b.ecus[i])
		}
	}
}

func (b *book) trouble(name, what string) { b.of(name, func(s *ECUStats) { s.Trouble = what }) }
func (b *book) codes(name string, n int)  { b.of(name, func(s *ECUStats) { s.Codes = n }) }

// asked notes how a request ended.
func (b *book) asked(name string, answers []answer) {
	b.of(name, func(s *ECUStats) {
		s.Requests++
		switch {
		case len(answers) == 0 || answers[0].negative == obd.NRCPending:
			s.Timeouts++
		case answers[0].negative != 0:
			s.Refused++
		default:
			s.Answers++
		}
	})
}

// leave notes that something is not asked for any more.
func (b *book) leave(name, what string, code obd.NRC) {
	b.of(name, func(s *ECUStats) {
		if len(s.Left) >= maxLeft {
			s.LeftMore++
			return
		}
		s.Left = append(s.Left, LeftECU{what, code.String(), uds.Advice(code)})
	})
}

// begin forgets what was left alone: another drive.
func (b *book) begin() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i := range b.ecus {
		b.ecus[i].Left, b.ecus[i].LeftMore, b.ecus[i].Trouble = nil, 0, ""
		b.ecus[i].PutOff, b.ecus[i].PutOffS = 0, 0
	}
}

// stats returns a copy.
func (b *book) stats() []ECUStats {
	b.mu.Lock()
	defer b.mu.Unlock()
	out := append([]ECUStats(nil), b.ecus...)
	for i := range out {
		out[i].Left = append([]LeftECU(nil), out[i].Left...)
	}
	return out
}
