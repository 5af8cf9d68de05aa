package main

import (
	"fmt"
	"io"
	"os"
	"syscall"

	"obu/internal/config"
	"obu/internal/trip"
)

// readZones reads the zones of the configuration; nil: there are none.
func readZones(g *config.Geofence) (*trip.Zones, error) {
	if g == nil {
		return nil, nil
	}
	wrong := func(err error) error {
		return advised{fmt.Errorf("geofence %s: %w", g.File, err), "correct the file, or the path in geofence.file: GeoJSON (RFC 7946), a FeatureCollection of Polygons, each with properties.name"}
	}
	f, err := os.OpenFile(g.File, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, wrong(err)
	}
	defer f.Close()
	if st, err := f.Stat(); err != nil || !st.Mode().IsRegular() {
		return nil, wrong(fmt.Errorf("it is no file"))
	}
	raw, err := io.ReadAll(io.LimitReader(f, trip.MaxZoneBytes+1))
	if err != nil {
		return nil, wrong(err)
	}
	z, err := trip.ParseZones(raw)
	if err != nil {
		return nil, wrong(err)
	}
	return z, nil
}

// zones adds one finding for the file of zones, if there is to be one.
func (r *checkReport) zones(cfg *config.Config) {
	z, err := readZones(cfg.Geofence)
	switch {
	case err != nil:
		r.add("geofence", failed(err))
	case z != nil:
		r.add("geofence", passed("%s, %d zones", cfg.Geofence.File, z.Len()))
	}
}
