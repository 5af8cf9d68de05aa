package config

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
