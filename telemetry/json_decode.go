package telemetry

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"slices"
	"sort"
	"strconv"
	"time"
)

// DecodeEnvelopeJSON reads what EncodeEnvelopeJSON wrote. Unknown keys are
// ignored.
func DecodeEnvelopeJSON(p []byte) (Envelope, error) {
	j, err := parseEnvelope(p)
	if err != nil {
		return Envelope{}, err
	}
	e := j.header()
	signals := make(map[string]*Signal, len(j.Signals))
	for _, s := range j.Signals {
		signals[s.Name] = &Signal{Name: s.Name, Unit: s.Unit, Kind: s.Kind, Step: Step{s.Step[0], s.Step[1]},
			Min: s.Min, Max: s.Max, Level: s.Level}
	}
	for i := range e.Batches {
		if err := e.Batches[i].fromJSON(&j.Batches[i], signals); err != nil {
			return Envelope{}, fmt.Errorf("decode batch %d: %w: %w", e.Batches[i].Seq, ErrMalformed, err)
		}
	}
	if err := e.check(); err != nil {
		return Envelope{}, fmt.Errorf("decode envelope: %w: %w", ErrMalformed, err)
	}
	return e, nil
}

// readHeaderJSON is ReadEnvelopeHeader for JSON.
func readHeaderJSON(p []byte) (Envelope, []int, error) {
	j, err := parseEnvelope(p)
	if err != nil {
		return Envelope{}, nil, err
	}
	e := j.header()
	values := make([]int, len(e.Batches))
	for i := range values {
		values[i] = j.Batches[i].Values
		if values[i] < 0 || values[i] > MaxValues {
			return Envelope{}, nil, fmt.Errorf("decode batch of %d values: %w", values[i], ErrMalformed)
		}
	}
	if err := e.check(); err != nil {
		return Envelope{}, nil, fmt.Errorf("decode envelope: %w: %w", ErrMalformed, err)
	}
	return e, values, nil
}

func parseEnvelope(p []byte) (*jsonEnvelope, error) {
	if len(p) > MaxJSON {
		return nil, fmt.Errorf("decode %d bytes of JSON: %w", len(p), ErrTooLarge)
	}
	j := new(jsonEnvelope)
	if err := decodeJSON(p, j); err != nil {
		return nil, err
	}
	switch {
	case j.Format < 1:
		return nil, fmt.Errorf("decode envelope without format version: %w", ErrMalformed)
	case j.Format > FormatJSON:
		return nil, fmt.Errorf("decode format %d, know %d: %w", j.Format, FormatJSON, ErrNewerFormat)
	}
	return j, nil
}

// decodeJSON reads one JSON value and nothing behind it.
func decodeJSON(p []byte, into any) error {
	dec := json.NewDecoder(bytes.NewReader(p))
	if err := dec.Decode(into); err != nil {
		return fmt.Errorf("decode JSON: %w: %w", ErrMalformed, err)
	}
	if _, err := dec.Token(); err != io.EOF {
		return fmt.Errorf("decode JSON: more than one value: %w", ErrMalformed)
	}
	return nil
}

func (j *jsonEnvelope) header() Envelope {
	e := Envelope{Unit: j.Unit, Vehicle: j.Vehicle, Store: j.Store, Class: j.Class, Boot: j.Boot, Simulated: j.Simulated,
		History: j.History, Volatile: j.Volatile, Floor: j.Floor, Next: j.Next,
		SentAt: At(j.Sent.At).Round(), SentBoot: j.Sent.Boot}
	if ms, ok := wallMillis(time.Time(j.Sent.Wall)); ok {
		e.SentWall = fromMillis(ms)
	}
	if j.Part != nil {
		e.Part = &Part{Index: j.Part.Index, Of: j.Part.Of}
	}
	for i := range j.Batches {
		e.Batches = append(e.Batches, Batch{Unit: j.Unit, Vehicle: j.Vehicle, Boot: j.Boot, Simulated: j.Simulated,
			Name: Name{Store: j.Store, Class: j.Class, Seq: j.Batches[i].Seq}})
	}
	return e
}

