//go:build linux && (amd64 || arm64)

package crashdisk

import (
	"bytes"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

func bytesOf(b byte, n int) []byte { return bytes.Repeat([]byte{b}, n) }

func replay(ops ...Op) *Disk {
	d := NewDisk(Image{})
	for i, op := range ops {
		d.Apply(i, op)
	}
	return d
}

// survive returns the disk after a cut that every pending operation survived,
// or none.
func survive(d *Disk, all bool) Image {
	s := Survival{Ops: make([]survived, len(d.pending))}
	for i := range s.Ops {
		s.Ops[i].all = all
	}
	return d.Image(s)
}

// TestOnlySyncedIsCertain: content by a sync of the file, a name by a sync of
// its directory, neither by the other.
func TestOnlySyncedIsCertain(t *testing.T) {
	create := Op{Kind: Create, Dir: Root, Name: "a", Ino: 5}
	write := Op{Kind: Write, Ino: 5, Data: bytesOf('x', 1000)}
	sync, syncDir := Op{Kind: Sync, Ino: 5}, Op{Kind: SyncDir, Dir: Root}
	for _, c := range []struct {
		what  string
		ops   []Op
		named bool
		size  int
	}{
		{"nothing synced", []Op{create, write}, false, 0},
		{"the file synced", []Op{create, write, sync}, false, 1000},
		{"the directory synced", []Op{create, write, syncDir}, true, 0},
		{"both synced", []Op{create, write, sync, syncDir}, true, 1000},
		{"another file synced", []Op{create, write, syncDir, {Kind: Sync, Ino: 6}}, true, 0},
		{"written after the sync", []Op{create, syncDir, sync, write}, true, 0},
		{"renamed", []Op{create, write, sync, syncDir, {Kind: Rename, Dir: Root, Name: "a", NewName: "b", Ino: 5}}, true, 1000},
		{"removed", []Op{create, write, sync, syncDir, {Kind: Unlink, Dir: Root, Name: "a", Ino: 5}}, true, 1000},
		{"a sync that failed", []Op{create, syncDir, write, {Kind: SyncFailed, Ino: 5, Data: bytesOf('x', 512)}, sync}, true, 512},
	} {
		img := survive(replay(c.ops...), false)
		if _, named := img.Dirs[Root]["a"]; named != c.named {
			t.Errorf("%s: the name is there: %v", c.what, named)
		}
		if n := len(img.Files[5]); n != c.size {
			t.Errorf("%s: %d bytes", c.what, n)
		}
	}
}

// TestVariantsStayWithinTheModel: whatever a variant does, each sector holds
// one of the versions that were written, what was synced is there, and nothing
// that was never written is.
func TestVariantsStayWithinTheModel(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 1))
	d := replay(Op{Kind: Create, Dir: Root, Name: "a", Ino: 5}, Op{Kind: SyncDir, Dir: Root},
		Op{Kind: Write, Ino: 5, Data: bytesOf(1, 8192)}, Op{Kind: Sync, Ino: 5})
	versions := map[int64]map[byte]bool{}
	for i := int64(0); i < 64; i++ {
		versions[i] = map[byte]bool{}
		if i < 16 {
			versions[i][1] = true
		} else {
			versions[i][0] = true // grown, not written
		}
	}
	for v := byte(2); v < 12; v++ {
		from, n := rnd.Int64N(48), 1+rnd.Int64N(16)
		d.Apply(int(v)+10, Op{Kind: Write, Ino: 5, Off: from * SectorBytes, Data: bytesOf(v, int(n)*SectorBytes)})
		for i := from; i < from+n; i++ {
			versions[i][v] = true
		}
	}
	v := Variants{PerPoint: 200, Seed: 3}
	ways := v.At(d, 30, 0)
	if len(ways) != 200 {
		t.Fatalf("%d ways", len(ways))
	}
	images := map[string]string{}
	for _, s := range ways {
		img := d.Image(s)
		data := img.Files[5]
		if len(data) < 8192 {
			t.Fatalf("%s: %d bytes were synced, %d are left", s.Label, 8192, len(data))
		}
		for i := int64(0); i*SectorBytes < int64(len(data)); i++ {
			sector := data[i*SectorBytes : (i+1)*SectorBytes]
			if !bytes.Equal(sector, bytesOf(sector[0], SectorBytes)) {
				t.Fatalf("%s: sector %d is torn", s.Label, i)
			}
			if !versions[i][sector[0]] {
				t.Fatalf("%s: sector %d holds %d, which was never written there", s.Label, i, sector[0])
			}
		}
		images[string(data)] = s.Label
	}
	if len(images) < 150 {
		t.Errorf("only %d different images", len(images))
	}
	if len(v.At(d, 31, 0)) == 0 || len(v.At(replay(), 0, 0)) != 1 {
		t.Error("a point without a pending operation has one image")
	}
}

// TestMountRecords: what a program does to the mounted disk stands in the log
// in order, and all of it surviving is what the program saw.
func TestMountRecords(t *testing.T) {
	dir := t.TempDir()
	m, err := Mount(dir, Image{}, 1)
	if err != nil {
		t.Skipf("needs root and /dev/fuse: %v", err)
	}
	sub := filepath.Join(dir, "sub")
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Error(err)
		}
	}
	must(os.Mkdir(sub, 0o700))
	f, err := os.Create(filepath.Join(sub, "a.new"))
	must(err)
	must(unix.Fallocate(int(f.Fd()), 0, 0, 5000))
	_, err = f.WriteAt([]byte("hello"), 4096)
	must(err)
	must(f.Sync())
	must(os.Rename(f.Name(), filepath.Join(sub, "a")))
	d, err := os.Open(sub)
	must(err)
	must(d.Sync())
	must(d.Close())
	must(f.Truncate(4101))
	must(os.WriteFile(filepath.Join(dir, MarksName), []byte("noted"), 0))
	must(os.WriteFile(filepath.Join(sub, "b"), []byte("gone"), 0o600))
	must(os.Remove(filepath.Join(sub, "b")))
	must(os.WriteFile(filepath.Join(dir, MarksName), []byte("!failsync a"), 0))
	if _, err = f.WriteAt([]byte("HELLO"), 4096); err != nil || f.Sync() == nil {
		t.Errorf("a sync that was to fail did not: %v", err)
	}
	must(os.WriteFile(filepath.Join(dir, MarksName), []byte("!full"), 0))
	if err := f.Truncate(1 << 20); err == nil {
		t.Error("a full disk let a file grow")
	}
	must(f.Close())
	log, err := m.Close()
	if err != nil {
		t.Fatal(err)
	}
	var got []Kind
	for _, op := range log.Ops {
		got = append(got, op.Kind)
	}
	want := []Kind{Mkdir, Create, Resize, Write, Sync, Rename, SyncDir, Resize, Mark, Create, Write, Unlink, Write, SyncFailed}
	if string(kinds(got)) != string(kinds(want)) {
		t.Errorf("log %v, want %v", got, want)
	}
	disk := NewDisk(log.Base)
	for i, op := range log.Ops[:8] {
		disk.Apply(i, op)
	}
	out := t.TempDir()
	img := survive(disk, true)
	must(img.WriteTo(out))
	data, err := os.ReadFile(filepath.Join(out, "sub", "a"))
	if err != nil || len(data) != 4101 || string(data[4096:]) != "hello" || !bytes.Equal(data[:4096], make([]byte, 4096)) {
		t.Errorf("%d bytes, %v", len(data), err)
	}
}

func kinds(list []Kind) (out []byte) {
	for _, k := range list {
		out = append(out, byte(k))
	}
	return out
}
