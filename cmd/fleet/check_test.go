package main

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"obu/internal/virtual"
	"obu/telemetry"
)

// story is one car's journal and the envelopes its agent sent of it.
type story struct {
	t     *testing.T
	e     emission
	store telemetry.StoreID
	seq   uint64
	floor uint64
	sent  []telemetry.Envelope
	utc   time.Time
}

var speed, _ = telemetry.Lookup("Vehicle.Speed")

func newStory(t *testing.T) *story {
	return &story{t: t, store: telemetry.StoreID{1}, utc: time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC),
		e: emission{Unit: "sim-0001", Boot: telemetry.BootID{9}, Journal: virtual.NewJournal(), Live: true}}
}

// second emits three readings and a fix at second n and returns the batch an
// agent would make of them.
func (s *story) second(n int) telemetry.Batch {
	at := telemetry.At(n) * telemetry.At(time.Second)
	b := telemetry.Batch{Unit: s.e.Unit, Boot: s.e.Boot}
	key := virtual.SeriesKey{Signal: speed.Name, Address: "7E8"}
	for i := range 3 {
		v := telemetry.Float(float64(50 + (3*n+i)%7))
		s.e.Journal.Read(key, at.Add(time.Duration(i)*300*time.Millisecond), v)
		b.Samples = append(b.Samples, telemetry.Sample{At: at.Add(time.Duration(i)*300*time.Millisecond + 2*time.Millisecond),
			Signal: speed, Source: telemetry.Source{Bus: "can0", Address: "7E8", Method: "obd"}, Value: v})
	}
	p := virtual.Position{At: at, UTC: s.utc.Add(time.Duration(n) * time.Second), Valid: true,
		LatDeg: 52.5 + float64(n)/1e4, LonDeg: 13.4, AltM: 35, SpeedMPS: 13.9, CourseDeg: 90, HDOP: 0.9, Sats: 9}
	s.e.Journal.Locate(p)
	f := telemetry.NoFix()
	f.At, f.Receiver, f.UTC, f.Valid, f.Mode = at, "gps", p.UTC, true, telemetry.Mode3D
	f.LatDeg, f.LonDeg, f.AltM, f.SpeedMPS, f.CourseDeg, f.HDOP, f.Sats = p.LatDeg, p.LonDeg, p.AltM, p.SpeedMPS, p.CourseDeg, p.HDOP, p.Sats
	b.Fixes = []telemetry.Fix{f}
	s.seq++
	b.Name = telemetry.Name{Store: s.store, Class: telemetry.ClassTelemetry, Seq: s.seq}
	return b
}

// send puts batches into one envelope.
func (s *story) send(class telemetry.Class, batches ...telemetry.Batch) {
	s.sent = append(s.sent, telemetry.Envelope{Unit: s.e.Unit, Store: s.store, Class: class, Boot: s.e.Boot,
		Floor: s.floor, Next: s.seq + 1, SentBoot: s.e.Boot, Batches: batches})
}

// gap sends a Gap row in the event class.
func (s *story) gap(g telemetry.Gap) {
	b := telemetry.Batch{Unit: s.e.Unit, Boot: s.e.Boot}
	b.Name = telemetry.Name{Store: s.store, Class: telemetry.ClassEvent, Seq: 1}
	g.ID, g.Version, g.Store, g.Boot, g.Class = 1, 1, s.store, s.e.Boot, telemetry.ClassTelemetry
	b.Gaps = []telemetry.Gap{g}
	env := telemetry.Envelope{Unit: s.e.Unit, Store: s.store, Class: telemetry.ClassEvent, Boot: s.e.Boot,
		Floor: 1, Next: 2, SentBoot: s.e.Boot, Batches: []telemetry.Batch{b}}
	s.sent = append(s.sent, env)
}

