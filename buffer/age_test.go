package buffer_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"obu/buffer"
	"obu/telemetry"
)

// ageRig is a store on clocks that the test turns: time since boot, and a wall
// clock that is zero while nobody knows it.
type ageRig struct {
	*testing.T
	dir    string
	b      *buffer.Buffer
	boot   byte
	at     telemetry.At
	wall   time.Time
	maxAge time.Duration
}

var someDay = time.Date(2026, 5, 4, 6, 0, 0, 0, time.UTC)

// start begins a boot; known says whether it learns the wall time.
func (r *ageRig) start(boot byte, wall time.Time) {
	r.Helper()
	r.boot, r.at, r.wall = boot, telemetry.At(10*time.Second), wall
	r.b = open(r.T, r.dir, func(o *buffer.Options) {
		o.Boot, o.MaxAge = telemetry.BootID{boot}, r.maxAge
		o.Now, o.Wall = func() telemetry.At { return r.at }, func() time.Time { return r.wall }
	})
}

func (r *ageRig) stop() {
	r.Helper()
	if err := r.b.Close(); err != nil {
		r.Fatal(err)
	}
}

// pass lets time go by.
func (r *ageRig) pass(d time.Duration) {
	r.at = r.at.Add(d)
	if !r.wall.IsZero() {
		r.wall = r.wall.Add(d)
	}
}

// store puts one batch into each class of telemetry.db, and a chunk.
func (r *ageRig) store(i int) {
	r.Helper()
	var entries []buffer.Entry
	for _, c := range []telemetry.Class{telemetry.ClassTelemetry, telemetry.ClassEvent, telemetry.ClassHealth} {
		entries = append(entries, buffer.Entry{Class: c, Content: anchor(i)})
	}
	if _, err := r.b.Commit(entries); err != nil {
		r.Fatal(err)
	}
	key := fmt.Sprintf("clip-%d-%d", r.boot, i)
	if _, err := r.b.CommitChunk(key, telemetry.Chunk{Clip: telemetry.ClipID{r.boot, byte(i)}, Data: make([]byte, 3000)}); err != nil {
		r.Fatal(err)
	}
}

func (r *ageRig) commit() {
	r.Helper()
	if _, err := r.b.Commit(nil); err != nil {
		r.Fatal(err)
	}
}

// held is how many batches of a class a stopped store holds, by boot; events
// that list losses are counted apart.
func (r *ageRig) held() (byBoot map[telemetry.BootID]int, gaps int) {
	r.Helper()
	byBoot = map[telemetry.BootID]int{}
	err := buffer.Each(r.Context(), r.dir, func(b buffer.Batch) error {
		batch, err := telemetry.DecodeBatch(b.Name, b.Blob)
		if err != nil {
			return err
		}
		if len(batch.Gaps) > 0 {
			gaps++
		} else {
			byBoot[b.Boot]++
		}
		return nil
	})
	if err != nil {
		r.Fatal(err)
	}
	return byBoot, gaps
}

// TestAgeExpires: what is older than the limit goes and is listed, of this boot
// and of earlier ones, in every class; what nobody can date stays.
func TestAgeExpires(t *testing.T) {
	const old, young = 3, 2
	r := &ageRig{T: t, dir: t.TempDir(), maxAge: 7 * 24 * time.Hour}
	r.start(1, someDay)
	for i := range old {
		r.store(i)
		r.pass(time.Hour)
	}
	r.stop()
	r.start(2, time.Time{}) // a boot that never knew
	r.store(1)
	r.stop()
	r.start(3, someDay.Add(6*24*time.Hour))
	for i := range young {
		r.store(i)
	}
	r.pass(2 * time.Minute)
	r.commit()
	if st := r.b.Stats(); st.Expired != 0 {
		t.Fatalf("expired too early: %+v", st)
	}
	r.pass(24*time.Hour + 90*time.Minute) // two of the three hours of boot 1 are too old
	r.store(9)
	if st := r.b.Stats(); st.Expired != 2*4 || st.Evicted != 0 {
		t.Fatalf("expired %d batches, want %d; evicted %d", st.Expired, 2*4, st.Evicted)
	}
	r.pass(2 * time.Hour) // now all three: what boot 2 stored comes next, and nobody knows when that was
	r.store(10)
	if st := r.b.Stats(); st.Expired != old*4 {
		t.Fatalf("expired %d batches, want %d", st.Expired, old*4)
	}
	r.commit() // takes over what media.db lost
	r.stop()
	byBoot, gapEvents := r.held()
	if byBoot[telemetry.BootID{1}] != 0 || byBoot[telemetry.BootID{2}] != 4 || byBoot[telemetry.BootID{3}] != (young+2)*4 || gapEvents == 0 {
		t.Errorf("held %v, %d events of gaps", byBoot, gapEvents)
	}
	rep, err := buffer.Inspect(t.Context(), r.dir)
	if err != nil {
		t.Fatal(err)
	}
	listed := map[telemetry.Class]bool{}
	for _, g := range rep.Gaps {
		if g.Reason != telemetry.ReasonExpired || g.FromSeq != 1 || g.ToSeq != old || g.Count != old || g.Boot != (telemetry.BootID{1}) {
			t.Errorf("gap %+v", g)
		}
		listed[g.Class] = true
	}
	if len(listed) != 4 {
		t.Errorf("classes listed: %v of %+v", listed, rep.Gaps)
	}
}

