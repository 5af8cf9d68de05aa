package can

import (
	"errors"
	"slices"
	"strconv"
	"strings"

	"obu/can/uds"
	"obu/telemetry"
)

// Bounds of what is told of one list of trouble codes.
const (
	maxCodesTold  = 128
	maxStatusTold = 32
	maxFresh      = 8 // new codes whose records are asked for
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

// codeList is a list of trouble codes with their status as it is remembered:
// "P0301-00:2F,U0123-87:08".
func codeList(list []uds.DTC) string {
	var b strings.Builder
	for i, d := range list {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(d.String() + ":" + uds.Hex(uint32(d.Status), 2))
	}
	return b.String()
}

// codesOnly is a codeList without the status.
func codesOnly(list string) string {
	if list == "" {
		return ""
	}
	all := strings.Split(list, ",")
	for i := range all {
		all[i], _, _ = strings.Cut(all[i], ":")
	}
	return strings.Join(all, ",")
}

// shortened bounds a list for people: what is left out is counted.
func shortened(list string, most int) string {
	all := strings.Split(list, ",")
	if len(all) <= most {
		return list
	}
	return strings.Join(all[:most], ",") + ",+" + strconv.Itoa(len(all)-most)
}

// codeNews is what a list of trouble codes says that the one before did not.
// compare: the one before was asked for in the same way, so that what is missing
// has gone. fresh are the codes that came, or failed again.
func codeNews(list []uds.DTC, before string, known, compare bool) (news []uds.Reading, fresh []uint32) {
	now := codeList(list)
	if known && now == before {
		return nil, nil
	}
	codes, old := codesOnly(now), codesOnly(before)
	add := func(s *telemetry.Signal, text string) {
		news = append(news, uds.Reading{Signal: s, Value: telemetry.Text(text)})
	}
	if !known || codes != old {
		add(uds.SignalCodes, shortened(codes, maxCodesTold))
	}
	then := make(map[string]byte) // the status before
	for _, entry := range strings.Split(before, ",") {
		if code, status, ok := strings.Cut(entry, ":"); ok {
			n, _ := strconv.ParseUint(status, 16, 8)
			then[code] = byte(n)
		}
	}
	var changed []string
	for _, d := range list {
		status, was := then[d.String()]
		if was && status == d.Status {
			continue
		}
		changed = append(changed, d.String()+"="+uds.StatusText(d.Status))
		if (!was || d.Status&^status&uds.TestFailed != 0) && len(fresh) < maxFresh && !slices.Contains(fresh, d.Code) {
			fresh = append(fresh, d.Code)
		}
	}
	if len(changed) > 0 {
		add(uds.SignalStatus, shortened(strings.Join(changed, ","), maxStatusTold))
	}
	if !known || !compare {
		return news, fresh // the first list: nobody knows since when
	}
	if came := missing(codes, old); came != "" {
		add(uds.SignalAppeared, shortened(came, maxCodesTold))
	}
	if went := missing(old, codes); went != "" {
		add(uds.SignalCleared, shortened(went, maxCodesTold))
	}
	return news, fresh
}
