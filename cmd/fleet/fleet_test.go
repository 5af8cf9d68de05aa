package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
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
	o.Dir = t.TempDir()
	var progress bytes.Buffer
	r, err := runFleet(t.Context(), o, &progress)
	if err != nil {
		t.Fatalf("%v\n%s", err, progress.String())
	}
	if left, err := os.ReadDir(o.Dir); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	return r
}

func (r *report) text() string {
	var b bytes.Buffer
	r.print(&b)
	return b.String()
}

// Without faults nothing is missing and no Gap exists (README: "the ledger").
func TestFleetTrackIsClean(t *testing.T) {
	t.Parallel()
	r := drive(t, options{Cars: 3, For: 8 * time.Second, Seed: 1})
	if !r.clean() || r.Missing != 0 || r.Holes != 0 || r.Gaps != 0 || r.Strange != 0 {
		t.Errorf("not clean:%s", r.text())
	}
	if least := 3 * 8 * 9; r.Emitted < least {
		t.Errorf("%d values emitted, want at least %d: the cars were hardly asked", r.Emitted, least)
	}
	if r.Commits == 0 || r.WirePerCarHour == nil || r.LatencyP50 == nil || r.RSSAnonMB == 0 {
		t.Errorf("not measured:%s", r.text())
	}
}

func TestFleetCityIsClean(t *testing.T) {
	if testing.Short() {
		t.Skip("a clip takes 20 s")
	}
	t.Parallel()
	r := drive(t, options{Cars: 2, Load: loadCity, For: 32 * time.Second, Seed: 2})
	if !r.clean() || r.Missing != 0 || r.Holes != 0 || r.Gaps != 0 {
		t.Errorf("not clean:%s", r.text())
	}
	if len(r.Notes) == 0 {
		t.Error("the report does not say that city values are fed past the poller")
	}
	if least := 2 * 32 * 200; r.Emitted < least {
		t.Errorf("%d values emitted, want at least %d", r.Emitted, least)
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

func TestCheckCatchesADroppedBatch(t *testing.T) {
	t.Parallel()
	r := drive(t, options{faults: faults{backlog: func(b uplink.Backlog) uplink.Backlog { return &swallow{Backlog: b} }}})
	if r.clean() || r.Holes == 0 || r.Unlisted == 0 {
		t.Errorf("a dropped batch was not noticed:%s", r.text())
	}
}

// deaf loses one answer on its way from the wire to the agent, without a
// word: it never gets a seq.
type deaf struct {
	can.Bus
	n int
}

func (d *deaf) Receive() (can.Frame, error) {
	for {
		f, err := d.Bus.Receive()
		if d.n++; err == nil && d.n == 20 {
			continue
		}
		return f, err
	}
}

func TestCheckCatchesALossBeforeSeq(t *testing.T) {
	t.Parallel()
	r := drive(t, options{faults: faults{bus: func(b can.Bus) can.Bus { return &deaf{Bus: b} }}})
	if r.clean() || r.Unlisted == 0 {
		t.Errorf("a loss before seq was not noticed:%s", r.text())
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

func TestCheckCatchesDeleteBeforePuback(t *testing.T) {
	t.Parallel()
	r := drive(t, options{faults: faults{
		backlog: func(b uplink.Backlog) uplink.Backlog { return hasty{b} },
		swallow: 3 * time.Second,
	}})
	if r.clean() || r.Unlisted == 0 {
		t.Errorf("delete before PUBACK was not noticed:%s", r.text())
	}
}

// The same cut without the bug loses nothing: what was sent into the dead
// link is sent again.
func TestCutLinkLosesNothing(t *testing.T) {
	t.Parallel()
	r := drive(t, options{faults: faults{swallow: 3 * time.Second}})
	if !r.clean() || r.Missing != 0 || r.Gaps != 0 {
		t.Errorf("not clean:%s", r.text())
	}
}

// A receiver that books copies as data is caught when a PUBACK is lost on the
// way: the broker has the batch, the agent sends it again.
func TestCheckCatchesCopiesBookedAsData(t *testing.T) {
	t.Parallel()
	f := faults{mute: 3 * time.Second}
	r := drive(t, options{faults: f})
	if !r.clean() || r.Copies == 0 {
		t.Errorf("want a clean run with copies:%s", r.text())
	}
	f.countCopies = true
	if r := drive(t, options{faults: f}); r.clean() || r.Strange == 0 {
		t.Errorf("copies booked as data were not noticed:%s", r.text())
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
	for _, k := range []string{"cars", "load", "seconds", "emitted", "received", "missing", "holes", "gaps", "copies",
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
