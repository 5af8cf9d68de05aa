//go:build linux && (amd64 || arm64)

package buffer_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"sync"
	"time"

	"obu/buffer"
	"obu/buffer/crashdisk"
	"obu/telemetry"
)

// mark is what the program under test notes on the disk itself, so that the
// log says what it had been promised at every operation.
type mark struct {
	Kind     string
	Now      telemetry.At       `json:",omitzero"`
	Boot     telemetry.BootID   `json:",omitzero"`
	IDs      []int              `json:",omitempty"` // of contents about to be committed
	Held     []promise          `json:",omitempty"` // names that came back, or are about to be acknowledged
	Volatile bool               `json:",omitzero"`  // Held are in memory only
	Gaps     []telemetry.Gap    `json:",omitempty"` // delivered, or committed
	Clips    []telemetry.ClipID `json:",omitempty"` // whose manifest was delivered
	Clip     int                `json:",omitzero"`
	Stored   int64              `json:",omitzero"` // bytes of the clip
	Command  string             `json:",omitzero"`
	Slowest  time.Duration      `json:",omitzero"` // commit so far
}

// promise is a name and the number of what it stands for.
type promise struct {
	Name telemetry.Name
	ID   int
}

// The kinds of marks, in the order of a life.
const (
	markOpening  = "opening"  // Open is called, in Boot at Now
	markOpened   = "opened"   // and returned
	markBegin    = "begin"    // Commit of IDs is called at Now
	markCommit   = "commit"   // and returned Held
	markStable   = "stable"   // what was volatile has moved to the disk
	markChunk    = "chunk"    // CommitChunk of Clip returned Held; Stored bytes are in custody
	markTry      = "try"      // CommitChunk of IDs is called
	markFinish   = "finish"   // FinishClip of Clip returned
	markRecord   = "record"   // Record of Command returned
	markAck      = "ack"      // Held, with Gaps and Clips in them, are about to be acknowledged
	markLost     = "lost"     // Gaps were listed and committed
	markParallel = "parallel" // from here on the camera goes beside everything else
	markFaulty   = "faulty"   // the disk is about to fail
	markKilled   = "killed"   // the process is gone, the disk is not
	markPowerCut = "powercut" // this disk is what a power cut left
	markClosing  = "closing"  // Close is called
	markClosed   = "closed"   // and returned
)

// chunkIDs begin where contents of chunks do: clip n, part i is
// chunkIDs + 100 n + i.
const chunkIDs = 1 << 30

func chunkID(clip int, part int64) int { return chunkIDs + 100*clip + int(part) }

func clipIDOf(n int) telemetry.ClipID { return telemetry.ClipID{byte(n), byte(n >> 8), 1} }

// contentOf makes the content of a number, chunks included.
func contentOf(id int) telemetry.Content {
	if id < chunkIDs {
		return numbered(id)
	}
	n, part := (id-chunkIDs)/100, int64((id-chunkIDs)%100)
	return telemetry.Content{Chunks: []telemetry.Chunk{{Clip: clipIDOf(n), Offset: part * clipChunk, Data: clipBytes(uint64(n), part)}}}
}

// idOf is the inverse of contentOf, 0 for what the buffer made itself.
func idOf(c telemetry.Content) int {
	if len(c.Chunks) > 0 && len(c.Anchors) == 0 {
		ch := c.Chunks[0]
		return chunkID(int(ch.Clip[0])|int(ch.Clip[1])<<8, ch.Offset/clipChunk)
	}
	return contentID(c)
}

const crashUnit = "sim-1"

var blobs sync.Map // of blobKey → []byte

type blobKey struct {
	id   int
	boot telemetry.BootID
}

// blobOf is what the store has to hold for a content of a boot.
func blobOf(id int, boot telemetry.BootID) []byte {
	key := blobKey{id, boot}
	if b, ok := blobs.Load(key); ok {
		return b.([]byte)
	}
	b, err := telemetry.EncodeBatch(&telemetry.Batch{Unit: crashUnit, Boot: boot, Simulated: true, Content: contentOf(id)})
	if err != nil {
		panic(err)
	}
	blobs.Store(key, b)
	return b
}

// crashDir is where the buffer lies on a crash disk: Open makes both levels.
func crashDir(root string) string { return filepath.Join(root, "obu", "buffer") }

// crashOptions are the same for the life that is recorded and for the one that
// opens an image of its disk.
func crashOptions(root string, boot telemetry.BootID, now func() telemetry.At, bug buffer.Faults) buffer.Options {
	o := buffer.Options{
		Dir: crashDir(root), Unit: crashUnit, Boot: boot, Simulated: true, Hardware: "board-1", Now: now,
		TelemetryQuota: 64 << 10, MediaQuota: 320 << 10, FlushEvery: time.Second,
	}
	bug.Movable = true
	buffer.Break(&o, bug)
	return o
}

// marksOf returns the marks among the first n operations of a log.
func marksOf(ops []crashdisk.Op) []mark {
	var out []mark
	for _, op := range ops {
		if op.Kind == crashdisk.Mark {
			out = append(out, decodeMark(op.Data))
		}
	}
	return out
}

func decodeMark(b []byte) mark {
	var m mark
	if err := json.Unmarshal(b, &m); err != nil {
		panic(err)
	}
	return m
}

func encodeMark(m mark) []byte {
	b, err := json.Marshal(m)
	if err != nil {
		panic(err)
	}
	return b
}

// notes writes marks; a disk that takes none ends the process.
type notes struct{ f *os.File }

func (n notes) mark(m mark)      { n.write(encodeMark(m)) }
func (n notes) order(say string) { n.write([]byte(say)) }

func (n notes) write(b []byte) {
	if _, err := n.f.Write(b); err != nil {
		panic(err)
	}
}
