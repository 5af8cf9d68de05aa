package dashcam_test

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"obu/dashcam"
	"obu/telemetry"
)

// recordings returns the folder of real recordings, or skips the test.
func recordings(t testing.TB) string {
	t.Helper()
	dir := os.Getenv("OBU_RECORDINGS")
	if dir == "" {
		root, err := os.Getwd()
		if err != nil {
			t.Fatal(err)
		}
		for {
			if _, err := os.Stat(filepath.Join(root, "go.mod")); err == nil {
				break
			}
			if root == filepath.Dir(root) {
				t.Skip("skipped: no go.mod above the package, so no place to look for recordings")
			}
			root = filepath.Dir(root)
		}
		dir = filepath.Join(root, "../shared/recordings")
	}
	dir = filepath.Join(dir, "dashcam")
	if _, err := os.Stat(dir); err != nil {
		t.Skipf("skipped: no recordings (set OBU_RECORDINGS): %v", err)
	}
	return dir
}

// TestUnknownLengthIsUnknown: a movie header of all ones says that the camera
// does not know (ISO/IEC 14496-12 §8.2.2.3), not half a day.
func TestUnknownLengthIsUnknown(t *testing.T) {
	box := func(kind string, body []byte) []byte {
		b := binary.BigEndian.AppendUint32(nil, uint32(8+len(body)))
		return append(append(b, kind...), body...)
	}
	ones := bytes.Repeat([]byte{0xFF}, 8)
	v0 := append([]byte{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0x5F, 0x90}, ones[:4]...)
	v1 := append([]byte{1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF, 0xFF, 0xFF}, ones...)
	for _, mvhd := range [][]byte{v0, v1} {
		file := box("moov", box("mvhd", mvhd))
		m, err := dashcam.Probe(bytes.NewReader(file), int64(len(file)))
		if err != nil || !m.Whole || m.Length != 0 {
			t.Errorf("%+v, %v", m, err)
		}
	}
}

