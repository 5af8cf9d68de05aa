package gps

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.bug.st/serial"

	"obu/telemetry"
)

// AutoDevice is the Receiver.Device that is searched for.
const AutoDevice = "auto"

// namesDir has a name for each serial port on USB, which stays the same
// wherever it is plugged in.
const namesDir = "/dev/serial/by-id"

const (
	// listenAt is how long a speed is listened at. Receivers speak once a
	// second, those that save power every other.
	listenAt = 2200 * time.Millisecond
	// listenBytes without a sentence are enough too: the longest burst of binary
	// messages between two sentences is about that.
	listenBytes = 2048
	// listenStep is how often listening looks whether it is cancelled.
	listenStep = 100 * time.Millisecond
)

// Receiver is where a receiver is found, and what it took to hear it the last
// time. Open is for Config.Open; it is called by one goroutine at a time.
type Receiver struct {
	// Device is the path of a serial port, AutoDevice for the first port in
	// Names that speaks NMEA, or gpsd://HOST[:PORT][/DEVICE] for a running gpsd.
	Device string
	// Baud is the speed of the port in bits per second, 0: it is found by
	// listening. When the device is searched for it is the speed tried first.
	Baud int
	// Init is said after opening. A command that begins with AT is a modem's
	// and has to be answered with OK; one that begins with $ is sent as an NMEA
	// sentence, with its checksum, and nothing is waited for.
	Init []string
	// Stop is said before closing, in the same way.
	Stop []string
	// InitPort is the modem's port for its AT commands; "": Device.
	InitPort string
	// Names is the folder of names that stay, /dev/serial/by-id when empty.
	Names string
	// Log takes lines for the technician. It may be nil.
	Log *slog.Logger

	found string          // port opened last, with its speed
	known string          // name that stays of that port, where found has another
	good  int             // speed that carried NMEA last
	spoke string          // name of the receiver that the search found last
	tried map[string]bool // names that speak something else
}

// Open opens the receiver. Errors are those of OpenSerial, ErrNoNMEA, ErrInit
// and ErrNoGpsd.
func (r *Receiver) Open(ctx context.Context) (io.ReadCloser, error) {
	if r.Log == nil {
		r.Log = slog.New(slog.DiscardHandler)
	}
	if r.Names == "" {
		r.Names = namesDir
	}
	if where, ok := strings.CutPrefix(r.Device, gpsdScheme); ok {
		return dialGpsd(ctx, where)
	}
	if r.Device == AutoDevice {
		return r.search(ctx)
	}
	// A receiver that comes back may get another number, and its old number may
	// belong to somebody else now: its name tells.
	path := r.Device
	if _, err := os.Stat(r.known); err == nil {
		path = r.known
	}
	p, err := r.open(ctx, path)
	if err != nil {
		return nil, err
	}
	return p, nil
}

// Found returns which port was opened last and how fast it is, in words.
func (r *Receiver) Found() string { return r.found }

