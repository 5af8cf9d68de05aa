package telemetry_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"math"

	"github.com/klauspost/compress/zstd"
	"google.golang.org/protobuf/encoding/protowire"

	"obu/telemetry"
)

// The rivals of the encoding table, and what a message costs on the wire.

// A message on the wire, as docs/encoding.md states the model: MQTT fixed
// header, topic and packet id; TLS 1.3 records of at most 16 KiB; TCP/IP
// segments of at most 1448 bytes, a pure ACK counted with the PUBACK.
const (
	mqttBytes    = 27
	recordBytes  = 22
	recordMost   = 16 << 10
	segmentBytes = 52
	segmentMost  = 1448
	pubackBytes  = 78
)

// onWire returns what a QoS 1 message with a payload of n bytes costs.
func onWire(n int) int {
	n += mqttBytes
	n += recordBytes * ((n + recordMost - 1) / recordMost)
	return n + segmentBytes*((n+segmentMost-1)/segmentMost) + pubackBytes
}

// cost is what an encoding makes of a load.
type cost struct{ messages, payload, wire int }

func (c *cost) add(n int) {
	c.messages++
	c.payload += n
	c.wire += onWire(n)
}

// plainPoint is one value of a JSON message.
type plainPoint struct {
	T float64 `json:"t"`
	S string  `json:"s"`
	V any     `json:"v"`
}

// plainPoints are the values as the usual JSON telemetry message has them.
func plainPoints(batches []telemetry.Batch) (out []plainPoint) {
	for i := range batches {
		for _, s := range batches[i].Samples {
			p := plainPoint{T: s.At.Round().Seconds(), S: s.Signal.Name}
			switch s.Value.Kind() {
			case telemetry.KindNone:
			case telemetry.KindText:
				p.V = s.Value.Text()
			case telemetry.KindBytes:
				p.V = fmt.Sprintf("%X", s.Value.Text())
			default:
				p.V = s.Value.Float()
			}
			out = append(out, p)
		}
		for _, f := range batches[i].Fixes {
			t := f.At.Round().Seconds()
			add := func(name string, v float64) {
				if !math.IsNaN(v) {
					out = append(out, plainPoint{t, name, v})
				}
			}
			add("lat", f.LatDeg)
			add("lon", f.LonDeg)
			add("alt", f.AltM)
			add("speed", f.SpeedMPS)
			add("course", f.CourseDeg)
			add("hdop", f.HDOP)
			add("sats", float64(f.Sats))
		}
	}
	return out
}

func mustJSON(v any) []byte {
	p, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return p
}

func gzipped(p []byte) []byte {
	var z bytes.Buffer
	w := gzip.NewWriter(&z)
	if _, err := w.Write(p); err != nil {
		panic(err)
	}
	if err := w.Close(); err != nil {
		panic(err)
	}
	return z.Bytes()
}

// protoRows are protobuf messages of one row per value: signal by number, time
// as the difference to the row before, value in steps of the sensor (a double
// where it has none). A schema kinder to its rows than most.
func protoRows(batches []telemetry.Batch) (out []byte) {
	var row []byte
	last := int64(0)
	numbers := make(map[string]uint64)
	put := func(name string, at telemetry.At, step telemetry.Step, v telemetry.Value) {
		id, ok := numbers[name]
		if !ok {
			id = uint64(len(numbers) + 1)
			numbers[name] = id
		}
		ms := int64(at.Round()) / 1e6
		row = protowire.AppendVarint(protowire.AppendTag(row[:0], 1, protowire.VarintType), id)
		if ms != last {
			row = protowire.AppendVarint(protowire.AppendTag(row, 2, protowire.VarintType), protowire.EncodeZigZag(ms-last))
		}
		last = ms
		switch n, exact := step.Steps(v.Float()); {
		case v.Kind() == telemetry.KindText || v.Kind() == telemetry.KindBytes:
			row = protowire.AppendString(protowire.AppendTag(row, 5, protowire.BytesType), v.Text())
		case v.Kind() == telemetry.KindInt || v.Kind() == telemetry.KindBool:
			row = protowire.AppendVarint(protowire.AppendTag(row, 3, protowire.VarintType), protowire.EncodeZigZag(v.Int()))
		case exact:
			row = protowire.AppendVarint(protowire.AppendTag(row, 3, protowire.VarintType), protowire.EncodeZigZag(n))
		default:
			row = protowire.AppendFixed64(protowire.AppendTag(row, 4, protowire.Fixed64Type), math.Float64bits(v.Float()))
		}
		out = protowire.AppendBytes(protowire.AppendTag(out, 1, protowire.BytesType), row)
	}
	for i := range batches {
		for _, s := range batches[i].Samples {
			put(s.Signal.Name, s.At, s.Signal.Step, s.Value)
		}
		for j := range batches[i].Fixes {
			f := &batches[i].Fixes[j]
			for _, c := range fixColumns {
				if v := c.of(f); !math.IsNaN(v) {
					put(c.name, f.At, c.step, telemetry.Float(v))
				}
			}
		}
	}
	return out
}

// fixColumns are the fields of a fix as rivals and limit count them.
var fixColumns = []struct {
	name string
	step telemetry.Step
	of   func(*telemetry.Fix) float64
}{
	{"lat", telemetry.Step{Num: 1, Den: 1e7}, func(f *telemetry.Fix) float64 { return f.LatDeg }},
	{"lon", telemetry.Step{Num: 1, Den: 1e7}, func(f *telemetry.Fix) float64 { return f.LonDeg }},
	{"alt", telemetry.Step{Num: 1, Den: 1e3}, func(f *telemetry.Fix) float64 { return f.AltM }},
	{"geoid", telemetry.Step{Num: 1, Den: 1e3}, func(f *telemetry.Fix) float64 { return f.GeoidM }},
	{"speed", telemetry.Step{Num: 1852, Den: 3600000}, func(f *telemetry.Fix) float64 { return f.SpeedMPS }},
	{"course", telemetry.Step{Num: 1, Den: 1e3}, func(f *telemetry.Fix) float64 { return f.CourseDeg }},
	{"hdop", telemetry.Step{Num: 1, Den: 100}, func(f *telemetry.Fix) float64 { return f.HDOP }},
	{"vdop", telemetry.Step{Num: 1, Den: 100}, func(f *telemetry.Fix) float64 { return f.VDOP }},
	{"pdop", telemetry.Step{Num: 1, Den: 100}, func(f *telemetry.Fix) float64 { return f.PDOP }},
	{"sats", telemetry.Step{Num: 1, Den: 1}, func(f *telemetry.Fix) float64 { return float64(f.Sats) }},
}

// zstdBest compresses as hard as the library can.
var zstdBest = func() func([]byte) []byte {
	e, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedBestCompression), zstd.WithEncoderConcurrency(1),
		zstd.WithEncoderCRC(false), zstd.WithSingleSegment(true))
	if err != nil {
		panic(err)
	}
	return func(p []byte) []byte { return e.EncodeAll(p, nil) }
}()
