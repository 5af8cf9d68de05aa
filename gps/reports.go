package gps

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"log/slog"
	"math"
	"strconv"
	"time"

	"obu/telemetry"
)

const (
	// maxReport is how many bytes of one report are kept. gpsd's own limit is
	// 10 kB, of newer ones 20.
	maxReport = 64 << 10
	// reportPatience is how long after gpsd's last word an epoch is complete.
	// It says all of one in a row.
	reportPatience = 100 * time.Millisecond
	// reportBehind is how long the sentences of an epoch take at 9600 baud, behind
	// which gpsd reports it; over USB they take no time.
	reportBehind = 500 * time.Millisecond
	// reportAges is for how long what is not said with each epoch stands, and
	// how long another receiver has to wait for the one that is followed.
	reportAges = 12 * time.Second
	// dilutionAges is for how long the dilutions and the satellites used are
	// those of a fix; some receivers tell them every fifth second.
	dilutionAges = 1500 * time.Millisecond
	// repeatedWithin: the same time again so soon is the same epoch again, and
	// not a clock that stands still.
	repeatedWithin = 900 * time.Millisecond
	// gpsdMajor is the version of the protocol since 2009 (gpsd 2.90).
	gpsdMajor = 3
	// gpsd2D is its mode of a position without altitude; less is none, more 3D.
	gpsd2D = 2
	// gpsdDigits stands for the resolution of a position that does not show:
	// decimals of a minute that most receivers print.
	gpsdDigits = 4
)

// report is one message of gpsd (man 5 gpsd_json), of any class.
type report struct {
	Class   string `json:"class"`
	Device  string `json:"device"`
	Message string `json:"message"` // ERROR

	Release string `json:"release"` // VERSION
	Version int    `json:"proto_major"`

	Devices []struct { // DEVICES
		Path string `json:"path"`
	} `json:"devices"`
	Path      string          `json:"path"` // DEVICE
	Activated json.RawMessage `json:"activated"`

	Time     string   `json:"time"` // TPV, GST
	Mode     int      `json:"mode"`
	Status   int      `json:"status"`
	Lat      *decimal `json:"lat"`
	Lon      *decimal `json:"lon"`
	Alt      *decimal `json:"alt"`
	AltMSL   *decimal `json:"altMSL"`
	AltHAE   *decimal `json:"altHAE"`
	GeoidSep *decimal `json:"geoidSep"`
	Speed    *decimal `json:"speed"`
	Track    *decimal `json:"track"`
	Climb    *decimal `json:"climb"`

	HDOP       *decimal    `json:"hdop"` // SKY
	VDOP       *decimal    `json:"vdop"`
	PDOP       *decimal    `json:"pdop"`
	Satellites []satReport `json:"satellites"`

	RMS    *decimal `json:"rms"` // GST
	Major  *decimal `json:"major"`
	Minor  *decimal `json:"minor"`
	Orient *decimal `json:"orient"`
}

// decimal is a number of a report; what is none is NaN.
type decimal float64

func (d *decimal) UnmarshalJSON(text []byte) error {
	v, err := strconv.ParseFloat(string(text), 64)
	if err != nil {
		v = math.NaN()
	}
	*d = decimal(v)
	return nil
}

// satReport is one satellite of a SKY report; old ones have only a PRN.
type satReport struct {
	PRN  int     `json:"PRN"`
	GNSS *int    `json:"gnssid"`
	SV   int     `json:"svid"`
	SS   float64 `json:"ss"`
	Used bool    `json:"used"`
}

// gnssOf maps gpsd's gnssid (u-blox's) to a system; 4 is IMES, which is none.
var gnssOf = [...]telemetry.GNSS{0: telemetry.GPS, 1: telemetry.SBAS, 2: telemetry.Galileo, 3: telemetry.BeiDou,
	5: telemetry.QZSS, 6: telemetry.GLONASS, 7: telemetry.NavIC}

// qualityOf maps gpsd's status to the quality of GGA; what it does not say is
// an ordinary fix.
var qualityOf = [...]uint8{0: 1, 1: 1, 2: 2, 3: 4, 4: 5, 5: 6, 6: 6, 7: 7, 8: 8, 9: 3}

// reports turns what gpsd says into fixes: one per epoch, when gpsd has said
// all of it. It is used by one goroutine.
type reports struct {
	source *Source
	log    *slog.Logger
	buf    []byte
	skip   bool         // the report is too long: wait for its end
	at     telemetry.At // of the report's first byte

	only    string       // the configuration names this receiver
	device  string       // the one that is followed
	heardAt telemetry.At // its last report

	pending bool
	fix     telemetry.Fix // of the epoch that is not complete
	last    telemetry.Fix // emitted

	sky    skyState // newest
	skyFix skyState // when fix was reported
	errors telemetry.Accuracy
	errAt  telemetry.At
	judge  judge

	said [3]telemetry.At // complaints: no receiver, it is lost, a request refused
}

