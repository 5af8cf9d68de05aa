package gps_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"obu/telemetry"
)

// differences are recordings of gpsd's own collection on which it reports
// something else, and why.
var differences = map[string]string{
	"ac12":                    "two sentences of one epoch round differently: gpsd keeps the last, obu the one with more digits",
	"ac12_binary":             "binary protocol between the sentences",
	"bundg_zeus_9":            "several receivers on one line",
	"eXplorist210":            "gpsd takes the proprietary PMGNST's word, against GGA, RMC and GSA, that there is no fix",
	"ericsson-gru04-02-70sec": "position hold told by a proprietary sentence",
	"garmin38":                "gpsd takes the altitude of PGRMZ, rounded to feet",
	"isync":                   "sentences of GSV are missing: obu keeps those of the second before",
	"neo-m8n":                 "gpsd moves the date by a week rollover",
	"quectel":                 "the lock is lost: sentences without a time come between two epochs",
	"quectel-l76k-dual":       "binary protocol between the sentences",
	"rst39":                   "gpsd moves the date by a week rollover",
	"st-teseo-liv4f":          "gpsd lists the satellites of one signal at a time",
	"tcp-test":                "two sentences of one epoch round differently",
	"tcp-torture":             "gpsd moves the date by a week rollover",
	"tn204":                   "gpsd takes the altitude of PGRMZ, rounded to feet",
}

// report is what gpsd said when it had read all of an epoch that it could: its
// last TPV of a time, and the kinds of sentences read by then.
type report struct {
	Time     *time.Time
	Mode     int
	Status   int
	Lat, Lon *float64
	AltMSL   *float64
	AltHAE   *float64
	Speed    *float64
	Track    *float64
	Climb    *float64
	GeoidSep *float64
	read     map[string]bool
	gsa      bool // one came of late
}

// skyView is gpsd's list of satellites.
type skyView struct {
	Satellites []struct {
		GNSSID, SVID int
		SS           float64
	}
	tod time.Duration // of the sentences around it
}

// errorEstimate is gpsd's GST.
type errorEstimate struct {
	Time                                     *time.Time
	RMS, Major, Minor, Orient, Lat, Lon, Alt *float64
}

// expectation is what gpsd said of a recording.
type expectation struct {
	reports []report
	skies   []skyView
	errors  []errorEstimate
}

// gpsdLogs lists the recordings with gpsd's expectation: those of
// $OBU_RECORDINGS, and those of a checkout's test/daemon in $OBU_GPSD.
func gpsdLogs(t testing.TB) []string {
	logs, _ := filepath.Glob(filepath.Join(recordings(t), "gpsd", "*.log.chk"))
	dir := os.Getenv("OBU_GPSD")
	if dir == "" {
		return logs
	}
	more, _ := filepath.Glob(filepath.Join(dir, "*.log.chk"))
	if len(more) == 0 {
		t.Fatalf("OBU_GPSD=%s holds no *.log.chk: name the folder test/daemon of a checkout of gpsd", dir)
	}
	for _, path := range more {
		if !slices.ContainsFunc(logs, func(l string) bool { return filepath.Base(l) == filepath.Base(path) }) {
			logs = append(logs, path)
		}
	}
	return logs
}

// timeField returns the kind of a sentence and its time of day, -1 without one.
func timeField(line string) (kind string, tod time.Duration) {
	field := strings.Split(strings.SplitN(line, "*", 2)[0], ",")
	if len(field) < 6 || len(field[0]) != 6 || field[0][0] != '$' {
		return "", -1
	}
	kind = field[0][3:]
	at := map[string]int{"RMC": 1, "GGA": 1, "GNS": 1, "GLL": 5}[kind]
	if at == 0 {
		return kind, -1
	}
	t, err := time.Parse("150405", field[at])
	if err != nil {
		return kind, -1
	}
	return kind, todOf(t)
}

// sameTime: some receivers round GLL's time otherwise than the rest's.
func sameTime(a, b time.Time) bool { return a.Sub(b).Abs() <= 9*time.Millisecond }

