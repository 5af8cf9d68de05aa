package gps

// Stats counts what a Source or Decode read. Counters rise for its life.
type Stats struct {
	Bytes     uint64 // read
	Lines     uint64 // that were not empty
	Noise     uint64 // bytes outside any sentence that no text has
	Sentences uint64 // with a correct checksum
	Ignored   uint64 // of them: of a type that says nothing about position
	Rejected  Rejected
	Epochs    uint64 // fixes emitted, with and without position
	Valid     uint64 // of them: Valid
	Doubtful  uint64 // of them: with a Doubt
	Late      uint64 // sentences that came after their epoch's fix had left
	Opens     uint64 // times the device was opened
	Garbled   uint64 // times a device delivered bytes but no sentence
}

// Rejected counts lines that were not used, by reason.
type Rejected struct {
	Checksum   uint64 // checksum wrong
	NoChecksum uint64 // no checksum
	Malformed  uint64 // binary inside, or fields missing
	TooLong    uint64 // longer than 1024 bytes
}

// Total returns the sum of all reasons.
func (r Rejected) Total() uint64 { return r.Checksum + r.NoChecksum + r.Malformed + r.TooLong }

func (r *Rejected) count(why reject) {
	switch why {
	case rejectChecksum:
		r.Checksum++
	case rejectNoChecksum:
		r.NoChecksum++
	case rejectMalformed:
		r.Malformed++
	case rejectTooLong:
		r.TooLong++
	}
}
