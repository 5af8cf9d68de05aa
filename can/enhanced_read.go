package can

import (
	"errors"
	"strconv"

	"obu/can/uds"
	"obu/telemetry"
)

// Bounds of what is told of one list of trouble codes.
const (
	maxCodesTold  = 128
	maxStatusTold = 32
	maxFresh      = 8    // new codes whose records are asked for
	maxCodesKept  = 1024 // that are compared with the list before; an ECU has some hundred definitions
)

// data reads an answer of service 22. tell hears of each DID; the slice is
// valid during the call.
func (e *enhanced) data(dst *[]uds.Reading, payload []byte, tell func(did uint16, data []byte, r []uds.Reading)) error {
	err := e.table.Each(payload, func(did uint16, data []byte, sure bool) {
		*dst = e.table.Read((*dst)[:0], did, data)
		if !sure {
			doubt(*dst)
		}
		tell(did, data, *dst)
	})
	if errors.Is(err, uds.ErrUnknown) && e.raw {
		did := uint16(payload[1])<<8 | uint16(payload[2])
		tell(did, payload[3:], []uds.Reading{{Signal: uds.Raw(did), Value: telemetry.Bytes(payload[3:])}})
		err = nil
	}
	return err
}

func doubt(all []uds.Reading) {
	for i := range all {
		all[i].Quality = telemetry.QualityDoubtful
	}
}

// records reads an answer 59 04 or 59 06. suffix stands behind the ECU's
// address: the code, and the number of a snapshot.
func (e *enhanced) records(payload []byte, tell func(suffix string, frozen bool, r []uds.Reading)) error {
	sub, code, records, err := uds.ParseRecords(payload)
	if err != nil {
		return err
	}
	if len(records) == 0 {
		return nil // the ECU keeps none
	}
	suffix := "/" + code.String()
	if sub == uds.ExtendedData {
		tell(suffix, false, []uds.Reading{{Signal: uds.SignalExtended, Value: telemetry.Bytes(records)}})
		return nil
	}
	items, rest := uds.ParseSnapshot(nil, records, e.table.Length)
	var r []uds.Reading
	for i, it := range items {
		if r = e.table.Read(r, it.DID, it.Data); len(rest) > 0 {
			doubt(r)
		}
		if i+1 == len(items) || items[i+1].Record != it.Record {
			tell(suffix+"/"+strconv.Itoa(int(it.Record)), true, r)
			r = r[:0]
		}
	}
	if len(rest) > 0 {
		tell(suffix, true, []uds.Reading{{Signal: uds.SignalRest, Value: telemetry.Bytes(rest), Quality: telemetry.QualityDoubtful}})
	}
	return nil
}

// codeText lists those of the codes that keep passes, with the words of their
// status or not, most of them; the rest is counted.
func codeText(list []uds.DTC, status bool, most int, keep func(d uds.DTC) bool) string {
	b, n := []byte(nil), 0
	for _, d := range list {
		if !keep(d) {
			continue
		}
		if n++; n > most {
			continue
		}
		if n > 1 {
			b = append(b, ',')
		}
		b = append(b, d.String()...)
		if status {
			b = append(append(b, '='), uds.StatusText(d.Status)...)
		}
	}
	if n > most {
		b = strconv.AppendInt(append(b, ",+"...), int64(n-most), 10)
	}
	return string(b)
}

// codeNews is what a list of trouble codes says that the one before did not.
// compare: the one before was asked for in the same way, so that what is missing
// has gone. fresh are the codes that came, or failed again.
func codeNews(list, before []uds.DTC, known, compare bool) (news []uds.Reading, fresh []uint32) {
	add := func(s *telemetry.Signal, text string) {
		news = append(news, uds.Reading{Signal: s, Value: telemetry.Text(text)})
	}
	in := func(list []uds.DTC, code uint32) (status byte, ok bool) {
		for _, d := range list {
			if d.Code == code {
				return d.Status, true
			}
		}
		return 0, false
	}
	came := func(d uds.DTC) bool { _, was := in(before, d.Code); return !was }
	went := func(d uds.DTC) bool { _, is := in(list, d.Code); return !is }
	changed := func(d uds.DTC) bool { status, was := in(before, d.Code); return !was || status != d.Status }
	appeared, cleared := codeText(list, false, maxCodesTold, came), codeText(before, false, maxCodesTold, went)
	if !known || appeared != "" || cleared != "" {
		add(uds.SignalCodes, codeText(list, false, maxCodesTold, func(uds.DTC) bool { return true }))
	}
	if text := codeText(list, true, maxStatusTold, changed); text != "" {
		add(uds.SignalStatus, text)
	}
	for _, d := range list {
		status, was := in(before, d.Code)
		if (!was || d.Status&^status&uds.TestFailed != 0) && len(fresh) < maxFresh {
			fresh = append(fresh, d.Code)
		}
	}
	if !known || !compare {
		return news, fresh // the first list: nobody knows since when
	}
	if appeared != "" {
		add(uds.SignalAppeared, appeared)
	}
	if cleared != "" {
		add(uds.SignalCleared, cleared)
	}
	return news, fresh
}
