package can

import (
	"obu/can/isotp"
	"obu/can/obd"
	"obu/telemetry"
)

// decoder turns the frames of one bus into OBD readings: it reassembles the
// answers of every ECU and reads them. One goroutine at a time uses it.
type decoder struct {
	rx       *isotp.Receiver
	readings []obd.Reading
	readTime bool                 // the frame under way was stamped when read
	enhanced map[ecuKey]*enhanced // asked by UDS
	behind   *isotp.Receiver      // of those behind an address byte; nil: none
	only     bool                 // OBD is not read

	// diagnostic hears a positive answer of services 22 or 19 of an ECU that is
	// asked by UDS, before answer does; it may be nil.
	diagnostic func(at telemetry.At, e *enhanced, payload []byte)
	// answer hears every reassembled payload of an ECU, before it is read.
	answer func(ecu ecuKey, payload []byte)
	// read hears what an answer said; the slice is valid during the call.
	read func(at telemetry.At, ecu ecuKey, payload []byte, r []obd.Reading)
	// failed hears of an answer that could not be read.
	failed func(at telemetry.At, ecu ecuKey, err error)
}

// permitFunc and replyFunc let an isotp.Receiver answer for a tester.
type (
	permitFunc = func(isotp.Address, telemetry.At, []byte) bool
	replyFunc  = func(isotp.Address, isotp.FlowControl) error
)

// newDecoder completes d. permit and reply make it send flow control; nil
// keeps it passive.
func newDecoder(d *decoder, damaged func(isotp.Fault), permit permitFunc, reply replyFunc) *decoder {
	d.rx = isotp.NewReceiver(isotp.ReceiverConfig{
		Deliver: d.deliver, Damaged: damaged, Permit: permit, Reply: reply,
	})
	for _, e := range d.enhanced {
		if e.head() > 0 && d.behind == nil { // mixed and extended frames look alike
			d.behind = isotp.NewReceiver(isotp.ReceiverConfig{Addressing: isotp.Extended,
				Deliver: d.deliver, Damaged: damaged, Permit: permit, Reply: reply})
		}
	}
	return d
}

// expire ends transfers that are overdue.
func (d *decoder) expire(now telemetry.At) {
	d.rx.Expire(now)
	if d.behind != nil {
		d.behind.Expire(now)
	}
}

// flush ends every transfer.
func (d *decoder) flush() {
	d.rx.Flush()
	if d.behind != nil {
		d.behind.Flush()
	}
}

// frame takes one frame; it reports whether it was an OBD answer.
func (d *decoder) frame(f *Frame) bool {
	ecu, ok := responseKey(f)
	if ok = ok && !d.only; !ok && len(d.enhanced) > 0 && !f.Remote && !f.Error {
		if d.behind != nil && f.Len > 0 && !f.Extended {
			if ecu = addressedKey(f.ID, f.Data[0]); d.enhanced[ecu] != nil {
				d.readTime = f.ReadTime
				d.behind.Feed(f.At, uint32(ecu), f.Data[:f.Len])
				return true
			}
		}
		ecu = keyOf(f.ID, f.Extended)
		ok = d.enhanced[ecu] != nil
	}
	if !ok {
		return false
	}
	d.readTime = f.ReadTime
	d.rx.Feed(f.At, uint32(ecu), f.Data[:f.Len])
	return true
}

func (d *decoder) deliver(m isotp.Message) {
	ecu := ecuKey(m.ID)
	if e := d.enhanced[ecu]; e != nil && isAnswer(m.Payload) && d.diagnostic != nil {
		d.diagnostic(m.At, e, m.Payload)
	}
	if d.answer != nil {
		d.answer(ecu, m.Payload)
	}
	if !obd.Known(m.Payload[0]) || d.only || !isOBD(ecu) {
		return // a negative answer, or enhanced diagnostics of another tester
	}
	r, err := obd.Decode(d.readings[:0], m.Payload)
	d.readings = r[:0]
	if d.readTime {
		for i := range r {
			if r[i].Quality == telemetry.QualityLive {
				r[i].Quality = telemetry.QualityReadTime
			}
		}
	}
	if len(r) > 0 {
		d.read(m.At, ecu, m.Payload, r)
	}
	if err != nil {
		d.failed(m.At, ecu, err)
	}
}

// addresses keeps one string for each identifier, up to maxAddresses: all that
// OBD has (8 of 11 bits and 256 of 29 bits), and those of a database; a J1939
// group has one for each sender.
type addresses map[ecuKey]string

const maxAddresses = 4096

func (a addresses) name(k ecuKey) string {
	s, ok := a[k]
	if !ok {
		if s = k.String(); len(a) < maxAddresses {
			a[k] = s
		}
	}
	return s
}