// open opens a port, starts the receiver behind it and finds its speed.
func (r *Receiver) open(ctx context.Context, path string) (*Port, error) {
	if who := holder(path); who.steals() {
		return nil, fmt.Errorf("open %s: %w: %s", path, ErrBusy, who)
	}
	rates := r.rates()
	p, err := OpenSerial(path, rates[0])
	if errors.Is(err, ErrBusy) {
		return nil, fmt.Errorf("open %s: %w: %s", path, ErrBusy, holder(path))
	}
	if err != nil {
		return nil, err
	}
	if err := r.begin(ctx, p); err != nil {
		p.Port.Close()
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	p.stop = r.stopper(p)
	if r.Baud == 0 || r.Device == AutoDevice {
		if err := p.find(ctx, rates); err != nil {
			p.Close()
			return nil, fmt.Errorf("listen to %s: %w", path, err)
		}
		if p.baud != r.good {
			r.Log.Info("speaks NMEA", "device", path, "baud", p.baud)
		}
		r.good = p.baud
	}
	if err := configure(p, r.Init); err != nil {
		p.Close()
		return nil, fmt.Errorf("open %s: %w: %w", path, ErrGone, err)
	}
	r.known = r.nameOf(path)
	r.found = path + " at " + strconv.Itoa(p.baud) + " baud"
	return p, nil
}

// rates are the speeds to try, the likely one first.
func (r *Receiver) rates() []int {
	auto := r.Baud == 0 || r.Device == AutoDevice
	switch {
	case !auto:
		return []int{r.Baud}
	case r.good == 0 && r.Baud == 0:
		return usualBauds[:]
	}
	first := r.good
	if first == 0 {
		first = r.Baud
	}
	rest := slices.DeleteFunc(slices.Clone(usualBauds[:]), func(b int) bool { return b == first })
	return append([]int{first}, rest...)
}

// nameOf returns the name that stays of a port, "" when it has none.
func (r *Receiver) nameOf(path string) string {
	real, err := filepath.EvalSymlinks(path)
	if err != nil || filepath.Dir(path) == r.Names {
		return ""
	}
	entries, _ := os.ReadDir(r.Names)
	for _, e := range entries {
		name := filepath.Join(r.Names, e.Name())
		if is, err := filepath.EvalSymlinks(name); err == nil && is == real {
			return name
		}
	}
	return ""
}

// search opens the first port that speaks NMEA. What speaks something else is
// opened once and left alone until it is plugged in again: opening may restart
// the device behind a port, or disturb who uses it.
func (r *Receiver) search(ctx context.Context) (io.ReadCloser, error) {
	entries, _ := os.ReadDir(r.Names)
	present := make(map[string]bool, len(entries))
	var likely, others []string
	for _, e := range entries {
		name := e.Name()
		switch present[name] = r.tried[name]; {
		case namesReceiver(name), name == r.spoke:
			likely = append(likely, name)
		case !r.tried[name]:
			others = append(others, name)
		}
	}
	r.tried = present
	var first error
	for _, name := range append(likely, others...) {
		path := filepath.Join(r.Names, name)
		if who := holder(path); who.name != "" {
			first = cmp.Or(first, fmt.Errorf("open %s: %w: %s", path, ErrBusy, who))
			continue
		}
		p, err := r.open(ctx, path)
		if err == nil {
			r.spoke = name
			return p, nil
		}
		if ctx.Err() != nil {
			return nil, err
		}
		if errors.Is(err, ErrNoNMEA) && !namesReceiver(name) && name != r.spoke {
			r.tried[name] = true
			r.Log.Info("not a receiver: left alone until it is plugged in again", "device", path)
		}
		first = cmp.Or(first, err)
	}
	if first != nil {
		return nil, first
	}
	if len(entries) == 0 {
		return nil, fmt.Errorf("search %s: %w: %w", r.Names, ErrNoDevice, ErrNothingPlugged)
	}
	return nil, fmt.Errorf("search %s: %w that speaks NMEA among %d", r.Names, ErrNoDevice, len(entries))
}

// namesReceiver reports whether the name of a port is that of a receiver, which
// may be opened again and again.
func namesReceiver(name string) bool {
	name = strings.ToLower(name)
	for _, word := range [...]string{"gps", "gnss", "u-blox", "glonass"} {
		if strings.Contains(name, word) {
			return true
		}
	}
	return false
}

// find listens at each speed until NMEA is heard.
func (p *Port) find(ctx context.Context, rates []int) error {
	heard := 0
	for _, baud := range rates {
		if baud != p.baud {
			if err := p.SetMode(&serial.Mode{BaudRate: baud, DataBits: 8}); err != nil {
				continue // the port does not know this speed
			}
			p.baud = baud
		}
		_ = p.ResetInputBuffer() // what came at another one
		n, ok, err := p.listen(ctx)
		switch heard += n; {
		case err != nil:
			return fmt.Errorf("%w: %w", ErrGone, err)
		case ctx.Err() != nil:
			return ctx.Err()
		case ok:
			p.found = true
			return p.SetReadTimeout(serial.NoTimeout)
		}
	}
	if heard == 0 {
		return fmt.Errorf("%w: it is silent at every usual speed", ErrNoNMEA)
	}
	return fmt.Errorf("%w at any usual speed, among %d bytes", ErrNoNMEA, heard)
}

// listen reports whether a sentence comes at the present speed.
func (p *Port) listen(ctx context.Context) (heard int, ok bool, err error) {
	if err := p.SetReadTimeout(listenStep); err != nil {
		return 0, false, err
	}
	lines := lineReader{stats: new(Stats), tooLong: func(telemetry.At) {},
		sentence: func(_ telemetry.At, line []byte) {
			body, why := checked(line)
			ok = ok || why == accepted && line[0] == '$' && len(body) > 5
		}}
	var buf [256]byte
	for until := time.Now().Add(listenAt); !ok && heard < listenBytes && time.Now().Before(until) && ctx.Err() == nil; {
		n, err := p.Read(buf[:])
		if err != nil {
			return heard, false, err
		}
		lines.write(0, buf[:n])
		heard += n
	}
	return heard, ok, nil
}
