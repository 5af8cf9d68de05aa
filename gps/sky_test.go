package gps_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"obu/telemetry"
)

// TestSatellitesOfEachSystem: how receivers name satellites.
func TestSatellitesOfEachSystem(t *testing.T) {
	for _, tc := range []struct {
		name     string
		gsv, gsa string
		system   telemetry.GNSS
	}{
		{"GPS", "GPGSV,1,1,01,05,40,083,41", "GPGSA,A,3,05,,,,,,,,,,,,1.0,1.0,1.0", telemetry.GPS},
		{"GPS, NMEA 4.1", "GPGSV,1,1,01,05,40,083,41,1", "GNGSA,A,3,05,,,,,,,,,,,,1.0,1.0,1.0,1", telemetry.GPS},
		{"SBAS", "GPGSV,1,1,01,48,40,083,41", "GPGSA,A,3,48,,,,,,,,,,,,1.0,1.0,1.0", telemetry.SBAS},
		{"SBAS by PRN", "GPGSV,1,1,01,135,40,083,41", "GPGSA,A,3,48,,,,,,,,,,,,1.0,1.0,1.0", telemetry.SBAS},
		{"GLONASS", "GLGSV,1,1,01,70,40,083,41", "GNGSA,A,3,70,,,,,,,,,,,,1.0,1.0,1.0", telemetry.GLONASS},
		{"GLONASS by slot", "GLGSV,1,1,01,06,40,083,41", "GLGSA,A,3,70,,,,,,,,,,,,1.0,1.0,1.0", telemetry.GLONASS},
		{"Galileo", "GAGSV,1,1,01,05,40,083,41,7", "GNGSA,A,3,05,,,,,,,,,,,,1.0,1.0,1.0,3", telemetry.Galileo},
		{"Galileo, 301 on", "GAGSV,1,1,01,305,40,083,41", "GNGSA,A,3,305,,,,,,,,,,,,1.0,1.0,1.0", telemetry.Galileo},
		{"BeiDou", "GBGSV,1,1,01,40,40,083,41,1", "GNGSA,A,3,40,,,,,,,,,,,,1.0,1.0,1.0,4", telemetry.BeiDou},
		{"BeiDou, talker BD", "BDGSV,1,1,01,14,40,083,41", "BDGSA,A,3,214,,,,,,,,,,,,1.0,1.0,1.0", telemetry.BeiDou},
		{"BeiDou, 401 on", "BDGSV,1,1,01,414,40,083,41", "GNGSA,A,3,414,,,,,,,,,,,,1.0,1.0,1.0", telemetry.BeiDou},
		{"BeiDou, Quectel", "PQGSV,1,1,01,14,40,083,41,1,4", "PQGSA,A,3,14,,,,,,,,,,,,1.0,1.0,1.0,4", telemetry.BeiDou},
		{"QZSS", "GQGSV,1,1,01,03,40,083,41,1", "GNGSA,A,3,03,,,,,,,,,,,,1.0,1.0,1.0,5", telemetry.QZSS},
		{"QZSS, talker QZ", "QZGSV,1,1,01,03,40,083,41", "GPGSA,A,3,195,,,,,,,,,,,,1.0,1.0,1.0", telemetry.QZSS},
		{"NavIC", "GIGSV,1,1,01,04,40,083,41,1", "GNGSA,A,3,04,,,,,,,,,,,,1.0,1.0,1.0,6", telemetry.NavIC},
		{"24 places in GSA", "GPGSV,1,1,01,05,40,083,41", "GPGSA,A,3,05,,,,,,,,,,,,,,,,,,,,,,,,1.0,1.0,1.0", telemetry.GPS},
		{"decimals", "GPGSV,1,1,01,05,40.2,083.5,40.8", "GPGSA,A,3,05,,,,,,,,,,,,1.0,1.0,1.0", telemetry.GPS},
	} {
		t.Run(tc.name, func(t *testing.T) {
			fixes, stats := decode(t, frames(rmc("120000"), tc.gsa, tc.gsv))
			if len(fixes) != 1 || stats.Rejected.Total() != 0 {
				t.Fatalf("%d fixes, %+v", len(fixes), stats)
			}
			var want telemetry.Sky
			want.Systems[tc.system] = telemetry.Reception{InView: 1, Heard: 1, Strong: 1, Used: 1, Best: 41, Mean: 41}
			if got := fixes[0].Detail.Sky; got != want {
				t.Errorf("got %+v, want one of %v", got, tc.system)
			}
		})
	}
}

