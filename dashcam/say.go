package dashcam

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"time"
)

// maxNamed is how many files are named per complaint and Rescan; a card of
// thousands that all have the same fault must not fill the journal.
const maxNamed = 5

// complaint is what is said of files for one reason.
type complaint struct {
	began   time.Time // of the Rescan in which named counts
	named   int
	more    int       // files since the last summary that were not named
	summed  time.Time // the last summary
	level   slog.Level
	lastOne string
}

// say logs what is wrong with one file (key says what path is), by name for the first maxNamed with the
// same text in a Rescan; sum counts the others.
func (s *Source) say(level slog.Level, key, path, text string, args ...any) {
	c, now := s.said[text], time.Now()
	if c == nil {
		c = &complaint{level: level}
		s.said[text] = c
	}
	if c.named == 0 || now.Sub(c.began) >= s.cfg.Rescan {
		c.began, c.named = now, 0
	}
	if c.named == maxNamed {
		c.more++
		c.lastOne = path
		return
	}
	c.named++
	s.log.Log(context.Background(), level, text, append([]any{key, path}, args...)...)
}

// sum says how many files were not named, once per Rescan.
func (s *Source) sum() {
	now := time.Now()
	for _, text := range slices.Sorted(maps.Keys(s.said)) {
		c := s.said[text]
		if c.more == 0 || !c.summed.IsZero() && now.Sub(c.summed) < s.cfg.Rescan {
			continue
		}
		s.log.Log(context.Background(), c.level, text, "more_files", c.more, "last", c.lastOne)
		c.more, c.summed = 0, now
	}
}
