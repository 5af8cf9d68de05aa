package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"
)

// screen prints the demo, one calm line after the other; colours only on a
// terminal. It may be used from several goroutines.
type screen struct {
	mu      sync.Mutex
	w       io.Writer
	colours bool
	start   time.Time
}

func newScreen(w io.Writer) *screen {
	f, ok := w.(*os.File)
	st, err := func() (os.FileInfo, error) {
		if !ok {
			return nil, os.ErrInvalid
		}
		return f.Stat()
	}()
	terminal := err == nil && st.Mode()&os.ModeCharDevice != 0
	return &screen{w: w, colours: terminal && os.Getenv("NO_COLOR") == "", start: time.Now()}
}

// Colours of the lines.
const (
	plain  = ""
	bold   = "1"
	dim    = "2"
	green  = "32"
	yellow = "33"
	red    = "31"
)

func (s *screen) paint(colour, text string) string {
	if !s.colours || colour == plain {
		return text
	}
	return "\x1b[" + colour + "m" + text + "\x1b[0m"
}

// line prints one line with the time since the start in front.
func (s *screen) line(colour, format string, a ...any) {
	since := time.Since(s.start).Truncate(time.Second)
	text := fmt.Sprintf(format, a...)
	s.text(plain, "%s  %s", s.paint(dim, fmt.Sprintf("%02d:%02d", int(since.Minutes()), int(since.Seconds())%60)), s.paint(colour, text))
}

// text prints a line as it is.
func (s *screen) text(colour, format string, a ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	fmt.Fprintln(s.w, s.paint(colour, strings.TrimRight(fmt.Sprintf(format, a...), " ")))
}
