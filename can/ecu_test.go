package can_test

import (
	"sync"
	"time"

	"obu/can"
	"obu/can/isotp"
	"obu/can/obd"
)

// ecu is the engine of a test car: it answers functional requests on its bus
// and remembers everything the agent transmitted.
type ecu struct {
	bus      can.Bus
	response uint32 // identifier of its answers
	extended bool
	answers  map[[2]byte][]byte // service, PID -> payload behind them; nil: negative
	delay    time.Duration
	answer   func(service, pid byte) [][]byte // instead of answers
	several  func(request []byte) [][]byte    // instead of both, when several PIDs are asked for
	request  uint32                           // of uds, when other than 7E0
	uds      func(request []byte) [][]byte    // answers services 22 and 19 to request
	more     *ecu                             // another one on the same bus, asked by its request alone
	pace     time.Duration                    // a frame takes on the bus
	noFlow   bool                             // ignore flow control: send the rest anyway
	hear     func(can.Frame)                  // every frame on the bus; nil: nothing

	mu    sync.Mutex
	seen  []can.Frame
	times []time.Time
	fc    chan isotp.FlowControl
	wg    sync.WaitGroup
}

func (e *ecu) run() {
	e.fc = make(chan isotp.FlowControl, 16)
	if e.more != nil {
		e.more.bus, e.more.fc = e.bus, make(chan isotp.FlowControl, 16)
	}
	e.wg.Go(func() {
		for {
			f, err := e.bus.Receive()
			if err != nil {
				return
			}
			e.mu.Lock()
			e.seen = append(e.seen, f)
			e.times = append(e.times, time.Now())
			e.mu.Unlock()
			e.take(f)
		}
	})
}

func (e *ecu) take(f can.Frame) {
	if e.hear != nil {
		e.hear(f)
	}
	if e.more != nil && f.ID == e.more.request {
		e.more.take(f)
		return
	}
	if f.Extended != e.extended {
		return
	}
	if fc, ok := isotp.ParseFlowControl(f.Data[:f.Len]); ok {
		e.fc <- fc
		return
	}
	if f.Data[0]>>4 != 0 || f.Data[0] < 1 {
		return
	}
	service, pid := f.Data[1], f.Data[2]
	if e.uds != nil && (service == 0x22 || service == 0x19) && f.ID != e.request {
		return
	}
	e.wg.Go(func() {
		time.Sleep(e.delay)
		replies := e.reply
		if n := f.Data[0]; e.several != nil && service == obd.ServiceCurrent && n > 2 {
			replies = func(byte, byte) [][]byte { return e.several(f.Data[1 : 1+n]) }
		}
		if e.uds != nil && (service == 0x22 || service == 0x19) {
			replies = func(byte, byte) [][]byte { return e.uds(f.Data[1 : 1+f.Data[0]]) }
		}
		for _, p := range replies(service, pid) {
			s := isotp.Sender{Conn: e, Padding: 0xAA}
			s.Send(p)
		}
	})
}

func (e *ecu) reply(service, pid byte) [][]byte {
	if e.answer != nil {
		return e.answer(service, pid)
	}
	if service == obd.ServiceCurrent && pid%0x20 == 0 {
		bits := obd.EncodeSupported(pid, func(q byte) bool {
			if q%0x20 == 0 { // the next bit map, when anything lies in or behind it
				for k := range e.answers {
					if k[0] == obd.ServiceCurrent && k[1] >= q {
						return true
					}
				}
			}
			_, ok := e.answers[[2]byte{obd.ServiceCurrent, q}]
			return ok
		})
		return [][]byte{append([]byte{0x41, pid}, bits[:]...)}
	}
	data, ok := e.answers[[2]byte{service, pid}]
	switch {
	case !ok:
		return nil
	case data == nil:
		return [][]byte{obd.EncodeNegative(service, obd.NRCNotSupported)}
	}
	return [][]byte{append([]byte{service + obd.PositiveOffset, pid}, data...)}
}

// SendFrame, FlowControl and Pause make the ecu an isotp.Conn.
func (e *ecu) SendFrame(data []byte) error {
	f := can.Frame{ID: e.response, Extended: e.extended, Len: uint8(len(data))}
	copy(f.Data[:], data)
	time.Sleep(e.pace)
	return e.bus.Send(f)
}

func (e *ecu) FlowControl(d time.Duration) (isotp.FlowControl, error) {
	if e.noFlow {
		return isotp.FlowControl{}, nil
	}
	select {
	case fc := <-e.fc:
		return fc, nil
	case <-time.After(d):
		return isotp.FlowControl{}, isotp.ErrTimeout
	}
}

func (e *ecu) Pause(d time.Duration) error { time.Sleep(d); return nil }

// transmitted returns what the agent put on the bus.
func (e *ecu) transmitted() []can.Frame {
	e.mu.Lock()
	defer e.mu.Unlock()
	return append([]can.Frame(nil), e.seen...)
}

// transmittedBetween counts what the agent sent in a span of (virtual) time.
func (e *ecu) transmittedBetween(from, to time.Time) (n int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, at := range e.times {
		if at.After(from) && at.Before(to) {
			n++
		}
	}
	return n
}
