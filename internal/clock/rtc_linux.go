package clock

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// rtcClass is where the kernel shows the machine's battery-backed clocks.
const rtcClass = "/sys/class/rtc"

// rtcAgrees reports whether one of the battery-backed clocks in dir shows about
// the time t. A unit without one, or with an empty battery, begins with what a
// file remembers of its last run.
func rtcAgrees(dir string, t time.Time) bool {
	clocks, _ := filepath.Glob(filepath.Join(dir, "*", "since_epoch"))
	for _, c := range clocks {
		text, err := os.ReadFile(c)
		if err != nil {
			continue
		}
		if s, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64); err == nil && t.Sub(time.Unix(s, 0)).Abs() < rtcAgreement {
			return true
		}
	}
	return false
}
