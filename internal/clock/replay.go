package clock

import (
	"container/heap"
	"sync"
	"time"

	"obu/telemetry"
)

// replay is a conservative simulation: recorded time moves only when every
// joined sleeper sleeps, and then to the earliest of them, which alone is
// woken; sleepers of the same time wake in the order they joined. So at most
// one sleeper runs at a time and the order of events is the recording's,
// whatever the machine does. With a speed, real time has to have passed as
// well; when the sleepers are slower than that, recorded time lags and order
// still holds. Without a source, when only followers are joined, recorded time
// goes no faster than real time.
type replay struct {
	speed float64 // 0: as fast as possible

	mu      sync.Mutex
	wanted  int          // sleepers to wait for; -1 before Start
	running bool         // Start was called and enough have joined
	origin  time.Time    // real time at which recorded time was base
	base    telemetry.At // set anew when the pace changes
	reached telemetry.At
	joins   int // ever
	joined  int // now
	sources int // of those joined: not followers
	queue   sleepQueue
	timer   *time.Timer
}

func newReplay(speed float64) *replay {
	if !(speed > 0) {
		speed = 0
	}
	return &replay{speed: speed, wanted: -1}
}

func (r *replay) start(n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.wanted = max(n, 0)
	r.begin()
}

// begin starts time when enough sleepers have joined. Call with mu held.
func (r *replay) begin() {
	if r.running || r.wanted < 0 || r.joins < r.wanted {
		return
	}
	r.running = true
	r.rebase()
	r.advance()
}

// pace is how many seconds of recorded time a second of real time allows; 0
// means any number.
func (r *replay) pace() float64 {
	if r.sources == 0 && (r.speed == 0 || r.speed > 1) {
		return 1
	}
	return r.speed
}

// rebase makes a change of pace count from now on. Call with mu held, before
// the change.
func (r *replay) rebase() {
	r.base, r.origin = r.clock(), time.Now()
}

func (r *replay) now() telemetry.At {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.clock()
}

// clock returns the recorded time. As fast as possible it moves with the
// sleepers alone. Call with mu held.
func (r *replay) clock() telemetry.At {
	if !r.running || r.speed == 0 || r.origin.IsZero() {
		return r.reached
	}
	t := r.scaled()
	if len(r.queue) > 0 { // never past somebody who has not been woken for it
		t = min(t, r.queue[0].at)
	}
	r.reached = max(r.reached, t)
	return r.reached
}

// scaled returns the recorded time that real time allows.
func (r *replay) scaled() telemetry.At {
	return r.base.Add(time.Duration(float64(time.Since(r.origin)) * r.pace()))
}

// due returns how long, in real time, at is still ahead; 0 when it may happen.
func (r *replay) due(at telemetry.At) time.Duration {
	pace := r.pace()
	if pace == 0 || at <= r.reached {
		return 0
	}
	ahead := at - r.scaled()
	if ahead <= 0 {
		return 0
	}
	const longest = float64(365 * 24 * time.Hour)               // one timer; it looks again then
	return time.Duration(min(float64(ahead)/pace, longest)) + 1 // never a truncated nanosecond early
}

// advance wakes the earliest sleeper if everybody sleeps and its time has
// come. Call with mu held.
func (r *replay) advance() {
	if !r.running || len(r.queue) == 0 || len(r.queue) < r.joined {
		return
	}
	s := r.queue[0]
	if d := r.due(s.at); d > 0 {
		r.arm(d)
		return
	}
	heap.Pop(&r.queue)
	r.reached = max(r.reached, s.at)
	s.inTurn = true
	s.wake <- struct{}{}
}

// arm has advance called again after d. A timer that fires early or twice
// finds nothing due and does no harm. Call with mu held.
func (r *replay) arm(d time.Duration) {
	if r.timer == nil {
		r.timer = time.AfterFunc(d, func() {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.advance()
		})
		return
	}
	r.timer.Reset(d)
}

func (r *replay) join(s *Sleeper) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s.order = r.joins
	r.joins++
	r.joined++
	if !s.follows {
		if r.running && r.sources == 0 {
			r.rebase()
		}
		r.sources++
	}
	r.begin()
}

// leave ends the participation of s, awake or asleep. Call with mu held.
func (r *replay) leave(s *Sleeper) {
	r.remove(s)
	r.joined--
	if !s.follows {
		if r.running && r.sources == 1 {
			r.rebase()
		}
		r.sources--
	}
	r.advance()
}

// enqueue puts s to sleep until at, or reports false when it need not sleep:
// at is not ahead, or s is the only one awake and nobody else comes first. The
// first sleep always waits its turn: until then newcomers run side by side.
// Call with mu held.
func (r *replay) enqueue(s *Sleeper, at telemetry.At) bool {
	s.at = at
	if r.running && s.inTurn {
		if at <= r.reached {
			return false
		}
		alone := len(r.queue) == r.joined-1
		first := len(r.queue) == 0 || s.before(r.queue[0])
		if alone && first && r.due(at) == 0 {
			r.reached = at
			return false
		}
	}
	heap.Push(&r.queue, s)
	r.advance()
	return true
}

// remove takes a sleeping s out of the queue and reports whether it was there.
// Call with mu held.
func (r *replay) remove(s *Sleeper) bool {
	if s.index < 0 {
		return false
	}
	heap.Remove(&r.queue, s.index)
	return true
}

// sleepQueue is a heap of sleepers by time, then by order of joining. A
// sleeper outside of it has index -1.
type sleepQueue []*Sleeper

func (q sleepQueue) Len() int           { return len(q) }
func (q sleepQueue) Less(i, j int) bool { return q[i].before(q[j]) }
func (q sleepQueue) Swap(i, j int) {
	q[i], q[j] = q[j], q[i]
	q[i].index, q[j].index = i, j
}

func (q *sleepQueue) Push(x any) {
	s := x.(*Sleeper)
	s.index = len(*q)
	*q = append(*q, s)
}

func (q *sleepQueue) Pop() any {
	old := *q
	s := old[len(old)-1]
	old[len(old)-1] = nil
	*q = old[:len(old)-1]
	s.index = -1
	return s
}
