package virtual

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"obu/can"
	"obu/telemetry"
)

// Diagnostic services of SAE J1979 and what ISO 14229 answers to others.
const (
	serviceCurrent   = 0x01
	serviceFreeze    = 0x02
	serviceStored    = 0x03
	servicePending   = 0x07
	serviceInfo      = 0x09
	servicePermanent = 0x0A
	positive         = 0x40 // added to the service in an answer
	negative         = 0x7F
	notSupported     = 0x11 // service not supported
	badLength        = 0x12 // subfunction not supported, or wrong length
	outOfRange       = 0x31 // request out of range
	infoVIN          = 0x02
	pidStatus        = 0x01
)

// codeLists names the signal each list of trouble codes is.
var codeLists = map[byte]string{
	serviceStored:    "Vehicle.Diagnostics.DTCList",
	servicePending:   "Vehicle.Obu.Diagnostics.PendingDTCList",
	servicePermanent: "Vehicle.Obu.Diagnostics.PermanentDTCList",
}

// ECUOptions says which ECUs the car has and how they behave.
type ECUOptions struct {
	Extended  bool          // 29-bit identifiers (18DAF1xx) instead of 11-bit (7E8)
	Gearbox   bool          // a second ECU (7E9 or 18DAF118) answers 0D and A4
	Latency   time.Duration // from request to answer; 0: at once
	SinglePID bool          // refuses several PIDs in one request, as old ECUs do
	Chatter   time.Duration // interval of ordinary traffic on the bus; 0: none
	Faults    Faults        // of the engine
	UDS       UDSOptions    // of the engine
}

// ecu is one control unit on the bus.
type ecu struct {
	request, response uint32 // identifiers
	address           string // response as journals and samples print it
	pids              []pid
	vin               bool // the engine's: VIN, self-test, freeze frame
	self              diagnosis
	out               transfer
}

// ServeECU answers diagnostic requests on bus and journals every value that
// an answer carried. It closes the bus when it returns: nil after ctx ends,
// an error when the bus is lost.
func (c *Car) ServeECU(ctx context.Context, bus can.Bus, o ECUOptions) error {
	ecus := c.ecus(o)
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(ctx, func() { bus.Close() })
	defer stop()
	defer bus.Close()
	done := make(chan struct{})
	if o.Chatter > 0 {
		go func() { defer close(done); c.chatter(ctx, bus, o.Chatter) }()
	} else {
		close(done)
	}
	defer func() { cancel(); <-done }()
	for {
		f, err := bus.Receive()
		if err != nil {
			if ctx.Err() != nil || errors.Is(err, io.EOF) {
				return nil
			}
			return fmt.Errorf("receive request: %w", err)
		}
		for i := range ecus {
			if c.off.Load() {
				break
			}
			if err := c.answer(ctx, bus, &ecus[i], &f, o); err != nil {
				if ctx.Err() != nil {
					return nil
				}
				return fmt.Errorf("answer as %s: %w", ecus[i].address, err)
			}
		}
	}
}

// ecus returns the control units the options ask for.
func (c *Car) ecus(o ECUOptions) []ecu {
	units := []ecu{{request: 0x7E0, response: 0x7E8, pids: enginePIDs(), vin: true}}
	if o.Extended {
		units[0].request, units[0].response = 0x18DA10F1, 0x18DAF110
	}
	if o.Gearbox {
		g := ecu{request: 0x7E1, response: 0x7E9, pids: gearboxPIDs()}
		if o.Extended {
			g.request, g.response = 0x18DA18F1, 0x18DAF118
		}
		units = append(units, g)
	}
	for i := range units {
		units[i].address = fmt.Sprintf("%03X", units[i].response)
	}
	return units
}

// functional returns the identifier that addresses every ECU.
func (o ECUOptions) functional() uint32 {
	if o.Extended {
		return 0x18DB33F1
	}
	return 0x7DF
}

