// Package config reads the configuration of a unit: one YAML file written by a
// technician, the files of obu.yaml.d beside it, and ${ENV} in values.
//
// Its job is to understand what was meant or to say exactly what is wrong:
// every mistake is reported, not only the first, each with file, line, column,
// the line itself and the cure. It opens no device and decides nothing about
// the running agent; a valid Config may still name a bus that is not there,
// which `obu check` finds out.
//
// The doc comments of the fields below are also the comments of Example, and
// their tags hold the defaults and bounds: key, default, example, min, max,
// oneof, check, required. Durations, sizes and rates carry their unit. There
// is no goroutine and no state. See docs/decisions/0003-config.md.
package config

// Config is the configuration of one unit. Default returns one in which
// everything is at its default.
type Config struct {
	// Name of this unit, the same as in its certificate. It stays with the
	// device for life, whatever vehicle it is built into.
	Unit string `key:"unit" example:"unit-0001" check:"name"`
	// The vehicle the unit is built into, as your fleet knows it. It is written
	// into every batch, so history stays with the vehicle it was recorded in.
	Vehicle string `key:"vehicle" example:"van-17"`
	// The fleet the unit belongs to; part of every topic.
	Fleet string `key:"fleet" default:"default" check:"name"`

	// CAN buses, one entry for each.
	CAN []CAN `key:"can"`
	// What is kept of signals, whoever says them. The first entry that fits a
	// signal counts. Without one, of a DBC file's signals changes are kept, at most
	// one a second, and once a minute what stays; of j1939 a value each period; of
	// obd every answer. An entry leaves out what is kept, not what is asked: how
	// often the vehicle is asked for a value stands under obd.
	Signals []Signal `key:"signals"`
	// The GPS receiver.
	GPS *GPS `key:"gps"`
	// Trips, told as events from GPS and CAN together: start, end, distances,
	// standing, idling, loss of the position. trips: true is short for all of it.
	Trips Trips `key:"trips"`
	// Speeding, harsh manoeuvres and towing, told as events. motion: true is short
	// for all of it.
	Motion Motion `key:"motion"`
	// Zones whose entering and leaving is told.
	Geofence *Geofence `key:"geofence"`
	// Dashcams, one entry for each camera.
	Dashcam []Dashcam `key:"dashcam"`
	// What GPS may do for the unit's own clock. The data needs none of it.
	Clock Clock `key:"clock"`

	// What is kept on disk until the cloud has it.
	Buffer Buffer `key:"buffer"`
	// The way to the cloud.
	Uplink Uplink `key:"uplink"`
	// How the running agent can be asked, by `obu status` and others.
	Status Status `key:"status"`
	// What the agent says of itself in the journal.
	Log Log `key:"log"`

	origin map[string]Origin // where each value came from, by path
	first  source            // the main file, for complaints about what is missing
}

