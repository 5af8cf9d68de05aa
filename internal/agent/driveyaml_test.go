package agent_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"obu/internal/agent"
	"obu/internal/config"
)

func drive(t *testing.T, text string) (*agent.Drive, error) {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "drive.yaml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return agent.ReadDrive(dir)
}

// TestDriveMistakesAreShown: a mistake in drive.yaml is shown as one in the
// configuration: file, line, column, the line, and what it should look like.
func TestDriveMistakesAreShown(t *testing.T) {
	for text, want := range map[string]string{
		"start: yesterday\n":                      `drive.yaml:1:8: "yesterday" is no time`,
		"gps: {file: a}\nstart: 5\n":              `drive.yaml:2:8: "5" is no time`,
		"can:\n  - file: x\n    ofset: 5s\n":      "drive.yaml:3:5: unknown key \"ofset\"",
		"gps:\n  file: a.nmea\n  offset: soon\n":  `drive.yaml:3:11: "soon" is no duration`,
		"gps:\n  file: a.nmea\n  offset: 1500\n":  `drive.yaml:3:11: "1500" is no duration: it wants a number and its unit, 5s or 1500ms`,
		"can:\n  file: x\n":                       "drive.yaml:2:7: here stands a section, it wants a list",
		"gps: gps.nmea\n":                         "drive.yaml:1:6: here stands a single value, it wants a section",
		"vehicle: [a\n":                           "drive.yaml:1:10: ",
		"vehicle: {a: 1}\n":                       "drive.yaml:1:10: a value of another kind",
		"can:\n  - offset: 5s\n":                  "entry 1 of `can` names no file",
		"vehicle: a\nvehicle: b\n":                "drive.yaml:2:1: mapping key \"vehicle\" already defined",
		"\tcan: x\n":                              "drive.yaml:1:4: tab character",
		"vehicle: \"a\n":                          "drive.yaml:1:10: ",
		"dashcam: {dir: d, offset: 'five'}\nx: 1": `drive.yaml:1:28: "five" is no duration`,
	} {
		_, err := drive(t, text)
		var e config.Errors
		if !errors.As(err, &e) || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "cure: the file looks like this") ||
			strings.Contains(err.Error(), "Go ") {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
}

// TestDriveTimes: the ways to write a time and an offset, and what a section
// without a file means.
func TestDriveTimes(t *testing.T) {
	for text, want := range map[string]time.Time{
		"2026-05-04T06:00:00Z # common zero": time.Date(2026, 5, 4, 6, 0, 0, 0, time.UTC),
		"2026-05-04T08:00:00.5+02:00":        time.Date(2026, 5, 4, 6, 0, 0, 5e8, time.UTC),
		`"2026-05-04 06:00:00"`:              time.Date(2026, 5, 4, 6, 0, 0, 0, time.UTC),
		"2026-05-04":                         time.Date(2026, 5, 4, 0, 0, 0, 0, time.UTC),
	} {
		d, err := drive(t, "start: "+text+"\ngps: {offset: 1m2s} # behind\ndashcam: {offset: -5s}\n")
		if err != nil || !d.Start.Equal(want) || d.GPS.Offset != 62*time.Second || d.GPS.File != "gps.nmea" ||
			d.Dashcam.Dir != "dashcam" || d.Dashcam.Offset != -5*time.Second {
			t.Errorf("%s: %+v, %v", text, d, err)
		}
	}
}

// TestDriveIsAFolder: a file in place of the folder is told so.
func TestDriveIsAFolder(t *testing.T) {
	path := filepath.Join(t.TempDir(), "can0.log")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := agent.ReadDrive(path); !errors.Is(err, agent.ErrFile) || !strings.HasSuffix(err.Error(), "is a file: name the folder it lies in, "+filepath.Dir(path)) {
		t.Errorf("a file: %v", err)
	}
}
