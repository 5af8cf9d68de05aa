package telemetry

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"time"
)

// The JSON alternative: the same batches, one object per record, for people
// and for consumers without protobuf. CONTRACT.md shows each object.

type jsonEnvelope struct {
	Format    int              `json:"format"`
	Unit      string           `json:"unit"`
	Vehicle   string           `json:"vehicle"`
	Store     StoreID          `json:"store"`
	Class     Class            `json:"class"`
	Boot      BootID           `json:"boot"`
	Simulated bool             `json:"simulated"`
	History   bool             `json:"history"`
	Volatile  bool             `json:"volatile"`
	Floor     uint64           `json:"floor"`
	Next      uint64           `json:"next"`
	Sent      jsonSent         `json:"sent"`
	Part      *jsonPart        `json:"part,omitempty"`
	Signals   many[jsonSignal] `json:"signals,omitempty"`
	Batches   many[jsonBatch]  `json:"batches"`
}

type jsonSent struct {
	At   seconds  `json:"at"`
	Boot BootID   `json:"boot"`
	Wall wallJSON `json:"wall"`
}

type jsonPart struct {
	Index uint32 `json:"index"`
	Of    uint32 `json:"of"`
}

// jsonSignal declares a signal that is not in the table.
type jsonSignal struct {
	Name  string   `json:"name"`
	Unit  string   `json:"unit"`
	Kind  Kind     `json:"kind"`
	Step  [2]int64 `json:"step"`
	Min   float64  `json:"min"`
	Max   float64  `json:"max"`
	Level Level    `json:"level"`
}

type jsonBatch struct {
	Seq     uint64           `json:"seq"`
	Values  int              `json:"values"`
	Samples many[jsonSample] `json:"samples,omitempty"`
	Fixes   many[jsonFix]    `json:"fixes,omitempty"`
	Gaps    many[jsonGap]    `json:"gaps,omitempty"`
	Anchors many[jsonAnchor] `json:"anchors,omitempty"`
	Clips   many[jsonClip]   `json:"clips,omitempty"`
	Chunks  many[jsonChunk]  `json:"chunks,omitempty"`
}

// jsonSample: a number is a float and a string is text unless kind says
// otherwise ("int"; "bytes": hexadecimal).
type jsonSample struct {
	At      seconds         `json:"at"`
	Signal  string          `json:"signal"`
	Unit    string          `json:"unit,omitempty"`
	Source  jsonSource      `json:"source"`
	Value   json.RawMessage `json:"value"`
	Kind    Kind            `json:"kind,omitempty"`
	Quality Quality         `json:"quality"`
}

type jsonSource struct {
	Bus     string `json:"bus"`
	Address string `json:"address,omitempty"`
	Method  string `json:"method,omitempty"`
}

type jsonFix struct {
	At       seconds  `json:"at"`
	Receiver string   `json:"receiver"`
	UTC      wallJSON `json:"utc"`
	Lat      number   `json:"lat"`
	Lon      number   `json:"lon"`
	Alt      number   `json:"alt"`
	Geoid    number   `json:"geoid"`
	Speed    number   `json:"speed"`
	Course   number   `json:"course"`
	HDOP     number   `json:"hdop"`
	VDOP     number   `json:"vdop"`
	PDOP     number   `json:"pdop"`
	Sats     *int     `json:"sats"`
	Mode     jsonMode `json:"mode"`
	Quality  uint8    `json:"quality"`
	Valid    bool     `json:"valid"`
	Doubt    []string `json:"doubt,omitempty"`
}

// jsonMode is a Mode by name; "mode-9" is one of a newer version.
type jsonMode Mode

func (m jsonMode) MarshalText() ([]byte, error) {
	if int(m) < len(modeNames) {
		return []byte(modeNames[m]), nil
	}
	return []byte("mode-" + strconv.Itoa(int(m))), nil
}

func (m *jsonMode) UnmarshalText(p []byte) error {
	if i := slices.Index(modeNames[:], string(p)); i >= 0 {
		*m = jsonMode(i)
		return nil
	}
	n, ok := numbered(string(p), "mode-")
	if !ok {
		return fmt.Errorf("parse mode %.40q: want none, 2d or 3d", p)
	}
	*m = jsonMode(n)
	return nil
}

