package buffer

import "obu/telemetry"

// stamp notes from when on data may be missing, should this be the last state.
func (b *Buffer) stamp(s *state, c cut) {
	s.flushAt, s.flushWall, s.boot = c.at, c.wall, b.opts.Boot
	b.mu.Lock()
	s.window = b.opts.FlushEvery + b.stats.slowest
	b.mu.Unlock()
}

// steadyAfter is how many Commits in a row have to store something until it
// counts as certain that the next one will. A unit that pauses now and then
// otherwise writes once more each time.
const steadyAfter = 10

// Holding says that the caller, after the next Commit, may still have data in
// memory that is as old as at. It is called before the entries of that Commit
// are collected, and holds until it is called again.
func (b *Buffer) Holding(at telemetry.At) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.holding = at
}

// mayLose notes which data is lost should this be the last state, beside that of
// the next flush: what the caller holds back, and all until its next Commit that
// stores anything.
func (b *Buffer) mayLose(s *state) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if older := s.flushAt.Sub(b.holding); b.holding != 0 && older > 0 {
		s.flushAt, s.window = b.holding, s.window+older
	}
	if b.wide = b.steady < steadyAfter; b.wide {
		s.window += b.opts.Quiet
	}
}
