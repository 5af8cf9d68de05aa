package telemetry

import "errors"

// Format is the major version of the envelope that EncodeEnvelope writes. Fields are only added within a major
// version; a decoder ignores those it does not know. See CONTRACT.md,
// "Versions".
const Format = 2

// FormatTrack is the newest one that a decoder knows: what Format says, with
// fixes that are few and far between written in fewer bytes.
const FormatTrack = 3

// FormatJSON is the major version of JSON envelopes, which say the same in
// every format.
const FormatJSON = 1

// formatStored is that of stored batches: an older obu must be able to read
// them after a downgrade, and on disk there is no gain in a newer one. Should it
// rise all the same, the buffer's formatVersion has to rise with it: an older
// obu then sets the file aside whole.
const formatStored = 1

// The bounds of what is encoded and of what a decoder accepts, whatever a
// payload claims. They bound memory: a hostile payload of any kind costs less
// than 128 MiB and one second.
const (
	MaxBody     = 4 << 20  // bytes of an uncompressed body
	MaxJSON     = 8 << 20  // bytes of a JSON envelope
	MaxControl  = 64 << 10 // bytes of a JSON control message
	MaxValues   = 1 << 18  // records in one envelope or batch
	MaxBatches  = 1 << 12  // batches in one envelope
	MaxRecords  = 1 << 16  // of these, gaps, anchors, clips and chunks
	MaxColumns  = 1 << 12  // sample columns, and sources, and declared signals
	MaxCells    = 1 << 20  // columns times batches of one envelope
	MaxPartsOf  = 1 << 16  // parts of one batch
	maxElements = 1 << 17  // of one JSON array; MaxJSON holds no more records
	maxReceiver = 256      // receivers in one body
)

// The errors of encoding and decoding.
var (
	// ErrNewerFormat is returned for a major format version this build does
	// not know: update the consumer (or, for a stored batch, start the newer
	// obu that wrote it; the batch is left unharmed).
	ErrNewerFormat = errors.New("newer format version: update this program to read it")
	// ErrMalformed is returned for bytes that are no envelope or batch, or a
	// damaged one. Nothing of it was used; set it aside and count it.
	ErrMalformed = errors.New("malformed")
	// ErrTooLarge is returned when a bound of this package is exceeded. When
	// encoding several batches, put fewer into the envelope: quiet batches are
	// so small that MaxValues is reached long before a packet is full. Cut a
	// single batch into parts.
	ErrTooLarge = errors.New("over the size limit")
	// ErrMixed is returned when the batches of an envelope differ in unit,
	// vehicle, store, class, boot or simulated, or are not in rising seq: put
	// them into envelopes of their own.
	ErrMixed = errors.New("batches do not belong into one envelope")
	// ErrNoSignal is returned for a sample without a signal.
	ErrNoSignal = errors.New("sample without a signal")
)