func todOf(u time.Time) time.Duration { return u.Sub(u.Truncate(24 * time.Hour)) }

// readExpectation reads a .chk: sentences, and after each what gpsd made of it.
func readExpectation(t testing.TB, path string) (e expectation) {
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	parse := func(line string, into any) {
		if err := json.Unmarshal([]byte(line), into); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
	}
	read, tod := map[string]bool{}, time.Duration(-1)
	quiet := never // sentences since the last GSA
	sc := bufio.NewScanner(f)
	sc.Buffer(nil, 1<<22)
	for sc.Scan() {
		line := strings.TrimSpace(sc.Text())
		switch {
		case strings.HasPrefix(line, `{"class":"TPV"`):
			r := report{read: map[string]bool{}}
			parse(line, &r)
			for k := range read {
				r.read[k] = true
			}
			r.gsa = quiet < never
			if r.Time == nil || (todOf(*r.Time)-tod).Abs() > 9*time.Millisecond || r.Mode >= 2 && r.Lat == nil {
				continue // the time of another epoch
			}
			if n := len(e.reports); n > 0 && sameTime(*e.reports[n-1].Time, *r.Time) {
				e.reports = e.reports[:n-1]
			}
			e.reports = append(e.reports, r)
		case strings.HasPrefix(line, `{"class":"SKY"`):
			v := skyView{tod: tod}
			if parse(line, &v); len(v.Satellites) > 0 {
				e.skies = append(e.skies, v)
			}
		case strings.HasPrefix(line, `{"class":"GST"`):
			var v errorEstimate
			if parse(line, &v); v.Time != nil {
				e.errors = append(e.errors, v)
			}
		case line != "" && line[0] == '$':
			kind, at := timeField(line)
			if at >= 0 && (at-tod).Abs() > 9*time.Millisecond {
				read, tod = map[string]bool{}, at
			}
			read[kind] = true
			if quiet++; kind == "GSA" {
				quiet = 0
			}
		}
	}
	return e
}

// never is how many sentences after the last one a GSA no longer counts.
const never = 40

// tally counts what was compared and what differed, and keeps the first
// differences.
type tally struct {
	compared map[string]int
	differ   map[string]int
	notes    []string
}

func (c *tally) note(what string, equal bool, format string, args ...any) {
	c.compared[what]++
	if equal {
		return
	}
	if c.differ[what]++; c.differ[what] <= 3 {
		c.notes = append(c.notes, what+": "+fmt.Sprintf(format, args...))
	}
}

func (c *tally) mismatches() (n int) {
	for _, d := range c.differ {
		n += d
	}
	return n
}

// compareReports holds the fixes against gpsd's reports, in order.
func (c *tally) compareReports(fixes []telemetry.Fix, reports []report) {
	next := 0
	for _, r := range reports {
		j := slices.IndexFunc(fixes[next:], func(f telemetry.Fix) bool { return sameTime(f.UTC, *r.Time) })
		if r.Mode < 2 {
			if j >= 0 {
				next += j
				f := fixes[next]
				c.note("no fix", !f.Valid || f.Doubt != 0, "%v: valid, gpsd has none", r.Time)
			}
			continue
		}
		c.note("time", j >= 0, "no fix at %v", r.Time)
		if j < 0 {
			continue
		}
		next += j
		c.compareFix(fixes[next], r)
	}
}

