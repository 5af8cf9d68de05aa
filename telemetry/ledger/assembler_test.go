package ledger_test

import (
	"bytes"
	"crypto/sha256"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"obu/telemetry"
	"obu/telemetry/ledger"
)

// film makes a clip's bytes, its manifest and its chunks.
func film(r *rand.Rand, name string, size int) ([]byte, telemetry.Clip, []telemetry.Chunk) {
	data := make([]byte, size)
	for i := range data {
		data[i] = byte(r.Uint32())
	}
	c := telemetry.Clip{ID: telemetry.ClipID{byte(size), byte(size >> 8), 7}, Camera: "front", Name: name,
		SizeBytes: int64(size), SHA256: sha256.Sum256(data), Cause: "normal"}
	var chunks []telemetry.Chunk
	for off := 0; off < size; off += 1000 {
		chunks = append(chunks, telemetry.Chunk{Clip: c.ID, Offset: int64(off), Data: data[off:min(off+1000, size)]})
	}
	return data, c, chunks
}

func media(chunks ...telemetry.Chunk) telemetry.Batch {
	return telemetry.Batch{Unit: "u1", Content: telemetry.Content{Chunks: chunks}}
}

func manifest(c telemetry.Clip) telemetry.Batch {
	return telemetry.Batch{Unit: "u1", Content: telemetry.Content{Clips: []telemetry.Clip{c}}}
}

func assembler(t *testing.T, dir string) *ledger.Assembler {
	t.Helper()
	a, err := ledger.NewAssembler(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Close() })
	return a
}

