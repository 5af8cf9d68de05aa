package agent_test

import (
	"bufio"
	"bytes"
	"cmp"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"obu/can/obd"
	"obu/internal/agent"
	"obu/internal/virtual"
	"obu/telemetry"
	"obu/telemetry/ledger"
	"obu/uplink/brokertest"
)

// replayed is what came out at the other end of a replay.
type replayed struct {
	*cloud
	boot telemetry.BootID
}

// replay runs a drive folder through a whole agent, as obu run --replay does.
func replay(t *testing.T, dir string, speed float64) (replayed, error) {
	t.Helper()
	d, err := agent.ReadDrive(dir)
	if err != nil {
		return replayed{}, err
	}
	clk, dev, err := d.Open(speed, t.TempDir(), slog.New(slog.DiscardHandler))
	if err != nil {
		return replayed{}, err
	}
	b := brokertest.New()
	defer b.Close()
	out := replayed{newCloud(t, b), clk.Boot()}
	cfg := testConfig("sim-replay", t.TempDir())
	cfg.CAN, cfg.GPS, cfg.Vehicle = nil, nil, d.Vehicle
	a, err := agent.New(cfg, agent.Deps{Clock: clk, Devices: dev, Version: "test", Dial: b.Dial,
		Finite: true, DrainFor: time.Minute})
	if err != nil {
		return replayed{}, err
	}
	return out, a.Run(t.Context())
}

// lines returns what arrived, one JSON line a record, in order of time, without
// what differs from run to run: store, boot and file ids, and the statistics.
func (r replayed) lines() []string {
	type line struct {
		at   float64
		text string
	}
	var all []line
	for class, content := range r.all {
		if class == telemetry.ClassHealth {
			continue
		}
		env := telemetry.Envelope{Unit: "sim-replay", Boot: r.boot, Batches: []telemetry.Batch{{Boot: r.boot, Content: *content}}}
		text, err := telemetry.AppendLines(nil, &env, func(boot telemetry.BootID, at telemetry.At) time.Time {
			w, _, _ := r.book.WallTime("sim-replay", boot, at)
			return w
		})
		if err != nil {
			r.t.Error(err)
		}
		for _, raw := range bytes.Split(bytes.TrimSpace(text), []byte("\n")) {
			var m map[string]json.RawMessage
			if err := json.Unmarshal(raw, &m); err != nil {
				r.t.Errorf("%v: %s", err, raw)
				continue
			}
			for _, key := range []string{"batch", "boot", "id", "clip"} {
				delete(m, key)
			}
			m["class"] = json.RawMessage(strconv.Quote(class.String()))
			at, _ := strconv.ParseFloat(string(m["at"]), 64)
			out, err := json.Marshal(m)
			if err != nil {
				r.t.Error(err)
			}
			all = append(all, line{at, string(out)})
		}
	}
	slices.SortFunc(all, func(a, b line) int { return cmp.Or(cmp.Compare(a.at, b.at), strings.Compare(a.text, b.text)) })
	out := make([]string, len(all))
	for i := range all {
		out[i] = all[i].text
	}
	return out
}

// sameLines reports the first differences.
func sameLines(t *testing.T, got, want []string) {
	t.Helper()
	shown := 0
	for i := range max(len(got), len(want)) {
		g, w := "nothing", "nothing"
		if i < len(got) {
			g = got[i]
		}
		if i < len(want) {
			w = want[i]
		}
		if g != w {
			t.Errorf("line %d:\n got %s\nwant %s", i+1, g, w)
			if shown++; shown == 5 {
				t.Fatalf("and so on: %d lines, want %d", len(got), len(want))
			}
		}
	}
}

