package config

// Trips is what is told of trips.
type Trips struct {
	// true: they are told.
	Enabled bool `key:"enabled" default:"false"`
	// How long the vehicle stands until a trip has ended, while nobody says that its
	// engine runs. With the ignition off it ends at once.
	EndAfter Duration `key:"end_after" default:"5m" min:"30s" max:"4h"`
	// How long it stands within a trip until that is told.
	Standing Duration `key:"standing" default:"2m" min:"10s" max:"24h"`
	// How long the engine runs meanwhile until that is told.
	Idling Duration `key:"idling" default:"5m" min:"10s" max:"24h"`
	// How long there is no position until that is told; of an antenna that is open
	// or short 10s.
	PositionLost Duration `key:"position_lost" default:"2m" min:"10s" max:"24h"`
}

// Motion is what is told of how the vehicle is driven.
type Motion struct {
	// true: it is told.
	Enabled bool `key:"enabled" default:"false"`
	// Speed above which it is speeding, after 5 s. Without it none is.
	SpeedLimit Speed `key:"speed_limit" example:"130km/h" min:"5km/h" max:"500km/h"`
	// Harsh driving, as the mean of a second. Peers: 2.5m/s2, 2.7m/s2 and 3.4m/s2 of
	// trackers without an accelerometer, 4.4m/s2, 4.4m/s2 and 5.5m/s2 with one.
	Acceleration Acceleration `key:"acceleration" default:"3m/s2" min:"0.5m/s2" max:"10m/s2"`
	Braking      Acceleration `key:"braking" default:"3.5m/s2" min:"0.5m/s2" max:"10m/s2"`
	Cornering    Acceleration `key:"cornering" default:"4m/s2" min:"0.5m/s2" max:"10m/s2"`
	// true: told when it moves 100 m with the ignition off.
	Tow bool `key:"tow" default:"true"`
}

// Geofence is where the zones are.
type Geofence struct {
	// GeoJSON file (RFC 7946) of Polygons and MultiPolygons, each with its
	// properties.name.
	File string `key:"file" example:"/etc/obu/zones.geojson" check:"dir" required:"it names the GeoJSON file, for example /etc/obu/zones.geojson"`
}