// compareFix compares what the sentences gpsd had read by then say.
func (c *tally) compareFix(f telemetry.Fix, r report) {
	value := func(what string, got float64, want *float64, unit float64) {
		if want != nil {
			c.note(what, near(got, want, unit), "%v: %v, want %v", r.Time, got, *want)
		}
	}
	value("position", f.LatDeg, r.Lat, 1e-9)
	value("position", f.LonDeg, r.Lon, 1e-9)
	if r.read["RMC"] || r.read["VTG"] {
		if !math.IsNaN(f.SpeedMPS) { // where it is unknown, gpsd computes one
			value("speed", f.SpeedMPS, r.Speed, 0.001)
		}
		value("course", f.CourseDeg, r.Track, 0.01)
	}
	if r.read["GGA"] || r.read["GNS"] {
		value("altitude", f.AltM, r.AltMSL, 0.001)
		if !math.IsNaN(f.GeoidM) { // where it is unknown, gpsd has a model
			value("ellipsoid", f.EllipsoidM(), r.AltHAE, 0.001)
			value("geoid", f.GeoidM, r.GeoidSep, 0.001)
		}
	}
	if r.Climb != nil && !math.IsNaN(f.Detail.ClimbMPS) && r.Mode == 3 && r.read["GGA"] {
		value("climb", f.Detail.ClimbMPS, r.Climb, 0.0015)
	}
	status := [...]int{0, 0, 2, 9, 3, 4, 5, 7, 8, 0}[f.Quality]
	c.note("status", status == r.Status, "%v: quality %d, want status %d", r.Time, f.Quality, r.Status)
	// gpsd goes on with 3D when GSA says 2D of fewer than four satellites.
	c.note("mode", int(f.Mode)+1 == r.Mode || f.Mode == telemetry.Mode2D && r.gsa && f.Sats < 4, "%v: %v, want %d", r.Time, f.Mode, r.Mode)
}

var gnssOf = map[int]telemetry.GNSS{0: telemetry.GPS, 1: telemetry.SBAS, 2: telemetry.Galileo, 3: telemetry.BeiDou,
	5: telemetry.QZSS, 6: telemetry.GLONASS, 7: telemetry.NavIC}

// reception sums up gpsd's list as a Sky does.
func (v skyView) reception() (out [telemetry.GNSSCount]telemetry.Reception) {
	type key struct{ sys, id int }
	best := map[key]float64{}
	for _, s := range v.Satellites {
		if s.SVID != 0 {
			k := key{s.GNSSID, s.SVID}
			best[k] = max(best[k], s.SS)
		}
	}
	for k, ss := range best {
		r := &out[gnssOf[k.sys]]
		r.InView++
		if ss > 0 {
			r.Heard++
		}
		if ss >= telemetry.Strong {
			r.Strong++
		}
		r.Best = max(r.Best, uint8(ss+0.5))
	}
	return out
}

// compareSkies compares the last list of each epoch, for the systems it has:
// gpsd also reports lists that are not complete yet.
func (c *tally) compareSkies(fixes []telemetry.Fix, skies []skyView) {
	next := 0
	for i, v := range skies {
		j := slices.IndexFunc(fixes[next:], func(f telemetry.Fix) bool { return !f.UTC.IsZero() && todOf(f.UTC) == v.tod })
		if j < 0 || i+1 < len(skies) && skies[i+1].tod == v.tod {
			continue
		}
		next += j
		got := fixes[next].Detail.Sky.Systems
		for g, want := range v.reception() {
			if want.InView == 0 {
				continue
			}
			r := got[g]
			r.Used, r.Mean = 0, 0
			c.note("satellites", r == want, "%v: %v %+v, want %+v", v.tod, telemetry.GNSS(g), r, want)
		}
	}
}

func (c *tally) compareErrors(fixes []telemetry.Fix, errors []errorEstimate) {
	next := 0
	for _, v := range errors {
		j := slices.IndexFunc(fixes[next:], func(f telemetry.Fix) bool { return f.UTC.Equal(*v.Time) })
		if j < 0 {
			continue
		}
		next += j
		a := fixes[next].Detail.Accuracy
		equal := near(a.RMSM, v.RMS, 1e-3) && near(a.MajorM, v.Major, 1e-3) && near(a.MinorM, v.Minor, 1e-3) && near(a.OrientDeg, v.Orient, 1e-3) &&
			near(a.LatM, v.Lat, 1e-3) && near(a.LonM, v.Lon, 1e-3) && near(a.AltM, v.Alt, 1e-3)
		c.note("GST", equal, "%v: %+v", v.Time, a)
	}
}

