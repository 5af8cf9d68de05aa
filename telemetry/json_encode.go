package telemetry

import (
	"encoding/json"
	"fmt"
	"slices"
	"sort"
	"strconv"
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
	Doubt    doubts   `json:"doubt,omitempty"`
}

// doubts are the names of a Doubt, which has 32 bits.
type doubts []string

func (d *doubts) UnmarshalJSON(p []byte) error {
	if len(p) > 4<<10 {
		return fmt.Errorf("read doubts of %d bytes: %w", len(p), ErrTooLarge)
	}
	var names []string
	if err := json.Unmarshal(p, &names); err != nil {
		return err
	}
	*d = names
	return nil
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
	j := jsonEnvelope{Format: FormatJSON, Unit: utf8(e.Unit), Vehicle: utf8(e.Vehicle), Store: e.Store, Class: e.Class, Boot: e.Boot,
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
	sort.Slice(j.Signals, func(x, y int) bool { return j.Signals[x].Name < j.Signals[y].Name })
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
	samples := make([]*Sample, len(b.Samples))
	for i := range samples {
		samples[i] = &b.Samples[i]
	}
	slices.SortStableFunc(samples, compareSamples)
	for _, s := range samples {
		j.Samples = append(j.Samples, sampleToJSON(s))
	}
	fixes := slices.Clone(b.Fixes)
	sortFixes(fixes)
	for i := range fixes {
		j.Fixes = append(j.Fixes, fixToJSON(&fixes[i]))
	}
	for i := range b.Gaps {
		j.Gaps = append(j.Gaps, gapToJSON(&b.Gaps[i]))
	}
	for i := range b.Anchors {
		j.Anchors = append(j.Anchors, anchorToJSON(&b.Anchors[i]))
	}
	for i := range b.Clips {
		j.Clips = append(j.Clips, clipToJSON(&b.Clips[i]))
	}
	for _, c := range b.Chunks {
		j.Chunks = append(j.Chunks, jsonChunk(c))
	}
	return j
}

func sampleToJSON(s *Sample) jsonSample {
	j := jsonSample{At: seconds(s.At.Round()), Signal: s.Signal.Name, Unit: s.Signal.Unit, Source: jsonSource{utf8(s.Source.Bus), utf8(s.Source.Address), utf8(s.Source.Method)},
		Value: s.Value.appendJSON(nil), Quality: s.Quality}
	if known, ok := Lookup(s.Signal.Name); ok {
		j.Unit = known.Unit
	}
	if k := s.Value.kind; k == KindInt || k == KindBytes {
		j.Kind = k
	}
	return j
}

func gapToJSON(g *Gap) jsonGap {
	j := jsonGap{ID: g.ID, Version: g.Version, Class: g.Class, Store: g.Store, FromSeq: g.FromSeq, ToSeq: g.ToSeq,
		Boot: g.Boot, From: seconds(g.From), To: seconds(g.To), Reason: g.Reason, Source: g.Source}
	if g.Count >= 0 {
		j.Count = &g.Count
	}
	return j
}

func anchorToJSON(a *Anchor) jsonAnchor {
	return jsonAnchor{Boot: a.Boot, At: seconds(a.At), Wall: wallJSON(a.Wall), Uncertainty: seconds(a.Uncertainty), By: a.By}
}

func clipToJSON(c *Clip) jsonClip {
	return jsonClip{ID: c.ID, Camera: c.Camera, Name: c.Name, At: seconds(c.At), Start: wallJSON(c.Start),
		Length: seconds(c.Length), Size: c.SizeBytes, SHA256: c.SHA256, Cause: c.Cause}
}

// appendJSON appends the value: numbers with every digit, bytes as hexadecimal
// text, no value as null.
func (v Value) appendJSON(b []byte) []byte {
	switch v.kind {
	case KindFloat:
		return appendFloat(b, v.Float())
	case KindText, KindBytes:
		quoted, err := json.Marshal(utf8(v.String()))
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
	j := jsonFix{At: seconds(f.At.Round()), Receiver: utf8(f.Receiver), UTC: wallJSON(f.UTC), Lat: number(f.LatDeg), Lon: number(f.LonDeg),
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
