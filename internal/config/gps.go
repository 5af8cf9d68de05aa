package config

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