func TestRecordedBoxes(t *testing.T) {
	dir := recordings(t)
	f, err := os.Open(filepath.Join(dir, "expect.mp4.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	type boxRow struct {
		Type      string
		Off, Size int64
		Complete  bool
	}
	files := 0
	for sc := bufio.NewScanner(f); sc.Scan(); files++ {
		var want struct {
			File     string
			Bytes    int64
			Boxes    []boxRow `json:"top_boxes"`
			Moov     bool     `json:"has_complete_moov"`
			Duration *string  `json:"ffprobe_duration"`
		}
		if err := json.Unmarshal(sc.Bytes(), &want); err != nil {
			t.Fatal(err)
		}
		r, err := os.Open(filepath.Join(dir, want.File))
		if err != nil {
			t.Fatal(err)
		}
		var got []boxRow
		err = dashcam.Walk(r, 0, want.Bytes, func(b dashcam.Box) error {
			latin := make([]rune, 0, 4) // the expectation writes bytes as code points
			for _, c := range []byte(b.Type) {
				latin = append(latin, rune(c))
			}
			got = append(got, boxRow{string(latin), b.Offset, b.Size, b.Complete})
			return nil
		})
		got = got[:min(len(got), 12)] // the expectation lists no more
		if err != nil || fmt.Sprint(got) != fmt.Sprint(want.Boxes) {
			t.Errorf("%s: %v\n got %v\nwant %v", want.File, err, got, want.Boxes)
		}
		m, err := dashcam.Probe(r, want.Bytes)
		if err != nil || m.HasMoov != want.Moov {
			t.Errorf("%s: moov %v (%v), want %v", want.File, m.HasMoov, err, want.Moov)
		}
		if want.Duration != nil {
			s, err := strconv.ParseFloat(*want.Duration, 64)
			if err != nil {
				t.Fatal(err)
			}
			if s > 1e9 { // longer than the format's own age: not believed
				s = 0
			}
			if d := m.Length.Seconds() - s; d > 0.001 || d < -0.001 {
				t.Errorf("%s: length %v, ffprobe says %s s", want.File, m.Length, *want.Duration)
			}
		}
		r.Close()
	}
	if files != 26 {
		t.Errorf("%d files compared, want 26", files)
	}
}

// TestRecordedFolder takes every recorded file into custody: real ones, cut
// ones, and those made to break parsers.
func TestRecordedFolder(t *testing.T) {
	dir := recordings(t)
	r := newRig(t, func(c *dashcam.Config) { c.Dir, c.ChunkBytes = dir, 0 })
	r.pass()
	got := r.vault.all(t)
	for _, c := range got {
		found, err := filepath.Glob(filepath.Join(dir, "*", c.Name))
		if err != nil || len(found) != 1 {
			t.Fatalf("%s: %v %v", c.Name, found, err)
		}
		if want, err := os.ReadFile(found[0]); err != nil || !bytes.Equal(r.vault.data(c), want) {
			t.Errorf("%s differs (%v)", c.Name, err)
		}
	}
	if c := got["mock.mp4"]; len(got) != 26 || c.Length != 5568*time.Millisecond || c.Cause != dashcam.CauseNormal {
		t.Errorf("%d clips, mock.mp4 is %+v", len(got), c)
	}
	if c := got["20181029_131513_NF.cut150000.mp4"]; c.Cause != dashcam.CauseNormal+telemetry.CauseIncomplete {
		t.Errorf("cut file is %+v", c)
	}
}

// sparse is a file of headers with nothing in between.
type sparse struct {
	heads map[int64][]byte
	size  int64
}

func (s sparse) ReadAt(p []byte, off int64) (int, error) {
	if off >= s.size {
		return 0, io.EOF
	}
	clear(p)
	for at, h := range s.heads {
		if at <= off && off < at+int64(len(h)) {
			copy(p, h[off-at:])
		}
	}
	if rest := s.size - off; int64(len(p)) > rest {
		return int(rest), io.EOF
	}
	return len(p), nil
}

func TestProbeReadsNoMedia(t *testing.T) {
	tail := movie(1, 0, time.Minute)
	moov := tail[bytes.Index(tail, []byte("moov"))-4:]
	large := append([]byte{0, 0, 0, 1}, "mdat"...)
	large = binary.BigEndian.AppendUint64(large, 1<<40)
	f := sparse{map[int64][]byte{0: box("ftyp", nil), 8: large, 8 + 1<<40: moov}, 8 + 1<<40 + int64(len(moov))}
	m, err := dashcam.Probe(f, f.size)
	if err != nil || !m.Whole || m.Length != time.Minute {
		t.Errorf("a terabyte of media: %+v, %v", m, err)
	}
	f.size--
	if m, _ := dashcam.Probe(f, f.size); m.Whole || m.HasMoov {
		t.Errorf("a byte short: %+v", m)
	}
	toEnd := sparse{map[int64][]byte{0: box("ftyp", nil), 8: moov, 8 + int64(len(moov)): append([]byte{0, 0, 0, 0}, "mdat"...)}, 1 << 33}
	if m, err := dashcam.Probe(toEnd, toEnd.size); err != nil || !m.Whole {
		t.Errorf("a last box of size 0: %+v, %v", m, err)
	}
}

type broken struct{}

func (broken) ReadAt([]byte, int64) (int, error) { return 0, errVault }

func TestProbeReportsReadErrors(t *testing.T) {
	if _, err := dashcam.Probe(broken{}, 100); !errors.Is(err, errVault) {
		t.Errorf("err %v", err)
	}
}

// FuzzProbe: whatever the bytes, the prober returns, blames nobody else, walks
// boxes that follow each other, and believes no absurd length.
func FuzzProbe(f *testing.F) {
	f.Add(movie(1, 30, time.Second))
	f.Add(movie(1, 30, time.Second)[:80])
	f.Add(append([]byte{0, 0, 0, 1}, "moov\x00\x00\x00\x00\x00\x00\x00\x10"...))
	f.Add(append([]byte{0, 0, 0, 0}, "moov\x00\x00\x00\x00mvhd"...))
	f.Add(append([]byte{0, 0, 0, 1}, "mdat\xff\xff\xff\xff\xff\xff\xff\xff"...))
	f.Fuzz(func(t *testing.T, data []byte) {
		r := bytes.NewReader(data)
		end := int64(0)
		whole := true
		if err := dashcam.Walk(r, 0, r.Size(), func(b dashcam.Box) error {
			if b.Offset != end || b.Size < b.Header || len(b.Type) != 4 || b.Complete != (b.Offset+b.Size <= r.Size()) {
				t.Fatalf("box %+v after byte %d", b, end)
			}
			end += b.Size
			whole = whole && b.Complete
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		m, err := dashcam.Probe(r, r.Size())
		if err != nil {
			t.Fatal(err)
		}
		if m.Whole && (!m.HasMoov || !whole || end != r.Size()) || m.Length < 0 || m.Length > 31*24*time.Hour {
			t.Fatalf("%+v", m)
		}
	})
}