func take(t *testing.T, a *ledger.Assembler, b telemetry.Batch) []ledger.Finished {
	t.Helper()
	f, err := a.Take(b)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestClipIsIdenticalToTheByte(t *testing.T) {
	for seed := range uint64(40) {
		r := rand.New(rand.NewPCG(seed, 3))
		a := assembler(t, t.TempDir())
		data, clip, chunks := film(r, "20260301_120000_NF.mp4", r.IntN(9000))
		var mail []telemetry.Batch
		for _, c := range chunks {
			mail = append(mail, media(c))
		}
		mail = append(mail, manifest(clip))
		for range r.IntN(10) {
			mail = append(mail, mail[r.IntN(len(mail))])
		}
		r.Shuffle(len(mail), func(i, j int) { mail[i], mail[j] = mail[j], mail[i] })
		var done []ledger.Finished
		for _, b := range mail {
			done = append(done, take(t, a, b)...)
		}
		if len(done) != 1 || !done[0].OK || done[0].Unit != "u1" || done[0].Clip != clip {
			t.Fatalf("seed %d: finished %+v", seed, done)
		}
		got, err := os.ReadFile(done[0].Path)
		if err != nil || !bytes.Equal(got, data) {
			t.Fatalf("seed %d: file differs from the clip (%v)", seed, err)
		}
		if filepath.Base(done[0].Path) != clip.Name || a.Waiting() != 0 {
			t.Errorf("seed %d: path %s, %d waiting", seed, done[0].Path, a.Waiting())
		}
	}
}

func TestMismatchIsReported(t *testing.T) {
	a := assembler(t, t.TempDir())
	_, clip, chunks := film(rand.New(rand.NewPCG(1, 1)), "a.mp4", 2500)
	clip.SHA256[0] ^= 1
	take(t, a, media(chunks...))
	done := take(t, a, manifest(clip))
	if len(done) != 1 || done[0].OK || !strings.HasSuffix(done[0].Path, "a.mp4.mismatch") {
		t.Fatalf("finished %+v", done)
	}
}

func TestClipIsCarriedOnAfterRestart(t *testing.T) {
	dir := t.TempDir()
	data, clip, chunks := film(rand.New(rand.NewPCG(1, 1)), "a.mp4", 5500)
	first := assembler(t, dir)
	take(t, first, media(chunks[:3]...))
	first.Close()
	second := assembler(t, dir)
	take(t, second, manifest(clip))
	take(t, second, media(chunks[3], chunks[4]))
	done := take(t, second, media(chunks[5]))
	if len(done) != 1 || !done[0].OK {
		t.Fatalf("finished %+v", done)
	}
	if got, _ := os.ReadFile(done[0].Path); !bytes.Equal(got, data) {
		t.Error("file differs from the clip")
	}
}

func TestSameNameTwice(t *testing.T) {
	a := assembler(t, t.TempDir())
	paths := make(map[string]bool)
	for i := range 3 {
		r := rand.New(rand.NewPCG(uint64(i), 9))
		data, clip, chunks := film(r, "a.mp4", 1000+i)
		take(t, a, media(chunks...))
		done := take(t, a, manifest(clip))
		if len(done) != 1 || !done[0].OK {
			t.Fatalf("clip %d: %+v", i, done)
		}
		paths[done[0].Path] = true
		if got, _ := os.ReadFile(done[0].Path); !bytes.Equal(got, data) {
			t.Errorf("clip %d: file differs", i)
		}
	}
	if len(paths) != 3 {
		t.Errorf("one file overwrote another: %v", paths)
	}
}

func TestHostileSender(t *testing.T) {
	dir := t.TempDir()
	inside := filepath.Join(dir, "clips")
	a := assembler(t, inside)
	if err := os.Symlink(dir, filepath.Join(inside, "u1")); err != nil {
		t.Fatal(err)
	}
	_, clip, chunks := film(rand.New(rand.NewPCG(1, 1)), "../../escape.mp4", 1500)
	clip.Camera = ".."
	take(t, a, media(chunks...))
	if f, err := a.Take(manifest(clip)); err == nil {
		t.Errorf("a symbolic link out of the directory was followed: %+v", f)
	}
	for _, bad := range []telemetry.Chunk{
		{Offset: -1, Data: []byte{1}},
		{Offset: ledger.MaxClipBytes, Data: []byte{1}},
		{Offset: 1<<63 - 1, Data: []byte{1}},
	} {
		if _, err := a.Take(media(bad)); err == nil {
			t.Errorf("offset %d was taken", bad.Offset)
		}
	}
	if _, err := a.Take(manifest(telemetry.Clip{SizeBytes: -5})); err == nil {
		t.Error("a negative size was taken")
	}
	for i := range ledger.MaxOpenClips + 100 {
		id := telemetry.ClipID{1: byte(i), 2: byte(i >> 8), 3: 1}
		take(t, a, media(telemetry.Chunk{Clip: id, Data: []byte{1}}))
	}
	if a.Waiting() > ledger.MaxOpenClips {
		t.Errorf("%d clips are open", a.Waiting())
	}
	entries, _ := os.ReadDir(filepath.Join(inside, ".incoming"))
	if len(entries) > ledger.MaxOpenClips {
		t.Errorf("%d files of abandoned clips stay", len(entries))
	}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if !strings.HasPrefix(path, inside) && path != dir {
			t.Errorf("%s was written outside of the directory", path)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

// FuzzSafeName: whatever a sender calls a camera or a file is one local path
// element that stays where it is put.
func FuzzSafeName(f *testing.F) {
	for _, s := range []string{"", ".", "..", "../../etc/passwd", `C:\x\NF.mp4`, "a/b", "20181029_131513_NF.mp4", "\x00", "-rf",
		strings.Repeat("ü", 300) + ".mp4", ". .", "NO20191130-120156-000121.MP4", strings.Repeat("a", 200) + "." + strings.Repeat("b", 100)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		n := ledger.SafeName(s)
		if !filepath.IsLocal(n) || strings.ContainsAny(n, "/\\\x00") || n == "." || strings.HasPrefix(n, ".") || len(n) > 100 || n == "" {
			t.Fatalf("SafeName(%q) = %q", s, n)
		}
		if again := ledger.SafeName(n); again != n && len(n) < 100 {
			t.Fatalf("SafeName(%q) = %q, then %q", s, n, again)
		}
	})
}