func (b *Batch) fromJSON(j *jsonBatch, signals map[string]*Signal) error {
	for i := range j.Samples {
		s, err := sampleFromJSON(&j.Samples[i], signals)
		if err != nil {
			return fmt.Errorf("sample %d: %w", i, err)
		}
		b.Samples = append(b.Samples, s)
	}
	sort.SliceStable(b.Samples, func(x, y int) bool { return compareSamples(&b.Samples[x], &b.Samples[y]) < 0 })
	for i := range j.Fixes {
		f, err := fixFromJSON(&j.Fixes[i])
		if err != nil {
			return fmt.Errorf("fix %d: %w", i, err)
		}
		b.Fixes = append(b.Fixes, f)
	}
	sortFixes(b.Fixes)
	for _, g := range j.Gaps {
		x := Gap{ID: g.ID, Version: g.Version, Class: g.Class, Store: g.Store, FromSeq: g.FromSeq, ToSeq: g.ToSeq,
			Boot: g.Boot, From: At(g.From), To: At(g.To), Count: CountUnknown, Reason: g.Reason, Source: g.Source}
		if g.Count != nil {
			x.Count = max(*g.Count, CountUnknown)
		}
		b.Gaps = append(b.Gaps, x)
	}
	for _, a := range j.Anchors {
		b.Anchors = append(b.Anchors, Anchor{a.Boot, At(a.At), time.Time(a.Wall), time.Duration(a.Uncertainty), a.By})
	}
	for _, c := range j.Clips {
		b.Clips = append(b.Clips, Clip{ID: c.ID, Camera: c.Camera, Name: c.Name, At: At(c.At), Start: time.Time(c.Start),
			Length: time.Duration(c.Length), SizeBytes: c.Size, SHA256: c.SHA256, Cause: c.Cause})
	}
	for _, c := range j.Chunks {
		b.Chunks = append(b.Chunks, Chunk(c))
	}
	if n := b.Values(); n > j.Values { // fewer: a newer version has records under keys of their own
		return fmt.Errorf("%d values, it says %d", n, j.Values)
	}
	return nil
}

func sampleFromJSON(j *jsonSample, signals map[string]*Signal) (Sample, error) {
	s := Sample{At: At(j.At).Round(), Source: Source(j.Source), Quality: j.Quality}
	if known, ok := Lookup(j.Signal); ok {
		s.Signal = known
	} else if declared, ok := signals[j.Signal]; ok {
		s.Signal = declared
	} else {
		s.Signal = &Signal{Name: j.Signal, Unit: j.Unit, Kind: KindFloat, Level: LevelDynamic}
		signals[j.Signal] = s.Signal
	}
	v, err := valueFromJSON(j.Value, j.Kind)
	s.Value = v
	return s, err
}

func valueFromJSON(raw json.RawMessage, kind Kind) (Value, error) {
	text := string(raw)
	switch {
	case text == "" || text == "null":
		return Value{}, nil
	case text == "true" || text == "false":
		return Bool(text == "true"), nil
	case text[0] == '"':
		var s string
		if err := json.Unmarshal(raw, &s); err != nil {
			return Value{}, fmt.Errorf("read text: %w", err)
		}
		if kind != KindBytes {
			return Text(s), nil
		}
		b := make([]byte, len(s)/2)
		if err := parseHex(b, s); err != nil {
			return Value{}, err
		}
		return Bytes(b), nil
	case kind == KindInt:
		i, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return Value{}, fmt.Errorf("read int: %w", err)
		}
		return Int(i), nil
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return Value{}, fmt.Errorf("read number: %w", err)
	}
	return Float(f), nil
}

func fixFromJSON(j *jsonFix) (Fix, error) {
	f := Fix{At: At(j.At).Round(), Receiver: j.Receiver, UTC: time.Time(j.UTC), LatDeg: float64(j.Lat), LonDeg: float64(j.Lon),
		AltM: float64(j.Alt), GeoidM: float64(j.Geoid), SpeedMPS: float64(j.Speed), CourseDeg: float64(j.Course),
		HDOP: float64(j.HDOP), VDOP: float64(j.VDOP), PDOP: float64(j.PDOP), Sats: -1, Mode: Mode(j.Mode),
		Quality: j.Quality, Valid: j.Valid}
	if j.Sats != nil {
		f.Sats = max(-1, min(*j.Sats, math.MaxInt32))
	}
	for _, name := range j.Doubt {
		if i := slices.Index(doubtNames[:], name); i >= 0 {
			f.Doubt |= 1 << i
			continue
		}
		n, ok := numbered(name, "doubt-")
		if !ok || n > 31 {
			return f, fmt.Errorf("parse doubt %.40q: unknown", name)
		}
		f.Doubt |= 1 << n
	}
	return f, nil
}

// UnmarshalJSON makes every number unknown unless it is there.
func (j *jsonFix) UnmarshalJSON(p []byte) error {
	type plain jsonFix
	nan := number(math.NaN())
	x := plain{Lat: nan, Lon: nan, Alt: nan, Geoid: nan, Speed: nan, Course: nan, HDOP: nan, VDOP: nan, PDOP: nan}
	if err := json.Unmarshal(p, &x); err != nil {
		return err
	}
	*j = jsonFix(x)
	return nil
}