type jsonGap struct {
	ID      uint64  `json:"id"`
	Version uint32  `json:"version"`
	Class   Class   `json:"class"`
	Store   StoreID `json:"store"`
	FromSeq uint64  `json:"from_seq"`
	ToSeq   uint64  `json:"to_seq"`
	Boot    BootID  `json:"boot"`
	From    seconds `json:"from"`
	To      seconds `json:"to"`
	Count   *int64  `json:"count"`
	Reason  Reason  `json:"reason"`
	Source  string  `json:"source,omitempty"`
}

type jsonAnchor struct {
	Boot        BootID   `json:"boot"`
	At          seconds  `json:"at"`
	Wall        wallJSON `json:"wall"`
	Uncertainty seconds  `json:"uncertainty"`
	By          AnchorBy `json:"by"`
}

type jsonClip struct {
	ID     ClipID   `json:"id"`
	Camera string   `json:"camera"`
	Name   string   `json:"name"`
	At     seconds  `json:"at"`
	Start  wallJSON `json:"start"`
	Length seconds  `json:"length"`
	Size   int64    `json:"size"`
	SHA256 hash     `json:"sha256"`
	Cause  string   `json:"cause"`
}

type jsonChunk struct {
	Clip   ClipID `json:"clip"`
	Offset int64  `json:"offset"`
	Data   []byte `json:"data"`
}

// EncodeEnvelopeJSON returns the envelope as one JSON object with one object
// per record. It holds exactly what EncodeEnvelope holds.
func EncodeEnvelopeJSON(e *Envelope) ([]byte, error) {
	if err := e.check(); err != nil {
		return nil, err
	}
	j := jsonEnvelope{Format: Format, Unit: e.Unit, Vehicle: e.Vehicle, Store: e.Store, Class: e.Class, Boot: e.Boot,
		Simulated: e.Simulated, History: e.History, Volatile: e.Volatile, Floor: e.Floor, Next: e.Next,
		Sent: jsonSent{At: seconds(e.SentAt.Round()), Boot: e.SentBoot}, Batches: make([]jsonBatch, len(e.Batches))}
	if ms, ok := wallMillis(e.SentWall); ok {
		j.Sent.Wall = wallJSON(fromMillis(ms))
	}
	if e.Part != nil {
		j.Part = &jsonPart{Index: e.Part.Index, Of: e.Part.Of}
	}
	declared := make(map[string]bool)
	for i := range e.Batches {
		for k := range e.Batches[i].Samples {
			s := e.Batches[i].Samples[k].Signal
			if s == nil {
				return nil, fmt.Errorf("encode sample %d of batch %d: %w", k, e.Batches[i].Seq, ErrNoSignal)
			}
			if _, known := Lookup(s.Name); !known && !declared[s.Name] {
				declared[s.Name] = true
				j.Signals = append(j.Signals, jsonSignal{Name: s.Name, Unit: s.Unit, Kind: s.Kind,
					Step: [2]int64{s.Step.Num, s.Step.Den}, Min: finite(s.Min), Max: finite(s.Max), Level: s.Level})
			}
		}
		j.Batches[i] = toJSON(&e.Batches[i])
	}
	slices.SortFunc(j.Signals, func(a, b jsonSignal) int { return cmp.Compare(a.Name, b.Name) })
	p, err := json.Marshal(&j)
	if err != nil {
		return nil, fmt.Errorf("encode envelope: %w", err)
	}
	if len(p) > MaxJSON {
		return nil, fmt.Errorf("encode envelope of %d bytes of JSON: %w", len(p), ErrTooLarge)
	}
	return p, nil
}

func finite(f float64) float64 {
	if f, ok := known(f); ok {
		return f
	}
	return 0
}

