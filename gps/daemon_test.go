package gps_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"math"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"obu/gps"
	"obu/internal/clock"
	"obu/telemetry"
)

const (
	gpsdVersion = `{"class":"VERSION","release":"3.22","rev":"3.22","proto_major":3,"proto_minor":14}` + "\r\n"
	gpsdDevices = `{"class":"DEVICES","devices":[{"class":"DEVICE","path":"/dev/ttyUSB0","activated":"2024-03-23T12:00:00.000Z","native":0,"bps":9600}]}` + "\r\n" +
		`{"class":"WATCH","enable":true,"json":true,"nmea":false,"raw":0,"scaled":false,"timing":false,"split24":false,"pps":false}` + "\r\n"
	gpsdNoFix = `{"class":"TPV","device":"/dev/ttyUSB0","mode":1}` + "\r\n"
	gpsdSky   = `{"class":"SKY","device":"/dev/ttyUSB0","xdop":0.5,"vdop":1.1,"hdop":0.8,"pdop":1.4,"satellites":[` +
		`{"PRN":1,"gnssid":0,"svid":1,"el":40.0,"az":83.0,"ss":46.0,"used":true},{"PRN":1,"gnssid":0,"svid":1,"ss":31.0,"sigid":5,"used":true},` +
		`{"PRN":2,"gnssid":0,"svid":2,"ss":29.4,"used":true},{"PRN":301,"gnssid":2,"svid":1,"ss":35.0,"used":true},{"PRN":65,"gnssid":6,"svid":1,"ss":0.0,"used":false}]}` + "\r\n"
	gpsdGST = `{"class":"GST","device":"/dev/ttyUSB0","time":"2024-03-23T12:00:00.000Z","rms":1.5,"major":2.0,"minor":1.0,"orient":-30.0,"lat":1.2,"lon":0.9,"alt":2.2}` + "\r\n"
)

// tpvReport is a position report as gpsd 3.22 sends it.
func tpvReport(device, second, more string) string {
	return `{"class":"TPV","device":"` + device + `","mode":3,"time":"2024-03-23T12:00:` + second + `Z","ept":0.005,"lat":48.117300000,"lon":11.516666667,` +
		`"altHAE":592.3000,"altMSL":545.4000,"alt":545.4000,"track":84.4000,"speed":11.524,"climb":-0.100,"geoidSep":46.900` + more + "}\r\n"
}

