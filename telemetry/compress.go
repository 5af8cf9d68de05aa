package telemetry

import (
	"fmt"
	"sync"

	"github.com/klauspost/compress/zstd"
)

// zstdFrom is the body size from which compression is tried: below it the
// frame header eats what is won.
const zstdFrom = 256

// zstdWindow bounds the memory of either side. Bodies are rarely larger, and
// a decoder in another language needs no more than this.
const zstdWindow = 256 << 10

// The compressor and the decompressor hold no state between calls and are safe
// for concurrent use; they are made when first needed, because their tables
// are the largest thing in this package.
var (
	zstdEncoder = sync.OnceValue(func() *zstd.Encoder {
		e, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedDefault),
			zstd.WithWindowSize(zstdWindow), zstd.WithLowerEncoderMem(true), zstd.WithSingleSegment(true), zstd.WithEncoderCRC(false))
		if err != nil {
			panic("zstd: " + err.Error()) // only wrong options can do this
		}
		return e
	})
	zstdDecoder = sync.OnceValue(func() *zstd.Decoder {
		d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
			zstd.WithDecoderMaxMemory(MaxBody), zstd.WithDecoderMaxWindow(MaxBody))
		if err != nil {
			panic("zstd: " + err.Error())
		}
		return d
	})
)

// compression is the Compression enum of the .proto.
type compression uint64

const (
	compressNone compression = 0
	compressZstd compression = 1
)

// compress returns body, compressed when that is shorter.
func compress(body []byte) ([]byte, compression) {
	if len(body) < zstdFrom {
		return body, compressNone
	}
	if z := zstdEncoder().EncodeAll(body, make([]byte, 0, len(body))); len(z) < len(body) {
		return z, compressZstd
	}
	return body, compressNone
}

// decompress undoes compress within MaxBody. The result may lie in the scratch.
func (s *scratch) decompress(body []byte, c compression) ([]byte, error) {
	switch c {
	case compressNone:
		if len(body) > MaxBody {
			return nil, fmt.Errorf("decode body of %d bytes: %w", len(body), ErrTooLarge)
		}
		return body, nil
	case compressZstd:
		out, err := zstdDecoder().DecodeAll(body, s.raw[:0])
		if err != nil {
			return nil, fmt.Errorf("decompress body: %w: %w", ErrMalformed, err)
		}
		s.raw = out
		return out, nil
	}
	return nil, fmt.Errorf("decompress body: unknown compression %d: %w", c, ErrMalformed)
}
