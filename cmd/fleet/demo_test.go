package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"obu/internal/agent"
	"obu/internal/clock"
	"obu/internal/virtual"
	"obu/telemetry"
)

// cloudOf returns a cloud that shows into a buffer, and a function that sends
// it one batch of a story.
func cloudOf(t *testing.T, s *story) (*cloud, *bytes.Buffer, func(history bool, b telemetry.Batch)) {
	t.Helper()
	var shown bytes.Buffer
	c, err := newCloud(newScreen(&shown), filepath.Join(t.TempDir(), "clips"), 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.in.assembler.Close() })
	return c, &shown, func(history bool, b telemetry.Batch) {
		t.Helper()
		e := telemetry.Envelope{Unit: s.e.Unit, Store: s.store, Class: telemetry.ClassTelemetry, Boot: s.e.Boot,
			Next: s.seq + 1, SentBoot: s.e.Boot, History: history, Batches: []telemetry.Batch{b}}
		p, err := telemetry.EncodeEnvelope(&e)
		if err != nil {
			t.Fatal(err)
		}
		c.take("obu/v1/f/"+s.e.Unit+"/telemetry", p, false)
	}
}

// TestDemoSaysThatAPositionIsOld: the last fix of a receiver that has gone
// silent is not the place of the car.
func TestDemoSaysThatAPositionIsOld(t *testing.T) {
	s := newStory(t)
	c, _, send := cloudOf(t, s)
	c.plays(10)
	if got := c.state(monotonic()); !strings.HasPrefix(got, "no position yet            ") {
		t.Errorf("at first: %q", got)
	}
	send(false, s.second(10))
	for _, then := range []struct {
		second int
		want   string
	}{{14, " 52.501000° N  13.400000° E  "}, {18, "   position 9 s old           "}, {200, "   position 3 min old         "}} {
		b := s.second(then.second)
		b.Fixes = nil
		send(false, b)
		if got := c.state(monotonic()); !strings.HasPrefix(got, then.want) {
			t.Errorf("%d s after the start: %q, want %q", then.second, got, then.want)
		}
	}
	later := c.state(monotonic() + time.Minute) // nothing came for a minute: ten of the drive
	if !strings.Contains(later, "position 13 min old") || !strings.Contains(later, "  -- km/h") {
		t.Errorf("a minute later: %q", later)
	}
	send(false, s.second(210))
	if got := c.state(monotonic()); strings.Contains(got, "old") || strings.Contains(got, "-") {
		t.Errorf("with a new fix: %q", got)
	}
}

// TestDemoShowsThatTheNewestCameFirst, and says so when it did not.
func TestDemoShowsThatTheNewestCameFirst(t *testing.T) {
	s := newStory(t)
	c, shown, send := cloudOf(t, s)
	stored, present := s.second(61), s.second(75)
	resumed := c.await()
	send(false, present)
	<-resumed
	send(true, stored)
	if got := shown.String(); !regexp.MustCompile(`^00:00  \+ newest   4 values of 01:15 of the drive first\n` +
		`00:00    history  4 values behind it, 0\.\d\d s later, from 01:01 to 01:01 of the drive\n$`).MatchString(got) {
		t.Errorf("shown:\n%s", got)
	}

	s = newStory(t)
	c, shown, send = cloudOf(t, s)
	stored, present = s.second(61), s.second(75)
	resumed = c.await()
	send(true, stored)
	send(false, present)
	<-resumed
	if got := shown.String(); !strings.HasSuffix(got, "+ newest   4 values of 01:15 of the drive first, but 4 older ones before them\n") {
		t.Errorf("shown:\n%s", got)
	}
}

// TestDemoEndsInTime: whatever hangs, a demo with its default length is over
// within a minute and a half.
func TestDemoEndsInTime(t *testing.T) {
	seconds, err := demoCommand().Flags().GetInt("seconds")
	if err != nil {
		t.Fatal(err)
	}
	o := demoOptions{Seconds: seconds}
	if all := o.demoLimit() + obuGrace + childGrace; all > 90*time.Second {
		t.Errorf("a demo may take %v", all)
	}
	dir := t.TempDir()
	mute := filepath.Join(dir, "obu") // an agent that never answers
	if err := os.WriteFile(mute, []byte("#!/bin/sh\nexec sleep 600\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	o.Obu, o.Dir, o.limit = mute, filepath.Join(dir, "out"), 500*time.Millisecond
	err = runDemo(t.Context(), o, new(bytes.Buffer))
	if err == nil || !strings.Contains(err.Error(), "the demo took longer than 500ms") {
		t.Errorf("it says %v", err)
	}
	if left, err := os.ReadDir(o.Dir); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// TestDemoWaitsForTheLastClip: a clip finished as the car is parked still
// settles when nothing is stored any more.
func TestDemoWaitsForTheLastClip(t *testing.T) {
	d := &demo{}
	d.car = virtual.New(virtual.Config{Seed: 1, Clock: clock.Virtual(), Start: time.Unix(1_700_000_000, 0)})
	d.car.Journal().Film(virtual.Recording{Name: "20260101_120000_NF.mp4"})
	for stats, want := range map[string]bool{`{"clips":0,"waiting":0}`: false, `{"clips":1}`: true, `{"clips":0,"lost":1}`: true} {
		var s agent.Status
		if err := json.Unmarshal([]byte(`{"sources":[{"kind":"gps","stats":{}},{"kind":"dashcam","stats":`+stats+`}]}`), &s); err != nil {
			t.Fatal(err)
		}
		if d.clipsTaken(&s) != want {
			t.Errorf("%s: taken %v, want %v", stats, !want, want)
		}
	}
}
