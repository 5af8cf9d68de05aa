package gps_test

import (
	"bufio"
	"errors"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"obu/gps"
)

// modem is a port for AT commands: it echoes and answers.
type modem struct {
	*receiver
	mu    sync.Mutex
	heard []string
}

func newModem(t *testing.T, answer func(command string) string) *modem {
	m := &modem{receiver: newReceiver(t, 0)}
	master := m.master
	held, err := os.OpenFile(m.path, os.O_RDWR|unix.O_NOCTTY, 0) // reading goes on while nobody else has it open
	if err != nil {
		t.Fatal(err)
	}
	var done sync.WaitGroup
	done.Go(func() {
		lines := bufio.NewReader(master)
		for {
			line, err := lines.ReadString('\r')
			if err != nil {
				return
			}
			line = strings.TrimSpace(line)
			m.mu.Lock()
			m.heard = append(m.heard, line)
			m.mu.Unlock()
			master.WriteString(line + "\r\r\n" + answer(line))
		}
	})
	t.Cleanup(func() { held.Close(); done.Wait() })
	return m
}

func (m *modem) commands() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.heard)
}

// TestModemIsStartedAndStopped: AT commands go to the modem's own port, each
// after the answer to the one before; Close switches the receiver off.
func TestModemIsStartedAndStopped(t *testing.T) {
	m := newModem(t, func(string) string { return "\r\n+QGPSCFG: 1\r\nOK\r\n" })
	nmea := newReceiver(t, unix.B9600)
	where := &gps.Receiver{Device: nmea.path, Baud: 9600, InitPort: m.path, Init: []string{"AT+QGPSCFG=\"autogps\",0", "AT+QGPS=1"}, Stop: []string{"AT+QGPSEND"}}
	p, err := where.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if got := m.commands(); !slices.Equal(got, where.Init) {
		t.Errorf("the modem heard %q", got)
	}
	p.Close()
	if got := m.commands(); !slices.Equal(got, append(slices.Clone(where.Init), "AT+QGPSEND")) {
		t.Errorf("the modem heard %q", got)
	}
}

// TestModemRefuses: an answer other than OK is told in the modem's words; a
// receiver that runs already is no failure, or is started anew.
func TestModemRefuses(t *testing.T) {
	nmea := newReceiver(t, unix.B9600)
	refused := newModem(t, func(string) string { return "\r\n+CME ERROR: 505\r\n" })
	_, err := (&gps.Receiver{Device: nmea.path, Baud: 9600, InitPort: refused.path, Init: []string{"AT+QGPS=1"}}).Open(t.Context())
	if !errors.Is(err, gps.ErrInit) || !strings.Contains(err.Error(), "say AT+QGPS=1: the modem answered +CME ERROR: 505") {
		t.Errorf("%v", err)
	}

	runs := newModem(t, func(string) string { return "\r\n+CME ERROR: 504\r\n" })
	p, err := (&gps.Receiver{Device: nmea.path, Baud: 9600, InitPort: runs.path, Init: []string{"AT+QGPS=1"}}).Open(t.Context())
	if err != nil {
		t.Fatalf("a session that is ongoing: %v", err)
	}
	p.Close()

	on := true
	again := newModem(t, func(c string) string {
		switch {
		case c == "AT+CGPS=0":
			on = false
		case on:
			return "\r\nERROR\r\n"
		}
		return "\r\nOK\r\n"
	})
	p, err = (&gps.Receiver{Device: nmea.path, Baud: 9600, InitPort: again.path, Init: []string{"AT+CGPS=1"}, Stop: []string{"AT+CGPS=0"}}).Open(t.Context())
	if got := again.commands(); err != nil || !slices.Equal(got, []string{"AT+CGPS=1", "AT+CGPS=0", "AT+CGPS=1"}) {
		t.Fatalf("left running: %v, the modem heard %q", err, got)
	}
	p.Close()
}

// TestModemIsMute: the wrong port of a modem answers nothing.
func TestModemIsMute(t *testing.T) {
	t.Parallel()
	nmea, mute := newReceiver(t, unix.B9600), newReceiver(t, unix.B9600)
	_, err := (&gps.Receiver{Device: nmea.path, Baud: 9600, InitPort: mute.path, Init: []string{"AT+QGPS=1"}}).Open(t.Context())
	if !errors.Is(err, gps.ErrInit) || !strings.Contains(err.Error(), "no answer within 5s") {
		t.Errorf("%v", err)
	}
}

// TestSentencesAreSentToTheReceiver: commands of NMEA receivers get their
// checksum and go to the receiver itself.
func TestSentencesAreSentToTheReceiver(t *testing.T) {
	nmea := newModem(t, func(string) string { return "" })
	p, err := (&gps.Receiver{Device: nmea.path, Baud: 9600, Init: []string{"$PMTK220,200", "$PMTK251,9600*17"}, Stop: []string{"$PMTK161,0"}}).Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "both are heard", func() bool { return len(nmea.commands()) == 2 })
	p.Close()
	eventually(t, "the receiver is switched off", func() bool { return len(nmea.commands()) == 3 })
	if got := nmea.commands(); !slices.Equal(got, []string{"$PMTK220,200*2C", "$PMTK251,9600*17", "$PMTK161,0*28"}) {
		t.Errorf("the receiver heard %q", got)
	}
}