// CAN is one bus.
type CAN struct {
	// Network interface, or unix:PATH for the bus of a virtual car.
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

// Signal is what is kept of some signals.
type Signal struct {
	// Name, as "obu decode can" prints it with --dbc (Message.Signal), --j1939 or
	// --obd (a path of VSS). A * at the end stands for any rest.
	Path string `key:"path" example:"Engine.*" check:"path" required:"it names a signal, for example Engine.Speed or Engine.*"`
	// false: nothing of it, events included.
	Keep bool `key:"keep" default:"true"`
	// Shortest time between two values. Without change, a value is kept each time,
	// whether it changed or not.
	Timebased Duration `key:"timebased" example:"10s" min:"10ms" max:"1h"`
	// How much a value has to differ from the last one kept, in its unit.
	Change Number `key:"change" example:"0.5"`
	// Only values from this one on.
	Above Number `key:"above" example:"0"`
	// Only values up to this one.
	Below Number `key:"below" example:"250"`
	// In place of timebased and change: those values between which a straight
	// line is nowhere further than max_error from the ones left out. They are
	// kept when buffer of them have come, or a minute has passed.
	Curvelog *Curvelog `key:"curvelog"`
}

// Curvelog is how closely a curve of values is followed.
type Curvelog struct {
	// Largest difference to a value left out, in the signal's unit.
	MaxError Number `key:"max_error" example:"0.5" required:"it says how far a value left out may be from the line, for example 0.5"`
	// Most values that wait.
	Buffer int `key:"buffer" default:"100" min:"3" max:"1000"`
}

// GPS is the receiver.
type GPS struct {
	// Serial port. A name under /dev/serial/by-id stays the same when the
	// receiver is plugged in elsewhere; auto takes the first there that speaks
	// NMEA. gpsd://localhost:2947 reads from a running gpsd.
	Device string `key:"device" example:"/dev/ttyUSB0" check:"receiver" required:"it names the serial port, for example /dev/ttyUSB0"`
	// Bits per second of the port; auto finds it by listening.
	Baud Bitrate `key:"baud" default:"9600" oneof:"4800 9600 19200 38400 57600 115200 230400 460800 921600 auto"`
	// Commands that start the receiver of a modem, each to be answered with OK. One
	// that begins with $ is sent as an NMEA sentence, with its checksum.
	Init []string `key:"init" example:"[AT+QGPS=1]"`
	// Port for the AT commands, where the modem has another one for them.
	InitPort string `key:"init_port" example:"/dev/ttyUSB2"`
	// Commands that switch the receiver off when the agent ends.
	Stop []string `key:"stop" example:"[AT+QGPSEND]"`
	// Name of the receiver in the data.
	Name string `key:"name" default:"gps" check:"name"`
	// true: positions are neither stored nor sent, whatever a command says. What
	// is left out is counted and listed; the receiver still tells the time.
	Private bool `key:"private" default:"false"`
	// Device of the receiver's pulse per second, which tells the time to 10 ms
	// instead of 0.7 s. The kernel makes it for a GPIO pin (dtoverlay=pps-gpio) or
	// a serial port's DCD line (ldattach PPS /dev/ttyS0).
	PPS string `key:"pps" example:"/dev/pps0"`
	// Edge of the pulse with which the second begins. auto finds it where the
	// driver stamps both; where it stamps one, the time is good to 60 ms until
	// assert or clear is written here.
	PPSEdge string `key:"pps_edge" default:"auto" oneof:"auto assert clear"`
	// Which fixes are kept: so few that each one left out was, at its own time, no
	// further than max_error from the line between those kept. A fix then leaves up
	// to max_time later, and a power cut costs as much; a live map wants all.
	Curvelog *Track `key:"curvelog"`
}

// Track is how closely a track is followed.
type Track struct {
	// Largest distance of a fix left out.
	MaxError Metres `key:"max_error" example:"3m" min:"0.1m" max:"1km" required:"it says how far a fix left out may be from the line, for example 3m"`
	// The line may pass a fix left out that much sooner or later than the vehicle
	// did; without it not at all. Braking on a straight road then keeps no fix.
	MaxTimeError Duration `key:"max_time_error" example:"1s" min:"100ms" max:"1m"`
	// Longest time between two that are kept.
	MaxTime Duration `key:"max_time" default:"60s" min:"2s" max:"10m"`
	// Largest difference of a speed left out; without it any.
	MaxSpeedError Speed `key:"max_speed_error" example:"10km/h" min:"0.1km/h" max:"500km/h"`
	// Largest difference of a course left out, in degrees; without it any.
	MaxCourseError int `key:"max_course_error" example:"30" min:"1" max:"180"`
	// What is kept of a fix. full: all, as the receiver said it. rounded: the same,
	// but its place and arrival are rounded within max_error, so that fewer are
	// needed. place: these alone, no speed, height, satellites or UTC.
	Detail string `key:"detail" default:"full" oneof:"full rounded place"`
}

// Clock is what GPS may do for the unit's own clock.
type Clock struct {
	// true: the system clock is set, once a start, when GPS proves it wrong by
	// more than 2 s and no time daemon keeps it. It needs CAP_SYS_TIME.
	Set bool `key:"set" default:"false"`
	// Socket of chronyd, to offer it the time with each fix. chrony.conf needs
	// the line: refclock SOCK /run/chrony.obu.sock refid GPS precision 0.5 delay 1
	Chrony string `key:"chrony" example:"/run/chrony.obu.sock" check:"socket"`
}

// Dashcam is one camera.
type Dashcam struct {
	// Name of the camera in the data.
	Camera string `key:"camera" example:"front" check:"name" required:"give the camera a name, for example front"`
	// Folder in which the camera leaves its finished segments.
	Dir string `key:"dir" example:"/media/dashcam/front" check:"dir" required:"it names the folder with the camera's segments"`
	// How long a file must rest before it counts as finished.
	Settle Duration `key:"settle" default:"5s" min:"100ms" max:"10m"`
}

// Buffer is the store on disk.
type Buffer struct {
	// Folder of the store. The agent must be allowed to write there.
	Dir string `key:"dir" default:"/var/lib/obu" check:"dir"`
	// How often data in memory goes to disk: what a power cut can cost.
	FlushEvery Duration `key:"flush_every" default:"1s" min:"100ms" max:"1m"`
	// Space for measurements, events and health; the file stays within a tenth
	// above it. When it is used up the oldest history goes first, and what went
	// is listed.
	TelemetryQuota Size `key:"telemetry_quota" default:"512MiB" min:"10MiB" max:"1TiB"`
	// Space for dashcam clips.
	MediaQuota Size `key:"media_quota" default:"8GiB" min:"10MiB" max:"16TiB"`
	// How long data waits for the cloud, at most; older data goes, and what went
	// is listed. Only while the unit knows the time for certain. Without it: until
	// the quota.
	MaxAge Duration `key:"max_age" example:"720h" min:"1h" max:"87600h"`
}

// Uplink is the MQTT connection.
type Uplink struct {
	// Address of the MQTT broker: mqtts:// with TLS (port 8883 if none is
	// given), mqtt:// without (port 1883).
	Broker string `key:"broker" example:"mqtts://broker.example.com:8883" check:"broker" required:"it is the address of the MQTT broker, for example mqtts://broker.example.com:8883"`
	// MQTT client id; without one the unit's name is used.
	ClientID string `key:"client_id" example:"unit-0001" check:"name"`
	// Name and password, if the broker wants them. ${OBU_PASSWORD} takes the
	// password from the environment.
	Username string `key:"username" example:"unit-0001"`
	Password string `key:"password" example:"${OBU_PASSWORD}" secret:"true"`
	// Certificates. Those of the system are trusted when no ca is given.
	TLS *TLS `key:"tls"`
	// How often the newest state leaves. 10s saves data volume.
	LiveEvery Duration `key:"live_every" default:"1s" min:"100ms" max:"1h"`
	// How fast a backlog may drain beside the live data: 64KiB/s, or unlimited.
	HistoryRate Rate `key:"history_rate" default:"64KiB/s" min:"1KiB/s"`
	// When data counts as delivered and leaves the buffer: puback when the
	// broker has it, receipt when the cloud has said so.
	Custody string `key:"custody" default:"puback" oneof:"puback receipt"`
	// How long data waits for the cloud's receipt before it is sent again, with
	// custody: receipt.
	ReceiptPatience Duration `key:"receipt_patience" default:"2m" min:"1s" max:"24h"`
	// protobuf, or json: the same data, readable and larger.
	Encoding string `key:"encoding" default:"protobuf" oneof:"protobuf json"`
	// Version of the protobuf envelopes: 1 takes up to a third more bytes, for
	// consumers that are not updated yet.
	Format int `key:"format" default:"2" oneof:"1 2"`
	// Largest packet sent; not more than the broker accepts.
	MaxPacket Size `key:"max_packet" default:"120KiB" min:"1KiB" max:"16MiB"`
	// How soon a dead connection is noticed.
	KeepAlive Duration `key:"keep_alive" default:"30s" min:"1s" max:"18h"`
	// Longest wait before the next try while the broker cannot be reached. The
	// wait doubles up to it and is drawn at random, so that a fleet does not
	// come back in one wave.
	ReconnectMax Duration `key:"reconnect_max" default:"2m" min:"1s" max:"1h"`
	// What the data may cost. docs/budget.md says what is held back, and when.
	Budget Budget `key:"budget"`
}

// Budget is what was agreed with the carrier.
type Budget struct {
	// Bytes a billing month may cost on metered links, as the carrier counts
	// them. Without it they are counted and nothing is held back.
	Monthly Size `key:"monthly" example:"500MB" min:"1MB" max:"1TiB"`
	// Day on which the billing month begins, in UTC.
	MonthStarts int `key:"month_starts" default:"1" min:"1" max:"28"`
	// Interfaces that cost money; a * at the end stands for any ending. Without
	// metered and free: [ww*, ppp*, usb*, rmnet*]. Name a VPN here if it runs over
	// the modem: wg0.
	Metered []string `key:"metered" example:"[wwan*, usb0]" check:"interface"`
	// Interfaces that cost nothing. With this list any other one costs money.
	Free []string `key:"free" example:"[wlan0, eth0]" check:"interface"`
	// Clips over metered links: any, until the ladder holds them back, or free:
	// never, they wait for a free network.
	Media string `key:"media" default:"any" oneof:"any free"`
	// What to save with, in this order, when the forecast is over the month's
	// bytes: slower (live each 10 s), coarser (live once a minute, the rest waits
	// for a free network), media (waits too). With cameras put media first.
	Ladder []string `key:"ladder" example:"[media, slower, coarser]" oneof:"slower coarser media"`
}

// TLS holds the certificates of the connection, as PEM files.
type TLS struct {
	// Who signed the broker's certificate.
	CA string `key:"ca" example:"/etc/obu/ca.pem"`
	// Certificate and key of this unit.
	Cert string `key:"cert" example:"/etc/obu/unit.pem"`
	Key  string `key:"key" example:"/etc/obu/unit.key"`
	// Name in the broker's certificate, if it is not that of its address.
	ServerName string `key:"server_name" example:"broker.example.com"`
}

// Status is how the running agent can be asked.
type Status struct {
	// Unix socket of the agent.
	Socket string `key:"socket" default:"/run/obu/obu.sock" check:"socket"`
}

// Log is what is logged.
type Log struct {
	// The least important lines to write: debug, info, warn or error.
	Level string `key:"level" default:"info" oneof:"debug info warn error"`
}

// later names the keys of the design that a later release brings, by path.
func later() map[string]bool {
	return map[string]bool{
		"power": true, "status.prometheus": true,
	}
}

// Origin is where a value came from: a line of a file, or the defaults.
type Origin struct {
	File string // "" for a default
	Line int
}

// Origin returns where a setting stands, by its path: signals.0.path.
func (c *Config) Origin(path string) Origin { return c.origin[path] }
