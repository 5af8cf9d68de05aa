package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"obu/internal/agent"
	"obu/internal/config"
)

func readme(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestReadmeConfigurations: what README shows as YAML is read as what it is.
func TestReadmeConfigurations(t *testing.T) {
	blocks := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(readme(t), -1)
	var units, drives int
	for _, b := range blocks {
		if strings.Contains(b[1], "unit:") {
			units++
			if _, err := config.Parse("README.md", []byte(b[1]), func(string) (string, bool) { return "", false }); err != nil {
				t.Errorf("configuration in README: %v", err)
			}
			continue
		}
		drives++
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "drive.yaml"), []byte(b[1]), 0o600); err != nil {
			t.Fatal(err)
		}
		d, err := agent.ReadDrive(dir)
		if err != nil {
			t.Errorf("drive.yaml in README: %v", err)
		} else if len(d.CAN) != 1 || d.GPS == nil || d.Dashcam == nil || d.Start.IsZero() || d.GPS.Offset == 0 {
			t.Errorf("drive.yaml in README was read as %+v", d)
		}
	}
	if units != 1 || drives != 1 {
		t.Errorf("README shows %d configurations and %d drives", units, drives)
	}
}

// TestReadmeCommands: every command that README names and every make target
// that README and docs name exist.
func TestReadmeCommands(t *testing.T) {
	text := readme(t)
	pages := text
	docs, err := filepath.Glob(filepath.Join("..", "..", "docs", "*.md"))
	if err != nil || len(docs) == 0 {
		t.Fatal("no docs", err)
	}
	for _, page := range docs {
		b, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		pages += "\n" + string(b)
	}
	makefile, err := os.ReadFile(filepath.Join("..", "..", "Makefile"))
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile("(?m)(?:`|^ *)make ([a-z]+)").FindAllStringSubmatch(pages, -1) {
		if !regexp.MustCompile(`(?m)^` + m[1] + `:`).Match(makefile) {
			t.Errorf("README or docs name make %s, which the Makefile does not have", m[1])
		}
	}
	found := 0
	for _, m := range regexp.MustCompile("(?m)(?:`|^)obu ([a-z]+)(?: ([a-z]+))?").FindAllStringSubmatch(text, -1) {
		found++
		at := newRoot()
		for _, word := range m[1:] {
			for _, s := range at.subs {
				if s.name() == word {
					at = s
					break
				}
			}
		}
		if at.name() == "obu" {
			t.Errorf("README names obu %s, which there is not", m[1])
		}
	}
	if found < 10 {
		t.Errorf("only %d commands found in README", found)
	}
	if strings.Contains(text, "FIGURES_") {
		t.Error("a figure is missing in README")
	}
}