// listenToGpsd is listen, with gpsd at the other end.
func listenToGpsd(t *testing.T, device string) (*listener, net.Conn) {
	t.Helper()
	l := &listener{clk: clock.Virtual(), done: make(chan error, 1)}
	here, there := net.Pipe()
	var err error
	l.Source, err = gps.New(gps.Config{
		Open:  func(context.Context) (io.ReadCloser, error) { return gps.Daemon(here, device), nil },
		Clock: l.clk,
		Emit: func(f telemetry.Fix) {
			l.mu.Lock()
			defer l.mu.Unlock()
			l.emit = append(l.emit, f)
		},
		Lost: func(g telemetry.Gap) { l.gaps = append(l.gaps, g) },
		Log:  slog.New(slog.NewTextHandler(&l.log, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	var ctx context.Context
	ctx, l.cancel = context.WithCancel(t.Context())
	go func() { l.done <- l.Run(ctx) }()
	return l, there
}

// TestGpsdReports: position, satellites and errors of an epoch make one fix,
// complete when gpsd has said all of it, at the time of its first report.
func TestGpsdReports(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, conn := listenToGpsd(t, "")
		io.WriteString(conn, gpsdVersion+gpsdDevices+gpsdNoFix)
		time.Sleep(time.Second)
		start := l.clk.Now()
		io.WriteString(conn, tpvReport("/dev/ttyUSB0", "00.000", "")+gpsdGST)
		time.Sleep(50 * time.Millisecond)
		io.WriteString(conn, gpsdSky)
		io.WriteString(conn, tpvReport("/dev/ttyUSB0", "00.000", `,"status":2`)) // the same epoch, and more is known
		time.Sleep(150 * time.Millisecond)
		synctest.Wait()
		fixes := l.fixes()
		if len(fixes) != 2 {
			t.Fatalf("%d fixes, want 2: %+v", len(fixes), fixes)
		}
		if f := fixes[0]; f.Valid || f.Mode != telemetry.ModeNone || !f.UTC.IsZero() || f.Doubt != 0 || !math.IsNaN(f.LatDeg) {
			t.Errorf("without a fix: %+v", f)
		}
		want := telemetry.Fix{At: start, Receiver: "gps", UTC: time.Date(2024, 3, 23, 12, 0, 0, 0, time.UTC), LatDeg: 48.1173, LonDeg: 11.5166667,
			AltM: 545.4, GeoidM: 46.9, SpeedMPS: 11.524, CourseDeg: 84.4, HDOP: 0.8, VDOP: 1.1, PDOP: 1.4, Sats: 3, Mode: telemetry.Mode3D, Quality: 2, Valid: true}
		f := fixes[1]
		if !f.Equal(want) {
			t.Errorf("fix\n%+v, want\n%+v", f, want)
		}
		d := f.Detail
		if g := d.Sky.Systems[telemetry.GPS]; g != (telemetry.Reception{InView: 2, Heard: 2, Strong: 1, Used: 2, Best: 46, Mean: 37.5}) {
			t.Errorf("GPS %+v", g)
		}
		if g := d.Sky.Systems[telemetry.GLONASS]; g != (telemetry.Reception{InView: 1}) {
			t.Errorf("GLONASS %+v", g)
		}
		if want := (telemetry.Accuracy{RMSM: 1.5, MajorM: 2, MinorM: 1, OrientDeg: -30, LatM: 1.2, LonM: 0.9, AltM: 2.2}); d.ClimbMPS != -0.1 || d.Accuracy != want {
			t.Errorf("climb %v, accuracy %+v", d.ClimbMPS, d.Accuracy)
		}
		l.stop(t)
		if s := l.Stats(); s.FirstFixS != 1 || s.Epochs != 2 || s.Valid != 1 || s.Rejected.Total() != 0 || len(l.gaps) != 0 {
			t.Errorf("stats %+v gaps %+v", s, l.gaps)
		}
		if !strings.Contains(l.log.String(), "gpsd=3.22") {
			t.Errorf("the version is not told:\n%s", &l.log)
		}
	})
}

// TestGpsdDilutionAges: what is said of the satellites every few seconds is not
// taken for what every fix had.
func TestGpsdDilutionAges(t *testing.T) {
	var got []float64
	var last telemetry.Fix
	gps.ReadReports([][]byte{[]byte(gpsdSky + tpvReport("/dev/ttyUSB0", "00.000", "")), []byte(tpvReport("/dev/ttyUSB0", "01.000", "")),
		[]byte(tpvReport("/dev/ttyUSB0", "02.000", ""))}, func(f telemetry.Fix) { got, last = append(got, f.HDOP), f })
	if len(got) != 3 || got[0] != 0.8 || got[1] != 0.8 || !math.IsNaN(got[2]) || last.Sats != -1 || last.Detail.Sky.Total().InView != 4 {
		t.Errorf("HDOP %v, last fix %+v, sky %+v", got, last, last.Detail.Sky)
	}
}

// TestGpsdIsDoubted: what gpsd passes on is held to the same laws as what the
// receiver says itself.
func TestGpsdIsDoubted(t *testing.T) {
	at := func(second string, change ...string) string {
		return strings.NewReplacer(change...).Replace(tpvReport("/dev/ttyUSB0", second, ""))
	}
	for name, k := range map[string]struct {
		said  []string
		valid bool
		doubt telemetry.Doubt
	}{
		"good":             {[]string{at("00.000")}, true, 0},
		"zero island":      {[]string{at("00.000", "48.117300000", "0.0", "11.516666667", "0.0")}, true, telemetry.DoubtZeroIsland},
		"out of range":     {[]string{at("00.000", "48.117300000", "91.0")}, false, telemetry.DoubtRange},
		"no position":      {[]string{at("00.000", `"lat":48.117300000,"lon":11.516666667,`, "")}, false, telemetry.DoubtModeMismatch},
		"dead reckoning":   {[]string{tpvReport("/dev/ttyUSB0", "00.000", `,"status":5`)}, true, telemetry.DoubtEstimated},
		"simulated":        {[]string{tpvReport("/dev/ttyUSB0", "00.000", `,"status":8`)}, true, telemetry.DoubtEstimated},
		"1980":             {[]string{at("00.000", "2024", "1980")}, true, telemetry.DoubtTime},
		"no time":          {[]string{at("00.000", "2024-03-23T12:00:00.000Z", "yesterday")}, true, telemetry.DoubtTime},
		"time goes back":   {[]string{at("30.000"), at("10.000")}, true, telemetry.DoubtTime},
		"a jump":           {[]string{at("00.000"), at("01.000", "48.1173", "48.2173")}, true, telemetry.DoubtJump},
		"too fast":         {[]string{at("00.000", "11.524", "400.0")}, true, telemetry.DoubtJump},
		"position is held": {[]string{at("00.000"), at("02.000"), at("04.000"), at("06.000")}, true, telemetry.DoubtFrozen},
	} {
		var runs [][]byte
		for _, s := range k.said {
			runs = append(runs, []byte(s))
		}
		var last telemetry.Fix
		gps.ReadReports(runs, func(f telemetry.Fix) { last = f })
		if last.Receiver == "" || last.Valid != k.valid || last.Doubt != k.doubt {
			t.Errorf("%s: valid %v, doubt %v, want %v, %v", name, last.Valid, last.Doubt.Strings(), k.valid, k.doubt.Strings())
		}
	}
}

// TestGpsdLosesItsReceiver: gpsd stays, the receiver goes and comes back.
func TestGpsdLosesItsReceiver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, conn := listenToGpsd(t, "")
		io.WriteString(conn, gpsdVersion+gpsdDevices+tpvReport("/dev/ttyUSB0", "00.000", ""))
		time.Sleep(time.Second)
		lost := l.clk.Now()
		io.WriteString(conn, `{"class":"DEVICE","path":"/dev/ttyUSB0","activated":0}`+"\n")
		time.Sleep(20 * time.Second)
		back := l.clk.Now()
		io.WriteString(conn, tpvReport("/dev/ttyUSB0", "21.000", ""))
		time.Sleep(time.Second)
		l.stop(t)
		if n := len(l.fixes()); n != 2 {
			t.Errorf("%d fixes, want 2", n)
		}
		if n := len(l.gaps); n != 2 || l.gaps[1].From != lost || l.gaps[1].To != back || l.gaps[1].Reason != telemetry.ReasonBusError {
			t.Errorf("gaps %+v, want the loss at %v until %v", l.gaps, lost, back)
		}
		if text := l.log.String(); strings.Count(text, "gpsd has lost its receiver") != 1 || strings.Count(text, "gpsd is silent") != 1 {
			t.Errorf("the technician reads:\n%s", text)
		}
	})
}

