package telemetry

// Columns of as many values often move together: the four wheels, pedal and
// throttle. Their peers' residuals, of the same place counted from the end,
// are what writer and reader both have before a column's own.

const (
	peersMost = 32      // columns looked back
	peerLarge = 1 << 20 // a column with larger residuals is nobody's peer
	peerFrac  = 8       // bits of a share behind the point
)

// peers are the columns before one, and the residuals that their own
// predictors left.
type peers struct {
	all  []int64
	cols []peer
}

type peer struct {
	from, n int
	power   int64 // sum of squares
}

func (p *peers) reset() { p.all, p.cols = p.all[:0], p.cols[:0] }

// add keeps the residuals of a column for those that follow.
func (p *peers) add(zs []uint64) {
	from, power := len(p.all), int64(0)
	for _, z := range zs {
		x := unzigzag(z)
		if x > peerLarge || x < -peerLarge {
			p.all = p.all[:from]
			return
		}
		p.all = append(p.all, x)
		power += x * x
	}
	if power == 0 {
		p.all = p.all[:from]
		return
	}
	p.cols = append(p.cols, peer{from, len(zs), power})
}

// near returns the last columns, the nearest first, with about n residuals:
// one more or less is the predictor's doing.
func (p *peers) near(n int, do func(at int, c *peer) bool) {
	at := 0
	for i := len(p.cols) - 1; i >= 0 && at < peersMost; i-- {
		if c := &p.cols[i]; c.n >= n-1 && c.n <= n+1 {
			at++
			if !do(at, c) {
				return
			}
		}
	}
}

// any reports whether there is a column to look at.
func (p *peers) any(n int) (some bool) {
	p.near(n, func(int, *peer) bool { some = true; return false })
	return some
}

// best returns the column whose residuals explain most of zs, counted from 1,
// and its share; 0 when none is worth it.
func (p *peers) best(zs []uint64) (place int, share int64) {
	most := 0.0
	p.near(len(zs), func(at int, c *peer) bool {
		ys, xs := p.beside(c, zs)
		dot := int64(0)
		for i, z := range xs {
			x := unzigzag(z)
			if x > peerLarge || x < -peerLarge {
				return false
			}
			dot += x * ys[i]
		}
		if dot > 1<<54 || dot < -1<<54 {
			return true
		}
		if gain := float64(dot) * float64(dot) / float64(c.power); gain > most {
			if s := divideRound(dot<<peerFrac, c.power); s != 0 {
				most, place, share = gain, at, s
			}
		}
		return true
	})
	return place, share
}

// divideRound returns a/b to the nearest; b is positive.
func divideRound(a, b int64) int64 {
	if a < 0 {
		return -((-a + b/2) / b)
	}
	return (a + b/2) / b
}

// beside returns the residuals of c and those of zs that lie beside them.
func (p *peers) beside(c *peer, zs []uint64) ([]int64, []uint64) {
	ys := p.all[c.from : c.from+c.n]
	n := min(len(ys), len(zs))
	return ys[len(ys)-n:], zs[len(zs)-n:]
}

// at returns the column at a place from 1, or nil.
func (p *peers) at(place uint64, n int) (found *peer) {
	p.near(n, func(at int, c *peer) bool {
		if uint64(at) == place {
			found = c
		}
		return found == nil
	})
	return found
}

// shift adds sign times the share of c's residuals to zs.
func (p *peers) shift(zs []uint64, c *peer, share, sign int64) {
	ys, xs := p.beside(c, zs)
	for i, y := range ys {
		xs[i] = zigzag(unzigzag(xs[i]) + sign*((y*share+1<<(peerFrac-1))>>peerFrac))
	}
}
