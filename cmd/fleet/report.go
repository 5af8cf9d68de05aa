package main

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"strings"
	"time"
)

// report is what a run ends with. The keys are a promise to scripts
// (README, "fleet"): numbers, null where nothing could be measured. CPU times
// are user and system seconds while all cars drove; bytes on the wire are
// MQTT's in both directions, without TCP/IP headers.
type report struct {
	Cars      int      `json:"cars"`
	Load      string   `json:"load"`
	Custody   string   `json:"custody"`      // puback or receipt
	LiveEvery float64  `json:"live_every_s"` // how often the newest state left
	Seconds   float64  `json:"seconds"`
	Seed      uint64   `json:"seed"`
	Notes     []string `json:"notes,omitempty"`
	Emitted   int      `json:"emitted"`
	Received  int      `json:"received"`
	Missing   int      `json:"missing"`
	Listed    int      `json:"missing_listed"`    // of those, listed in a Gap
	Unlisted  int      `json:"missing_uncovered"` // and not
	Strange   int      `json:"strange"`           // received, never emitted
	Holes     int64    `json:"holes"`
	Gaps      int      `json:"gaps"`
	Copies    int      `json:"copies"`
	Backlog   int      `json:"backlog"` // batches still stored at the end, health included

	Timed       int     `json:"timed"`         // records whose time was compared with the truth
	Mistimed    int     `json:"mistimed"`      // of those, off by more than was stated
	WorstStated float64 `json:"time_stated_s"` // the largest uncertainty that was stated
	WorstOff    float64 `json:"time_off_s"`    // the furthest off

	LatencyP50 *float64 `json:"latency_p50_s"`
	LatencyP99 *float64 `json:"latency_p99_s"`

	CPUAgents   float64 `json:"cpu_agents_s"` // this process, cars subtracted
	CPUCars     float64 `json:"cpu_cars_s"`   // what a cars-only run costs in the same time
	CPUStart    float64 `json:"cpu_start_s"`  // this process until every agent was running
	CPUBroker   float64 `json:"cpu_broker_s"` // 0 with --broker
	CPUReceiver float64 `json:"cpu_receiver_s"`
	Cores       float64 `json:"agents_cores"` // cpu_agents_s a second
	RSSAnonMB   float64 `json:"rss_anon_mb"`  // peak, agents and cars together; 1 MB = 10^6 bytes

	WirePerCarHour   *float64 `json:"wire_bytes_per_car_hour"`
	DevicePerCarHour *float64 `json:"device_bytes_per_car_hour"` // sectors; null on a disk that others write to
	StorePerCarHour  *float64 `json:"store_bytes_per_car_hour"`  // pages bbolt wrote, before the file system
	Commits          uint64   `json:"commits"`                   // synced
	SlowestCommit    float64  `json:"slowest_commit_s"`

	timed timed

	Verdict  string   `json:"verdict"` // "clean" or "unclean"
	Problems []string `json:"problems,omitempty"`
	GapLines []string `json:"gap_lines,omitempty"` // the first few Gaps in words
}

// number returns v for JSON: null when it is not one.
func number(v float64) *float64 {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return nil
	}
	return &v
}

// book copies the ledger into the report and judges it.
func (r *report) book(a *account) {
	r.Emitted, r.Received, r.Missing, r.Unlisted = a.Emitted, a.Received, a.Missing, a.Uncovered
	r.Listed = a.Missing - a.Uncovered
	r.Strange, r.Holes, r.Gaps, r.Copies = a.Strange, a.Holes, a.Gaps, a.Copies
	r.Timed, r.Mistimed, r.WorstStated, r.WorstOff = a.timed.Records, a.timed.Wrong, a.timed.Worst.Seconds(), a.timed.Off.Seconds()
	r.timed = a.timed
	r.LatencyP50, r.LatencyP99 = number(a.latency.quantile(0.50)), number(a.latency.quantile(0.99))
	r.Problems, r.GapLines = a.problems.all(), a.listed.all()
	r.Verdict = "unclean"
	if a.clean() && a.Emitted > 0 {
		r.Verdict = "clean"
	}
}

