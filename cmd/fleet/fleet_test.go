package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"obu/can"
	"obu/telemetry"
	"obu/uplink"
)

// drive runs a small fleet and returns its report.
func drive(t *testing.T, o options) *report {
	t.Helper()
	if o.Load == "" {
		o.Load = loadTrack
	}
	if o.Cars == 0 {
		o.Cars = 2
	}
	if o.For == 0 {
		o.For = 6 * time.Second
	}
	if o.Live == 0 {
		o.Live = time.Second
	}
	if o.Custody == "" {
		o.Custody = custodyPuback
	}
	o.Dir, o.noCars = t.TempDir(), true
	var progress bytes.Buffer
	r, err := runFleet(t.Context(), o, &progress)
	if err != nil {
		t.Errorf("%v\n%s", err, progress.String())
		return &report{}
	}
	if left, err := os.ReadDir(o.Dir); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	return r
}

// TestFleet runs small fleets with and without faults, all at once: they
// mostly wait.
func TestFleet(t *testing.T) {
	cases := []struct {
		name  string
		o     options
		check func(t *testing.T, r *report)
	}{
		{"track is clean", options{Cars: 3, For: 8 * time.Second}, trackIsClean},
		{"live every 3 s is clean", options{For: 8 * time.Second, Live: 3 * time.Second}, rareIsCleanAndSmaller},
		{"city is clean", options{Load: loadCity, For: 8 * time.Second, clipTime: 2 * time.Second}, cityIsClean},
		{"a link that swallows loses nothing", options{faults: faults{swallow: badAfter}}, nothingIsMissing},
		{"lost PUBACKs make copies, no loss", options{faults: faults{mute: badAfter}}, copiesAreTold},
		{"receipts: nothing is missing", options{Custody: custodyReceipt}, nothingIsMissing},
		{"receipts: a receiver that is killed loses nothing", options{Custody: custodyReceipt, For: 9 * time.Second, Restart: 3 * time.Second}, killedReceiverHasAll},
		{"check: receipts for what is not kept", options{Custody: custodyReceipt, For: 9 * time.Second, Restart: 3 * time.Second,
			faults: faults{confirmUnkept: true}}, unkeptIsFound},
		{"wrong clocks date every record as well as they say", options{Cars: 4, For: 12 * time.Second,
			clocks: clockFaults{GPSLate: 800 * time.Millisecond, Crystal: 80, RTCError: 20 * time.Hour, Suspend: time.Hour}}, wrongClocksAreClean},
		{"check: a time that is off by more than it says", options{faults: faults{misdate: 3 * time.Second}}, wrongTimeIsFound},
		{"check: dropped batch", options{faults: faults{backlog: func(b uplink.Backlog) uplink.Backlog { return &swallow{Backlog: b} }}}, droppedBatchIsFound},
		{"check: loss before seq", options{faults: faults{bus: func(b can.Bus) can.Bus { return &deaf{Bus: b} }}}, lossBeforeSeqIsFound},
		{"check: delete before PUBACK", options{faults: faults{swallow: badAfter,
			backlog: func(b uplink.Backlog) uplink.Backlog { return hasty{b} }}}, earlyDeleteIsFound},
		{"check: copies booked as data", options{faults: faults{mute: badAfter, countCopies: true}}, bookedCopiesAreFound},
	}
	if testing.Short() {
		cases = cases[:1]
	}
	reports := make([]*report, len(cases))
	var all sync.WaitGroup
	for i, c := range cases {
		c.o.Seed = uint64(i + 1)
		all.Go(func() { reports[i] = drive(t, c.o) })
	}
	all.Wait()
	for i, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			c.check(t, reports[i])
			if t.Failed() {
				t.Log(reports[i].text())
			}
		})
	}
}

// badAfter is how long a link works before it goes bad.
const badAfter = 2500 * time.Millisecond

func (r *report) text() string {
	var b bytes.Buffer
	r.print(&b)
	return b.String()
}

// silentReceiver is a Gap of a receiver, and since when it is silent.
var silentReceiver = regexp.MustCompile(` lost at ([0-9.]+)-[0-9.]+ s: bus-error gps$`)