// skyState is what gpsd said last of the satellites.
type skyState struct {
	at   telemetry.At
	dops [3]float64 // horizontal, vertical, of the position
	sats int        // used
	sky  telemetry.Sky
}

func newReports(s *Source, device string) *reports {
	r := &reports{source: s, log: s.log, only: device, device: device}
	r.forget()
	return r
}

// forget drops what was known of a receiver.
func (r *reports) forget() {
	nan := math.NaN()
	r.sky, r.judge = skyState{dops: [3]float64{nan, nan, nan}, sats: -1}, judge{live: true}
	for _, v := range accuracyOf(&r.errors) {
		*v = nan
	}
}

func (r *reports) patience() time.Duration { return reportPatience }

// pause completes the epoch with all that gpsd said until it paused. Without a
// pause what it said of the satellites since may be the next epoch's.
func (r *reports) pause() {
	r.skyFix = r.sky
	r.finish()
}

// write cuts what was read into reports, one a line.
func (r *reports) write(at telemetry.At, p []byte) {
	st := &r.source.stats
	st.Bytes += uint64(len(p))
	for len(p) > 0 {
		if len(r.buf) == 0 {
			r.at = at
		}
		line, rest, ended := bytes.Cut(p, []byte{'\n'})
		p = rest
		if len(r.buf)+len(line) > maxReport && !r.skip {
			r.skip = true
			st.Rejected.count(rejectTooLong)
			r.source.loss.unknown(at, at)
		}
		if !r.skip {
			r.buf = append(r.buf, line...)
		}
		if !ended {
			return
		}
		if b := bytes.TrimSpace(r.buf); len(b) > 0 && !r.skip {
			st.Lines++
			r.report(b)
		}
		r.buf, r.skip = r.buf[:0], false
	}
}

func (r *reports) report(line []byte) {
	var m report
	st := &r.source.stats
	// A field of another type than expected is left out; the rest counts.
	if err := json.Unmarshal(line, &m); m.Class == "" || err != nil && !errors.As(err, new(*json.UnmarshalTypeError)) {
		st.Rejected.count(rejectMalformed)
		r.source.loss.sentence(r.at, rejectMalformed, line)
		return
	}
	st.Sentences++
	switch m.Class {
	case "TPV", "SKY", "GST":
		if !r.follows(m.Device) {
			st.Ignored++
			return
		}
		r.source.loss.sentence(r.at, accepted, line)
		r.data(&m)
	default:
		st.Ignored++
		r.talk(&m)
	}
}

// follows reports whether a receiver is the one to follow. Where gpsd has
// several, the first that speaks is, until it falls silent: two antennas make
// no track.
func (r *reports) follows(device string) bool {
	switch {
	case r.only != "":
		return device == r.only
	case r.device == "" && device != "" || r.device != device && r.at.Sub(r.heardAt) > reportAges:
		r.finish()
		r.device = device
		r.forget()
	case r.device != device:
		return false
	}
	r.heardAt = r.at
	return true
}

// talk is what gpsd says of itself and its receivers.
func (r *reports) talk(m *report) {
	switch m.Class {
	case "VERSION":
		if m.Version != gpsdMajor {
			r.log.Warn("gpsd speaks another version of its protocol than 3: what it says may not be understood", "gpsd", m.Release, "protocol", m.Version,
				"next", "install gpsd 2.90 or later, or name the serial port in gps.device")
			return
		}
		r.log.Info("reads from gpsd", "gpsd", m.Release)
	case "DEVICES":
		has := r.only == "" && len(m.Devices) > 0
		for _, d := range m.Devices {
			has = has || d.Path == r.only
		}
		if !has && speak(&r.said[0], r.at) {
			r.log.Warn("gpsd has no receiver", "device", cmp.Or(r.only, "any"),
				"next", "name its port in DEVICES of /etc/default/gpsd and systemctl restart gpsd, or gpsdctl add /dev/ttyUSB0")
		}
	case "DEVICE":
		gone := len(m.Activated) == 0 || string(m.Activated) == "0"
		if gone && m.Path != "" && m.Path == r.device {
			r.finish()
			if speak(&r.said[1], r.at) {
				r.log.Warn("gpsd has lost its receiver", "device", m.Path, "next", "check the plug and the receiver's power; gpsd opens it again by itself")
			}
			r.source.loss.lostDevice(r.at)
			r.source.hear(true, r.at)
			r.device = r.only
			r.forget()
		}
	case "ERROR":
		if speak(&r.said[2], r.at) {
			r.log.Warn("gpsd does not take what it was asked", "gpsd", m.Message, "next", "install gpsd 2.90 or later, or name the serial port in gps.device")
		}
	}
}