// manySentences are an epoch of a receiver of four systems on two frequencies.
func manySentences(hms string) []string {
	return []string{
		"GNRMC," + hms + ".00,A,4807.0380000,N,01131.0000000,E,022.4,084.4,230324,,,D,V",
		"GNGGA," + hms + ".00,4807.0380000,N,01131.0000000,E,2,22,0.6,545.4,M,46.9,M,,",
		"GNVTG,084.4,T,,M,022.4,N,041.5,K,D",
		"GNGSA,A,3,05,13,15,,,,,,,,,,1.1,0.6,0.9,1",
		"GNGSA,A,3,70,71,,,,,,,,,,,1.1,0.6,0.9,2",
		"GNGSA,A,3,04,09,,,,,,,,,,,1.1,0.6,0.9,3",
		"GPGSV,2,1,05,05,40,083,41,13,56,090,49,15,55,170,50,16,07,317,,1",
		"GPGSV,2,2,05,20,78,348,18,1",
		"GPGSV,1,1,02,05,40,083,44,15,55,170,38,6",
		"GLGSV,1,1,02,70,11,115,37,71,34,060,48,1",
		"GAGSV,1,1,03,04,11,115,30,09,34,060,29,12,00,023,,7",
		"GNGST," + hms + ".00,22,2.5,1.9,104,1.8,1.6,3.2",
		"GNGLL,4807.0380000,N,01131.0000000,E," + hms + ".00,A,D",
		"GNTXT,01,01,02,ANTSTATUS=OPEN",
		"PMTK010,001",
	}
}

func TestSkyOfOneEpoch(t *testing.T) {
	fixes, _ := decode(t, frames(manySentences("120000")...))
	var want telemetry.Sky
	want.Systems[telemetry.GPS] = telemetry.Reception{InView: 5, Heard: 4, Strong: 3, Used: 3, Best: 50, Mean: 47.7}
	want.Systems[telemetry.GLONASS] = telemetry.Reception{InView: 2, Heard: 2, Strong: 2, Used: 2, Best: 48, Mean: 42.5}
	want.Systems[telemetry.Galileo] = telemetry.Reception{InView: 3, Heard: 2, Strong: 1, Used: 2, Best: 30, Mean: 29.5}
	want.Antenna = telemetry.AntennaOpen
	d := fixes[0].Detail
	if d.Sky != want {
		t.Errorf("sky %+v, want %+v", d.Sky, want)
	}
	if total := d.Sky.Total(); total != (telemetry.Reception{InView: 10, Heard: 8, Strong: 6, Used: 7, Best: 50, Mean: 41}) {
		t.Errorf("total %+v", total)
	}
	if want := (telemetry.Accuracy{RMSM: 22, MajorM: 2.5, MinorM: 1.9, OrientDeg: 104, LatM: 1.8, LonM: 1.6, AltM: 3.2}); d.Accuracy != want {
		t.Errorf("accuracy %+v, want %+v", d.Accuracy, want)
	}
	if got := string(d.Sky.AppendJSON(nil)); !strings.Contains(got, `"galileo":{"in_view":3,"heard":2,"strong":1,"used":2,"best":30,"mean":29.5}`) {
		t.Errorf("JSON %s", got)
	}
}

