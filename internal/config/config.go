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
