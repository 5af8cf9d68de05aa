package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"strconv"
	"strings"
	"time"

	"obu/gps"
	"obu/internal/clock"
	"obu/internal/config"
	"obu/telemetry"
)

const (
	// searchFor is how long check looks for a receiver's port and speed.
	searchFor = time.Minute
	// fewStrong satellites are a poor sky: under a free one a receiver of one
	// system hears six to twelve well.
	fewStrong = 5
)

// doubtNext is what to do about fixes that are doubted.
const doubtNext = "wait a minute under a free sky and check again; if it lasts, restart the receiver, and replace it if that does not help"

// receiver is where the configuration says that the GPS receiver is.
func receiver(g *config.GPS, log *slog.Logger) *gps.Receiver {
	return &gps.Receiver{Device: g.Device, Baud: g.Baud.BitsPerSecond(), Init: g.Init, InitPort: g.InitPort, Stop: g.Stop, Log: log}
}

// checksumNext is what to do about a receiver that sends no checksums.
const checksumNext = "switch the receiver's checksums on: without them a damaged position passes for a good one"

// Damaged sentences are told from so many on, and from such a share: each port
// is opened in the middle of one.
const (
	damagedLeast = 3
	damagedShare = 20 // of so many one
)

func checkGPS(ctx context.Context, running *watched, g *config.GPS, opts ...clock.Option) finding {
	if running == nil {
		return tryGPS(ctx, g, opts...)
	}
	before, after, why := running.reads("gps", g.Name)
	if after == nil {
		return why
	}
	b, a := statsOf[gps.Stats](before), statsOf[gps.Stats](after)
	heard := gps.Stats{Bytes: grown(b.Bytes, a.Bytes), Sentences: grown(b.Sentences, a.Sentences), Epochs: grown(b.Epochs, a.Epochs), Valid: grown(b.Valid, a.Valid),
		Doubtful: grown(b.Doubtful, a.Doubtful), Doubts: a.Doubts, Sky: a.Sky, Antenna: a.Antenna,
		Rejected: gps.Rejected{Checksum: grown(b.Rejected.Checksum, a.Rejected.Checksum), NoChecksum: grown(b.Rejected.NoChecksum, a.Rejected.NoChecksum),
			Malformed: grown(b.Rejected.Malformed, a.Rejected.Malformed)}}
	if bad := judgeGPS(heard, g, running.span()); !bad.OK {
		return bad
	}
	if heard.Valid == 0 {
		return judgeLine(noFix(agentFirst+"; it speaks "+speech(g)+"; no fix yet", &heard), &heard)
	}
	f := passed("%s; %d positions in %v%s", agentFirst, heard.Valid, running.span(), firstFix(&a))
	if heard.Doubtful > 0 {
		f.Text += fmt.Sprintf("; %d of %d fixes are doubtful", heard.Doubtful, heard.Epochs)
		if a.Doubts != "" {
			f.Text += ": " + a.Doubts
		}
		f.Next = doubtNext
	}
	t := &running.after.Time
	return judgeLine(judgeTime(judgeSky(f, &heard), t.Receiver, t.ReceiverOffS), &heard)
}

// noFix is the finding where there is none, and why.
func noFix(text string, s *gps.Stats) finding {
	f := finding{OK: true, Text: text, Next: "give the antenna a free view of the sky"}
	switch {
	case s.Doubts != "":
		f.Text += ", and what it says is doubtful: " + s.Doubts
		f.Next = doubtNext
	case s.Sky.Total().Strong >= fewStrong:
		f.Next = "wait a minute and check again: a receiver that starts cold needs as long"
	}
	return judgeSky(f, s)
}

// judgeLine adds what damaged sentences say of the line.
func judgeLine(f finding, s *gps.Stats) finding {
	if bad := s.Rejected.Checksum; bad >= damagedLeast && bad*damagedShare >= s.Sentences+bad {
		f.Text += fmt.Sprintf("; %d of %d sentences arrived damaged", bad, s.Sentences+bad)
		f.Next = "check gps.baud, the ground and the length of the receiver's cable, and that no other program reads the port"
	}
	return f
}

// firstFix says how long the first fix took.
func firstFix(s *gps.Stats) string {
	if s.FirstFixS == 0 {
		return ""
	}
	return fmt.Sprintf("; first fix %.1f s after the receiver was opened", s.FirstFixS)
}

// speech is what a receiver speaks.
func speech(g *config.GPS) string {
	if strings.HasPrefix(g.Device, "gpsd:") {
		return "gpsd's protocol"
	}
	return "NMEA"
}

