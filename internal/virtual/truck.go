package virtual

import (
	"context"
	"fmt"
	"math"
	"time"

	"obu/can"
	"obu/telemetry"
)

// Addresses of the truck's control units (SAE J1939 global table).
const (
	nodeEngine     = 0x00
	nodeBody       = 0x21
	nodeTachograph = 0xEE
)

// Trouble is one trouble code of SAE J1939-73.
type Trouble struct {
	SPN        uint32 // up to 19 bits
	FMI        byte   // up to 31
	Occurrence byte   // up to 126
}

// Fault is a change of the engine's trouble codes.
type Fault struct {
	After time.Duration // since ServeTruck began
	Codes []Trouble     // active from then on
}

// TruckOptions says how the truck's network behaves.
type TruckOptions struct {
	Faults []Fault // ordered by After
}

// truckPeriod is the interval of every broadcast; those of the standard that
// come more often are slowed down to it, so that each value can be compared.
const truckPeriod = time.Second

// packetGap is between the packets of a TP.BAM: 50 to 200 ms are allowed.
const packetGap = 50 * time.Millisecond

// ServeTruck broadcasts on bus what a truck's control units do (SAE J1939-71,
// -73 and -81): claimed addresses and the VIN, engine, speed, temperatures,
// fuel, distance, and DM1, which travels in packets when there is more than
// one code. It journals every value. It closes the bus when it returns: nil
// after ctx ends, an error when the bus is lost.
func (c *Car) ServeTruck(ctx context.Context, bus can.Bus, o TruckOptions) error {
	defer bus.Close()
	t := &truck{c: c, ctx: ctx, bus: bus, began: time.Now()}
	err := t.claim()
	for n := 0; err == nil && pause(ctx, time.Until(t.began.Add(time.Duration(n)*truckPeriod))); n++ {
		if c.off.Load() {
			continue
		}
		if err = t.broadcast(); err == nil {
			err = t.dm1(o.Faults)
		}
		if err == nil && n%10 == 0 {
			err = t.say(nodeEngine, 65260, []byte(c.VIN+"*"))
		}
	}
	if ctx.Err() != nil {
		return nil
	}
	if err != nil {
		return fmt.Errorf("broadcast as a truck: %w", err)
	}
	return nil
}

// truck is one life of the network.
type truck struct {
	c     *Car
	ctx   context.Context
	bus   can.Bus
	began time.Time
	codes []Trouble // in the latest DM1
}

// frame sends a single frame of a group without destination.
func (t *truck) frame(node byte, pgn uint32, data [8]byte) error {
	f := can.Frame{ID: 6<<26 | pgn<<8 | uint32(node), Extended: true, Len: 8}
	copy(f.Data[:], data[:])
	return t.bus.Send(f)
}

// say sends a message in as many packets as it takes.
func (t *truck) say(node byte, pgn uint32, payload []byte) error {
	data := [8]byte{0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF}
	if len(payload) <= 8 {
		copy(data[:], payload)
		return t.frame(node, pgn, data)
	}
	packets := (len(payload) + 6) / 7
	data = [8]byte{32, byte(len(payload)), byte(len(payload) >> 8), byte(packets), 0xFF, byte(pgn), byte(pgn >> 8), byte(pgn >> 16)}
	if err := t.frame(node, 0xECFF, data); err != nil {
		return err
	}
	for i := range packets {
		if !pause(t.ctx, packetGap) {
			return nil
		}
		data = [8]byte{byte(i + 1), 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF}
		copy(data[1:], payload[7*i:min(len(payload), 7*i+7)])
		if err := t.frame(node, 0xEBFF, data); err != nil {
			return err
		}
	}
	return nil
}

// claim says who has which address.
func (t *truck) claim() error {
	for i, node := range [...]byte{nodeEngine, nodeBody, nodeTachograph} {
		if err := t.frame(node, 0xEEFF, [8]byte{byte(i + 1), 0, 0, 0, 0, byte(i), 0, 0x10}); err != nil {
			return err
		}
	}
	return nil
}

// broadcast sends every cyclic group once.
func (t *truck) broadcast() error {
	s := t.c.stateAt(t.c.clk.Now())
	for _, g := range truckGroups {
		data := [8]byte{0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF}
		for _, p := range g.parameters {
			n := p.number(&s)
			for i := range p.bytes {
				data[p.at+i] = byte(n >> (8 * i))
			}
		}
		if err := t.frame(g.node, g.pgn, data); err != nil {
			return err
		}
		at := t.c.clk.Now()
		for _, p := range g.parameters {
			t.c.journal.Read(SeriesKey{p.signal, fmt.Sprintf("%02X", g.node)}, at, p.value(p.number(&s)))
		}
	}
	return nil
}