// oneOrder decodes an epoch of some of the sentences, in their order and
// shuffled, and returns how the shuffled one differs.
func oneOrder(t *testing.T, in []string, seed uint64) string {
	want, _ := decode(t, frames(in...))
	shuffled := slices.Clone(in)
	rand.New(rand.NewPCG(seed, 4)).Shuffle(len(in), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
	got, _ := decode(t, frames(shuffled...))
	if len(got) != len(want) {
		return fmt.Sprintf("%d fixes, want %d", len(got), len(want))
	}
	for i := range got {
		if !got[i].Equal(want[i]) || fmt.Sprint(*got[i].Detail) != fmt.Sprint(*want[i].Detail) {
			return fmt.Sprintf("%s:\n%+v %+v, want\n%+v %+v", strings.Join(shuffled, "\n"), got[i], got[i].Detail, want[i], want[i].Detail)
		}
	}
	return ""
}

// TestAnyOrderSameFix: whatever the order of an epoch's sentences, the fix and
// its detail are the same, also where they round differently.
func TestAnyOrderSameFix(t *testing.T) {
	rough := manySentences("120000")
	rough[0] = "GNRMC,120000.00,A,4807.0380001,N,01131.0000000,E,022.41,084.42,230324,,,D,V"
	rough = append(rough, "GNGNS,120000.00,4807.0380002,N,01131.0000000,E,DDDN,23,0.60,545.41,46.91,,,V")
	for seed := range uint64(500) {
		for _, in := range [][]string{manySentences("120000"), rough} {
			if bad := oneOrder(t, in, seed); bad != "" {
				t.Fatal(bad)
			}
		}
	}
}

// FuzzOrder: any choice of an epoch's sentences, in any order, makes the same
// fix, or none.
func FuzzOrder(f *testing.F) {
	f.Add(uint16(0xffff), uint64(1), "GNZDA,120000.00,23,03,2024,00,00")
	f.Add(uint16(0x1ffe), uint64(7), "GNGNS,120000.00,4807.0380000,N,01131.0000000,E,DDDN,22,0.6,545.4,46.9,,,V")
	f.Add(uint16(0x000a), uint64(9), "GPTXT,01,01,01,ANTENNA OK")
	f.Fuzz(func(t *testing.T, choice uint16, seed uint64, more string) {
		var in []string
		for i, s := range manySentences("120000") {
			if choice>>i&1 == 1 {
				in = append(in, s)
			}
		}
		if len(more) > 6 && !slices.ContainsFunc(in, func(s string) bool { return s[:5] == more[:5] }) && orderFree(more) {
			in = append(in, more)
		}
		if bad := oneOrder(t, in, seed); bad != "" {
			t.Error(bad)
		}
	})
}

// orderFree reports whether a sentence of the fuzzer's is one whose place does
// not matter: of the same epoch and none that the receiver would send twice.
func orderFree(s string) bool {
	if strings.ContainsAny(s, "$!*\r\n#\\^") {
		return false
	}
	switch kind, tod := timeField("$" + s); kind {
	case "RMC", "GGA", "GNS", "GLL": // what knows no time may be the epoch's before
		return tod == 12*time.Hour
	case "ZDA", "GST":
		return strings.HasPrefix(s[5:], ",120000.00,")
	}
	return s[2:5] == "GSV" || s[2:5] == "VTG"
}

// TestRepeatedGSACountsOnce: where the sentences between are lost, or there is
// none that opens an epoch, the lists of several seconds are of one.
func TestRepeatedGSACountsOnce(t *testing.T) {
	fixes, _ := decode(t, frames(rmc("120000"), gsa("3"), gsa("3"), "GLGSA,A,3,70,71,,,,,,,,,,,1.1,0.6,0.9", gsa("3")))
	if len(fixes) != 1 || fixes[0].Sats != 6 {
		t.Errorf("%+v, want 6 satellites", fixes)
	}
}

// TestSkyIsForgotten: satellites that are no longer listed are not in view for
// ever.
func TestSkyIsForgotten(t *testing.T) {
	in := frames(manySentences("120000")...)
	for _, s := range []string{"01", "02", "03", "04", "05", "06", "07", "08", "09", "10", "11", "12", "13"} {
		in += frames(rmc("1200" + s))
	}
	fixes, _ := decode(t, in)
	if got := fixes[5].Detail.Sky; got != fixes[0].Detail.Sky {
		t.Errorf("after five epochs %+v, want what was listed", got)
	}
	if got := fixes[len(fixes)-1].Detail.Sky; got.Total() != (telemetry.Reception{}) || got.Antenna != telemetry.AntennaOpen {
		t.Errorf("after %d epochs %+v, want only the antenna", len(fixes)-1, got)
	}
}

// TestSystemThatIsNoLongerListed: a receiver that lists GPS each second and
// BeiDou no more has none in view soon; one that lists GLONASS every fifth
// second has it in view all the time.
func TestSystemThatIsNoLongerListed(t *testing.T) {
	var in []string
	for i := range 30 {
		in = append(in, rmc(fmt.Sprintf("1200%02d", i)), "GPGSV,1,1,01,05,40,083,41")
		if i < 10 {
			in = append(in, "BDGSV,1,1,01,14,40,083,41")
		}
		if i == 10 {
			in = append(in, "QZGSV,1,1,01,03,40,083,41")
		}
		if i%5 == 0 {
			in = append(in, "GLGSV,1,1,01,70,40,083,41")
		}
	}
	fixes, _ := decode(t, frames(in...))
	for i, f := range fixes {
		s := f.Detail.Sky.Systems
		if s[telemetry.GPS].InView != 1 || s[telemetry.GLONASS].InView != 1 || i < 10 && s[telemetry.BeiDou].InView != 1 {
			t.Errorf("epoch %d: %+v, want all that are listed", i, s)
		}
		if i >= 12 && s[telemetry.BeiDou].InView != 0 || i >= 22 && s[telemetry.QZSS].InView != 0 {
			t.Errorf("epoch %d: %+v, want none that are listed no more", i, s)
		}
	}
}

func TestAntennaStates(t *testing.T) {
	for in, want := range map[string]telemetry.Antenna{
		"GPTXT,01,01,02,ANTSTATUS=OK":     telemetry.AntennaOK,
		"GNTXT,01,01,02,ANTSTATUS=SHORT":  telemetry.AntennaShort,
		"GNTXT,01,01,02,ANTSTATUS=OPEN":   telemetry.AntennaOpen,
		"GNTXT,01,01,02,ANTSTATUS=INIT":   telemetry.AntennaUnknown,
		"GNTXT,01,01,02,ANTSUPERV=AC SD":  telemetry.AntennaUnknown,
		"GPTXT,01,01,01,ANTENNA OK":       telemetry.AntennaOK,
		"GPTXT,01,01,01,ANTENNA OPEN":     telemetry.AntennaOpen,
		"PGTOP,11,1":                      telemetry.AntennaShort,
		"PGTOP,11,2":                      telemetry.AntennaInternal,
		"PGTOP,11,3":                      telemetry.AntennaOK,
		"PCD,11,3":                        telemetry.AntennaOK,
		"PSTMANTENNASTATUS,1,0,0,0":       telemetry.AntennaOpen,
		"PSTMANTENNASTATUS,10,0,0,0":      telemetry.AntennaUnknown,
		"PGTOP,11,":                       telemetry.AntennaUnknown,
		"GPTXT,01,01,02,u-blox ag - 2009": telemetry.AntennaUnknown,
	} {
		fixes, _ := decode(t, frames(rmc("120000"), in))
		if got := fixes[0].Detail.Sky.Antenna; got != want {
			t.Errorf("%s: %q, want %q", in, got, want)
		}
	}
}

// TestAccuracyOfItsEpoch: GST may come before the sentence that opens its
// epoch; an old one is none.
func TestAccuracyOfItsEpoch(t *testing.T) {
	gst := func(hms, lat string) string { return "GPGST," + hms + ",1,2,1,10," + lat + ",1.6,3.2" }
	fixes, _ := decode(t, frames(gst("120000", "1"), rmc("120000"), gst("120001", "2"), rmc("120001"), rmc("120002"), rmc("120030")))
	for i, want := range []float64{1, 2, 2} {
		if got := fixes[i].Detail.Accuracy.LatM; got != want {
			t.Errorf("epoch %d: %v, want %v", i, got, want)
		}
	}
	if got := fixes[3].Detail.Accuracy.LatM; got == got {
		t.Errorf("28 s later: %v, want unknown", got)
	}
}