// TestDrives replays each recording of testdata/drives as fast as possible;
// the cloud must have received exactly want.jsonl.
func TestDrives(t *testing.T) {
	dirs, err := filepath.Glob(filepath.Join(drives, "*", "drive.yaml"))
	if err != nil || len(dirs) == 0 {
		t.Fatalf("no drives: %v", err)
	}
	for _, path := range dirs {
		dir := filepath.Dir(path)
		t.Run(filepath.Base(dir), func(t *testing.T) {
			r, err := replay(t, dir, 0)
			if err != nil {
				t.Fatal(err)
			}
			r.settled("sim-replay", false)
			got, file := r.lines(), filepath.Join(dir, "want.jsonl")
			if *update {
				if err := os.WriteFile(file, []byte(strings.Join(got, "\n")+"\n"), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatalf("%v; run with -update to make it", err)
			}
			sameLines(t, got, strings.Split(strings.TrimSpace(string(text)), "\n"))
		})
	}
}

// TestReplaySpeedsAgree: a drive gives the same records as fast as possible
// and at fifty times its pace, and they are what the car emitted; the clip is
// the one that was recorded, to the byte.
func TestReplaySpeedsAgree(t *testing.T) {
	dir := t.TempDir()
	journal := recordDrive(t, dir, 11, 40*time.Second)
	var lines [2][]string
	for i, speed := range []float64{0, 50} {
		r, err := replay(t, dir, speed)
		if err != nil {
			t.Fatal(err)
		}
		r.settled("sim-replay", false)
		r.equals(journal)
		r.film(journal.Recordings())
		lines[i] = slices.DeleteFunc(r.lines(), func(l string) bool {
			return strings.Contains(l, `"record":"clip"`) // taken while time goes on: a little later
		})
	}
	sameLines(t, lines[1], lines[0])
}

// film checks the clips that arrived.
func (c *cloud) film(want []virtual.Recording) {
	c.t.Helper()
	asm, err := ledger.NewAssembler(c.t.TempDir())
	if err != nil {
		c.t.Fatal(err)
	}
	defer asm.Close()
	var got []ledger.Finished
	for _, content := range c.all {
		done, err := asm.Take(telemetry.Batch{Unit: "u", Content: *content})
		if err != nil {
			c.t.Error(err)
		}
		got = append(got, done...)
	}
	if len(got) != len(want) || len(want) == 0 {
		c.t.Fatalf("%d clips came, %d were recorded", len(got), len(want))
	}
	for i, w := range want {
		if g := got[i]; !g.OK || g.Clip.Name != w.Name || g.Clip.SizeBytes != w.SizeBytes || g.Clip.SHA256 != w.SHA256 {
			c.t.Errorf("clip came as %+v, was %+v", g, w)
		}
	}
}

// TestBrokenRecordingEndsTheReplay: a recording that cannot be read ends the
// run by name; it is not tried for ever, and the clock does not wait for it.
func TestBrokenRecordingEndsTheReplay(t *testing.T) {
	dir := t.TempDir()
	recordDrive(t, dir, 12, 20*time.Second)
	nmea := filepath.Join(dir, "gps.nmea")
	if err := os.Remove(nmea); err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func() error{
		"a folder":         func() error { return os.Mkdir(nmea, 0o755) },
		"gzip by its name": func() error { return os.WriteFile(nmea, []byte{0x1f, 0x8b, 0xff, 0xff}, 0o644) },
		"gone":             func() error { return nil },
	} {
		t.Run(name, func(t *testing.T) {
			if err := errors.Join(os.RemoveAll(nmea), spoil()); err != nil {
				t.Fatal(err)
			}
			if _, err := replay(t, dir, 0); err == nil || !strings.Contains(err.Error(), "gps.nmea") {
				t.Errorf("the replay ended with %v, which does not name the recording", err)
			}
		})
	}
}

// TestCutRecordingIsListed: a log that was cut is played up to the cut, and the
// cloud hears that something is missing.
func TestCutRecordingIsListed(t *testing.T) {
	dir := t.TempDir()
	journal := recordDrive(t, dir, 12, 20*time.Second)
	path := filepath.Join(dir, "can0.log.gz")
	text, err := os.ReadFile(path)
	if err == nil {
		err = os.WriteFile(path, text[:len(text)/2], 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
	r, err := replay(t, dir, 0)
	if err != nil {
		t.Fatal(err)
	}
	r.settled("sim-replay", true)
	emitted, _, _ := journal.Counts()
	if n, _ := r.count(); n == 0 || n >= emitted {
		t.Errorf("%d values of %d came from half a log", n, emitted)
	}
	if g, ok := r.gap("sim-replay", telemetry.ReasonDecode); !ok || g.Source != "can0" {
		t.Errorf("the cut is listed as %+v (%v)", g, ok)
	}
}

// TestReadDrive: what is wrong with a replay folder is said by name.
func TestReadDrive(t *testing.T) {
	for name, c := range map[string]struct {
		files map[string]string
		want  string
	}{
		"empty":       {nil, agent.ErrNoDrive.Error()},
		"unknown key": {map[string]string{"drive.yaml": "speed: 3\n"}, "drive.yaml"},
		"bad offset":  {map[string]string{"drive.yaml": "gps: {file: gps.nmea, offset: soon}\n"}, "offset"},
		"no frames":   {map[string]string{"can0.log": "hello\n"}, "can0.log"},
		"wrong time":  {map[string]string{"can0.log": "(1700000000.1) can0 7E8#03410D38\n(4000000000.1) can0 7E8#03410D38\n"}, "a line has a wrong time"},
		"no file":     {map[string]string{"drive.yaml": "can: [{file: nowhere.log}]\n"}, "nowhere.log"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			for file, text := range c.files {
				if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := replay(t, dir, 0); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want it to name %q", err, c.want)
			}
		})
	}
	if _, err := agent.ReadDrive(filepath.Join(t.TempDir(), "nowhere")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a folder that is not there: %v", err)
	}
}

// recording returns the path of a file of the recordings, or skips the test.
func recording(t testing.TB, parts ...string) string {
	t.Helper()
	dir := os.Getenv("OBU_RECORDINGS")
	if dir == "" {
		dir = "../../../shared/recordings"
	}
	path, err := filepath.Abs(filepath.Join(append([]string{dir}, parts...)...))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Skipf("skipped: no recordings at %s: set OBU_RECORDINGS to run this test", dir)
	}
	return path
}

// expectedOBD is one line of *.expect.obd.jsonl.gz: what independent decoders
// read in one answer.
type expectedOBD struct {
	ECU, Service, PID string
	Value             *json.Number
}

func expectedAnswers(t *testing.T, path string) (out []expectedOBD) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	d := json.NewDecoder(bufio.NewReader(z))
	for {
		var e expectedOBD
		if err := d.Decode(&e); err == io.EOF {
			return out
		} else if err != nil {
			t.Fatal(err)
		}
		out = append(out, e)
	}
}