// Without faults nothing is missing and no Gap exists, but for the receiver of a
// parked car: where draining takes longer than 10 s its silence is an outage.
func nothingIsMissing(t *testing.T, r *report) {
	gaps := r.Gaps
	for _, line := range r.GapLines {
		if m := silentReceiver.FindStringSubmatch(line); m != nil {
			if from, err := strconv.ParseFloat(m[1], 64); err == nil && from >= r.Seconds {
				gaps--
			}
		}
	}
	if !r.clean() || r.Missing != 0 || r.Holes != 0 || gaps != 0 || r.Strange != 0 {
		t.Error("not clean")
	}
}

func trackIsClean(t *testing.T, r *report) {
	nothingIsMissing(t, r)
	if least := 3 * 8 * 8; r.Emitted < least {
		t.Errorf("%d values emitted, want at least %d: the cars were hardly asked", r.Emitted, least)
	}
	if r.Commits == 0 || r.WirePerCarHour == nil || r.LatencyP50 == nil || r.RSSAnonMB == 0 {
		t.Error("not measured")
	}
}

// The economical profile keeps everything and sends it in fewer envelopes.
func rareIsCleanAndSmaller(t *testing.T, r *report) {
	nothingIsMissing(t, r)
	if r.LiveEvery != 3 {
		t.Errorf("live_every_s %v, want 3", r.LiveEvery)
	}
	if text := r.text(); !strings.Contains(text, "bytes a car and hour, live every 3s") || !strings.Contains(text, "the newest state left 2 times only: drive for 18s or longer") {
		t.Error("the report does not say how often the newest state left, or that it was too seldom")
	}
}

func cityIsClean(t *testing.T, r *report) {
	nothingIsMissing(t, r)
	if len(r.Notes) == 0 {
		t.Error("the report does not say that city values are fed past the poller")
	}
	if least := 2 * 8 * 200; r.Emitted < least {
		t.Errorf("%d values emitted, want at least %d", r.Emitted, least)
	}
}

// A PUBACK lost on the way: the broker has the batch, the agent sends it again.
func copiesAreTold(t *testing.T, r *report) {
	nothingIsMissing(t, r)
	if r.Copies == 0 {
		t.Error("no copies")
	}
}

// What the receiver had in memory only, and what came while nobody listened,
// comes again.
func killedReceiverHasAll(t *testing.T, r *report) {
	nothingIsMissing(t, r)
	if r.Backlog > 8 { // health is stored until the end and later
		t.Errorf("%d batches are still stored: receipts do not reach the agents", r.Backlog)
	}
}

// A receiver that confirms before it keeps loses data: the units have deleted
// it.
func unkeptIsFound(t *testing.T, r *report) {
	if r.clean() || r.Missing == 0 {
		t.Error("a receipt for what was not kept was not noticed")
	}
}

// The check is itself checked: each of these bugs, put between the parts of
// an agent, must turn the verdict.

// swallow drops one batch of telemetry: it is never sent and reported as
// delivered.
type swallow struct {
	uplink.Backlog
	done atomic.Bool
}

func (s *swallow) Read(store telemetry.StoreID, class telemetry.Class, from uint64, max int) ([]telemetry.Stored, error) {
	got, err := s.Backlog.Read(store, class, from, max)
	if class == telemetry.ClassTelemetry && len(got) > 0 && got[0].Seq > 2 && s.done.CompareAndSwap(false, true) {
		s.Ack(got[0].Name)
		got = got[1:]
	}
	return got, err
}

func droppedBatchIsFound(t *testing.T, r *report) {
	if r.clean() || r.Holes == 0 || r.Unlisted == 0 {
		t.Error("a dropped batch was not noticed")
	}
}

// deaf spoils one value on its way from the wire to the agent, without a word:
// what was emitted never gets a seq. (A frame that is lost out of a longer answer
// is noticed and listed.)
type deaf struct {
	can.Bus
	n int
}