// TestAgeNeedsATrustedClock: a unit that does not know the time expires
// nothing, however long it runs, and one without a limit nothing either.
func TestAgeNeedsATrustedClock(t *testing.T) {
	for name, c := range map[string]struct {
		known  bool
		maxAge time.Duration
	}{"unknown": {false, time.Hour}, "no limit": {true, 0}} {
		t.Run(name, func(t *testing.T) {
			r := &ageRig{T: t, dir: t.TempDir(), maxAge: c.maxAge}
			r.start(1, someDay)
			r.store(1)
			r.stop()
			r.start(2, time.Time{})
			if c.known {
				r.wall = someDay.AddDate(1, 0, 0)
			}
			for i := range 5 {
				r.pass(1000 * time.Hour)
				r.store(i)
			}
			if st := r.b.Stats(); st.Expired != 0 {
				t.Errorf("expired: %+v", st)
			}
			r.stop()
		})
	}
}

// TestGapsOutliveTheirEvents: a loss is listed until that is delivered, however
// old; the event that lists it is made anew, and the ranges stay whole.
func TestGapsOutliveTheirEvents(t *testing.T) {
	r := &ageRig{T: t, dir: t.TempDir(), maxAge: time.Hour}
	r.start(1, someDay)
	r.b.Lost(telemetry.Gap{Class: telemetry.ClassTelemetry, Boot: telemetry.BootID{1}, Count: 5, Reason: telemetry.ReasonRXOverflow, Source: "can0"})
	const hours = 50
	for range hours {
		r.store(1)
		r.pass(time.Hour)
	}
	st := r.b.Stats()
	r.stop()
	rep, err := buffer.Inspect(t.Context(), r.dir)
	if err != nil {
		t.Fatal(err)
	}
	first := 0
	for _, g := range rep.Gaps {
		if g.Reason == telemetry.ReasonRXOverflow && g.Count == 5 {
			first++
		}
	}
	if _, events := r.held(); first != 1 || len(rep.Gaps) > 6 || events == 0 || events > 6 || st.Expired < 4*(hours-3) {
		t.Errorf("%d events list %+v; %+v", events, rep.Gaps, st)
	}
}

// TestBootsAreBounded: the table of boots stays small, and what cannot be read
// stops nothing.
func TestBootsAreBounded(t *testing.T) {
	r := &ageRig{T: t, dir: t.TempDir(), maxAge: 24 * time.Hour}
	var many []map[string]any
	for i := range 2 * buffer.MaxBoots {
		many = append(many, map[string]any{"boot": telemetry.BootID{9, byte(i), byte(i >> 8)}.String(), "at_ns": 1, "wall": someDay})
	}
	raw, err := json.Marshal(many)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(r.dir, "boots.json")
	for name, text := range map[string][]byte{"many": raw, "cut": raw[:len(raw)/2], "none": nil} {
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		r.start(1, someDay)
		r.store(1)
		r.stop()
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		list, err := buffer.ParseBoots(text)
		if want := map[string]int{"many": buffer.MaxBoots, "cut": 1, "none": 1}[name]; err != nil || list != want {
			t.Errorf("%s: %d boots, want %d, %v", name, list, want, err)
		}
	}
}

// FuzzBoots: whatever lies in the file, what is taken from it can be used, and
// reads the same again.
func FuzzBoots(f *testing.F) {
	f.Add([]byte(`[{"boot":"0f1e2d3c4b5a69788796a5b4c3d2e1f0","at_ns":10000000000,"wall":"2026-05-04T06:00:00Z"}]`))
	f.Add([]byte(`[{"boot":"","at_ns":-1},{},null]`))
	f.Add([]byte(`{}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		n, err := buffer.ParseBoots(raw)
		if err != nil {
			return
		}
		if n > buffer.MaxBoots {
			t.Fatalf("%d boots", n)
		}
		if again, err := buffer.ReparseBoots(raw); err != nil || again != n {
			t.Errorf("%d boots, read again %d, %v", n, again, err)
		}
	})
}