// tryGPS opens a receiver and listens.
func tryGPS(ctx context.Context, g *config.GPS, opts ...clock.Option) finding {
	clk, err := clock.System(opts...)
	if err != nil {
		return failed(err)
	}
	var best telemetry.Fix
	var opening error
	ctx, cancel := context.WithTimeout(ctx, searchFor)
	defer cancel()
	r := receiver(g, nil)
	src, err := gps.New(gps.Config{Name: g.Name, Clock: clk,
		Open: func(ctx context.Context) (io.ReadCloser, error) {
			port, err := r.Open(ctx)
			if opening = err; err == nil {
				time.AfterFunc(listenFor, cancel)
			}
			return port, err
		},
		Emit: func(f telemetry.Fix) {
			clk.Observe(f)
			if f.Valid || !best.Valid {
				best = f
			}
		}})
	if err != nil {
		return failed(err)
	}
	switch err := src.Run(ctx); {
	case errors.Is(opening, context.DeadlineExceeded):
		return failedWith("name its port in gps.device and its rate in gps.baud", "no receiver found within %v", searchFor)
	case opening != nil:
		return failed(plainly(opening))
	case err != nil:
		return failed(err)
	}
	s := src.Stats()
	if bad := judgeGPS(s, g, listenFor); !bad.OK {
		return bad
	}
	first := ""
	if g.Baud == config.Auto || g.Device == gps.AutoDevice {
		first = "found " + r.Found() + "; "
	}
	if s.Valid == 0 {
		return judgeLine(noFix(fmt.Sprintf("%sspeaks %s; no fix yet, %d satellites", first, speech(g), max(best.Sats, 0)), &s), &s)
	}
	verdict, off := clk.Verdict()
	return judgeLine(judgeTime(judgeSky(fixed(first, &best, &s), &s), string(verdict), off.Seconds()), &s)
}

// fixed tells a fix, as far as the receiver says what it is worth.
func fixed(first string, best *telemetry.Fix, s *gps.Stats) finding {
	text := first + best.Mode.String() + " fix"
	if best.Sats >= 0 {
		text += ", " + strconv.Itoa(best.Sats) + " satellites"
	}
	if !math.IsNaN(best.HDOP) {
		text += fmt.Sprintf(", HDOP %.1f", best.HDOP)
	}
	f := finding{OK: true}
	if best.Doubt != 0 {
		text += ", but doubtful: " + strings.Join(best.Doubt.Strings(), ", ")
		f.Next = doubtNext
	}
	f.Text = text + firstFix(s)
	return f
}

// judgeGPS judges what was heard of a receiver, by check or by the agent: is it
// NMEA at all?
func judgeGPS(s gps.Stats, g *config.GPS, span time.Duration) finding {
	isGpsd := speech(g) != "NMEA"
	switch {
	case isGpsd && s.Epochs == 0: // of itself it always has something to say
		return failedWith("`cgps` shows whether gpsd has a receiver: if not, name its port in DEVICES of /etc/default/gpsd, or gpsdctl add /dev/ttyUSB0", "gpsd reports nothing in %v", span)
	case s.Bytes == 0:
		return failedWith("check its power, its TX wire to our RX, and that gps.device names this receiver", "nothing heard in %v", span)
	case s.Sentences == 0 && s.Rejected.Bare():
		return failedWith(checksumNext, "%d sentences without a checksum, and none with one, at %v baud", s.Rejected.NoChecksum, g.Baud)
	case s.Sentences == 0:
		return failedWith("set gps.baud to auto, and switch the receiver from its binary protocol to NMEA 0183",
			"%d bytes but no NMEA sentence at %v baud", s.Bytes, g.Baud)
	}
	return passed("speaks NMEA")
}

// judgeSky adds what the satellites say of the antenna.
func judgeSky(f finding, s *gps.Stats) finding {
	switch a := s.Antenna; a {
	case telemetry.AntennaOpen, telemetry.AntennaShort:
		f.Text += "; the receiver says that its antenna is " + a.String()
		f.Next = "check the antenna's plug and cable; a passive antenna shows as open"
		return f
	}
	switch t := s.Sky.Total(); {
	case t.InView == 0: // it does not tell
	case t.Strong < fewStrong:
		f.Text += fmt.Sprintf("; the antenna sees the sky poorly: %d of %d satellites above %d dB-Hz, the best %d", t.Strong, t.InView, telemetry.Strong, t.Best)
		f.Next = "move the antenna to the roof or under plain glass, away from metal, heated or coated windows and the dashcam; check its plug; indoors this is normal"
	default:
		f.Text += fmt.Sprintf("; %d of %d satellites above %d dB-Hz, the best %d", t.Strong, t.InView, telemetry.Strong, t.Best)
	}
	return f
}
