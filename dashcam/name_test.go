package dashcam_test

import (
	"strings"
	"testing"
	"time"

	"obu/dashcam"
)

func TestParseName(t *testing.T) {
	for _, c := range []struct{ path, start, cause string }{
		{"Record/20181029_131513_NF.mp4", "2018-10-29 13:15:13", "normal"}, // BlackVue
		{"20181029_131513_ER.mp4", "2018-10-29 13:15:13", "event"},
		{"20181029_131513_PF.mp4", "2018-10-29 13:15:13", "parking"},
		{"20181029_131513_MIL.mp4", "2018-10-29 13:15:13", "manual"},
		{"20181029_131513_IF.mp4", "2018-10-29 13:15:13", "event"},
		{"20181029_131513_NF.cut150000.mp4", "2018-10-29 13:15:13", "normal"},
		{"NO20191130-120156-000121.MP4", "2019-11-30 12:01:56", "normal"}, // 70mai
		{"Event/Front/EV20191130-121056-000130.MP4", "2019-11-30 12:10:56", "event"},
		{"PA20191130-121656-000136.MP4", "2019-11-30 12:16:56", "parking"},
		{"Parking/NO20191130-121656-000136.MP4", "2019-11-30 12:16:56", "normal"},
		{"Event/ZZ20191130-123256-000152.MP4", "2019-11-30 12:32:56", "event"},
		{"RecentClips/2021-03-04_05-06-07-front.mp4", "2021-03-04 05:06:07", "normal"}, // Tesla
		{"SavedClips/2021-03-04_05-07-00/2021-03-04_05-06-07-left_repeater.mp4", "2021-03-04 05:06:07", "manual"},
		{"SentryClips/2021-03-04_05-07-00/2021-03-04_05-06-07-back.mp4", "2021-03-04 05:06:07", "parking"},
		{"2023_0612_143022_0001F.MP4", "2023-06-12 14:30:22", "normal"}, // Viofo
		{"20230612143022_000123PF.MP4", "2023-06-12 14:30:22", "parking"},
		{"Movie/RO/20230612143022_000123F.MP4", "2023-06-12 14:30:22", "event"},
		{"GRMN0001.MP4", "", "normal"},
		{"20230231_120000_NF.mp4", "", "normal"}, // no such day
		{"20230612_240000_NF.mp4", "", "normal"},
		{"920230612_1200001.mp4", "", "normal"},
		{"", "", "normal"},
	} {
		n := dashcam.ParseName(c.path)
		start := ""
		if !n.Start.IsZero() {
			start = n.Start.Format(time.DateTime)
		}
		if start != c.start || n.Cause != c.cause || !strings.HasSuffix(c.path, n.File) {
			t.Errorf("%s: %s, %s, %s", c.path, n.File, start, n.Cause)
		}
	}
}

// FuzzParseName: every path has a cause and a file, and a start that the
// digits of the name say.
func FuzzParseName(f *testing.F) {
	for _, s := range []string{"20181029_131513_NF.mp4", "NO20191130-120156-000121.MP4", "SavedClips/x/2021-03-04_05-06-07-front.mp4",
		"2023_0612_143022_0001F.MP4", "20230612143022_000123PF.MP4", "", "/", "\xff\xfe", "99999999_999999"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, path string) {
		n := dashcam.ParseName(path)
		switch n.Cause {
		case dashcam.CauseNormal, dashcam.CauseEvent, dashcam.CauseParking, dashcam.CauseManual:
		default:
			t.Fatalf("cause %q", n.Cause)
		}
		if strings.Contains(n.File, "/") || !strings.HasSuffix(path, n.File) {
			t.Fatalf("file %q of %q", n.File, path)
		}
		if n.Start.IsZero() {
			return
		}
		digits := strings.Map(func(r rune) rune {
			if r < '0' || r > '9' {
				return -1
			}
			return r
		}, n.File)
		if !strings.Contains(digits, n.Start.Format("20060102150405")) {
			t.Fatalf("start %v of %q", n.Start, n.File)
		}
	})
}
