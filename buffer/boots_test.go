package buffer_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"obu/buffer"
	"obu/telemetry"
)

// bootsRig is a store without an age limit on a clock that the test turns.
type bootsRig struct {
	*testing.T
	b      *buffer.Buffer
	dir    string
	at     telemetry.At
	anchor telemetry.Anchor // of At 0
}

func newBootsRig(t *testing.T) *bootsRig {
	r := &bootsRig{T: t, dir: t.TempDir(), at: 1e9}
	r.open()
	return r
}

func (r *bootsRig) open() {
	r.b = open(r.T, r.dir, func(o *buffer.Options) {
		o.Now = func() telemetry.At { return r.at }
		o.Anchor = func() telemetry.Anchor {
			a := r.anchor
			if !a.Wall.IsZero() {
				a.At, a.Wall = r.at, a.Wall.Add(time.Duration(r.at))
			}
			return a
		}
	})
	r.Cleanup(func() { _ = r.b.Close() })
}

// minutes lets time go by with a commit each second.
func (r *bootsRig) minutes(n int) {
	r.Helper()
	for range n * 60 {
		r.at = r.at.Add(time.Second)
		if _, err := r.b.Commit(nil); err != nil {
			r.Fatal(err)
		}
	}
}

// kept is the newest boot in the file.
func (r *bootsRig) kept() telemetry.Anchor {
	r.Helper()
	list, err := buffer.Boots(r.dir)
	if err != nil {
		r.Fatal(err)
	}
	if len(list) == 0 {
		return telemetry.Anchor{}
	}
	return list[len(list)-1]
}

// TestBootsAreKeptWithoutAnAgeLimit: when a boot was is known after it, with how
// sure that was and by which clock; what is surer replaces it, and nothing else
// is written.
func TestBootsAreKeptWithoutAnAgeLimit(t *testing.T) {
	r := newBootsRig(t)
	know := func(by telemetry.AnchorBy, wall time.Time, give time.Duration) {
		r.anchor = telemetry.Anchor{Wall: wall, Uncertainty: give, By: by}
	}
	want := func(what string, by telemetry.AnchorBy, wall time.Time, give time.Duration) {
		t.Helper()
		a := r.kept()
		if a.By != by || a.Uncertainty != give || by != "" && !a.Wall.Add(-time.Duration(a.At)).Equal(wall) {
			t.Errorf("%s: kept %+v", what, a)
		}
	}
	r.minutes(1)
	want("nothing is known", "", time.Time{}, 0)
	know(telemetry.AnchorNTP, someDay, time.Minute)
	r.minutes(1)
	want("known", telemetry.AnchorNTP, someDay, time.Minute)
	know(telemetry.AnchorGNSS, someDay.Add(time.Second), time.Second)
	r.minutes(5)
	want("surer, too soon", telemetry.AnchorNTP, someDay, time.Minute)
	r.minutes(6)
	want("surer", telemetry.AnchorGNSS, someDay.Add(time.Second), time.Second)
	know(telemetry.AnchorGNSS, someDay.Add(2*time.Second), 600*time.Millisecond)
	r.minutes(30)
	want("hardly surer", telemetry.AnchorGNSS, someDay.Add(time.Second), time.Second)
	know(telemetry.AnchorGNSS, someDay.Add(2*time.Minute), 10*time.Second)
	r.minutes(11)
	want("another time", telemetry.AnchorGNSS, someDay.Add(2*time.Minute), 10*time.Second)
}

// TestLearntLeapSecondsCorrectABoot: a time that is off by more than was stated
// is written anew, however little that is; what the crystal explains is not.
func TestLearntLeapSecondsCorrectABoot(t *testing.T) {
	r := newBootsRig(t)
	const give = 700 * time.Millisecond
	say := func(off time.Duration) {
		r.anchor = telemetry.Anchor{Wall: someDay.Add(off), Uncertainty: give, By: telemetry.AnchorGNSS}
		r.minutes(11)
	}
	began := func() time.Time { a := r.kept(); return a.Wall.Add(-time.Duration(a.At)) }
	say(2 * time.Second)
	if got := began(); !got.Equal(someDay.Add(2 * time.Second)) {
		t.Fatalf("began %v", got)
	}
	say(0)
	if got := began(); !got.Equal(someDay) {
		t.Errorf("the leap seconds are known and the boot began at %v, want %v", got, someDay)
	}
	r.at = r.at.Add(10 * time.Hour) // at 80 ppm
	say(2880 * time.Millisecond)
	if got := began(); !got.Equal(someDay) {
		t.Errorf("the crystal drifts and the boot was written again: %v, want %v", got, someDay)
	}
}

// TestBootsOfAnOlderObu: a file without uncertainty is one of an hour, and a
// surer time takes its place.
func TestBootsOfAnOlderObu(t *testing.T) {
	r := newBootsRig(t)
	old, err := json.Marshal([]map[string]any{{"boot": telemetry.BootID{1}.String(), "at_ns": 1, "wall": someDay}})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.b.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(r.dir, "boots.json"), old, 0o600); err != nil {
		t.Fatal(err)
	}
	if a := r.kept(); a.Uncertainty != time.Hour || a.By != telemetry.AnchorEstimate || a.Boot != (telemetry.BootID{1}) {
		t.Errorf("read as %+v", a)
	}
	r.open()
	r.anchor = telemetry.Anchor{Wall: someDay, Uncertainty: time.Second, By: telemetry.AnchorGNSS}
	r.minutes(1)
	if a := r.kept(); a.Uncertainty != time.Second || a.By != telemetry.AnchorGNSS {
		t.Errorf("kept %+v", a)
	}
}

// TestBootsAreTriedAgain: what a disk did not take is written later.
func TestBootsAreTriedAgain(t *testing.T) {
	r := newBootsRig(t)
	stone := filepath.Join(r.dir, "boots.json.new")
	if err := os.Mkdir(stone, 0o700); err != nil {
		t.Fatal(err)
	}
	r.anchor = telemetry.Anchor{Wall: someDay, Uncertainty: time.Second, By: telemetry.AnchorGNSS}
	r.minutes(1)
	if a := r.kept(); a.By != "" {
		t.Fatalf("kept %+v", a)
	}
	if err := os.Remove(stone); err != nil {
		t.Fatal(err)
	}
	r.minutes(11)
	if a := r.kept(); a.By != telemetry.AnchorGNSS {
		t.Errorf("kept %+v", a)
	}
}
