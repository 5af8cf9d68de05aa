package config_test

import (
	"os"
	"strings"
	"testing"

	"obu/internal/config"
)

const mistakesFile = "testdata/mistakes.txt"

// mistake is one case of testdata/mistakes.txt: what a technician wrote, and
// exactly what is said about it.
type mistake struct {
	name, text, says string
}

func mistakes(t testing.TB) []mistake {
	b, err := os.ReadFile(mistakesFile)
	if err != nil {
		t.Fatal(err)
	}
	var out []mistake
	for _, part := range strings.Split("\n"+string(b), "\n== ")[1:] {
		name, rest, _ := strings.Cut(part, "\n")
		text, says, ok := strings.Cut("\n"+rest, "\n-- says\n")
		if !ok {
			t.Fatalf("%s: no `-- says`", name)
		}
		out = append(out, mistake{name, strings.TrimPrefix(text+"\n", "\n"), strings.Trim(says, "\n")})
	}
	return out
}

// raw puts bytes into a case that a text file cannot hold.
var raw = strings.NewReplacer(`\xFC`, "\xFC", `\x00`, "\x00")

func wrongEnv(name string) (string, bool) { return "hidden", name == "WRONG" }

// TestMistakes checks every word that a technician reads. After a change of
// words, go test ./internal/config -run Mistakes -update writes them anew, to
// be read before they are committed.
func TestMistakes(t *testing.T) {
	all := mistakes(t)
	if len(all) < 60 {
		t.Fatalf("%s has only %d cases", mistakesFile, len(all))
	}
	var anew strings.Builder
	for _, m := range all {
		c, err := config.Parse("obu.yaml", []byte(raw.Replace(m.text)), wrongEnv)
		said := ""
		if err != nil {
			said = err.Error()
		}
		anew.WriteString("== " + m.name + "\n" + m.text + "-- says\n" + said + "\n\n")
		if *update {
			continue
		}
		t.Run(m.name, func(t *testing.T) {
			if err == nil {
				t.Fatalf("nothing was said and %+v understood", c)
			}
			if said != m.says {
				t.Errorf("said\n%s\nwant\n%s", said, m.says)
			}
			if strings.Contains(said, "geheim") || strings.Contains(said, "hidden") {
				t.Error("a secret was told")
			}
			for _, e := range err.(config.Errors) {
				if e.Cure == "" || e.Problem == "" || e.File != "obu.yaml" {
					t.Errorf("incomplete: %+v", e)
				}
			}
		})
	}
	if *update {
		if err := os.WriteFile(mistakesFile, []byte(strings.TrimSuffix(anew.String(), "\n")), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
