package telemetry

import (
	"encoding/hex"
	"time"
)

// ClipID names one dashcam segment for ever: the first 16 bytes of a SHA-256
// over the camera's name and the file's size, time of modification and samples
// of its content. The name of the file is not in it: cameras rename and move.
type ClipID [16]byte

// String returns the id as 32 hexadecimal digits.
func (c ClipID) String() string { return hex.EncodeToString(c[:]) }

// ParseClipID reads 32 hexadecimal digits.
func ParseClipID(s string) (ClipID, error) {
	var id ClipID
	err := parseHex(id[:], s)
	return id, err
}

// CauseIncomplete follows the cause of a clip whose file the camera never
// finished, for want of power: "event-incomplete". A player may refuse it;
// recovery tools do not, and the last seconds of a crash may stand in it.
const CauseIncomplete = "-incomplete"

// Clip is the manifest of one finished dashcam segment. It travels in the
// event class; the bytes travel as Chunks in the media class.
type Clip struct {
	ID        ClipID
	Camera    string
	Name      string        // file name on the camera
	At        At            // when the segment was found finished
	Start     time.Time     // as the file name says it; zero when it says nothing
	Length    time.Duration // playing time; 0 when unknown
	SizeBytes int64
	SHA256    [32]byte
	Cause     string // "normal", "event", "parking" or "manual"; with CauseIncomplete behind it when the camera never finished the file
}

// Chunk is a run of bytes of a clip's file.
type Chunk struct {
	Clip   ClipID
	Offset int64 // bytes from the start of the file
	Data   []byte
}
