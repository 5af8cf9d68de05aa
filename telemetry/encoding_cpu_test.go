package telemetry_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"google.golang.org/protobuf/encoding/protowire"

	"obu/telemetry"
)

// TestEncodingCPU prints what encoding and decoding a value costs beside the
// rivals. CPU time of the process, garbage collection included, the least of
// five rounds in which the candidates take turns. Nothing is asserted.
func TestEncodingCPU(t *testing.T) {
	if os.Getenv("OBU_ENCODING") == "" {
		t.Skip("timing, for docs/encoding.md alone: make encoding")
	}
	fmt.Println("\n| CPU a value | ours encode | JSON + gzip | protobuf + zstd | ours decode | JSON + gzip | protobuf + zstd |\n|---|---|---|---|---|---|---|")
	for _, in := range []struct {
		name    string
		batches []telemetry.Batch
	}{{"city-jitter", cityCar(7, 60)}, {"track", trackCar(60)}} {
		for _, seconds := range []int{1, 10, 60} {
			cpuRow(t, fmt.Sprintf("%s %d s", in.name, seconds), in.batches[:seconds])
		}
	}
}

func cpuRow(t *testing.T, name string, batches []telemetry.Batch) {
	t.Helper()
	must := func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	e := envelopeOf(batches)
	ours, err := telemetry.EncodeEnvelope(&e)
	must(err)
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderCRC(false), zstd.WithSingleSegment(true))
	must(err)
	dec, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1))
	must(err)
	jsonZ, protoZ := gzipped(mustJSON(plainPoints(batches))), enc.EncodeAll(protoRows(batches), nil)
	work := []func(){
		func() { _, err := telemetry.EncodeEnvelope(&e); must(err) },
		func() { gzipped(mustJSON(plainPoints(batches))) },
		func() { enc.EncodeAll(protoRows(batches), nil) },
		func() { _, err := telemetry.DecodeEnvelope(ours); must(err) },
		func() {
			r, err := gzip.NewReader(bytes.NewReader(jsonZ))
			must(err)
			p, err := io.ReadAll(r)
			must(err)
			var points []plainPoint
			must(json.Unmarshal(p, &points))
		},
		func() {
			p, err := dec.DecodeAll(protoZ, nil)
			must(err)
			if len(readRows(p)) == 0 {
				t.Fatal("no rows")
			}
		},
	}
	least := make([]float64, len(work))
	for i := range least {
		least[i] = math.Inf(1)
	}
	for range 5 {
		for i, do := range work {
			least[i] = min(least[i], cpuOf(do))
		}
	}
	row := "| " + name
	for i, ns := range least {
		if i%3 == 0 {
			row += fmt.Sprintf(" | %.0f ns", ns/float64(e.Values()))
		} else {
			row += fmt.Sprintf(" | %.1f×", ns/least[i-i%3])
		}
	}
	fmt.Println(row + " |")
}

// cpuOf returns the CPU nanoseconds of one call, of as many as make 60 ms.
func cpuOf(do func()) float64 {
	used := func() time.Duration {
		var u syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
			panic(err)
		}
		return time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	from := used()
	for n := 1; ; n++ {
		do()
		if d := used() - from; d > 60*time.Millisecond {
			return float64(d) / float64(n)
		}
	}
}

// protoRow is a decoded row of protoRows.
type protoRow struct {
	id   uint64
	ms   int64
	n    int64
	f    float64
	text string
}

// readRows decodes protoRows.
func readRows(p []byte) (out []protoRow) {
	ms := int64(0)
	for len(p) > 0 {
		_, _, n := protowire.ConsumeTag(p)
		row, m := protowire.ConsumeBytes(p[n:])
		p = p[n+m:]
		var r protoRow
		for len(row) > 0 {
			num, typ, n := protowire.ConsumeTag(row)
			row = row[n:]
			var u uint64
			switch typ {
			case protowire.VarintType:
				u, n = protowire.ConsumeVarint(row)
			case protowire.Fixed64Type:
				u, n = protowire.ConsumeFixed64(row)
				r.f = math.Float64frombits(u)
			default:
				r.text, n = protowire.ConsumeString(row)
			}
			row = row[n:]
			switch num {
			case 1:
				r.id = u
			case 2:
				ms += protowire.DecodeZigZag(u)
			case 3:
				r.n = protowire.DecodeZigZag(u)
			}
		}
		r.ms = ms
		out = append(out, r)
	}
	return out
}
