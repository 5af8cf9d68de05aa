package gps_test

import (
	"bufio"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"obu/gps"
	"obu/telemetry"
)

// recordings returns the folder of real recordings, or skips the test.
func recordings(t testing.TB) string {
	t.Helper()
	dir := os.Getenv("OBU_RECORDINGS")
	if dir == "" {
		root, err := os.Getwd()
		if err != nil {
			t.Fatal(err)
		}
		for {
			if _, err := os.Stat(filepath.Join(root, "go.mod")); err == nil {
				break
			}
			if filepath.Dir(root) == root {
				t.Fatal("no go.mod above the package")
			}
			root = filepath.Dir(root)
		}
		dir = filepath.Join(root, "..", "shared", "recordings")
	}
	dir = filepath.Join(dir, "nmea")
	if _, err := os.Stat(dir); err != nil {
		t.Skipf("no recordings at %s: set OBU_RECORDINGS to compare with real receivers", dir)
	}
	return dir
}

// decodeFile decodes one recording.
func decodeFile(t testing.TB, path string) ([]telemetry.Fix, gps.Stats) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var fixes []telemetry.Fix
	stats, err := gps.Decode(f, func(f telemetry.Fix) { fixes = append(fixes, f) })
	if err != nil {
		t.Fatal(err)
	}
	return fixes, stats
}

// readJSONL reads one JSON object a line.
func readJSONL[T any](t testing.TB, path string) []T {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var out []T
	sc := bufio.NewScanner(f)
	sc.Buffer(nil, 1<<20)
	for sc.Scan() {
		var v T
		if err := json.Unmarshal(sc.Bytes(), &v); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		out = append(out, v)
	}
	return out
}
