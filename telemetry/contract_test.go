package telemetry_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"obu/telemetry"
)

var fenced = regexp.MustCompile("(?ms)^```(\\w+) (\\w+)\n(.*?)^```")

// TestContractExamples parses every example of CONTRACT.md and writes it
// again: the same comes out.
func TestContractExamples(t *testing.T) {
	text, err := os.ReadFile("CONTRACT.md")
	if err != nil {
		t.Fatal(err)
	}
	seen := make(map[string]int)
	for _, m := range fenced.FindAllStringSubmatch(string(text), -1) {
		kind, example := m[1]+" "+m[2], strings.TrimSpace(m[3])
		seen[kind]++
		switch kind {
		case "hex envelope":
			checkHex(t, example)
		case "json envelope":
			e, err := telemetry.DecodeEnvelope([]byte(example))
			if err != nil {
				t.Errorf("%v in %s", err, example)
				continue
			}
			again, err := telemetry.EncodeEnvelopeJSON(&e)
			same(t, example, again, err)
		case "json birth":
			v, err := telemetry.DecodeBirth([]byte(example))
			sameJSON(t, example, v, err)
		case "json link":
			v, err := telemetry.DecodeLink([]byte(example))
			sameJSON(t, example, v, err)
		case "json cmd":
			v, err := telemetry.DecodeCommand([]byte(example))
			sameJSON(t, example, v, err)
		case "json reply":
			v, err := telemetry.DecodeReply([]byte(example))
			sameJSON(t, example, v, err)
		case "json ack":
			v, err := telemetry.DecodeReceipt([]byte(example))
			sameJSON(t, example, v, err)
		case "json tail":
			checkTail(t, example)
		default:
			if !json.Valid([]byte(example)) {
				t.Errorf("example of %s is no JSON: %s", kind, example)
			}
		}
	}
	for _, kind := range []string{"hex envelope", "json envelope", "json birth", "json link", "json cmd", "json reply", "json ack", "json tail", "json status", "json check"} {
		if seen[kind] == 0 {
			t.Errorf("CONTRACT.md shows no example of %s", kind)
		}
	}
}

func sameJSON(t *testing.T, example string, v any, err error) {
	t.Helper()
	if err != nil {
		t.Errorf("%v in %s", err, example)
		return
	}
	again, err := json.Marshal(v)
	same(t, example, again, err)
}

func same(t *testing.T, example string, again []byte, err error) {
	t.Helper()
	if err != nil || string(again) != example {
		t.Errorf("example\n%s\nis written as\n%s (%v)", example, again, err)
	}
}

// checkHex joins the hexadecimal words that begin each line.
func checkHex(t *testing.T, example string) {
	t.Helper()
	var digits strings.Builder
	for line := range strings.Lines(example) {
		for _, word := range strings.Fields(strings.SplitN(strings.TrimLeft(line, " "), "  ", 2)[0]) {
			digits.WriteString(word)
		}
	}
	p, err := hex.DecodeString(digits.String())
	if err != nil {
		t.Fatal(err)
	}
	golden, err := os.ReadFile(filepath.Join("testdata", "v1", "tiny.pb"))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(p, golden) {
		t.Errorf("the worked example is\n%x, want\n%x", p, golden)
	}
}

// checkTail makes the line of the first sample of a golden envelope.
func checkTail(t *testing.T, example string) {
	t.Helper()
	e := goldens()["small"]
	anchor := goldens()["event"].Batches[0].Anchors[0]
	lines, err := telemetry.AppendLines(nil, &e, func(_ telemetry.BootID, at telemetry.At) time.Time {
		return anchor.Wall.Add(at.Sub(anchor.At)).Truncate(time.Millisecond)
	})
	first, _, _ := strings.Cut(string(lines), "\n")
	same(t, example, []byte(first), err)
	for line := range bytes.Lines(lines) {
		if !json.Valid(line) {
			t.Errorf("no JSON: %s", line)
		}
	}
}

// TestControlRefuses: each control message with what makes it useless.
func TestControlRefuses(t *testing.T) {
	big := `{"id":"` + strings.Repeat("x", telemetry.MaxControl) + `"}`
	for _, tt := range []struct {
		name   string
		decode func([]byte) error
		bad    []string
	}{
		{"birth", errOf(telemetry.DecodeBirth), []string{``, `{}`, `[]`, `{"format":0}`, big}},
		{"link", errOf(telemetry.DecodeLink), []string{``, `{}`, `{"state":"asleep"}`, `{"state":"online"} x`, big}},
		{"cmd", errOf(telemetry.DecodeCommand), []string{`{"name":"ping","not_after":"2026-05-04T03:10:00Z"}`, `{"id":"1","name":"ping"}`,
			`{"id":"1","not_after":"2026-05-04T03:10:00Z"}`, `{"id":"1","name":"ping","not_after":"tomorrow"}`, big,
			`{"id":"` + strings.Repeat("x", 65) + `","name":"ping","not_after":"2026-05-04T03:10:00Z"}`}},
		{"reply", errOf(telemetry.DecodeReply), []string{`{}`, `null`, big}},
		{"ack", errOf(telemetry.DecodeReceipt), []string{`{}`, `{"store":"a1b2c3d4e5f60718","class":"video","seq":1}`, `{"store":"a1","class":"media","seq":1}`,
			`{"store":"a1b2c3d4e5f60718","class":"media","seq":-1}`, big}},
	} {
		for _, p := range tt.bad {
			if err := tt.decode([]byte(p)); err == nil {
				t.Errorf("%s accepted: %.80s", tt.name, p)
			}
		}
	}
}

func errOf[T any](decode func([]byte) (T, error)) func([]byte) error {
	return func(p []byte) error {
		_, err := decode(p)
		return err
	}
}
