//go:build linux && (amd64 || arm64)

package crashdisk

import (
	"bytes"
	"maps"
	"slices"
)

// Disk is the log replayed up to an operation: what is on the disk for
// certain, and what may be on it.
type Disk struct {
	durable Image
	pending []pendingOp
	age     int // rises whenever what is certain changes
}

type pendingOp struct {
	Op
	index int // in the log
}

// NewDisk returns the disk as it was before the first operation.
func NewDisk(base Image) *Disk {
	d := &Disk{durable: base.clone()}
	if d.durable.Dirs == nil {
		d.durable = Image{Dirs: map[uint64]map[string]uint64{}, Files: map[uint64][]byte{}}
	}
	if d.durable.Dirs[Root] == nil {
		d.durable.Dirs[Root] = map[string]uint64{}
	}
	return d
}

// Apply does the index-th operation of the log.
func (d *Disk) Apply(index int, op Op) {
	switch op.Kind {
	case Mark:
	case Sync:
		d.settle(func(p Op) bool { return !p.naming() && p.Ino == op.Ino })
	case SyncDir:
		d.settle(func(p Op) bool { return p.naming() && p.Dir == op.Dir })
	case SyncFailed:
		d.pending = slices.DeleteFunc(d.pending, func(p pendingOp) bool { return !p.naming() && p.Ino == op.Ino })
		d.durable.Files[op.Ino] = bytes.Clone(op.Data)
		d.age++
	default:
		d.pending = append(d.pending, pendingOp{op, index})
	}
}

// Pending returns how many operations have not been synced.
func (d *Disk) Pending() int { return len(d.pending) }

// settle makes pending operations certain.
func (d *Disk) settle(which func(Op) bool) {
	var rest []pendingOp
	for _, p := range d.pending {
		if which(p.Op) {
			d.durable.apply(p.Op, whole)
			d.age++
		} else {
			rest = append(rest, p)
		}
	}
	d.pending = rest
}

// naming reports whether the operation changes a directory.
func (o *Op) naming() bool {
	return o.Kind == Create || o.Kind == Mkdir || o.Kind == Unlink || o.Kind == Rename
}

// Image returns the disk after a cut that s survived.
func (d *Disk) Image(s Survival) Image {
	img := Image{Dirs: map[uint64]map[string]uint64{}, Files: maps.Clone(d.durable.Files)}
	for ino, names := range d.durable.Dirs {
		img.Dirs[ino] = maps.Clone(names)
	}
	own := map[uint64]bool{}
	for i, p := range d.pending {
		if s.Ops[i].none() {
			continue
		}
		if !p.naming() && !own[p.Ino] {
			img.Files[p.Ino] = bytes.Clone(img.Files[p.Ino])
			own[p.Ino] = true
		}
		img.apply(p.Op, s.Ops[i])
	}
	return img
}

// apply does as much of an operation as survived.
func (m *Image) apply(op Op, s survived) {
	switch op.Kind {
	case Create:
		m.name(op.Dir, op.Name, op.Ino)
		if _, ok := m.Files[op.Ino]; !ok {
			m.Files[op.Ino] = nil
		}
	case Mkdir:
		m.name(op.Dir, op.Name, op.Ino)
		if m.Dirs[op.Ino] == nil {
			m.Dirs[op.Ino] = map[string]uint64{}
		}
	case Unlink:
		delete(m.Dirs[op.Dir], op.Name)
	case Rename:
		if m.Dirs[op.Dir][op.Name] == op.Ino {
			delete(m.Dirs[op.Dir], op.Name)
		}
		m.name(op.Dir, op.NewName, op.Ino)
	case Resize:
		m.Files[op.Ino] = resize(m.Files[op.Ino], op.Size)
	case Write:
		m.write(op, s)
	}
}

func (m *Image) name(dir uint64, name string, ino uint64) {
	if m.Dirs[dir] == nil {
		m.Dirs[dir] = map[string]uint64{}
	}
	m.Dirs[dir][name] = ino
}

// write puts the sectors that survived in place. The size may have grown to the
// end of the write although its last sectors are missing: they read as zero.
func (m *Image) write(op Op, s survived) {
	data := m.Files[op.Ino]
	if s.size || s.all {
		data = grow(data, op.Off+int64(len(op.Data)))
	}
	for i := range op.sectors() {
		if !s.all && !s.sectors[i] {
			continue
		}
		from, to := op.sector(i)
		data = grow(data, to)
		copy(data[from:to], op.Data[from-op.Off:])
	}
	m.Files[op.Ino] = data
}

func grow(b []byte, size int64) []byte {
	if int64(len(b)) >= size {
		return b
	}
	return resize(b, size)
}

func resize(b []byte, size int64) []byte {
	if int64(len(b)) >= size {
		return b[:size:size]
	}
	out := make([]byte, size)
	copy(out, b)
	return out
}

// sectors returns how many sectors a write touches.
func (o *Op) sectors() int {
	if o.Kind != Write || len(o.Data) == 0 {
		return 0
	}
	return int((o.Off+int64(len(o.Data))-1)/SectorBytes-o.Off/SectorBytes) + 1
}

// sector returns the bytes of the file that the i-th sector of a write covers.
func (o *Op) sector(i int) (from, to int64) {
	start := (o.Off/SectorBytes + int64(i)) * SectorBytes
	return max(start, o.Off), min(start+SectorBytes, o.Off+int64(len(o.Data)))
}
