package config

// CAN is one bus.
type CAN struct {
	// Network interface (`ip -br link` lists them), or unix:PATH for trials without
	// one: the SEQPACKET socket of a program that passes frames as SocketCAN does, a
	// virtual car. What is sent is then marked simulated.
	Device string `key:"device" example:"can0" check:"bus" required:"it names the network interface, for example can0"`
	// Bits per second the interface was brought up with: ip link set can0 up
	// type can bitrate 500000 restart-ms 1000. With manage it is what the agent
	// brings it up with: a number, which counts as proof, or auto, which searches.
	Bitrate Bitrate `key:"bitrate" example:"500000" oneof:"10000 20000 33333 50000 83333 100000 125000 250000 500000 800000 1000000 auto"`
	// true: the agent brings the interface up by itself, and nothing else should.
	// It needs CAP_NET_ADMIN (docs/car-first.md). false: it does not touch it.
	Manage bool `key:"manage" default:"false"`
	// Asking the vehicle for values by OBD-II (SAE J1979).
	OBD OBD `key:"obd"`
	// Databases of this bus: what ECUs say without being asked is decoded with
	// them, as Message.Signal. Of each signal changes are kept, at most one a
	// second, and once a minute what stays.
	DBC []string `key:"dbc" example:"[/etc/obu/car.dbc]"`
	// Paths of VSS in place of Message.Signal, also in the entries of signals. The
	// numbers are converted to the unit of the path. from says in which unit they
	// are where the file does not: {signal: …, path: …, from: mph}; unit says that
	// of a path which the agent does not know.
	VSS []VSS `key:"vss" example:"[{signal: Engine.Speed, path: Vehicle.Powertrain.CombustionEngine.Speed}]"`
	// Listening to the network of a truck, a bus or a machine (SAE J1939).
	// j1939: true is short for all of it.
	J1939 J1939 `key:"j1939"`
	// ECUs to ask by UDS (ISO 14229-1) for what their maker has defined, in the
	// default session and for reading alone. It needs obd.enabled, and is silent
	// and rests as OBD does.
	UDS []ECU `key:"uds"`
}

// VSS is the path of one signal of a DBC file.
type VSS struct {
	// Message.Signal, as "obu decode can --dbc" prints it.
	Signal string `key:"signal" example:"Engine.Speed" check:"message" required:"it names a signal of the DBC files, for example Engine.Speed"`
	// Where it belongs in the tree of VSS.
	Path string `key:"path" example:"Vehicle.Speed" check:"vss" required:"it is the path of VSS, for example Vehicle.Speed"`
	// What the file's numbers are in, where it does not say.
	From string `key:"from" example:"mph"`
	// The path's unit, where the agent does not know it.
	Unit string `key:"unit" example:"km/h"`
}

// J1939 is what to hear on the network of a heavy vehicle.
type J1939 struct {
	// true: values of the FMS-Standard, trouble codes (DM1, DM2), names and
	// identifications are read. OBD-II asks nothing on this bus then, whatever obd
	// says, and without a name nothing else is sent either.
	Enabled bool `key:"enabled" default:"false"`
	// Shortest time between two values of a signal that no entry of signals is about.
	Period Duration `key:"period" default:"1s" min:"50ms" max:"1h"`
	// To ask, the unit has to take part in the network: the 64-bit NAME (SAE
	// J1939-81) that the vehicle's maker or you assigned to it, and the address it
	// claims. An address that somebody uses is left alone.
	Name    NodeName    `key:"name" example:"0x8000FF0010600001"`
	Address NodeAddress `key:"address" example:"0x4A"`
	// What to ask every node for, one request each 5 s, all again each 10 minutes.
	Request []string `key:"request" example:"[vin, component, dm2]" oneof:"vin component dm2"`
}

// OBD is what to ask a vehicle for.
type OBD struct {
	// false: only listen, send nothing at all.
	Enabled bool `key:"enabled" default:"true"`
	// How often to ask for each value. Without a list of pids it is the
	// shortest period: what changes slowly is asked for each 10s or 1m.
	Period Duration `key:"period" default:"1s" min:"50ms" max:"1h"`
	// Values to ask for, as two hexadecimal digits of service 01, each with a
	// period of its own if need be: [0C, 0D, {pid: 2F, period: 30s}]. Without
	// this list: everything the vehicle offers and the agent can decode.
	PIDs []PID `key:"pids" example:"[0C, 0D, {pid: 2F, period: 30s}]"`
	// Whether ECUs are asked with 11bit or 29bit ids; auto tries both.
	Addressing string `key:"addressing" default:"auto" oneof:"auto 11bit 29bit"`
	// Upper bound of requests on this bus, whatever the periods say.
	MaxRequestsPerSecond int `key:"max_requests_per_second" default:"20" min:"1" max:"100"`
	// How many values are asked for in one request; an ECU that does not take
	// several is asked for one at a time.
	PIDsPerRequest int `key:"pids_per_request" default:"6" min:"1" max:"6"`
	// Trouble codes: stored, pending and permanent ones, told when one comes or
	// is cleared.
	DTC bool `key:"dtc" default:"true"`
	// How often to ask for them. When the malfunction lamp or their number
	// changes they are asked for at once.
	DTCEvery Duration `key:"dtc_every" default:"60s" min:"5s" max:"1h"`
	// What the vehicle measured at the moment a new code was stored.
	FreezeFrame bool `key:"freeze_frame" default:"true"`
	// The VIN, names and calibrations of the ECUs and how often their self-tests
	// ran, told when they change.
	VehicleInfo bool `key:"vehicle_info" default:"true"`
}

// PID is one value of OBD service 01 and how often to ask for it.
type PID struct {
	// Two hexadecimal digits, for example 0C for the engine speed.
	PID PIDNumber `key:"pid" required:"write two hexadecimal digits, for example 0C for the engine speed"`
	// How often to ask for this one.
	Period Duration `key:"period" min:"50ms" max:"1h"` // 0: OBD.Period
	// true: send a value only when it differs from the one before.
	OnChange bool `key:"on_change" default:"false"`
}