// check writes what was sent into a spool and checks it.
func (s *story) check(countCopies bool) *account {
	s.t.Helper()
	dir := s.t.TempDir()
	sp, err := createSpool(filepath.Join(dir, "spool"))
	if err != nil {
		s.t.Fatal(err)
	}
	for i := range s.sent {
		p, err := telemetry.EncodeEnvelope(&s.sent[i])
		if err != nil {
			s.t.Fatal(err)
		}
		m := message{At: time.Duration(i+1) * 1100 * time.Millisecond, Payload: p,
			Topic: "obu/v1/f/" + s.e.Unit + "/" + s.sent[i].Class.String()}
		if err := sp.add(m); err != nil {
			s.t.Fatal(err)
		}
	}
	if err := sp.Close(); err != nil {
		s.t.Fatal(err)
	}
	a, err := checkSpool(filepath.Join(dir, "spool"), filepath.Join(dir, "clips"), []emission{s.e}, countCopies)
	if err != nil {
		s.t.Fatal(err)
	}
	return a
}

// want asserts the account.
func (a *account) want(t *testing.T, emitted, received, missing, uncovered, strange int, holes int64, copies int) {
	t.Helper()
	if a.Emitted != emitted || a.Received != received || a.Missing != missing || a.Uncovered != uncovered ||
		a.Strange != strange || a.Holes != holes || a.Copies != copies {
		t.Errorf("emitted %d received %d missing %d uncovered %d strange %d holes %d copies %d, want %d %d %d %d %d %d %d\n%s",
			a.Emitted, a.Received, a.Missing, a.Uncovered, a.Strange, a.Holes, a.Copies,
			emitted, received, missing, uncovered, strange, holes, copies, strings.Join(a.problems.lines, "\n"))
	}
}

func TestCheckPassesWhatArrivedAsItWas(t *testing.T) {
	s := newStory(t)
	for n := range 10 {
		s.send(telemetry.ClassTelemetry, s.second(n))
	}
	s.floor = s.seq + 1
	a := s.check(false)
	a.want(t, 40, 40, 0, 0, 0, 0, 0)
	if !a.clean() {
		t.Error("not clean")
	}
	if p := a.latency.quantile(0.5); p < 0.5 || p > 3 {
		t.Errorf("median latency %v s", p)
	}
}

func TestCheckFindsADroppedBatch(t *testing.T) {
	s := newStory(t)
	for n := range 10 {
		if b := s.second(n); n != 4 {
			s.send(telemetry.ClassTelemetry, b)
		}
	}
	s.floor = s.seq + 1
	s.send(telemetry.ClassTelemetry, s.second(10)) // tells the floor
	a := s.check(false)
	a.want(t, 44, 40, 4, 4, 0, 1, 0)
	if a.clean() {
		t.Error("clean")
	}
}

func TestCheckAcceptsWhatAGapLists(t *testing.T) {
	s := newStory(t)
	for n := range 10 {
		if b := s.second(n); n != 4 {
			s.send(telemetry.ClassTelemetry, b)
		}
	}
	s.gap(telemetry.Gap{FromSeq: 5, ToSeq: 5, From: telemetry.At(4 * time.Second), To: telemetry.At(5 * time.Second), Count: 4, Reason: telemetry.ReasonEvicted})
	s.floor = s.seq + 1
	s.send(telemetry.ClassTelemetry, s.second(10))
	a := s.check(false)
	a.want(t, 44, 40, 4, 0, 0, 0, 0)
	if !a.clean() || a.Gaps != 1 {
		t.Errorf("clean %v, %d gaps", a.clean(), a.Gaps)
	}
}

// A Gap that counts fewer than are missing, or is about another time, covers
// no more than it says.
func TestCheckDoesNotBelieveASmallGap(t *testing.T) {
	for name, g := range map[string]telemetry.Gap{
		"count": {From: telemetry.At(4 * time.Second), To: telemetry.At(5 * time.Second), Count: 3},
		"time":  {From: telemetry.At(40 * time.Second), To: telemetry.At(50 * time.Second), Count: telemetry.CountUnknown},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStory(t)
			for n := range 10 {
				if b := s.second(n); n != 4 {
					s.send(telemetry.ClassTelemetry, b)
				}
			}
			g.FromSeq, g.ToSeq, g.Reason = 5, 5, telemetry.ReasonEvicted
			s.gap(g)
			if a := s.check(false); a.Uncovered == 0 {
				t.Error("covered")
			}
		})
	}
}