// clean reports the verdict.
func (r *report) clean() bool { return r.Verdict == "clean" }

// write puts the report into a file as JSON; "-" is out.
func (r *report) write(path string, out io.Writer) error {
	b, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return fmt.Errorf("encode report: %w", err)
	}
	b = append(b, '\n')
	if path == "-" {
		_, err = out.Write(b)
		return err
	}
	if err := os.WriteFile(path, b, 0o644); err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	return nil
}

// print writes the report for people.
func (r *report) print(w io.Writer) {
	line := func(name, format string, a ...any) {
		fmt.Fprintf(w, "  %-20s %s\n", name, fmt.Sprintf(format, a...))
	}
	fmt.Fprintf(w, "\nfleet: %d cars, load %s, live every %v, %.0f s\n\n", r.Cars, r.Load, seconds(r.LiveEvery), r.Seconds)
	line("values emitted", "%s", thousands(int64(r.Emitted)))
	line("values received", "%s", thousands(int64(r.Received)))
	line("missing", "%s  (%s listed in gaps, %s not)", thousands(int64(r.Missing)), thousands(int64(r.Listed)), thousands(int64(r.Unlisted)))
	line("holes", "%d", r.Holes)
	line("gaps", "%d", r.Gaps)
	line("copies", "%d", r.Copies)
	line("never emitted", "%d", r.Strange)
	if r.Timed > 0 {
		line("time", "%s", &r.timed)
	}
	if r.LatencyP50 != nil && r.LatencyP99 != nil {
		line("latency", "%.2f s median, %.2f s p99", *r.LatencyP50, *r.LatencyP99)
	}
	line("CPU agents", "%.1f s (%.2f cores); cars %.1f s, start-up %.1f s", r.CPUAgents, r.Cores, r.CPUCars, r.CPUStart)
	line("CPU broker", "%.1f s", r.CPUBroker)
	line("CPU receiver", "%.1f s", r.CPUReceiver)
	line("memory", "%.0f MB RssAnon at most, %.2f MB a car", r.RSSAnonMB, r.RSSAnonMB/float64(max(r.Cars, 1)))
	if r.WirePerCarHour != nil {
		line("wire", "%s bytes a car and hour, live every %v", thousands(int64(*r.WirePerCarHour)), seconds(r.LiveEvery))
	}
	if r.DevicePerCarHour != nil {
		line("device", "%s bytes a car and hour", thousands(int64(*r.DevicePerCarHour)))
	} else {
		line("device", "not measured: others write to this disk too")
	}
	if r.StorePerCarHour != nil {
		line("store", "%s bytes a car and hour in pages written", thousands(int64(*r.StorePerCarHour)))
	}
	line("commits", "%s synced, slowest %.2f s", thousands(int64(r.Commits)), r.SlowestCommit)
	if r.Backlog > 0 {
		line("still stored", "%d batches", r.Backlog)
	}
	for _, n := range r.Notes {
		fmt.Fprintf(w, "\n  note: %s", n)
	}
	if len(r.Notes) > 0 {
		fmt.Fprintln(w)
	}
	for _, g := range r.GapLines {
		fmt.Fprintf(w, "\n  - %s", g)
	}
	for _, p := range r.Problems {
		fmt.Fprintf(w, "\n  ! %s", p)
	}
	if len(r.Problems)+len(r.GapLines) > 0 {
		fmt.Fprintln(w)
	}
	fmt.Fprintf(w, "\n%s\n", map[bool]string{
		true:  "clean: every value emitted arrived as it was, or is listed as lost",
		false: "NOT CLEAN: see above",
	}[r.clean()])
}

// seconds returns s for printing.
func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

// thousands prints n with spaces between groups of three digits.
func thousands(n int64) string {
	s := fmt.Sprint(n)
	sign := ""
	if n < 0 {
		sign, s = "-", s[1:]
	}
	var b strings.Builder
	for i, c := range s {
		if i > 0 && (len(s)-i)%3 == 0 {
			b.WriteByte(' ')
		}
		b.WriteRune(c)
	}
	return sign + b.String()
}