// answer lets one ECU react to one frame.
func (c *Car) answer(ctx context.Context, bus can.Bus, e *ecu, f *can.Frame, o ECUOptions) error {
	physical := f.ID == e.request
	if f.Extended != o.Extended || f.Remote || f.Error || f.Len < 1 || !physical && f.ID != o.functional() {
		return nil
	}
	switch f.Data[0] >> 4 {
	case 0: // single frame
		n := int(f.Data[0] & 15)
		if n == 0 || n > int(f.Len)-1 || n > 7 {
			return nil
		}
		if o.UDS.On && e.vin && physical {
			if goes, err := c.putOff(bus, e, f.Data[1:1+n], o); !goes {
				return err
			}
		}
		reply, said := c.respond(e, f.Data[1:1+n], physical, o)
		if reply == nil {
			return nil
		}
		if o.Latency > 0 && !pause(ctx, o.Latency) {
			return nil
		}
		return c.begin(bus, e, reply, said, o)
	case 3: // flow control
		if physical {
			return c.proceed(ctx, bus, e, f, o)
		}
	}
	return nil
}

// said is one value an answer carries, to be journalled once it is out.
type said struct {
	signal string
	value  telemetry.Value
	frozen bool   // of the freeze frame
	of     string // what stands behind the ECU's address: "/P0301-00/1"
}

// respond returns the answer to a request, nil for silence.
func (c *Car) respond(e *ecu, req []byte, physical bool, o ECUOptions) ([]byte, []said) {
	refuse := func(code byte) ([]byte, []said) {
		if !physical {
			return nil, nil // ISO 15031-5: no negative answers to a functional request
		}
		return []byte{negative, req[0], code}, nil
	}
	switch req[0] {
	case serviceCurrent:
		if len(req) < 2 || len(req) > 2 && o.SinglePID {
			return refuse(badLength)
		}
		return c.current(e, req[1:], o)
	case serviceFreeze:
		if reply, values := c.freeze(e, req, o); reply != nil {
			return reply, values
		}
		return refuse(outOfRange)
	case serviceStored, servicePending, servicePermanent:
		return c.codes(e, req[0], o)
	case serviceInfo:
		if len(req) != 2 || !e.vin {
			return nil, nil
		}
		return c.info(e, req[1])
	case serviceDTC, serviceData:
		if o.UDS.On && e.vin && physical {
			return c.enhanced(e, req, o)
		}
	}
	return refuse(notSupported)
}

// current answers service 01 for one to six parameters.
func (c *Car) current(e *ecu, ids []byte, o ECUOptions) ([]byte, []said) {
	state := c.stateAt(c.clk.Now())
	reply := []byte{serviceCurrent + positive}
	var values []said
	for _, id := range ids {
		if id%0x20 == 0 {
			if bits, ok := e.bitmap(id); ok {
				reply = append(reply, id, byte(bits>>24), byte(bits>>16), byte(bits>>8), byte(bits))
			}
			continue
		}
		if id == pidStatus && e.vin {
			data, facts := c.status(e, o)
			reply, values = append(append(reply, id), data...), append(values, facts...)
			continue
		}
		for i := range e.pids {
			if e.pids[i].id == id {
				data, v := e.pids[i].quantise(&state)
				reply = append(append(reply, id), data...)
				values = append(values, said{signal: e.pids[i].name, value: v})
				if word := e.pids[i].word; word.signal != "" {
					values = append(values, word)
				}
			}
		}
	}
	if len(reply) == 1 {
		return nil, nil
	}
	return reply, values
}

// bitmap returns which of the 32 parameters after base the ECU answers. The
// last bit says that there are more bitmaps; the first one is always answered.
func (e *ecu) bitmap(base byte) (bits uint32, ok bool) {
	if e.vin && base == 0 {
		bits = 1 << (32 - pidStatus)
	}
	for i := range e.pids {
		switch id := int(e.pids[i].id); {
		case id > int(base)+0x20:
			bits |= 1
		case id > int(base):
			bits |= 1 << (32 - (id - int(base)))
		}
	}
	return bits, bits != 0 || base == 0
}

// chatter puts ordinary traffic on the bus, as every running car does.
func (c *Car) chatter(ctx context.Context, bus can.Bus, every time.Duration) {
	for n := byte(0); pause(ctx, every) && !c.off.Load(); n++ {
		s := c.State()
		f := can.Frame{ID: 0x1A0, Len: 8}
		wheel := uint16(s.SpeedMPS * 100)
		f.Data[0], f.Data[1], f.Data[7] = byte(wheel>>8), byte(wheel), n
		if bus.Send(f) != nil {
			return
		}
	}
}

// pause waits and reports whether ctx is still alive.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
