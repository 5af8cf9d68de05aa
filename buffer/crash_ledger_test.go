//go:build linux && (amd64 || arm64)

package buffer_test

import (
	"time"

	"obu/telemetry"
)

// ledger is what a unit had been promised up to an operation of the log, and
// what it had done: from the marks alone.
type ledger struct {
	phase    string // the last of opening, opened, closing, closed, killed, powercut
	boot     telemetry.BootID
	now      telemetry.At
	opened   telemetry.At // of the running process, or the last one
	returned telemetry.At // cut of the last commit to the disk that returned
	begun    telemetry.At // cut of the last commit that was called
	slowest  time.Duration
	faulty   bool // the disk has failed in this life
	parallel bool // two goroutines write
	inMemory bool // the last commit went there

	promised  map[telemetry.Name]promised
	volatile  map[telemetry.Name]promised // not on any disk
	acked     map[telemetry.Name]bool
	settling  []telemetry.Name        // acknowledged by this process since its last commit to the disk
	forgotten map[telemetry.Name]bool // acknowledged before a commit to the disk that returned
	ackedIDs  map[int]bool
	inflight  map[int]bool // contents handed over whose names have not come back
	everBegun map[int]bool
	gaps      []telemetry.Gap // delivered
	lost      []telemetry.Gap // listed by the life, and committed
	clips     map[int]int64   // bytes in custody
	finished  map[int]bool
	manifests map[telemetry.ClipID]bool // delivered
	commands  map[string]bool
	owed      []unclean // ends that were not in order
}

type promised struct {
	id   int
	boot telemetry.BootID
}

// unclean is an end that was not in order: what it lost has to be listed, from a
// moment between from and latest on.
type unclean struct {
	boot         telemetry.BootID
	from, latest telemetry.At
	until        telemetry.At // when it happened
	window       time.Duration
	inflight     map[int]bool // if one of these is lost, from has to be before the last cut
	inMemory     bool         // the disk was failing, so the loss may be longer than the window
}

func newLedger() *ledger {
	return &ledger{
		promised: map[telemetry.Name]promised{}, volatile: map[telemetry.Name]promised{}, acked: map[telemetry.Name]bool{},
		ackedIDs: map[int]bool{}, forgotten: map[telemetry.Name]bool{}, inflight: map[int]bool{}, everBegun: map[int]bool{}, clips: map[int]int64{}, finished: map[int]bool{},
		manifests: map[telemetry.ClipID]bool{}, commands: map[string]bool{},
	}
}

// foresee reads the slowest commit from the end of a life in which two
// goroutines commit: one may have been slow before the other notes it.
func (l *ledger) foresee(all []mark) {
	var slowest time.Duration
	for _, m := range all {
		slowest = max(slowest, m.Slowest)
		if m.Kind == markParallel {
			l.parallel = true
		}
	}
	if l.parallel {
		l.slowest = slowest
	}
}

// note takes a mark into the books.
func (l *ledger) note(m mark) {
	l.now = max(l.now, m.Now)
	l.slowest = max(l.slowest, m.Slowest)
	switch m.Kind {
	case markOpening:
		l.phase, l.boot, l.now = m.Kind, m.Boot, m.Now
	case markOpened:
		l.phase, l.opened, l.returned, l.begun = m.Kind, m.Now, m.Now, m.Now
	case markBegin, markTry:
		if m.Kind == markBegin {
			l.begun = m.Now
		}
		for _, id := range m.IDs {
			l.inflight[id], l.everBegun[id] = true, true
		}
	case markCommit, markChunk:
		l.committed(m)
	case markStable:
		for _, h := range m.Held {
			l.promised[h.Name] = l.volatile[h.Name]
			delete(l.volatile, h.Name)
		}
	case markFinish:
		l.finished[m.Clip] = true
	case markRecord:
		l.commands[m.Command] = true
	case markAck:
		for _, h := range m.Held {
			l.acked[h.Name], l.ackedIDs[h.ID] = true, true
			l.settling = append(l.settling, h.Name)
		}
		l.gaps = append(l.gaps, m.Gaps...)
		for _, c := range m.Clips {
			l.manifests[c] = true
		}
	case markLost:
		l.lost = append(l.lost, m.Gaps...)
	case markFaulty:
		l.faulty = true
	case markKilled, markPowerCut:
		if u, must := l.end(); must {
			l.owed = append(l.owed, u)
		}
		l.phase, l.settling = m.Kind, nil
		clear(l.inflight)
		clear(l.volatile)
	case markClosing:
		l.phase = m.Kind
	case markClosed:
		l.phase = m.Kind
		l.forget()
	}
}

func (l *ledger) committed(m mark) {
	for _, h := range m.Held {
		delete(l.inflight, h.ID)
		p := promised{h.ID, l.boot}
		if m.Volatile {
			l.volatile[h.Name] = p
		} else {
			l.promised[h.Name] = p
		}
	}
	if m.Kind == markChunk {
		l.clips[m.Clip] = m.Stored
		return
	}
	if l.inMemory = m.Volatile; !m.Volatile && len(m.Held) > 0 {
		l.returned = m.Now
		l.forget()
	}
}

// forget says that what was acknowledged is off the disk.
func (l *ledger) forget() {
	for _, n := range l.settling {
		if !l.parallel || n.Class != telemetry.ClassMedia { // else the chunk being stored may see to it later
			l.forgotten[n] = true
		}
	}
	l.settling = nil
}

// end is what the next start has to list should the unit end here, and whether
// it must.
func (l *ledger) end() (unclean, bool) {
	u := unclean{
		boot: l.boot, from: l.returned, latest: max(l.begun, l.returned), until: l.now,
		window: time.Second + l.slowest, inflight: map[int]bool{}, inMemory: l.inMemory,
	}
	for id := range l.inflight {
		if id < chunkIDs {
			u.inflight[id] = true
		}
	}
	return u, l.phase == markOpened
}