// compareWithGpsd compares one recording with its .chk.
func compareWithGpsd(t testing.TB, chk string) (fixes []telemetry.Fix, c *tally) {
	fixes, _ = decodeFile(t, strings.TrimSuffix(chk, ".chk"))
	c = &tally{compared: map[string]int{}, differ: map[string]int{}}
	e := readExpectation(t, chk)
	c.compareReports(fixes, e.reports)
	c.compareSkies(fixes, e.skies)
	c.compareErrors(fixes, e.errors)
	return fixes, c
}

// TestReceiversAgreeWithGpsd: every epoch that gpsd reports, in all that its
// sentences say.
func TestReceiversAgreeWithGpsd(t *testing.T) {
	for _, path := range gpsdLogs(t) {
		name := strings.TrimSuffix(filepath.Base(path), ".log.chk")
		t.Run(name, func(t *testing.T) {
			fixes, c := compareWithGpsd(t, path)
			if len(fixes) == 0 {
				t.Skip("no NMEA epoch")
			}
			t.Logf("%d epochs, compared %v", len(fixes), c.compared)
			switch why := differences[name]; {
			case c.mismatches() > 0 && why == "":
				t.Errorf("%d mismatches %v\n%s", c.mismatches(), c.differ, strings.Join(c.notes, "\n"))
			case c.mismatches() > 0:
				t.Logf("%s: %v", why, c.differ)
			case why != "":
				t.Errorf("differs no longer: %s", why)
			}
		})
	}
}

// TestReceiversTable prints the table of docs/receivers.md. OBU_RECEIVERS=1 runs
// it.
func TestReceiversTable(t *testing.T) {
	if os.Getenv("OBU_RECEIVERS") == "" {
		t.Skip("a table: OBU_RECEIVERS=1, or make receivers")
	}
	t.Log("| recording | receiver | epochs | valid | doubtful | values compared | mismatches | why |")
	t.Log("|---|---|---|---|---|---|---|---|")
	for _, path := range gpsdLogs(t) {
		name := strings.TrimSuffix(filepath.Base(path), ".log.chk")
		fixes, c := compareWithGpsd(t, path)
		if len(fixes) == 0 {
			continue
		}
		valid, compared := 0, 0
		doubted := map[string]int{}
		for _, f := range fixes {
			if f.Valid {
				valid++
			}
			for _, d := range f.Doubt.Strings() {
				doubted[d]++
			}
		}
		for _, n := range c.compared {
			compared += n
		}
		doubtful := ""
		for _, d := range slices.Sorted(maps.Keys(doubted)) {
			doubtful += fmt.Sprintf("%s %d ", d, doubted[d])
		}
		why := ""
		if c.mismatches() > 0 {
			why = differences[name]
		}
		t.Logf("| %s | %s | %d | %d | %s | %d | %d | %s |", name, receiverOf(t, path), len(fixes), valid, strings.TrimSpace(doubtful), compared, c.mismatches(), why)
	}
}

// receiverOf returns what the head of a recording says of its receiver.
func receiverOf(t *testing.T, chk string) string {
	raw, err := os.ReadFile(strings.TrimSuffix(chk, ".chk"))
	if err != nil {
		t.Fatal(err)
	}
	said := map[string]string{}
	for _, line := range strings.SplitN(string(raw), "\n", 20) {
		key, value, ok := strings.Cut(strings.TrimLeft(strings.TrimSpace(line), "# "), ":")
		if !ok {
			key, value, _ = strings.Cut(strings.TrimLeft(strings.TrimSpace(line), "# "), "=")
		}
		if key, value = strings.ToLower(strings.TrimSpace(key)), strings.TrimSpace(value); strings.HasPrefix(line, "#") && value != "" && said[key] == "" {
			said[key] = value
		}
	}
	out := said["name"]
	if chip := said["chipset"]; chip != "" && chip != out && len(chip) < 40 {
		out += ", " + chip
	}
	return strings.Trim(strings.ReplaceAll(out, "|", "/"), " ,")
}
