package gps

import (
	"cmp"
	"math"
	"math/bits"

	"obu/telemetry"
)

// Bounds of what is remembered of the sky. A receiver of six systems on three
// frequencies sends under twenty views; NMEA 0183 allows nine sentences in one,
// makers send up to twelve.
const (
	maxViews = 24
	maxParts = 16
)

// skyAges is for how many epochs satellites are remembered at most: many
// receivers list them every fifth epoch.
const skyAges = 12

// satellite is one entry of a GSV sentence.
type satellite struct {
	system telemetry.GNSS
	id     uint8 // within its system; 0: none
	cn0    uint8 // dB-Hz; 0: not heard
}

// part is one sentence of a view.
type part struct {
	epoch uint32
	sats  [4]satellite
}

// view is what the GSV sentences of one talker and signal list.
type view struct {
	talker [2]byte
	signal byte // of NMEA 4.1; 0 in older forms
	total  uint8
	epoch  uint32 // of its newest sentence
	every  uint32 // epochs from its list before to this one; 0 unknown
	parts  [maxParts]part
}

// sky gathers GSV and GSA sentences, whatever their order. Sentences are kept
// by their place in the view, so that a view that is half renewed is still one.
type sky struct {
	epoch     uint32
	views     [maxViews]view
	n         int
	used      usedSats
	usedEpoch uint32
	antenna   telemetry.Antenna
	changed   bool // since summary
	last      telemetry.Sky
	lastEpoch uint32
}

// gsv reads satellites in view: sentences, number, in view, then number,
// elevation, azimuth, C/N0 of up to four, signal (4.1).
func (s *sky) gsv(talker [2]byte, f []string) bool {
	if len(f) < 3 {
		return false
	}
	total, number := count(f[0]), count(f[1])
	if total < 1 || number < 1 || number > total || total > maxParts {
		return false
	}
	list, signal := f[3:], byte(0)
	if extra := len(list) % 4; extra > 0 {
		if x := list[len(list)-extra]; len(x) == 1 {
			signal = x[0]
		}
		list = list[:len(list)-extra]
	}
	v := s.view(talker, signal)
	if v.total > 0 && v.epoch != s.epoch {
		v.every = s.epoch - v.epoch
	}
	v.total, v.epoch = uint8(total), s.epoch
	p := &v.parts[number-1]
	*p = part{epoch: s.epoch}
	for i := 0; i+4 <= len(list) && i < 16; i += 4 {
		sys, id := satelliteOf(talker, 0, list[i])
		p.sats[i/4] = satellite{system: sys, id: id, cn0: cn0Of(list[i+3])}
	}
	s.changed = true
	return true
}

// view returns the view of a talker and signal; of too many, the one not heard
// of for longest.
func (s *sky) view(talker [2]byte, signal byte) *view {
	oldest := 0
	for i := range s.views[:s.n] {
		v := &s.views[i]
		if v.talker == talker && v.signal == signal {
			return v
		}
		if v.epoch < s.views[oldest].epoch {
			oldest = i
		}
	}
	if s.n < maxViews {
		oldest = s.n
		s.n++
	}
	s.views[oldest] = view{talker: talker, signal: signal}
	return &s.views[oldest]
}

// gsa notes the satellites of the solution. The lists of one epoch add up.
func (s *sky) gsa(talker [2]byte, system int, ids []string) {
	if s.usedEpoch != s.epoch {
		s.used, s.usedEpoch = usedSats{}, s.epoch
	}
	for _, f := range ids {
		if sys, id := satelliteOf(talker, system, f); id != 0 {
			s.used.add(sys, id)
		}
	}
	s.changed = true
}

// solution returns how many satellites the lists of this epoch have, each
// counted once.
func (s *sky) solution() (n int) {
	if s.usedEpoch == s.epoch {
		for _, system := range s.used {
			for _, w := range system {
				n += bits.OnesCount64(w)
			}
		}
	}
	return n
}

// summary counts what is known as of this epoch.
func (s *sky) summary() telemetry.Sky {
	if !s.changed && s.epoch-s.lastEpoch < skyAges {
		return s.last
	}
	s.changed, s.lastEpoch = false, s.epoch
	var best heardSats
	usual := uint32(0)
	for i := range s.views[:s.n] {
		usual = max(usual, s.views[i].every)
	}
	for i := range s.views[:s.n] {
		v := &s.views[i]
		// It may be left out once; how often it comes is not known at first.
		if s.epoch-v.epoch > cmp.Or(2*v.every, 5*usual, skyAges) {
			continue
		}
		for j := range v.parts[:v.total] {
			p := &v.parts[j]
			if s.epoch-p.epoch >= skyAges {
				continue
			}
			for _, sat := range p.sats {
				if sat.id != 0 {
					b := &best[sat.system][sat.id]
					*b = max(*b, sat.cn0+1)
				}
			}
		}
	}
	out := telemetry.Sky{Antenna: s.antenna}
	if s.epoch-s.usedEpoch >= skyAges {
		s.used = usedSats{}
	}
	countSky(&out, &best, &s.used)
	s.last = out
	return out
}

// heardSats is the best C/N0 of each satellite plus 1; 0: not in view.
type heardSats [telemetry.GNSSCount][256]uint8

// usedSats has a bit for each satellite of the solution, by its number.
type usedSats [telemetry.GNSSCount][4]uint64

func (u *usedSats) add(sys telemetry.GNSS, id uint8) { u[sys][id/64] |= 1 << (id % 64) }

// countSky sums up the satellites of each system.
func countSky(out *telemetry.Sky, best *heardSats, used *usedSats) {
	for sys := range best {
		r := &out.Systems[sys]
		sum, n := 0, 0
		for id, b := range best[sys] {
			if b == 0 {
				continue
			}
			r.InView++
			if b == 1 {
				continue
			}
			cn0 := b - 1
			r.Heard++
			if cn0 >= telemetry.Strong {
				r.Strong++
			}
			r.Best = max(r.Best, cn0)
			if used[sys][id/64]&(1<<(id%64)) != 0 {
				sum, n = sum+int(cn0), n+1
			}
		}
		for _, w := range used[sys] {
			r.Used += uint8(bits.OnesCount64(w))
		}
		if n > 0 {
			r.Mean = float32(math.Round(float64(sum)*10/float64(n)) / 10)
		}
	}
}

// cn0Of reads a carrier-to-noise density; some receivers give a decimal.
func cn0Of(f string) uint8 {
	v := numberIn(f, 0, 99)
	if math.IsNaN(v) {
		return 0
	}
	return uint8(v + 0.5)
}
