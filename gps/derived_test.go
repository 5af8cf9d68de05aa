package gps_test

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"obu/gps"
	"obu/telemetry"
)

// derive rewrites each sentence of a recording that passes its checksum. f gets
// talker, kind and fields and returns the new body, "" to leave it out.
func derive(in []string, f func(talker, kind string, field []string) string) string {
	var b strings.Builder
	for _, line := range in {
		body, _, ok := strings.Cut(strings.TrimSpace(line), "*")
		if !ok || len(body) < 8 || body[0] != '$' || body[1] == 'P' || body[6] != ',' || !strings.EqualFold(strings.TrimSpace(gps.Frame(body[1:])), strings.TrimSpace(line)) {
			b.WriteString(line)
			continue
		}
		if out := f(body[1:3], body[3:6], strings.Split(body[7:], ",")); out != "" {
			b.WriteString(gps.Frame(out))
		}
	}
	return b.String()
}

func body(talker, kind string, field []string) string {
	return talker + kind + "," + strings.Join(field, ",")
}

// without leaves out all sentences of a kind.
func without(kinds ...string) func(string, string, []string) string {
	return func(talker, kind string, field []string) string {
		if slices.Contains(kinds, kind) {
			return ""
		}
		return body(talker, kind, field)
	}
}

// onlyOne calls GPS alone by another name, as receivers of several systems do.
func onlyOne(talker, kind string, field []string) string {
	if talker == "GP" && (kind == "RMC" || kind == "GGA" || kind == "GLL" || kind == "VTG") {
		talker = "GN"
	}
	return body(talker, kind, field)
}

// old takes off what came after NMEA 2.1: mode letters, systems and signals.
func old(talker, kind string, field []string) string {
	n := map[string]int{"RMC": 11, "VTG": 8, "GLL": 6, "GSA": 17}[kind]
	if n > 0 && len(field) > n && len(field) < 20 {
		field = field[:n]
	}
	return body(talker, kind, field)
}

// modern adds what came until NMEA 4.11: the navigational status, the system of
// GSA, the signal of GSV.
func modern(talker, kind string, field []string) string {
	id := map[string]string{"GP": "1", "GL": "2", "GA": "3", "GB": "4", "BD": "4"}[talker]
	switch {
	case kind == "RMC" && len(field) == 12:
		field = append(field, "V")
	case kind == "GSA" && len(field) == 17 && id != "" && !slices.ContainsFunc(field[2:14], func(s string) bool { return len(s) > 2 || s > "32" }):
		field = append(field, id)
	case kind == "GSV" && len(field)%4 == 3 && id != "":
		field = append(field, "1")
	}
	return body(talker, kind, field)
}

// backwards turns the order of the sentences with a time round; the others
// stay where they are.
func backwards(epochs [][]string) (out []string) {
	for _, lines := range epochs {
		lines = slices.Clone(lines)
		var at []int
		for i, line := range lines {
			if kind, _ := timeField(line); kind == "RMC" || kind == "GGA" || kind == "GNS" || kind == "GLL" {
				at = append(at, i)
			}
		}
		for i, j := 0, len(at)-1; i < j; i, j = i+1, j-1 {
			lines[at[i]], lines[at[j]] = lines[at[j]], lines[at[i]]
		}
		out = append(out, lines...)
	}
	return out
}