// toJSON converts one batch; samples and fixes are rounded and put in order
// as on the wire.
func toJSON(b *Batch) jsonBatch {
	j := jsonBatch{Seq: b.Seq, Values: b.Values()}
	samples := slices.Clone(b.Samples)
	slices.SortStableFunc(samples, compareSamples)
	for i := range samples {
		j.Samples = append(j.Samples, sampleToJSON(&samples[i]))
	}
	fixes := slices.Clone(b.Fixes)
	slices.SortStableFunc(fixes, compareFixes)
	for i := range fixes {
		j.Fixes = append(j.Fixes, fixToJSON(&fixes[i]))
	}
	for _, g := range b.Gaps {
		x := jsonGap{ID: g.ID, Version: g.Version, Class: g.Class, Store: g.Store, FromSeq: g.FromSeq, ToSeq: g.ToSeq,
			Boot: g.Boot, From: seconds(g.From), To: seconds(g.To), Reason: g.Reason, Source: g.Source}
		if g.Count >= 0 {
			x.Count = &g.Count
		}
		j.Gaps = append(j.Gaps, x)
	}
	for _, a := range b.Anchors {
		j.Anchors = append(j.Anchors, jsonAnchor{a.Boot, seconds(a.At), wallJSON(a.Wall), seconds(a.Uncertainty), a.By})
	}
	for _, c := range b.Clips {
		j.Clips = append(j.Clips, jsonClip{ID: c.ID, Camera: c.Camera, Name: c.Name, At: seconds(c.At), Start: wallJSON(c.Start),
			Length: seconds(c.Length), Size: c.SizeBytes, SHA256: c.SHA256, Cause: c.Cause})
	}
	for _, c := range b.Chunks {
		j.Chunks = append(j.Chunks, jsonChunk(c))
	}
	return j
}

func sampleToJSON(s *Sample) jsonSample {
	j := jsonSample{At: seconds(s.At.Round()), Signal: s.Signal.Name, Unit: s.Signal.Unit, Source: jsonSource(s.Source),
		Value: s.Value.appendJSON(nil), Quality: s.Quality}
	if known, ok := Lookup(s.Signal.Name); ok {
		j.Unit = known.Unit
	}
	if k := s.Value.kind; k == KindInt || k == KindBytes {
		j.Kind = k
	}
	return j
}

// appendJSON appends the value: numbers with every digit, bytes as hexadecimal
// text, no value as null.
func (v Value) appendJSON(b []byte) []byte {
	switch v.kind {
	case KindFloat:
		return appendFloat(b, v.Float())
	case KindText, KindBytes:
		quoted, err := json.Marshal(v.String())
		if err != nil {
			return append(b, "null"...)
		}
		return append(b, quoted...)
	}
	return append(b, v.String()...)
}

// MarshalJSON writes the value as it stands in JSON lines.
func (v Value) MarshalJSON() ([]byte, error) { return v.appendJSON(nil), nil }

func fixToJSON(f *Fix) jsonFix {
	j := jsonFix{At: seconds(f.At.Round()), Receiver: f.Receiver, UTC: wallJSON(f.UTC), Lat: number(f.LatDeg), Lon: number(f.LonDeg),
		Alt: number(f.AltM), Geoid: number(f.GeoidM), Speed: number(f.SpeedMPS), Course: number(f.CourseDeg),
		HDOP: number(f.HDOP), VDOP: number(f.VDOP), PDOP: number(f.PDOP), Mode: jsonMode(f.Mode),
		Quality: f.Quality, Valid: f.Valid}
	if f.Sats >= 0 {
		j.Sats = &f.Sats
	}
	for i := range 32 {
		if f.Doubt&(1<<i) == 0 {
			continue
		}
		if i < len(doubtNames) {
			j.Doubt = append(j.Doubt, doubtNames[i])
		} else {
			j.Doubt = append(j.Doubt, "doubt-"+strconv.Itoa(i))
		}
	}
	return j
}

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
	}
	return e, values, e.check()
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
	case j.Format > Format:
		return nil, fmt.Errorf("decode format %d, know %d: %w", j.Format, Format, ErrNewerFormat)
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
	slices.SortStableFunc(b.Samples, compareSamples)
	for i := range j.Fixes {
		f, err := fixFromJSON(&j.Fixes[i])
		if err != nil {
			return fmt.Errorf("fix %d: %w", i, err)
		}
		b.Fixes = append(b.Fixes, f)
	}
	slices.SortStableFunc(b.Fixes, compareFixes)
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
	if n := b.Values(); n != j.Values {
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
