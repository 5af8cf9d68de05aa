package config_test

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"

	"obu/internal/config"
)

// judged holds a value as YAML has it against a schema, in so many words of JSON
// Schema as ours uses; it fails on others. It returns what does not fit.
func judged(t *testing.T, s map[string]any, path string, v any) (wrong []string) {
	t.Helper()
	say := func(format string, args ...any) { wrong = append(wrong, path+": "+fmt.Sprintf(format, args...)) }
	kind := kindOf(v)
	for word, want := range s {
		switch word {
		case "$schema", "title", "description", "default", "additionalProperties":
		case "type":
			kinds, ok := want.([]any)
			if !ok {
				kinds = []any{want}
			}
			if !slices.Contains(kinds, any(kind)) && !(kind == "integer" && slices.Contains(kinds, any("number"))) {
				say("is of type %s, not %v", kind, want)
			}
		case "enum":
			if !slices.ContainsFunc(want.([]any), func(x any) bool {
				return fmt.Sprint(x) == fmt.Sprint(v) && (kindOf(x) == "string") == (kind == "string")
			}) {
				say("%v is none of %v", v, want)
			}
		case "pattern":
			if text, ok := v.(string); ok && !regexp.MustCompile(want.(string)).MatchString(text) {
				say("%q does not look like %v", text, want)
			}
		case "minimum", "maximum":
			if n, ok := number(v); ok && n != want.(float64) && (n < want.(float64)) == (word == "minimum") {
				say("%v is beyond %v", v, want)
			}
		case "anyOf":
			if !slices.ContainsFunc(want.([]any), func(x any) bool { return len(judged(t, x.(map[string]any), path, v)) == 0 }) {
				say("%v fits none of %v", v, want)
			}
		case "required":
			for _, key := range want.([]any) {
				if m, ok := v.(map[string]any); ok && m[key.(string)] == nil {
					say("there is no %v", key)
				}
			}
		case "items":
			list, _ := v.([]any)
			for i, x := range list {
				wrong = append(wrong, judged(t, want.(map[string]any), fmt.Sprintf("%s.%d", path, i), x)...)
			}
		case "properties":
			m, _ := v.(map[string]any)
			for key, x := range m {
				if p, ok := want.(map[string]any)[key]; ok {
					wrong = append(wrong, judged(t, p.(map[string]any), path+"."+key, x)...)
				} else if s["additionalProperties"] == false {
					say("does not know %s", key)
				}
			}
		default:
			t.Fatalf("the schema uses %s", word)
		}
	}
	return wrong
}

func number(v any) (float64, bool) {
	switch r := reflect.ValueOf(v); {
	case v == nil:
	case r.CanInt():
		return float64(r.Int()), true
	case r.CanUint():
		return float64(r.Uint()), true
	case r.CanFloat():
		return r.Float(), true
	}
	return 0, false
}

func kindOf(v any) string {
	if n, ok := number(v); ok {
		if n == math.Trunc(n) && !reflect.ValueOf(v).CanFloat() {
			return "integer"
		}
		return "number"
	}
	switch v.(type) {
	case nil:
		return "null"
	case bool:
		return "boolean"
	case []any:
		return "array"
	case map[string]any:
		return "object"
	}
	return "string"
}

// bySchema says what of a text the schema refuses.
func bySchema(t *testing.T, text string) []string {
	t.Helper()
	var s map[string]any
	if err := json.Unmarshal([]byte(config.Schema()), &s); err != nil {
		t.Fatal(err)
	}
	var v any
	if err := yaml.Unmarshal([]byte(text), &v); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return judged(t, s, "", v)
}

// everything is the example with all that it shows switched on.
func everything() string {
	var out []string
	for line := range strings.SplitSeq(config.Example(), "\n") {
		body := strings.TrimLeft(line, " ")
		if strings.HasPrefix(body, "#") && !strings.HasPrefix(body, "# ") && body != "#" {
			line = line[:len(line)-len(body)] + body[1:]
		}
		out = append(out, line)
	}
	return strings.Join(out, "\n")
}

