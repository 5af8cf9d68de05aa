package agent_test

import (
	"io"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"obu/gps"
	"obu/internal/virtual"
	"obu/telemetry"
)

// TestReceptionArrives: satellites by system and the error estimate arrive with
// the statistics, the antenna's state as an event when it changes; the fixes
// carry none of it.
func TestReceptionArrives(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, "sim-1")
		a := r.start()
		time.Sleep(500 * time.Millisecond)
		antenna := "OK"
		for i := range 340 {
			if i == 150 {
				antenna = "OPEN"
			}
			for _, body := range []string{
				"GPGSV,1,1,03,05,40,083,41,13,56,090,29,15,55,170,50,1",
				"GLGSV,1,1,01,70,11,115,,1",
				"GNGST," + launch.Add(time.Duration(i)*time.Second).Format("150405.00") + ",22,2.5,1.9,104,3,4,3.2",
				"GNTXT,01,01,02,ANTSTATUS=" + antenna,
			} {
				if _, err := r.line.Write([]byte(gps.Frame(body))); err != nil {
					t.Fatal(err)
				}
			}
			time.Sleep(time.Second)
		}
		now, known := a.source("gps").Stats.(gps.Stats), a.Status().Time
		if now.Mode != "3d" || now.Sats != 9 || now.Doubts != "" {
			t.Errorf("status of a good fix: %+v", now)
		}
		if known.AnchorAgeS == nil || *known.AnchorAgeS < 0 || *known.AnchorAgeS > 600 {
			t.Errorf("status of a time that a receiver tells: %+v", known)
		}
		r.hush()
		await(t, "drain", func() bool { return a.owed() == 0 })
		sky := a.source("gps").Stats.(gps.Stats).Sky
		a.stop()

		type key struct{ signal, address string }
		got, n := map[key]telemetry.Value{}, 0
		for _, s := range r.cloud.all[telemetry.ClassHealth].Samples {
			if s.Source.Method == "nmea" {
				got[key{s.Signal.Name, s.Source.Address}] = s.Value
				n++
			}
		}
		for k, want := range map[key]telemetry.Value{
			{"Vehicle.Obu.GNSS.InView", "GPS"}:                 telemetry.Int(3),
			{"Vehicle.Obu.GNSS.Used", "GPS"}:                   telemetry.Int(9), // the car lists nine
			{"Vehicle.Obu.GNSS.Strong", "GPS"}:                 telemetry.Int(2),
			{"Vehicle.Obu.GNSS.CN0.Best", "GPS"}:               telemetry.Int(50),
			{"Vehicle.Obu.GNSS.CN0.Mean", "GPS"}:               telemetry.Float(40),
			{"Vehicle.Obu.GNSS.InView", "GLONASS"}:             telemetry.Int(1),
			{"Vehicle.CurrentLocation.HorizontalAccuracy", ""}: telemetry.Float(5),
			{"Vehicle.CurrentLocation.VerticalAccuracy", ""}:   telemetry.Float(3.2),
		} {
			if got[k] != want {
				t.Errorf("%v is %v, want %v", k, got[k], want)
			}
		}
		if _, ok := got[key{"Vehicle.Obu.GNSS.CN0.Best", "GLONASS"}]; ok {
			t.Error("a C/N0 of a system that is not heard")
		}
		if sky.Systems[telemetry.GPS].InView != 3 || sky.Antenna != telemetry.AntennaOpen {
			t.Errorf("status shows %+v", sky)
		}
		events := r.cloud.samples[virtual.SeriesKey{Signal: "Vehicle.Obu.GNSS.Antenna"}]
		if len(events) != 2 || events[0].Value != telemetry.Text("ok") || events[1].Value != telemetry.Text("open") {
			t.Errorf("antenna %v, want ok, then open", events)
		}
		if len(r.cloud.fixes) < 330 || n > 2*10 {
			t.Errorf("%d fixes, %d samples of the reception in 340 s", len(r.cloud.fixes), n)
		}
	})
}

// TestAntennaOfAReceiverThatIsOpenedAgain: most tell it when they are switched on
// and never again; to have forgotten it is no event.
func TestAntennaOfAReceiverThatIsOpenedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, "sim-1")
		a := r.start()
		time.Sleep(5 * time.Second)
		say := func(body string) {
			if _, err := io.WriteString(r.line, gps.Frame(body)); err != nil {
				t.Fatal(err)
			}
		}
		say("GNTXT,01,01,02,ANTSTATUS=OK")
		time.Sleep(5 * time.Second)
		stolen, err := r.line.Open(t.Context()) // ends the agent's end of the line
		if err != nil {
			t.Fatal(err)
		}
		stolen.Close()
		time.Sleep(30 * time.Second)
		say("GNTXT,01,01,02,ANTSTATUS=OK")
		time.Sleep(5 * time.Second)
		say("GNTXT,01,01,02,ANTSTATUS=OPEN")
		time.Sleep(5 * time.Second)
		r.hush()
		await(t, "drain", func() bool { return a.owed() == 0 })
		a.stop()
		var got []string
		for _, e := range r.cloud.samples[virtual.SeriesKey{Signal: "Vehicle.Obu.GNSS.Antenna"}] {
			got = append(got, e.Value.Text())
		}
		if !slices.Equal(got, []string{"ok", "open"}) {
			t.Errorf("antenna %q, want ok, then open", got)
		}
	})
}
