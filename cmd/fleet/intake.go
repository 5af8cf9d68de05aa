package main

import (
	"fmt"
	"slices"
	"time"

	"obu/can"
	"obu/internal/virtual"
	"obu/telemetry"
	"obu/telemetry/ledger"
)

// arrival is one value as it was received.
type arrival struct {
	virtual.Reading
	recv time.Duration // CLOCK_MONOTONIC
}

// located is one fix as it was received.
type located struct {
	fix  telemetry.Fix
	recv time.Duration
}

// intake is everything received from one unit, copies told from data.
type intake struct {
	led    ledger.Ledger
	series map[virtual.SeriesKey][]arrival
	fixes  []located
	clips  map[string]ledger.Finished // by file name
	copies int

	assembler   *ledger.Assembler
	countCopies bool // a fault for the test of the check: copies are booked as data
	problems    problems
}

// newIntake returns an empty intake that puts clips together below clipDir.
func newIntake(clipDir string) (*intake, error) {
	a, err := ledger.NewAssembler(clipDir)
	if err != nil {
		return nil, err
	}
	return &intake{series: make(map[virtual.SeriesKey][]arrival), clips: make(map[string]ledger.Finished), assembler: a}, nil
}

// take books one message of the unit. It returns what is new in it: nothing
// when it is no envelope.
func (in *intake) take(m message) (env telemetry.Envelope, fresh []telemetry.Batch, finished []ledger.Finished) {
	unit, kind, ok := topicParts(m.Topic)
	if !ok || !stored(kind) {
		return env, nil, nil
	}
	env, err := telemetry.DecodeEnvelope(m.Payload)
	if err != nil {
		in.problems.add("a message on %s does not decode: %v", m.Topic, err)
		return env, nil, nil
	}
	if unit != env.Unit {
		in.problems.add("an envelope of unit %q came on %s", env.Unit, m.Topic)
	}
	if kind != env.Class.String() {
		in.problems.add("an envelope of class %s came on %s", env.Class, m.Topic)
	}
	fresh, copies := in.led.Take(env)
	in.copies += copies
	if in.countCopies {
		fresh = env.Batches
	}
	for i := range fresh {
		finished = append(finished, in.book(&fresh[i], m.At)...)
	}
	return env, fresh, finished
}

// book takes the values of one batch. The unit's own statistics and the
// poller's statements about silent ECUs were not emitted by the car.
func (in *intake) book(b *telemetry.Batch, recv time.Duration) []ledger.Finished {
	if b.Class != telemetry.ClassHealth {
		for _, s := range b.Samples {
			if s.Value.Kind() == telemetry.KindNone || s.Source.Method == "stat" {
				continue
			}
			k := virtual.SeriesKey{Signal: s.Signal.Name, Address: s.Source.Address}
			if s.Source.Method == can.MethodFreeze {
				k.Address += "/" + can.MethodFreeze
			}
			in.series[k] = append(in.series[k], arrival{virtual.Reading{At: s.At, Value: s.Value}, recv})
		}
	}
	for _, f := range b.Fixes {
		in.fixes = append(in.fixes, located{f, recv})
	}
	finished, err := in.assembler.Take(*b)
	if err != nil {
		in.problems.add("a clip cannot be put together: %v", err)
	}
	for _, f := range finished {
		in.clips[f.Clip.Name] = f
	}
	return finished
}

// problems keeps the first few findings in words and counts the rest.
type problems struct {
	lines []string
	more  int
}

// maxProblems is how many findings a report prints.
const maxProblems = 12

func (p *problems) add(format string, a ...any) {
	if len(p.lines) < maxProblems {
		p.lines = append(p.lines, fmt.Sprintf(format, a...))
		return
	}
	p.more++
}

// all returns the lines, and how many more there are.
func (p *problems) all() []string {
	if p.more == 0 {
		return p.lines
	}
	return append(slices.Clip(p.lines), fmt.Sprintf("and %d more", p.more))
}

func (p *problems) join(q problems, prefix string) {
	for _, l := range q.lines {
		p.add("%s%s", prefix, l)
	}
	p.more += q.more
}