// TestRecordedDriveThroughTheWholePath: every OBD value of a real drive, log to
// poller to store to broker to consumer, is the one independent decoders read.
func TestRecordedDriveThroughTheWholePath(t *testing.T) {
	log := recording(t, "can", "css_obd_gps_drive", "3BA199E2_164_1.log.gz")
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "drive.yaml"), fmt.Appendf(nil, "can:\n  - file: %s\n", log), 0o644); err != nil {
		t.Fatal(err)
	}
	r, err := replay(t, dir, 0)
	if err != nil {
		t.Fatal(err)
	}
	r.settled("sim-replay", false)
	want := make(map[virtual.SeriesKey][]*json.Number)
	total := 0
	for _, e := range expectedAnswers(t, strings.Replace(log, ".log.gz", ".expect.obd.jsonl.gz", 1)) {
		pid, err := strconv.ParseUint(e.PID, 16, 8)
		if err != nil || e.Service != "01" {
			t.Fatalf("expectation %+v", e)
		}
		for _, sig := range obd.Signals(byte(pid)) {
			k := virtual.SeriesKey{Signal: sig.Name, Address: e.ECU}
			want[k] = append(want[k], e.Value)
			total++
		}
	}
	came, _ := r.count()
	if came != total || total == 0 {
		t.Errorf("%d values came, %d are in the recording", came, total)
	}
	for k, values := range want {
		got := r.samples[k]
		slices.SortStableFunc(got, func(a, b telemetry.Sample) int { return cmp.Compare(a.At, b.At) })
		if len(got) != len(values) {
			t.Errorf("%v: %d values came, want %d", k, len(got), len(values))
			continue
		}
		for i, w := range values {
			if w != nil && !sameDigits(got[i].Value.Float(), w.String()) {
				t.Errorf("%v: value %d is %v, want %s", k, i, got[i].Value, w)
				break
			}
		}
	}
	t.Logf("%d values of %d signals", came, len(want))
}

// sameDigits reports whether v prints as want, to want's digits.
func sameDigits(v float64, want string) bool {
	digits := 0
	if _, frac, ok := strings.Cut(want, "."); ok {
		digits = len(frac)
	}
	w, err := strconv.ParseFloat(want, 64)
	return err == nil && math.Round(v*math.Pow10(digits)) == math.Round(w*math.Pow10(digits))
}

// TestDriveOfOtherLogs: the logs of other programs are found in a folder, each
// with the buses and the date that it tells.
func TestDriveOfOtherLogs(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"can-a.asc": "date Sat Sep 30 15:06:13.000 2017\nbase hex timestamps absolute\n 1.5 1 7E8 Rx d 4 03 41 0D 4A\n",
		"can-b.trc": ";$FILEVERSION=1.3\n 1) 1000.0 2 Rx 07E8 - 4 03 41 0D 4A\n",
		"can-c.csv": "Time Stamp,ID,Extended,Dir,Bus,LEN,D1\n1000000,7E8,false,Rx,3,1,03\n",
		"notes.csv": "not a log",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	drive, err := agent.ReadDrive(dir)
	if err != nil {
		t.Fatal(err)
	}
	clk, dev, err := drive.Open(0, t.TempDir(), nil)
	if err != nil {
		t.Fatal(err)
	}
	names := ""
	for _, c := range dev.CAN {
		names += c.Name + " "
	}
	if names != "can1 can2 can3 " || !clk.Wall().Time.Equal(time.Date(2017, 9, 30, 15, 6, 14, 5e8, time.UTC)) {
		t.Errorf("buses %s, start %v", names, clk.Wall())
	}
}