// dm1 sends the active trouble codes; any of them lights the amber lamp.
func (t *truck) dm1(faults []Fault) error {
	t.codes = nil
	for _, f := range faults {
		if time.Since(t.began) >= f.After {
			t.codes = f.Codes
		}
	}
	payload := []byte{0x00, 0xFF}
	if len(t.codes) > 0 {
		payload[0] = 0x04
	} else {
		payload = append(payload, 0, 0, 0, 0)
	}
	for _, c := range t.codes {
		payload = append(payload, byte(c.SPN), byte(c.SPN>>8), byte(c.SPN>>16)<<5|c.FMI&31, c.Occurrence&0x7F)
	}
	return t.say(nodeEngine, 65226, payload)
}

// truckGroup is one cyclic message.
type truckGroup struct {
	node       byte
	pgn        uint32
	parameters []truckParameter
}

// truckParameter is one quantity in it: value = (number + offset) * num / den,
// a whole number when den is 0.
type truckParameter struct {
	signal           string
	at, bytes        int
	num, den, offset int64
	of               func(*State) float64
}

// number is the raw one, within what the standard lets a value be.
func (p *truckParameter) number(s *State) int64 {
	n := int64(math.Round(p.of(s)*float64(max(p.den, 1))/float64(p.num))) - p.offset
	return min(max(n, 0), 0xFB<<(8*(p.bytes-1))-1)
}

func (p *truckParameter) value(n int64) telemetry.Value {
	if p.den == 0 {
		return telemetry.Int((n + p.offset) * p.num)
	}
	return telemetry.Float(float64((n+p.offset)*p.num) / float64(p.den))
}

var truckGroups = [...]truckGroup{
	{nodeEngine, 61444, []truckParameter{ // EEC1
		{"Vehicle.Powertrain.CombustionEngine.Speed", 3, 2, 1, 8, 0, func(s *State) float64 { return s.RPM }},
	}},
	{nodeEngine, 61443, []truckParameter{ // EEC2
		{"Vehicle.Obu.J1939.AcceleratorPedalPosition", 1, 1, 2, 5, 0, func(s *State) float64 { return 100 * s.Pedal }},
		{"Vehicle.Obu.J1939.EngineLoad", 2, 1, 1, 1, 0, func(s *State) float64 { return 100 * s.Load }},
	}},
	{nodeEngine, 65265, []truckParameter{ // CCVS1
		{"Vehicle.Speed", 1, 2, 1, 256, 0, func(s *State) float64 { return 3.6 * s.SpeedMPS }},
	}},
	{nodeEngine, 65262, []truckParameter{ // ET1
		{"Vehicle.Powertrain.CombustionEngine.EngineCoolant.Temperature", 0, 1, 1, 1, -40, func(s *State) float64 { return s.CoolantC }},
		{"Vehicle.Powertrain.CombustionEngine.EngineOil.Temperature", 2, 2, 1, 32, -273 * 32, func(s *State) float64 { return s.OilC }},
	}},
	{nodeEngine, 65266, []truckParameter{ // LFE1
		{"Vehicle.Obu.J1939.FuelRate", 0, 2, 1, 20, 0, func(s *State) float64 { return s.FuelLH }},
	}},
	{nodeBody, 65276, []truckParameter{ // DD1
		{"Vehicle.Obu.J1939.FuelLevel", 1, 1, 2, 5, 0, func(s *State) float64 { return s.FuelPct }},
	}},
	{nodeBody, 65269, []truckParameter{ // AMB
		{"Vehicle.Obu.J1939.BarometricPressure", 0, 1, 1, 2, 0, func(s *State) float64 { return s.BaroKPa }},
		{"Vehicle.Exterior.AirTemperature", 3, 2, 1, 32, -273 * 32, func(s *State) float64 { return s.AmbientC }},
	}},
	{nodeTachograph, 65217, []truckParameter{ // VDHR
		{"Vehicle.TraveledDistance", 0, 4, 5, 0, 0, func(s *State) float64 { return s.OdometerM }},
	}},
}
