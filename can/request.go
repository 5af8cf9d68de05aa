package can

import (
	"slices"
	"time"

	"obu/can/obd"
	"obu/can/uds"
)

// request is what was asked and not yet given up.
type request struct {
	service, pid byte
	others       [maxSeveral - 1]byte // PIDs asked for with it
	more         int                  // how many those are
	extended     bool
	ecu          ecuKey    // asked alone, by its physical identifier; 0: all of them
	until        time.Time // answers may begin until then

	to   *enhanced // asked by UDS: body is the whole request
	body [7]byte
	size uint8
}

// bare reports whether the service is the whole request: its answer has no PID
// either.
func (q *request) bare() bool {
	return q.service == obd.ServiceStored || q.service == obd.ServicePending || q.service == obd.ServicePermanent
}

// frame returns the request as a single frame.
func (q *request) frame() Frame {
	f := Frame{ID: idFunctional11, Extended: q.extended, Len: 8}
	switch {
	case q.to != nil:
		f.ID, f.Extended = q.to.Request, q.to.Extended
	case q.ecu != 0:
		f.ID, f.Extended = q.ecu.request()
	case q.extended:
		f.ID = idFunctional29
	}
	for i := range f.Data[:8] {
		f.Data[i] = padByte
	}
	body := []byte{q.service}
	if q.to != nil {
		body = q.body[:q.size]
	} else if !q.bare() {
		body = append(append(body, q.pid), q.others[:q.more]...)
	}
	if q.service == obd.ServiceFreeze {
		body = append(body, 0) // the number of the frame
	}
	head := q.to.head()
	if head > 0 {
		f.Data[0] = q.to.Address
	}
	f.Data[head] = byte(copy(f.Data[head+1:8], body))
	return f
}

// head is how many bytes of an answer come before its data.
func (q *request) head() int {
	switch {
	case q.bare():
		return 1
	case q.service == obd.ServiceFreeze:
		return 3
	}
	return 2
}

// answeredBy reports whether a payload of an ECU, or its first bytes, is a
// positive answer.
func (q *request) answeredBy(ecu ecuKey, payload []byte) bool {
	if q.to != nil {
		return q.from(ecu) && uds.Answers(q.body[:q.size], payload)
	}
	return q.service != 0 && len(payload) >= 2 && payload[0] == q.service+obd.PositiveOffset &&
		(q.bare() || payload[1] == q.pid || slices.Contains(q.others[:q.more], payload[1])) && q.from(ecu)
}

// from reports whether the request went to an ECU.
func (q *request) from(ecu ecuKey) bool {
	if q.to != nil {
		return q.to.key == ecu
	}
	return (ecu&flagExtended != 0) == q.extended && (q.ecu == 0 || q.ecu == ecu)
}
