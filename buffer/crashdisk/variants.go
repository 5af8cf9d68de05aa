//go:build linux && (amd64 || arm64)

package crashdisk

import (
	"encoding/binary"
	"fmt"
	"hash/maphash"
	"math/rand/v2"
)

// SectorBytes is what a disk writes whole or not at all.
const SectorBytes = 512

const pageBytes = 4096

// survived is how much of one pending operation a cut left.
type survived struct {
	all     bool
	size    bool   // of a write: the file has grown to its end
	sectors []bool // of a write that was torn
}

var whole = survived{all: true}

func (s survived) none() bool {
	if s.all || s.size {
		return false
	}
	for _, yes := range s.sectors {
		if yes {
			return false
		}
	}
	return true
}

// Survival is one way in which a cut may go: per pending operation, how much
// of it survived.
type Survival struct {
	Label string
	Ops   []survived
}

// Variants chooses the ways in which a cut may go. No two it returns while
// nothing changes for certain are the same.
type Variants struct {
	// PerPoint bounds the images of one point; the first of them are always
	// tried: nothing survives, everything, the last write torn, the last
	// operation alone, names without content, content without names.
	PerPoint int
	Seed     uint64

	hash maphash.Seed
	seen map[uint64]bool
	age  int
	note int
}

// At returns the ways in which a cut right after the index-th operation may
// go. note tells points apart whose disks are equal and what is expected of
// them is not.
func (v *Variants) At(d *Disk, index, note int) []Survival {
	if v.seen == nil || v.age != d.age || v.note != note {
		if v.seen == nil {
			v.hash = maphash.MakeSeed()
		}
		v.seen, v.age, v.note = map[uint64]bool{}, d.age, note
	}
	rnd := rand.New(rand.NewPCG(v.Seed, uint64(index)))
	var out []Survival
	try := func(label string, of func(i int, p Op) survived) {
		if len(out) >= v.PerPoint {
			return
		}
		s := Survival{Label: label, Ops: make([]survived, len(d.pending))}
		for i, p := range d.pending {
			s.Ops[i] = of(i, p.Op)
		}
		if key := v.key(d, s); !v.seen[key] {
			v.seen[key] = true
			out = append(out, s)
		}
	}
	last := len(d.pending) - 1
	try("nothing unsynced survives", func(int, Op) survived { return survived{} })
	if last < 0 {
		return out
	}
	try("everything survives", func(int, Op) survived { return whole })
	try("the last write torn", func(i int, p Op) survived {
		if i < last {
			return whole
		}
		return p.torn(rnd, func(i, at int) bool { return i < at })
	})
	try("the last operation alone", func(i int, _ Op) survived { return survived{all: i == last} })
	try("names without content", func(_ int, p Op) survived { return survived{all: p.naming()} })
	try("content without names", func(_ int, p Op) survived { return survived{all: !p.naming()} })
	try("the end of the last write alone", func(i int, p Op) survived {
		if i < last {
			return survived{}
		}
		return p.torn(rnd, func(i, at int) bool { return i >= at })
	})
	for n := 0; n < 4*v.PerPoint && len(out) < v.PerPoint; n++ {
		odds := rnd.Float64()
		chance := func() bool { return rnd.Float64() < odds }
		switch n % 3 {
		case 0:
			try(fmt.Sprintf("sectors at random (%.2f)", odds), func(_ int, p Op) survived { return p.scattered(chance, SectorBytes) })
		case 1:
			try(fmt.Sprintf("operations at random (%.2f)", odds), func(int, Op) survived { return survived{all: chance()} })
		case 2:
			try(fmt.Sprintf("pages at random (%.2f)", odds), func(_ int, p Op) survived { return p.scattered(chance, pageBytes) })
		}
	}
	return out
}

// torn lets the sectors of a write survive that which tells, at being where it
// was torn; of a write of one sector, only the size.
func (o *Op) torn(rnd *rand.Rand, which func(i, at int) bool) survived {
	n := o.sectors()
	if n == 0 {
		return survived{}
	}
	s := survived{size: rnd.IntN(2) == 0, sectors: make([]bool, n)}
	if n > 1 {
		at := 1 + rnd.IntN(n-1)
		for i := range s.sectors {
			s.sectors[i] = which(i, at)
		}
	}
	return s
}

// scattered lets blocks of a write survive by chance.
func (o *Op) scattered(chance func() bool, block int64) survived {
	n := o.sectors()
	if n == 0 {
		return survived{all: chance()}
	}
	s := survived{size: chance(), sectors: make([]bool, n)}
	keep, at := false, int64(-1)
	for i := range s.sectors {
		from, _ := o.sector(i)
		if b := from / block; b != at {
			keep, at = chance(), b
		}
		s.sectors[i] = keep
	}
	return s
}

func (v *Variants) key(d *Disk, s Survival) uint64 {
	var h maphash.Hash
	h.SetSeed(v.hash)
	var n [8]byte
	for i, p := range d.pending {
		o := s.Ops[i]
		if o.none() {
			continue
		}
		binary.LittleEndian.PutUint64(n[:], uint64(p.index))
		h.Write(n[:])
		full := o.all
		if !full && len(o.sectors) > 0 && o.size {
			full = true
			for _, yes := range o.sectors {
				full = full && yes
			}
		}
		if full {
			h.WriteByte(2)
			continue
		}
		h.WriteByte(flag(o.size))
		for _, yes := range o.sectors {
			h.WriteByte(flag(yes))
		}
	}
	return h.Sum64()
}

func flag(b bool) byte {
	if b {
		return 1
	}
	return 0
}
