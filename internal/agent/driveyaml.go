package agent

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/goccy/go-yaml"

	"obu/internal/config"
)

// driveShape is the cure of every mistake in drive.yaml: all of its keys.
const driveShape = `the file looks like this; every line may be left out:
    start: 2026-05-04T06:00:00Z
    vehicle: van-17
    can:
      - {file: can0.log.gz, interface: can0, offset: 500ms}
    gps: {file: gps.nmea, offset: 1s}
    dashcam: {dir: dashcam, camera: front, offset: 5s}`

// badWord is a value of drive.yaml that is none.
type badWord struct{ word, problem string }

func (b badWord) Error() string { return b.problem }

// driveTimes are the ways to write start, in UTC unless it says otherwise.
var driveTimes = [...]string{time.RFC3339, "2006-01-02 15:04:05Z07:00", "2006-01-02T15:04:05", "2006-01-02 15:04:05", "2006-01-02"}

func parseDriveTime(t *time.Time, raw []byte) error {
	word := plainWord(raw)
	for _, layout := range driveTimes {
		if v, err := time.Parse(layout, word); err == nil {
			*t = v
			return nil
		}
	}
	return badWord{word, fmt.Sprintf("%q is no time", word)}
}

func parseDriveOffset(d *time.Duration, raw []byte) error {
	word := plainWord(raw)
	v, err := time.ParseDuration(word)
	if err != nil {
		return badWord{word, fmt.Sprintf("%q is no duration: it wants a number and its unit, 5s or 1500ms", word)}
	}
	*d = v
	return nil
}

// plainWord is a value without quotes and what stands behind it.
func plainWord(raw []byte) string {
	word, _, _ := strings.Cut(string(raw), " #")
	return strings.Trim(strings.TrimSpace(word), `"'`)
}

// parseDrive reads drive.yaml; a mistake is a config.Errors.
func parseDrive(path string, text []byte, d *Drive) error {
	err := yaml.NewDecoder(bytes.NewReader(text), yaml.Strict(), yaml.CustomUnmarshaler(parseDriveTime), yaml.CustomUnmarshaler(parseDriveOffset)).Decode(d)
	if errors.Is(err, io.EOF) {
		return nil
	}
	if err != nil {
		return config.Errors{driveMistake(path, string(text), err)}
	}
	for i, c := range d.CAN {
		if c.File == "" {
			return config.Errors{{File: path, Problem: fmt.Sprintf("entry %d of `can` names no file", i+1), Cure: driveShape}}
		}
	}
	return nil
}

// driveMistake says where drive.yaml is wrong, as the configuration does.
func driveMistake(path, text string, err error) *config.Error {
	m := &config.Error{File: path, Problem: err.Error(), Cure: driveShape}
	lines := strings.Split(text, "\n")
	var bad badWord
	var at yaml.Error
	switch {
	case errors.As(err, &bad):
		m.Problem = bad.problem
		for i, line := range lines {
			if col := strings.Index(line, bad.word); col >= 0 && strings.Contains(line, ":") {
				m.Line, m.Column = i+1, col+1
				break
			}
		}
	case errors.As(err, &at):
		m.Problem = driveProblem(at)
		if t := at.GetToken(); t != nil && t.Position != nil {
			m.Line, m.Column = t.Position.Line, t.Position.Column
		}
	}
	if m.Line > 0 && m.Line <= len(lines) {
		m.Text = lines[m.Line-1]
	} else {
		m.Line, m.Column = 0, 0
	}
	return m
}

// driveProblem says what the decoder found, in words of the file.
func driveProblem(err yaml.Error) string {
	var unknown *yaml.UnknownFieldError
	var node *yaml.UnexpectedNodeTypeError
	var typ *yaml.TypeError
	switch {
	case errors.As(err, &unknown):
		return strings.Replace(unknown.Message, "unknown field", "unknown key", 1)
	case errors.As(err, &node):
		return fmt.Sprintf("here stands %s, it wants %s", yamlWord(node.Actual.YAMLName()), yamlWord(node.Expected.YAMLName()))
	case errors.As(err, &typ):
		return "a value of another kind belongs here"
	}
	return err.GetMessage()
}

func yamlWord(kind string) string {
	switch kind {
	case "mapping":
		return "a section"
	case "sequence":
		return "a list"
	}
	return "a single value"
}