// TestSchemaTakesWhatLoads: no editor marks what obu reads.
func TestSchemaTakesWhatLoads(t *testing.T) {
	texts := map[string]string{"example": config.Example(), "everything": everything(), "a part": "uplink:\n  live_every: 10s\ngps:\n", "nothing set": "unit: u\ncan:\n  - device: can0\n    obd:\nvehicle: null\n",
		"words and numbers": `unit: 007
vehicle: no
can:
  - device: can0
    bitrate: "500000"
    obd: {enabled: "true", pids: [0C, 05, {pid: 0D, period: 1m30s}], max_requests_per_second: "10"}
    uds: [{name: bms, request: 7E4, dids: [{did: 0101, signals: [{name: a, scale: 0.5, offset: -40}]}]}]
    j1939: true
trips: true
motion: {enabled: true, speed_limit: 80 mph, braking: 0.4g}
signals: [{path: Engine.*, curvelog: {max_error: 1e-3}}]
gps: {device: auto, baud: auto, curvelog: {max_error: 3 m, max_time: 2.5s}}
buffer: {telemetry_quota: 0.5GiB}
uplink: {broker: "${BROKER}", history_rate: unlimited, live_every: "${EVERY}"}
`}
	env := map[string]string{"OBU_PASSWORD": "x", "BROKER": "mqtt://h", "EVERY": "5s"}
	for _, m := range mistakes(t) {
		if !strings.Contains(m.text, "\t") && !strings.Contains(m.text, `\x`) {
			if _, err := config.Parse("obu.yaml", []byte(m.text), func(name string) (string, bool) { v, ok := env[name]; return v, ok }); err == nil {
				texts[m.name] = m.text
			}
		}
	}
	files, err := filepath.Glob("../../packaging/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		raw, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		texts[f] = string(raw)
	}
	for name, text := range texts {
		if name == "words and numbers" || name == "example" {
			if _, err := config.Parse("obu.yaml", []byte(text), func(name string) (string, bool) { v, ok := env[name]; return v, ok }); err != nil {
				t.Errorf("%s does not load: %v", name, err)
			}
		}
		if wrong := bySchema(t, text); len(wrong) > 0 {
			t.Errorf("%s:\n%s", name, strings.Join(wrong, "\n"))
		}
	}
}

// TestSchemaRefuses what an editor can see.
func TestSchemaRefuses(t *testing.T) {
	for text, want := range map[string]string{
		"unti: u":                                           "does not know unti",
		"buffer: {dirr: /x}":                                ".buffer: does not know dirr",
		"can: [{bitrate: 500000}]":                          ".can.0: there is no device",
		"can: [{device: can0, bitrate: 500001}]":            "500001 fits none of",
		"can: [{device: can0, obd: {addressing: 12bit}}]":   "12bit fits none of",
		"buffer: {flush_every: 1}":                          ".buffer.flush_every: is of type integer",
		"buffer: {flush_every: 1 day}":                      `"1 day" does not look like`,
		"buffer: {telemetry_quota: 512M}":                   `"512M" does not look like`,
		"gps: [{device: auto}]":                             ".gps: is of type array",
		"can: {device: can0}":                               ".can: is of type object",
		"trips: maybe":                                      ".trips: is of type string",
		"gps: {device: auto, private: yess}":                `"yess" does not look like`,
		"can: [{device: can0, obd: {pids_per_request: 7}}]": "7 is beyond 6",
		"log: {level: loud}":                                "loud fits none of",
	} {
		if wrong := strings.Join(bySchema(t, text), "\n"); !strings.Contains(wrong, want) {
			t.Errorf("%s: want %q, got %q", text, want, wrong)
		}
	}
}

// TestSchemaExplainsEachSetting: an editor shows what the example says, beside
// the default and the bounds.
func TestSchemaExplainsEachSetting(t *testing.T) {
	var root map[string]any
	if err := json.Unmarshal([]byte(config.Schema()), &root); err != nil {
		t.Fatal(err)
	}
	n, silent := 0, 0 // settings, and those that share the words of the one before
	var walk func(path string, s map[string]any)
	walk = func(path string, s map[string]any) {
		if items, ok := s["items"].(map[string]any); ok {
			s = items
		}
		p, _ := s["properties"].(map[string]any)
		for key, v := range p {
			v := v.(map[string]any)
			if n++; v["description"] == nil {
				silent++
				t.Logf("%s.%s is not explained", path, key)
			}
			walk(path+"."+key, v)
		}
	}
	walk("", root)
	if n < 100 || silent > n/10 {
		t.Errorf("%d settings, %d not explained", n, silent)
	}
	flush := root["properties"].(map[string]any)["buffer"].(map[string]any)["properties"].(map[string]any)["flush_every"].(map[string]any)
	if text := fmt.Sprint(flush["description"]); !strings.Contains(text, "(use 100ms to 1m)") || flush["default"] != "1s" {
		t.Errorf("%v", flush)
	}
}
