package dashcam

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"obu/internal/clock"
	"obu/telemetry"
)

// none is custody that nothing reaches.
type none struct{}

func (none) Progress(string) (int64, bool, bool)                       { return 0, false, false }
func (none) StoreChunk(context.Context, string, telemetry.Chunk) error { return nil }
func (none) Finish(context.Context, string, telemetry.Clip) error      { return nil }

type info struct {
	fs.FileInfo
	at int64
}

func (i info) ModTime() time.Time { return time.Unix(i.at, 0) }
func (i info) Size() int64        { return 1 }

func source(t *testing.T, lost *[]telemetry.Gap) *Source {
	t.Helper()
	s, err := New(Config{Dir: t.TempDir(), Clock: clock.Virtual(), Custody: none{}, Lost: func(g telemetry.Gap) { *lost = append(*lost, g) }})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.findRoot(); err != nil {
		t.Fatal(err)
	}
	return s
}

func TestFilesAreBounded(t *testing.T) {
	var lost []telemetry.Gap
	s := source(t, &lost)
	found := make(map[string]fs.FileInfo)
	for i := range MaxFiles + 10 {
		found[fmt.Sprint(i)] = info{at: int64(i)}
	}
	newest := fmt.Sprint(MaxFiles + 9)
	s.files[newest] = &file{path: newest, info: found[newest], root: s.root}
	s.bound(found)
	if len(found) != MaxFiles || found["0"] == nil || found[newest] == nil {
		t.Errorf("%d files kept; oldest %v; known %v", len(found), found["0"] != nil, found[newest] != nil)
	}
	s.update(found)
	if len(lost) != 0 || s.Stats().Waiting != MaxFiles {
		t.Errorf("%d lost, %d waiting", len(lost), s.Stats().Waiting)
	}
}

// kept is custody that has everything already.
type kept struct{ none }

func (kept) Progress(string) (int64, bool, bool) { return 0, true, true }

// BenchmarkRestart is the first look at a card of 2,000 segments that are all
// in custody: what each start of the agent costs.
func BenchmarkRestart(b *testing.B) {
	dir := b.TempDir()
	for i := range 2000 {
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("%05d.ts", i)), []byte{1}, 0o644); err != nil {
			b.Fatal(err)
		}
	}
	for b.Loop() {
		s, err := New(Config{Dir: dir, Clock: clock.Virtual(), Custody: kept{}, AppearWhole: true})
		if err != nil {
			b.Fatal(err)
		}
		if err := s.findRoot(); err != nil {
			b.Fatal(err)
		}
		if _, idle, err := s.look(b.Context(), &watcher{}); err != nil || !idle || s.Stats().Waiting != 0 {
			b.Fatal(idle, err, s.Stats())
		}
	}
}

// TestSwappedCardsAreForgotten: what stood on cards that did not come back is
// bounded too; what was owed of it is listed.
func TestSwappedCardsAreForgotten(t *testing.T) {
	var lost []telemetry.Gap
	s := source(t, &lost)
	other, err := os.Stat(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for i := range MaxFiles {
		path := fmt.Sprint("old", i)
		s.files[path] = &file{path: path, info: info{}, root: other, state: done}
	}
	s.files["old0"].state = waiting
	s.update(map[string]fs.FileInfo{"new": info{}})
	if len(s.files) != 1 || s.files["new"] == nil || len(lost) != 1 {
		t.Errorf("%d files kept, %d listed", len(s.files), len(lost))
	}
}

func TestFailingCardIsGivenUpAndListed(t *testing.T) {
	var lost []telemetry.Gap
	s := source(t, &lost)
	path := filepath.Join(s.cfg.Dir, "a.mp4")
	if err := os.WriteFile(path, make([]byte, 3*DefaultChunkBytes), 0o644); err != nil {
		t.Fatal(err)
	}
	st, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	f := &file{path: "a.mp4", info: st, root: s.root, name: ParseName("a.mp4"), stored: DefaultChunkBytes}
	s.files["a.mp4"] = f
	for i := range readAttempts {
		if len(lost) != 0 || f.state == failed {
			t.Fatalf("given up after %d attempts", i)
		}
		if err := s.readFailed(f, errors.New("input/output error")); err != nil {
			t.Fatal(err)
		}
	}
	if len(lost) != 1 || lost[0].Count != 2 || lost[0].Source != "a.mp4" || f.state != failed {
		t.Fatalf("gaps %+v, state %v", lost, f.state)
	}
	if _, ok := s.due(f); ok {
		t.Error("a file given up is read again and again")
	}
	if err := os.RemoveAll(s.cfg.Dir); err != nil {
		t.Fatal(err)
	}
	if err := s.readFailed(f, errors.New("no such device")); !errors.Is(err, ErrNoFolder) {
		t.Errorf("a pulled card: %v", err)
	}
}
