package gps

import (
	"time"

	"obu/telemetry"
)

// Rejected sentences are not listed one by one: they are gathered over a
// window that doubles while the trouble lasts.
const (
	firstWindow = 10 * time.Second
	lastWindow  = 10 * time.Minute
)

// loss gathers what could not be read into Gaps.
type loss struct {
	report func(from, to telemetry.At, count int64, why telemetry.Reason)

	open     bool // a window is open
	from, to telemetry.At
	count    int64
	window   time.Duration
	synced   bool // a good sentence came since the device was opened
	before   int  // rejected before that

	spoke  bool         // there was a good sentence,
	heard  telemetry.At // the last one
	gone   bool         // the device was lost, or fell silent
	goneAt telemetry.At // last sign of it
	until  telemetry.At // so far its absence is reported
}

// sentence notes what became of a line.
func (l *loss) sentence(at telemetry.At, why reject, line []byte) {
	switch {
	case why == accepted:
		l.synced, l.spoke, l.heard = true, true, at
		l.back(at)
	case why == rejectNoChecksum && len(line) > 1 && line[1] == 'P':
		// A proprietary sentence whose maker knows no checksum is no loss.
	case !l.synced && l.before == 0:
		// A port is opened in the middle of a sentence.
		l.before++
	default:
		l.add(at, at, 1)
	}
}

// unknown notes a stretch in which nothing could be counted.
func (l *loss) unknown(from, to telemetry.At) { l.add(from, to, telemetry.CountUnknown) }

func (l *loss) add(from, to telemetry.At, n int64) {
	if !l.open {
		l.open, l.from, l.to, l.count = true, from, to, 0
		l.window = max(l.window, firstWindow)
	}
	l.from, l.to = min(l.from, from), max(l.to, to)
	if n < 0 || l.count < 0 {
		l.count = telemetry.CountUnknown
	} else {
		l.count += n
	}
}

// due closes the window when it is old enough, or when all is true.
func (l *loss) due(now telemetry.At, all bool) {
	switch {
	case l.open && (all || now.Sub(l.from) >= l.window):
		l.open = false
		l.report(l.from, l.to, l.count, telemetry.ReasonDecode)
		l.window = min(2*l.window, lastWindow)
	case !l.open && now.Sub(l.to) >= 2*l.window:
		l.window = firstWindow
	}
}

// lostDevice reports the loss of the device at once; how long it lasts is
// reported by absent and back.
func (l *loss) lostDevice(now telemetry.At) {
	l.due(now, true)
	l.synced, l.before = false, 0
	if !l.gone {
		l.gone, l.goneAt = true, now
	}
	l.absence(now)
}

// silence reports that a device which spoke says nothing any more, though its
// port is open: what it would have said is lost as if it were unplugged.
func (l *loss) silence(now telemetry.At) {
	switch {
	case l.gone:
		l.absent(now, false)
	case l.spoke:
		l.gone, l.goneAt = true, l.heard
		l.lostDevice(now)
	}
}

func (l *loss) absence(until telemetry.At) {
	l.until = until
	l.report(l.goneAt, until, telemetry.CountUnknown, telemetry.ReasonBusError)
}

// absent reports a loss of the device that lasts, again each lastWindow: a power
// cut leaves no later chance; when all is true, at once.
func (l *loss) absent(now telemetry.At, all bool) {
	if l.gone && (all || now.Sub(l.until) >= lastWindow) {
		l.absence(now)
	}
}

// back ends a loss of the device with the first good sentence.
func (l *loss) back(at telemetry.At) {
	if l.gone {
		l.gone = false
		l.absence(at)
	}
}
