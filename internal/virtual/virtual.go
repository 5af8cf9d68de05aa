// Package virtual is a make-believe car: a closed road, a driver, an engine
// with its ECUs on a CAN bus, a GPS receiver and a dashcam, all on one clock.
// It exists so that the agent can be shown, measured and checked on a machine
// without a vehicle, and so that every value that reaches the cloud can be
// compared with the one that was put on the wire: the car writes a Journal.
//
// It is not a simulator of any particular vehicle, and it knows nothing of
// the agent, the store or the uplink. Its byte layouts (SAE J1979 services
// 01 to 0A, ISO 15765-2, NMEA 0183) are written here a second time on
// purpose: sharing the decoder's tables would let one mistake cancel itself.
//
// Units follow the field names: metres, metres per second, degrees WGS-84,
// degrees Celsius, percent. The same seed gives the same drive.
//
// New starts nothing. ServeECU, WriteGPS, RecordClips and Feed each block
// until their context ends and run in goroutines the caller owns; the car
// itself may be shared by all of them.
package virtual

import (
	"sync"
	"sync/atomic"
	"time"

	"obu/internal/clock"
	"obu/telemetry"
)

// Config describes one car.
type Config struct {
	Seed    uint64       // chooses road, driver, engine and VIN
	Clock   *clock.Clock // the timeline shared with the agent
	Start   time.Time    // UTC at the moment New is called: what the satellites say
	Journal *Journal     // receives everything the car emits; nil: a journal of its own
}

// Car is one make-believe car. Its methods may be called from several
// goroutines.
type Car struct {
	VIN string // 17 characters, starts with "SIM"

	clk     *clock.Clock
	origin  telemetry.At // At of the start of the drive
	start   time.Time    // UTC of the start of the drive
	seed    uint64
	journal *Journal
	off     atomic.Bool // the ignition

	mu    sync.Mutex
	drive *Drive // under mu
}

// New returns a car parked at the start of its road with the engine just
// started.
func New(cfg Config) *Car {
	j := cfg.Journal
	if j == nil {
		j = NewJournal()
	}
	return &Car{
		VIN: vin(cfg.Seed), clk: cfg.Clock, origin: cfg.Clock.Now(), start: cfg.Start.UTC(),
		seed: cfg.Seed, journal: j, drive: NewDrive(cfg.Seed),
	}
}

// Journal returns what the car has emitted so far.
func (c *Car) Journal() *Journal { return c.journal }

// SwitchOff turns the ignition off for good: the ECUs stay on the bus and
// fall silent. GPS and dashcam end with their contexts.
func (c *Car) SwitchOff() { c.off.Store(true) }

// State returns the state of the car now.
func (c *Car) State() State { return c.stateAt(c.clk.Now()) }

// UTC returns the true time of day at a moment of the car's clock.
func (c *Car) UTC(at telemetry.At) time.Time { return c.start.Add(at.Sub(c.origin)) }

// stateAt returns the state at a moment, which must not lie before a moment
// asked for earlier by more than one step of the drive; if it does, the newest
// state is returned.
func (c *Car) stateAt(at telemetry.At) State {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.drive.Advance(at.Sub(c.origin))
	return c.drive.State()
}

// vin returns a syntactically valid VIN: no I, O or Q, digits at the end.
func vin(seed uint64) string {
	const letters = "0123456789ABCDEFGHJKLMNPRSTUVWXYZ"
	r := rng(seed ^ 0x56494e)
	b := []byte("SIM")
	for len(b) < 13 {
		b = append(b, letters[r.next()%uint64(len(letters))])
	}
	for len(b) < 17 {
		b = append(b, byte('0'+r.next()%10))
	}
	return string(b)
}

// rng is splitmix64: small, seedable, and the same on every machine and Go
// release, which a recorded drive depends on.
type rng uint64

func (r *rng) next() uint64 {
	*r += 0x9e3779b97f4a7c15
	z := uint64(*r)
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// float returns a number in [0, 1).
func (r *rng) float() float64 { return float64(r.next()>>11) / (1 << 53) }

// between returns a number in [lo, hi).
func (r *rng) between(lo, hi float64) float64 { return lo + (hi-lo)*r.float() }

// noise returns a number in (-1, 1) that is mostly near 0.
func (r *rng) noise() float64 { return (r.float() + r.float() + r.float() - 1.5) / 1.5 }
