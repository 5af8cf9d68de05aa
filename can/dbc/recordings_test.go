package dbc_test

import (
	"bufio"
	"compress/gzip"
	"encoding/hex"
	"encoding/json"
	"io"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"obu/can/dbc"
	"obu/telemetry"
)

// recordings returns the folder of recordings, which are no part of the
// project, or skips the test.
func recordings(t testing.TB) string {
	t.Helper()
	dir := os.Getenv("OBU_RECORDINGS")
	if dir == "" {
		dir = "../../../shared/recordings"
	}
	if _, err := os.Stat(dir); err != nil {
		t.Skipf("skipped: no recordings (%v); set OBU_RECORDINGS", err)
	}
	return dir
}

// load parses and compiles a file.
func load(t testing.TB, path string) *dbc.Decoder {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	f, err := dbc.Parse(filepath.Base(path), data)
	if err != nil {
		t.Fatal(err)
	}
	return dbc.Compile(f)
}

// lines calls fn with each line of a JSONL file, plain or gzip.
func lines(t testing.TB, path string, into any, fn func()) {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	var r io.Reader = file
	if strings.HasSuffix(path, ".gz") {
		if r, err = gzip.NewReader(file); err != nil {
			t.Fatal(err)
		}
	}
	sc := bufio.NewScanner(r)
	sc.Buffer(nil, 1<<20)
	for sc.Scan() {
		if err := json.Unmarshal(sc.Bytes(), into); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		fn()
	}
	if sc.Err() != nil {
		t.Fatal(sc.Err())
	}
}

// near reports equality to 1e-9 relative, or to the nine decimals that the
// expectations print.
func near(got, want float64) bool {
	return math.Abs(got-want) <= math.Max(1e-9*math.Max(math.Abs(got), math.Abs(want)), 0.51e-9)
}

// TestRecordingsParse: every public database is read, and all of it but what
// its warnings name.
func TestRecordingsParse(t *testing.T) {
	dir := recordings(t)
	files, _ := filepath.Glob(filepath.Join(dir, "dbc", "*.dbc"))
	more, _ := filepath.Glob(filepath.Join(dir, "can", "*", "*.dbc"))
	messages, signals := 0, 0
	for _, path := range append(files, more...) {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		f, err := dbc.Parse(filepath.Base(path), data)
		if err != nil {
			t.Errorf("%v", err)
			continue
		}
		for _, w := range f.Warnings {
			t.Logf("warning: %v", w)
		}
		// The lines that begin with SG_, without those of VECTOR__INDEPENDENT.
		want := 0
		independent := false
		for line := range strings.Lines(string(data)) {
			line = strings.TrimSpace(line)
			if strings.HasPrefix(line, "BO_ ") {
				independent = strings.Contains(line, "VECTOR__INDEPENDENT_SIG_MSG")
			}
			if strings.HasPrefix(line, "SG_ ") && !independent {
				want++
			}
		}
		got := 0
		for _, m := range f.Messages {
			got += len(m.Signals)
		}
		if got+len(f.Warnings)+f.More < want || got > want {
			t.Errorf("%s: %d signals of %d, %d warnings", path, got, want, len(f.Warnings)+f.More)
		}
		messages, signals = messages+len(f.Messages), signals+got
	}
	t.Logf("%d files, %d messages, %d signals", len(files)+len(more), messages, signals)
}

// TestRecordingsVectors: payloads that two independent decoders agree on.
func TestRecordingsVectors(t *testing.T) {
	dir := recordings(t)
	files, _ := filepath.Glob(filepath.Join(dir, "dbc", "*.vectors.jsonl"))
	if len(files) == 0 {
		t.Skip("skipped: no dbc/*.vectors.jsonl")
	}
	frames, compared, wrong := 0, 0, 0
	for _, path := range files {
		d := load(t, strings.TrimSuffix(path, ".vectors.jsonl")+".dbc")
		var v struct {
			ID, Msg, Data string
			Ext           bool
			Signals       map[string]float64
		}
		lines(t, path, &v, func() {
			frames++
			id, _ := strconv.ParseUint(v.ID, 16, 32)
			data, _ := hex.DecodeString(v.Data)
			got := make(map[string]float64)
			d.Decode(uint32(id), v.Ext, data, func(s *dbc.Signal, _ int64, val telemetry.Value) {
				if val.Kind() != telemetry.KindNone {
					got[s.Telemetry.Name] = val.Float()
				}
			})
			for name, want := range v.Signals {
				compared++
				name = v.Msg + "." + name
				if x, ok := got[name]; !ok || !near(x, want) {
					if wrong++; wrong < 20 {
						t.Errorf("%s: %s#%s: %s is %v (there: %v), want %v", filepath.Base(path), v.ID, v.Data, name, x, ok, want)
					}
				}
				delete(got, name)
			}
			for name, x := range got {
				if wrong++; wrong < 20 {
					t.Errorf("%s: %s#%s: %s = %v, which nobody expects", filepath.Base(path), v.ID, v.Data, name, x)
				}
			}
			v.Signals = nil
		})
	}
	t.Logf("%d files, %d payloads, %d values compared, %d mismatches", len(files), frames, compared, wrong)
}
