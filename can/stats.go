package can

import (
	"sync/atomic"

	"obu/can/isotp"
	"obu/can/j1939"
	"obu/can/obd"
	"obu/telemetry"
)

// stateAsleep is Stats.State while no ECU answers.
const stateAsleep = "asleep"

// Stats counts what a Source did since New. Counters survive a lost device.
type Stats struct {
	Frames       uint64            `json:"frames"`              // received
	ErrorFrames  uint64            `json:"error_frames"`        // reported by the controller, lost arbitrations included
	Samples      uint64            `json:"samples"`             // emitted, events included
	Requests     uint64            `json:"requests"`            // sent
	FlowControls uint64            `json:"flow_controls"`       // sent
	Responses    uint64            `json:"responses"`           // positive OBD answers heard
	Timeouts     uint64            `json:"timeouts"`            // requests nobody answered
	Withheld     uint64            `json:"withheld"`            // times asking waited for the bus: another tester, errors, load
	Forbidden    uint64            `json:"forbidden"`           // frames the allow-list stopped: a mistake in the agent
	SendErrors   uint64            `json:"send_errors"`         // requests and flow controls the bus did not take
	Late         uint64            `json:"late"`                // polls skipped because their turn came too late
	Drops        uint64            `json:"drops"`               // frames lost in the kernel or the controller, or unreadable lines of a log
	DecodeErrors uint64            `json:"decode_errors"`       // answers that could not be read
	Broadcasts   uint64            `json:"broadcasts"`          // frames and transfers a DBC file explains
	Short        uint64            `json:"short"`               // signals of DBC files beyond the received length
	Groups       uint64            `json:"groups"`              // messages of J1939 that said something
	Unavailable  uint64            `json:"unavailable"`         // parameters of J1939 without a value, by DBC file too: not available, in error, not received
	Claims       uint64            `json:"claims"`              // claims of the unit's own J1939 address, sent
	Claim        string            `json:"claim,omitempty"`     // of that address: "", "listening", "claiming", "claimed", "lost"
	Negatives    map[string]uint64 `json:"negatives,omitempty"` // negative answers by name
	Transfers    map[string]uint64 `json:"transfers,omitempty"` // broken ISO-TP transfers by reason, those of J1939 as "j1939-…"
	BusLoad      float64           `json:"bus_load"`            // estimate over the last second, 0 to 1; what the receive filter holds back counts where the driver counts it
	BacklogS     float64           `json:"backlog_s,omitempty"` // seconds of a full bus that the kernel's receive buffer holds; 0: not known
	Bitrate      int               `json:"bitrate,omitempty"`   // of the bus, where it is known
	Controller   Controller        `json:"controller"`
	UDS          []ECUStats        `json:"uds,omitempty"`
	LeftOut      []string          `json:"left_out,omitempty"` // of its DBC files, with file, line and reason
	LeftOutMore  int               `json:"left_out_more,omitempty"`
	State        string            `json:"state,omitempty"`       // "", "listening", "searching", "polling", "resting", "asleep"
	SearchInS    float64           `json:"search_in_s,omitempty"` // when asleep: until ECUs are searched next, unless the car shows a sign of life before
}

// counters are the live form of Stats.
type counters struct {
	frames, errorFrames, samples, requests, flowControls       atomic.Uint64
	responses, timeouts, withheld, forbidden, late, sendErrors atomic.Uint64
	drops, decodeErrors, broadcasts, short                     atomic.Uint64
	negatives                                                  [256]atomic.Uint32
	groups, unavailable, claims                                atomic.Uint64
	transfers                                                  [isotp.Reasons]atomic.Uint64
	groupFaults                                                [j1939.Reasons]atomic.Uint64
	loadPermille                                               atomic.Uint64
	backlog                                                    atomic.Int64 // ns
	bitrate                                                    atomic.Int64
	search                                                     atomic.Int64 // the next one, as telemetry.At
	state, claim                                               atomic.Pointer[string]
	controller                                                 controller
}

func (c *counters) negative(code obd.NRC) { c.negatives[code].Add(1) }

func (c *counters) setClaim(s string) { c.claim.Store(&s) }

func (c *counters) setState(s string) { c.state.Store(&s) }

// Stats returns the counters as of now.
func (s *Source) Stats() Stats {
	c := &s.n
	out := Stats{
		LeftOut: s.leftOut, LeftOutMore: s.leftOutMore,
		Frames: c.frames.Load(), ErrorFrames: c.errorFrames.Load(), Samples: c.samples.Load(),
		Requests: c.requests.Load(), FlowControls: c.flowControls.Load(), Responses: c.responses.Load(),
		Timeouts: c.timeouts.Load(), Withheld: c.withheld.Load(), Forbidden: c.forbidden.Load(),
		SendErrors: c.sendErrors.Load(), Late: c.late.Load(), Drops: c.drops.Load(), DecodeErrors: c.decodeErrors.Load(),
		Broadcasts: c.broadcasts.Load(), Short: c.short.Load(), Groups: c.groups.Load(), Unavailable: c.unavailable.Load(), Claims: c.claims.Load(),
		BusLoad: float64(c.loadPermille.Load()) / 1000, Controller: c.controller.snapshot(), Bitrate: int(c.bitrate.Load()),
		BacklogS: float64(c.backlog.Load()) / 1e9,
	}
	if c := &out.Controller; c.State != ControllerActive {
		c.ForS = s.cfg.Clock.Now().Sub(c.Since).Seconds()
	}
	for code := range c.negatives {
		if n := c.negatives[code].Load(); n > 0 {
			if out.Negatives == nil {
				out.Negatives = make(map[string]uint64)
			}
			out.Negatives[obd.NRC(code).String()] = uint64(n)
		}
	}
	broke := func(why string, n uint64) {
		if n > 0 {
			if out.Transfers == nil {
				out.Transfers = make(map[string]uint64)
			}
			out.Transfers[why] = n
		}
	}
	for why := range c.transfers {
		broke(isotp.Reason(why).String(), c.transfers[why].Load())
	}
	for why := range c.groupFaults {
		broke("j1939-"+j1939.Reason(why).String(), c.groupFaults[why].Load())
	}
	out.UDS = s.book.stats()
	if p := c.claim.Load(); p != nil {
		out.Claim = *p
	}
	if p := c.state.Load(); p != nil {
		out.State = *p
		if out.State == stateAsleep {
			out.SearchInS = max(0, telemetry.At(c.search.Load()).Sub(s.cfg.Clock.Now()).Seconds())
		}
	}
	return out
}

// frameBits estimates the bits a frame takes on the bus, with a typical tenth
// of stuff bits (ISO 11898-1: 47 bits around the data of a standard frame, 67
// of an extended one).
func frameBits(f *Frame) uint64 {
	bits := 47 + 8*uint64(f.Len)
	if f.Extended {
		bits += 20
	}
	if f.Error {
		bits = 20
	}
	return bits + bits/10
}