// TestGpsdWithSeveralReceivers: one is followed, until it falls silent; or the
// one that the configuration names.
func TestGpsdWithSeveralReceivers(t *testing.T) {
	for only, want := range map[string][]int{"": {0, 1, 2, 15}, "/dev/ttyUSB1": {40, 41, 42, 15, 16}} {
		synctest.Test(t, func(t *testing.T) {
			l, conn := listenToGpsd(t, only)
			for _, s := range []string{"00.000", "01.000", "02.000"} {
				io.WriteString(conn, tpvReport("/dev/ttyUSB0", s, ""))
				time.Sleep(400 * time.Millisecond)
				io.WriteString(conn, tpvReport("/dev/ttyUSB1", "4"+s[1:], ""))
				time.Sleep(600 * time.Millisecond)
			}
			time.Sleep(12 * time.Second)
			if only != "" {
				io.WriteString(conn, tpvReport("/dev/ttyUSB0", "14.000", ""))
				io.WriteString(conn, tpvReport("/dev/ttyUSB1", "15.000", ""))
				io.WriteString(conn, tpvReport("/dev/ttyUSB1", "16.000", ""))
			} else {
				io.WriteString(conn, tpvReport("/dev/ttyUSB1", "15.000", ""))
			}
			time.Sleep(time.Second)
			l.stop(t)
			var got []int
			for _, f := range l.fixes() {
				got = append(got, f.UTC.Second())
			}
			if !slices.Equal(got, want) {
				t.Errorf("only %q: seconds %v, want %v", only, got, want)
			}
		})
	}
}

// TestGpsdWithoutReceiver and other trouble: what is wrong is said, with the
// cure.
func TestGpsdTrouble(t *testing.T) {
	for said, want := range map[string]string{
		`{"class":"DEVICES","devices":[]}`:                                            "gpsd has no receiver",
		`{"class":"VERSION","release":"2.50","proto_major":2}`:                        "gpsd speaks another version",
		`{"class":"ERROR","message":"Unrecognized request '?WA'"}`:                    "Unrecognized request",
		"220 mail.example.com ESMTP ready, and so on" + strings.Repeat(" and on", 40): "what answers does not speak gpsd's protocol",
	} {
		synctest.Test(t, func(t *testing.T) {
			l, conn := listenToGpsd(t, "")
			io.WriteString(conn, said+"\n")
			time.Sleep(6 * time.Second)
			l.stop(t)
			if text := l.log.String(); !strings.Contains(text, want) || !strings.Contains(text, "next=") {
				t.Errorf("%s:\n%s", said, text)
			}
		})
	}
}