// unlike lists the parts of a fix that differ.
func unlike(got, want telemetry.Fix) (out []string) {
	number := func(what string, a, b float64) {
		if a != b && !(math.IsNaN(a) && math.IsNaN(b)) {
			out = append(out, what)
		}
	}
	word := func(what string, equal bool) {
		if !equal {
			out = append(out, what)
		}
	}
	word("time", got.UTC.Equal(want.UTC))
	word("valid", got.Valid == want.Valid)
	word("doubt", got.Doubt == want.Doubt)
	word("mode", got.Mode == want.Mode)
	word("quality", got.Quality == want.Quality)
	word("satellites", got.Sats == want.Sats)
	word("sky", got.Detail.Sky == want.Detail.Sky)
	word("accuracy", fmt.Sprint(got.Detail.Accuracy) == fmt.Sprint(want.Detail.Accuracy))
	number("position", got.LatDeg, want.LatDeg)
	number("position", got.LonDeg, want.LonDeg)
	number("altitude", got.AltM, want.AltM)
	number("altitude", got.GeoidM, want.GeoidM)
	number("climb", got.Detail.ClimbMPS, want.Detail.ClimbMPS)
	number("speed", got.SpeedMPS, want.SpeedMPS)
	number("course", got.CourseDeg, want.CourseDeg)
	number("dilution", got.HDOP, want.HDOP)
	number("dilution", got.VDOP, want.VDOP)
	number("dilution", got.PDOP, want.PDOP)
	return out
}

// withEpochsOf keeps the epochs that have a sentence with a time besides those
// of the kinds given.
func withEpochsOf(epochs [][]string, gone []string) (out [][]string) {
	for _, lines := range epochs {
		if slices.ContainsFunc(lines, func(line string) bool {
			kind, _ := timeField(line)
			return !slices.Contains(gone, kind) && (kind == "RMC" || kind == "GGA" || kind == "GNS" || kind == "GLL")
		}) {
			out = append(out, lines)
		}
	}
	return out
}

// TestDerivedRecordings: what real receivers said, said otherwise, or in part:
// the fixes are the same in all that is still told. Where GGA or RMC is missing
// sentences without a time may be the next epoch's.
func TestDerivedRecordings(t *testing.T) {
	logs, _ := filepath.Glob(filepath.Join(recordings(t), "gpsd", "*.log"))
	for _, path := range logs {
		raw, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		all := epochLines(raw)
		for _, tc := range []struct {
			name  string
			to    func(talker, kind string, field []string) string // nil: backwards
			gone  []string
			loses string // parts that it cannot tell any more
		}{
			{"other order", nil, nil, ""},
			{"talker GN", onlyOne, nil, "satellites"},
			{"NMEA 2.1", old, nil, "quality sky"},
			{"NMEA 4.11", modern, nil, ""},
			{"no VTG", nil, []string{"VTG"}, "speed course"},
			{"no GLL", nil, []string{"GLL"}, ""},
			{"no GSV, GST", nil, []string{"GSV", "GST"}, "sky accuracy"},
			{"no GSA", nil, []string{"GSA"}, "sky dilution mode satellites doubt climb"},
			{"no RMC", nil, []string{"RMC"}, "time doubt speed course quality sky accuracy dilution mode satellites"},
			{"no GGA, GNS", nil, []string{"GGA", "GNS"}, "altitude climb quality sky accuracy dilution mode satellites"},
		} {
			t.Run(strings.TrimSuffix(filepath.Base(path), ".log")+"/"+tc.name, func(t *testing.T) {
				epochs := withEpochsOf(all, tc.gone)
				lines := slices.Concat(epochs...)
				want, _ := decode(t, strings.Join(lines, ""))
				switch {
				case tc.gone != nil:
					tc.to = without(tc.gone...)
				case tc.to == nil:
					tc.to, lines = without(), backwards(epochs)
				}
				got, _ := decode(t, derive(lines, tc.to))
				compareDerived(t, got, want, tc.loses)
			})
		}
	}
}

func compareDerived(t *testing.T, got, want []telemetry.Fix, loses string) {
	if len(got) != len(want) {
		t.Fatalf("%d fixes, want %d", len(got), len(want))
	}
	bad := 0
	for i := range got {
		for _, part := range unlike(got[i], want[i]) {
			contradicts := loses != "" && (got[i].Doubt|want[i].Doubt)&telemetry.DoubtModeMismatch != 0
			if strings.Contains(loses, part) || contradicts { // what contradicted is gone
				continue
			}
			if bad++; bad < 6 {
				t.Errorf("fix %d, %s:\n%+v, want\n%+v", i, part, got[i], want[i])
			}
		}
	}
}