// Values lost before a seq was minted leave no hole: only the comparison of
// values can find them.
func TestCheckFindsALossBeforeSeq(t *testing.T) {
	s := newStory(t)
	for n := range 10 {
		b := s.second(n)
		if n == 4 {
			b.Samples = b.Samples[1:]
		}
		s.send(telemetry.ClassTelemetry, b)
	}
	s.floor = s.seq + 1
	s.check(false).want(t, 40, 39, 1, 1, 0, 0, 0)
}

func TestCheckFindsAnAlteredValue(t *testing.T) {
	s := newStory(t)
	for n := range 10 {
		b := s.second(n)
		if n == 4 {
			b.Samples[1].Value = telemetry.Float(200)
		}
		if n == 6 {
			b.Fixes[0].LatDeg += 3e-7
		}
		s.send(telemetry.ClassTelemetry, b)
	}
	s.check(false).want(t, 40, 38, 2, 2, 2, 0, 0)
}

func TestCheckFindsSwappedTimes(t *testing.T) {
	s := newStory(t)
	for n := range 10 {
		b := s.second(n)
		if n == 4 {
			for i := range b.Samples {
				b.Samples[i].At += telemetry.At(time.Minute)
			}
		}
		s.send(telemetry.ClassTelemetry, b)
	}
	if a := s.check(false); a.Strange == 0 || a.Uncovered == 0 {
		t.Errorf("%+v", a)
	}
}

// Copies are dropped by name. A receiver that books them as data is caught,
// because the values were emitted once.
func TestCheckTellsCopiesFromData(t *testing.T) {
	s := newStory(t)
	for n := range 10 {
		b := s.second(n)
		s.send(telemetry.ClassTelemetry, b)
		if n == 4 {
			s.send(telemetry.ClassTelemetry, b)
		}
	}
	s.check(false).want(t, 40, 40, 0, 0, 0, 0, 1)
	if a := s.check(true); a.clean() || a.Strange != 4 {
		t.Errorf("copies booked as data: clean %v, strange %d", a.clean(), a.Strange)
	}
}

func TestCheckFindsAStranger(t *testing.T) {
	s := newStory(t)
	s.send(telemetry.ClassTelemetry, s.second(0))
	s.e.Unit = "sim-0002" // the check is asked about another unit
	a := s.check(false)
	if a.clean() {
		t.Error("clean")
	}
}

// Align keeps to the order and says which one is missing.
func TestAlign(t *testing.T) {
	read := func(sec float64, v float64) virtual.Reading {
		return virtual.Reading{At: telemetry.At(sec * 1e9), Value: telemetry.Float(v)}
	}
	want := []virtual.Reading{read(1, 5), read(2, 5), read(3, 5), read(4, 6), read(5, 5)}
	var got []arrival
	for _, i := range []int{0, 2, 3, 4} {
		r := want[i]
		r.At += telemetry.At(20 * time.Millisecond)
		got = append(got, arrival{Reading: r})
	}
	p := align(want, got)
	if len(p.strange) != 0 || p.of[1] != -1 || p.of[2] != 1 || p.of[4] != 3 {
		t.Errorf("%+v", p)
	}
	got[2].Value = telemetry.Float(7)
	p = align(want, got)
	if len(p.strange) != 1 || p.strange[0] != 2 || p.of[3] != -1 {
		t.Errorf("%+v", p)
	}
}

func TestSpoolReadsWhatItWrote(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	sp, err := createSpool(path)
	if err != nil {
		t.Fatal(err)
	}
	want := message{At: 5, Topic: "obu/v1/f/u/event", Retained: true, Payload: []byte("x")}
	for range 3 {
		if err := sp.add(want); err != nil {
			t.Fatal(err)
		}
	}
	if err := sp.Close(); err != nil {
		t.Fatal(err)
	}
	total, err := checkSpool(path, t.TempDir(), nil, false)
	if err != nil || total.Strange != 3 {
		t.Errorf("%+v, %v", total, err)
	}
}