// TestGpsdDialAndReturn: the address of the configuration is dialled, gpsd is
// asked for JSON, and when it ends and starts again its reports go on.
func TestGpsdDialAndReturn(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	serve := func(second string) {
		c, err := l.Accept()
		if err != nil {
			t.Error(err)
			return
		}
		defer c.Close()
		io.WriteString(c, gpsdVersion)
		if line, err := bufio.NewReader(c).ReadString('\n'); err != nil || line != "?WATCH={\"enable\":true,\"json\":true}\n" {
			t.Errorf("gpsd was asked %q %v", line, err)
		}
		io.WriteString(c, gpsdDevices+tpvReport("/dev/ttyUSB0", second, ""))
	}
	where := &gps.Receiver{Device: "gpsd://" + l.Addr().String()}
	s, c := receiverSource(t, where)
	for _, second := range []string{"00.000", "30.000"} {
		var served sync.WaitGroup
		served.Go(func() { serve(second) })
		if err := s.Run(t.Context()); !errors.Is(err, gps.ErrGone) || !errors.Is(err, gps.ErrNoGpsd) {
			t.Errorf("gpsd ended: %v, want ErrGone and ErrNoGpsd", err)
		}
		served.Wait()
		if f := <-c.fixes; !f.Valid || !strings.HasPrefix(second, f.UTC.Format("05")) {
			t.Errorf("fix %+v", f)
		}
	}
	l.Close()
	if err := s.Run(t.Context()); !errors.Is(err, gps.ErrNoGpsd) {
		t.Errorf("no gpsd: %v, want ErrNoGpsd", err)
	}
}

// TestGpsdReportTooLong: a report without end is dropped and counted, and the
// next one is read.
func TestGpsdReportTooLong(t *testing.T) {
	long := `{"class":"SKY","satellites":[` + strings.Repeat(`{"PRN":1,"ss":40},`, 8000) + "]}\n"
	n := 0
	stats := gps.ReadReports([][]byte{[]byte(long + tpvReport("/dev/ttyUSB0", "00.000", ""))}, func(telemetry.Fix) { n++ })
	if n != 1 || stats.Rejected.TooLong != 1 || stats.Bytes < 100_000 {
		t.Errorf("%d fixes, %+v", n, stats)
	}
}

// FuzzReports: whatever gpsd says, no panic, no fix out of range, all bytes
// counted, and cutting it into reads of any size changes nothing.
func FuzzReports(f *testing.F) {
	f.Add([]byte(gpsdVersion+gpsdDevices+gpsdNoFix+gpsdSky+tpvReport("/dev/ttyUSB0", "00.000", "")+gpsdGST), 7)
	f.Add([]byte(tpvReport("/dev/ttyUSB0", "00.000", "")+tpvReport("/dev/ttyUSB0", "00.200", `,"status":3`)+tpvReport("/dev/ttyUSB1", "01.000", "")), 100)
	f.Add([]byte(`{"class":"TPV","mode":3,"lat":1e400,"lon":-181,"time":"9999-99-99T99:99:99Z","speed":-1}`+"\n"+`{"class":"TPV","mode":"3","lat":"north","time":7}`+"\n"), 1)
	f.Add([]byte(`{"class":"SKY","hdop":-1,"satellites":[{"gnssid":99,"svid":-1,"ss":1e9},{"gnssid":0,"svid":300,"used":true},{"PRN":-7}]}`+"\n"+`{"class":"TPV","mode":2,"lat":0,"lon":0}`+"\n{}\n[]\nnull\n"), 3)
	f.Add([]byte(`{"class":"DEVICE","path":"/dev/ttyUSB0"}`+"\n"+`{"class":"DEVICES","devices":[{"path":7}]}`+"\n"+gpsdNoFix), 3)
	f.Fuzz(func(t *testing.T, in []byte, step int) {
		var whole, parts []telemetry.Fix
		stats := gps.ReadReports([][]byte{in}, func(f telemetry.Fix) { whole = append(whole, f) })
		for _, fix := range whole {
			if bad := inRange(fix); bad != "" {
				t.Fatalf("%s: %+v", bad, fix)
			}
		}
		if stats.Bytes != uint64(len(in)) || stats.Epochs != uint64(len(whole)) || stats.Epochs+stats.Late > stats.Sentences {
			t.Fatalf("%d fixes of %d bytes, %+v", len(whole), len(in), stats)
		}
		again := gps.ReadInSteps(&inSteps{bytes.NewReader(in), 1 + max(step, 0)%1024}, func(f telemetry.Fix) { parts = append(parts, f) })
		if again != stats || !slices.EqualFunc(parts, whole, telemetry.Fix.Equal) {
			t.Fatalf("in steps: %d fixes, %+v; at once: %d fixes, %+v", len(parts), again, len(whole), stats)
		}
	})
}