func (d *deaf) Receive() (can.Frame, error) {
	f, err := d.Bus.Receive()
	head := 1 // of a single frame; a first frame has two bytes of length
	if f.Data[0]>>4 == 1 {
		head = 2
	}
	if current, pid := f.Data[head] == 0x41, f.Data[head+1]; err == nil && current && pid%0x20 != 0 {
		if d.n++; d.n == 5 {
			f.Data[head+2] ^= 0x40
		}
	}
	return f, err
}

func lossBeforeSeqIsFound(t *testing.T, r *report) {
	if r.clean() || r.Unlisted == 0 {
		t.Error("a loss before seq was not noticed")
	}
	if r.Holes != 0 {
		t.Errorf("a loss before seq left %d holes", r.Holes)
	}
}

// hasty reports batches as delivered when they are read, before any PUBACK.
type hasty struct{ uplink.Backlog }

func (h hasty) Read(store telemetry.StoreID, class telemetry.Class, from uint64, max int) ([]telemetry.Stored, error) {
	got, err := h.Backlog.Read(store, class, from, max)
	for _, s := range got {
		h.Ack(s.Name)
	}
	return got, err
}

func earlyDeleteIsFound(t *testing.T, r *report) {
	if r.clean() || r.Unlisted == 0 {
		t.Error("delete before PUBACK was not noticed")
	}
}

func bookedCopiesAreFound(t *testing.T, r *report) {
	if r.clean() || r.Strange == 0 {
		t.Error("copies booked as data were not noticed")
	}
}

func wrongClocksAreClean(t *testing.T, r *report) {
	// An answer of several frames that the suspend cuts in two is a listed loss.
	if !r.clean() || r.Missing > 2*4 || r.Holes != 0 || r.Strange != 0 {
		t.Error("not clean")
	}
	if r.Timed < r.Received || r.Mistimed != 0 || r.WorstStated < 1.7 || r.WorstOff == 0 {
		t.Errorf("%d records of %d values, %d wrong, to %.3f s as stated, %.3f s off", r.Timed, r.Received, r.Mistimed, r.WorstStated, r.WorstOff)
	}
}

func wrongTimeIsFound(t *testing.T, r *report) {
	if r.clean() || r.Mistimed != r.Timed || r.Timed == 0 {
		t.Errorf("of %d records 3 s off %d were found", r.Timed, r.Mistimed)
	}
}

// The keys of the report are a promise (DESIGN, "names that stay").
func TestReportKeepsItsKeys(t *testing.T) {
	path := filepath.Join(t.TempDir(), "r.json")
	r := report{Cars: 1}
	r.book(&account{})
	if err := r.write(path, nil); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := json.Unmarshal(b, &got); err != nil {
		t.Fatal(err)
	}
	for _, k := range []string{"cars", "load", "live_every_s", "seconds", "emitted", "received", "missing", "holes", "gaps", "copies",
		"timed", "mistimed", "time_stated_s", "time_off_s",
		"latency_p50_s", "latency_p99_s", "cpu_agents_s", "cpu_broker_s", "cpu_receiver_s", "rss_anon_mb",
		"wire_bytes_per_car_hour", "device_bytes_per_car_hour", "commits", "verdict"} {
		if _, ok := got[k]; !ok {
			t.Errorf("no key %s", k)
		}
	}
	if got["latency_p50_s"] != nil || got["device_bytes_per_car_hour"] != nil {
		t.Error("what was not measured is not null")
	}
	if r.clean() {
		t.Error("a run without values is clean")
	}
}

func TestHistogram(t *testing.T) {
	var h histogram
	for i := range 1000 {
		h.observe(time.Duration(i+1) * time.Millisecond)
	}
	for q, want := range map[float64]float64{0.5: 0.5, 0.99: 0.99} {
		if got := h.quantile(q); got < want*0.97 || got > want*1.03 {
			t.Errorf("quantile %v = %v, want %v within 3 %%", q, got, want)
		}
	}
}

func Example_thousands() {
	fmt.Println(thousands(1234567), thousands(-1000), thousands(12))
	// Output: 1 234 567 -1 000 12
}
