package ledger

import "obu/telemetry"

// Receipts returns what a consumer may confirm to a unit now, with custody:
// receipt: for each stream the highest seq up to which, from the floor on, every
// batch was received whole or is listed in a Gap. When the batch at the floor is
// missing that is the seq below: it confirms nothing new, and tells the unit that
// somebody listens. The order is that of Report.
//
// Confirm only what is safe: call it after everything taken so far is durable
// on your side, because the unit deletes what a receipt covers. Send a stream's
// receipt about once a second while anything of it arrives, copies too: a copy
// says that the unit may not have got the last one. Whoever lost what it had
// not confirmed need do nothing: the unit sends again what waits for its receipt
// too long, and everything that does when it restarts.
func (l *Ledger) Receipts(unit string) []telemetry.Receipt {
	u := l.units[unit]
	if u == nil {
		return nil
	}
	gaps := u.gapsByStream()
	var out []telemetry.Receipt
	for _, k := range u.sortedKeys(nil) {
		out = append(out, telemetry.Receipt{Store: k.store, Class: k.class, Seq: u.streams[k].confirmable(gaps[k])})
	}
	return out
}

// confirmable returns the highest seq of the unbroken run that begins at the
// floor, or the one below the floor. What was written off to bound memory was
// never received: nothing from there on is confirmed.
func (s *stream) confirmable(gaps []telemetry.Gap) uint64 {
	from := max(s.floor, 1)
	if from >= s.next || s.unproven >= from {
		return from - 1
	}
	known := s.seen
	if len(gaps) > 0 {
		known = s.known(gaps)
	}
	i := known.find(from)
	if i == len(known.r) || known.r[i].lo > from {
		return from - 1
	}
	return min(known.r[i].hi, s.next-1)
}
