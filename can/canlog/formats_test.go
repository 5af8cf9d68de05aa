package canlog_test

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"obu/can/canlog"
)

// ascHead is what stands above the lines of an ASC that begins at a round time.
const ascHead = "date Thu Jan 1 00:00:10.000 am 1970\nbase hex  timestamps absolute\ninternal events logged\n"

// TestLogFormats: one line of each kind, as candump would have logged it.
func TestLogFormats(t *testing.T) {
	fd12 := "00 01 02 03 04 05 06 07 08 09 0A 0B"
	for _, c := range []struct{ name, log, want string }{
		{"printed", "  can0  7E8   [3]  03 41 0D", "(0) can0 7E8#03410D"},
		{"printed, -ta", " (1398128223.803317)  can1  18DAF110   [4]  D0 32 00 09   '.2..'", "(1398128223.803317) can1 18DAF110#D0320009"},
		{"printed, -tA", " (2014-04-22 00:57:03.803317)  can0  166   [2]  D0 32", "(1398128223.803317) can0 166#D032"},
		{"printed, -x", " (000.000000)  can0  RX - -  166   [1]  D0", "(0.000000) can0 166#D0"},
		{"printed, remote", "can0  123   [4]  remote request", "(0) can0 123#R4"},
		{"printed, FD", "can0  123  [02]  11 22", "(0) can0 123##01122"},
		{"printed, FD 12", "can0  123  [12]  " + fd12, "(0) can0 123##0000102030405060708090A0B"},
		{"printed, error", "can0  20000004   [8]  00 01 00 00 00 00 00 00   ERRORFRAME\n\tcontroller-problem{rx-overflow}", "(0) can0 20000004#0001000000000000"},
		{"printed, short", "(1.0) can0  7E8   [3]  03 41", "bad 1"},
		{"printed, no length", "(1.0) can0  7E8   [x]  03 41", "bad 1"},

		{"ASC", ascHead + "   0.019968 1  64              Rx   d 4 64 00 00 00  Length = 0 BitCount = 0 ID = 100", "(10.019968) can1 064#64000000"},
		{"ASC, no date", "base hex timestamps absolute\n 1.5 2 18DAF110x Tx d 1 AA", "(1.5) can2 18DAF110#AA"},
		{"ASC, short extended", ascHead + " 1.5 2 64x Tx d 1 AA", "(11.500) can2 00000064#AA"},
		{"ASC, decimal", "date Thu Jan 1 12:00:10 am 1970\nbase dec timestamps absolute\n 1.5 1 100 Rx d 2 255 10", "(11.500) can1 064#FF0A"},
		{"ASC, relative", ascHead[:36] + "base hex timestamps relative\n 1.5 1 100 Rx d 0\n 0.25 1 Statistic: D 0\n 0.25 1 101 Rx d 0", "(11.500) can1 100#|(12.000) can1 101#"},
		{"ASC, afternoon", "date Don Jan 1 01:00:10.500 PM 1970\n 0.5 1 100 Rx d 0", "(46811.000) can1 100#"},
		{"ASC, German", "date Die Mai 5 13:00:10.500 1970\n 0.5 1 100 Rx d 0", "(10760411.000) can1 100#"},
		{"ASC, trigger", ascHead + "Begin Triggerblock Thu Jan 1 00:00:20.000 1970\n 1.0 Start of measurement\n 1.0 1 100 Rx d 0\nEnd TriggerBlock\nBegin TriggerBlock Thu Jan 1 00:00:30.000 1970\n 11.0 1 100 Rx d 0", "(21.000) can1 100#|(31.000) can1 100#"},
		{"ASC, long code", ascHead + " 1.0 1 3FF Tx d D 55 AA 01 02 03 04 05 06  Length = 232016", "(11.000) can1 3FF#55AA010203040506"},
		{"ASC, remote", ascHead + " 1.0 2 100 Tx r\n 1.0 3 200 Tx r Length = 1704000\n 1.0 4 300 Rx r 8 Length = 1704000", "(11.000) can2 100#R|(11.000) can3 200#R|(11.000) can4 300#R8"},
		{"ASC, errors", ascHead + " 1.0 1 ErrorFrame ECC: 10100010\n 2.0 CANFD 5 Tx ErrorFrame Not Acknowledge error", "(11.000) can1 20000088#0000000000000000|(12.000) can5 20000088#0000000000000000"},
		{"ASC, others", ascHead + " 1.0 CAN 1 Status:chip status error active\n 1.0 1 J1939TP FEE3p 6 0 0 - Rx d 23 A0 0F\n 1.0 Li 3 Rx 2 01 02\n", ""},
		{"ASC, FD", ascHead + " 1.0 CANFD 1 Rx 300 Engine_1 1 0 9 12 " + fd12 + " 102203 133 303000 e0006659", "(11.000) can1 300##1000102030405060708090A0B"},
		{"ASC, classic in FD's shape", ascHead + " 1.0 CANFD 1 Rx 30ax 0 0 1 1 AA 102203 133 200000 e0006659", "(11.000) can1 0000030A#AA"},
		{"ASC, remote in FD's shape", ascHead + " 1.0 CANFD 3 Tx 50005x 0 1 5 0 140000 73 200050 7a60", "(11.000) can3 00050005#R5"},
		{"ASC, bad", ascHead + " 1.0 1 8FF Rx d 1 00\n 1.0 1 0FF Rx d 2 00\n 1.0 1 0FF Rx d 1 100\nwhat\n 1.0 1 100 Rx q 1\ndate some day", "bad 4 5 6 7 8 9"},

		{"TRC 1.0", ";####\n;    Start time: 01.01.1970 00:00:10.500\n     1)     1500  00000100  1  AA\n     2)     1600  FFFFFFFF  4  00 00 00 08 -- -- -- -- BUSHEAVY\n 3) 1700 0704 1 RTR", "(12.000) can0 00000100#AA|(12.200) can0 704#R1"},
		{"TRC 1.1", ";$FILEVERSION=1.1\n;$STARTTIME=25569.5\n 1) 17535.4 Tx 0100 1 AA\n 2) 3 Warng FFFFFFFF 4 00 00 00 08 BUSHEAVY\n 3) 4.5 Error 0008 4 00 19 08 00", "(43217.535400) can0 100#AA|(43200.004500) can0 20000088#0000000000000000"},
		{"TRC 1.3", ";$FILEVERSION=1.3\n 1) 17535.400 2 Rx 0704 - 1 RTR", "(17.535400) can2 704#R1"},
		{"TRC 2.0", ";$FILEVERSION=2.0\n;$COLUMNS=N,O,T,I,d,l,D\n 1 1.000 FD 0100 Rx 12 " + fd12 + "\n 2 1 ST Rx 00 00 00 08\n 3 1 RR 0704 Rx 1", "(0.001000) can0 100##0000102030405060708090A0B|(0.001) can0 704#R1"},
		{"TRC 2.1", ";$FILEVERSION=2.1\n;$COLUMNS=N,O,T,B,I,d,R,L,D\n 1 1 FB 3 0100 Rx - 9 " + fd12 + "\n 2 1 ER 1 - Rx - 5 04 00 02 00 00\n 3 1 DT 1 0100 Rx - 9 01 02 03 04 05 06 07 08",
			"(0.001) can3 100##1000102030405060708090A0B|(0.001) can1 20000088#0000000000000000|(0.001) can1 100#0102030405060708"},
		{"TRC, bad", ";$FILEVERSION=7.1\n;$STARTTIME=NaN\n 1) 1 0100 2 AA\n 2) x 0100 1 AA\n 3) 1\n 4) 1 0FFF 1 AA\n;$FILEVERSION=1.1\n 5) 1 Up 0100 1 AA", "bad 1 2 3 4 5 6 8"},

		{"GVRET", "Time Stamp,ID,Extended,Bus,LEN,D1,D2,D3,D4,D5,D6,D7,D8\n166064000,0000021A,false,0,2,FE,36,00,00,00,00,00,00,\n1,21A,true,1,0", "(166.064000) can0 21A#FE36|(0.000001) can1 0000021A#"},
		{"GVRET with direction", "\uFEFFTime Stamp,ID,Extended,Dir,Bus,LEN,D1,D2\n1725695599863200,0x7E8,false,Rx,0,1,41\n", "(1725695599.863200) can0 7E8#41"},
		{"GVRET, FD", "Time Stamp,ID,Extended,Dir,Bus,LEN,D1\n1,7E8,false,Rx,0,12," + strings.ReplaceAll(fd12, " ", ","), "(0.000001) can0 7E8##0000102030405060708090A0B"},
		{"GVRET, bad", "Time Stamp,ID,Extended,Bus,LEN,D1\n1,FFF,false,0,0\n1,21A,false,0\n1,21A,false,0,9,1\n1,21A,false,x,0", "bad 2 3 4 5"},

		{"CRTD", "169.971 CXX Info Type:crtd\n1542473901.020305 1R11 213 00 c0\n1542473901.021 T29 18DAF110\n1.0 2T29 1 A\n5.5 CEV x\n5.5 3ABC 1", "(1542473901.020305) can1 213#00C0|(1542473901.021) can1 18DAF110#|(1.0) can2 00000001#0A"},
		{"CRTD, bad", "1.0 1R11 213 00\n1.0 1R11 18DAF110 00\n1.0 R11 213 00 0G\n1.0\n", "(1.0) can1 213#00|bad 2 3 4"},

		{"BUSMASTER", "***BUSMASTER Ver 2.4.0***\n***START DATE AND TIME 1:1:1970 22:17:28:928***\n***HEX***\n***SYSTEM MODE***\n22:20:15:2 Rx 1 0x0000021A s 2 FE 36 \n22:20:15:1234 Tx 2 21A x 0\n0:0:1:5 Rx 1 7FF sr 4", "(80415.002) can1 21A#FE36|(80415.1234) can2 0000021A#|(86401.005) can1 7FF#R4"},
		{"BUSMASTER, relative", "***BUSMASTER Ver 2.4.0***\n***START DATE AND TIME 1:1:1970 0:0:10:0***\n***DEC***\n***RELATIVE MODE***\n0:0:1:0 Rx 1 100 s 1 255\n0:0:1:0 Rx 1 100 s 1 256\n0:0:1:0 Rx 1 100 s 0", "(11.000) can1 064#FF|(13.000) can1 064#|bad 6"},
		{"Microchip", "//-----\nMicrochip Technology Inc.\nCAN BUS Analyzer\nLogging Started: 23/9/2015 22:17:43\n//-----\n166064;RX;0x0000021A;2;0xFE;0x36;\n1;TX;0x1FFF;0;\nrubbish", "(166.064) can0 21A#FE36|(0.001) can0 00001FFF#|bad 8"},
		{"generic CSV", "ID,Data Bytes\n0000021A,FE 36 \n18DAF110,\nxyz,00", "(0) can0 21A#FE36|(0) can0 18DAF110#|bad 4"},

		{"a remark above", "; drive on Monday\n(1.0) can0 123#", "(1.0) can0 123#|bad 1"},
		{"rubbish above", "rubbish\n(1.0) can0 123#\nrubbish", "(1.0) can0 123#|bad 1 3"},
	} {
		frames, bad := readAll(t, strings.NewReader(c.log))
		if len(bad) > 0 {
			lines := make([]int, 0, len(bad))
			for line, err := range bad {
				lines = append(lines, line)
				if !errors.Is(err, canlog.ErrLine) {
					t.Errorf("%s: %v", c.name, err)
				}
			}
			slices.Sort(lines)
			frames = append(frames, "bad "+strings.Trim(fmt.Sprint(lines), "[]"))
		}
		if got := strings.Join(frames, "|"); got != c.want {
			t.Errorf("%s:\n got %s\nwant %s\n%v", c.name, got, c.want, bad)
		}
	}
}

// TestLogThatIsNoText says what it is instead: another cure is needed for what
// is packed, or saved in another encoding.
func TestLogThatIsNoText(t *testing.T) {
	for head, want := range map[string]error{"BZh91AY": canlog.ErrPacked, "\xFD7zXZ": canlog.ErrPacked, "PK\x03\x04": canlog.ErrPacked,
		"\x28\xB5\x2F\xFD\x04": canlog.ErrPacked, "\xFF\xFE(\x00": canlog.ErrEncoding, "\xFE\xFF\x00(": canlog.ErrEncoding} {
		if _, err := canlog.NewReader(strings.NewReader(head)).Next(); !errors.Is(err, want) || errors.Is(err, canlog.ErrNotText) {
			t.Errorf("%q: %v", head, err)
		}
	}
	for head, want := range map[string]string{
		"LOGG\x90\x00": "a Vector BLF recording", "MDF     4.10": "an ASAM MDF recording", "\xD4\xC3\xB2\xA1\x02": "a pcap capture",
		"\x0A\x0D\x0D\x0A\x1C": "a pcapng capture", "@ TEXT @ 2": "a trace of CarBusAnalyzer",
	} {
		for _, in := range [][]byte{[]byte(head), zipped(t, head)} {
			log := canlog.NewReader(bytes.NewReader(in))
			for range 2 { // it is the end
				if _, err := log.Next(); !errors.Is(err, canlog.ErrNotText) || !strings.HasSuffix(err.Error(), want) {
					t.Errorf("%q: %v", head, err)
				}
			}
		}
	}
}

// recordedLog reads a recording without one bad line.
func recordedLog(t *testing.T, name string) (entries []canlog.Entry) {
	t.Helper()
	dir := cmp.Or(os.Getenv("OBU_RECORDINGS"), filepath.Join("..", "..", "..", "shared", "recordings"))
	f, err := os.Open(filepath.Join(dir, "can", filepath.FromSlash(name)))
	if errors.Is(err, fs.ErrNotExist) {
		t.Skipf("no recordings at %s: set OBU_RECORDINGS to run this test", dir)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for log := canlog.NewReader(f); ; {
		e, err := log.Next()
		if err == io.EOF {
			return entries
		}
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		entries = append(entries, e)
	}
}

// TestRecordedFormats: one recording that SavvyCAN wrote in five formats has
// the same frames in each, at the same distances in time.
func TestRecordedFormats(t *testing.T) {
	want := recordedLog(t, "savvycan/candump.log")
	if len(want) != 12_974 {
		t.Errorf("%d frames", len(want))
	}
	times := recordedLog(t, "savvycan/GVRET_Log.csv.gz") // candump's are whole seconds
	for name, timed := range map[string]bool{"GVRET_Log.csv.gz": true, "BusMasterLog.log.gz": true, "MicrochipLog.log.gz": true, "GenericID_Log.csv.gz": false} {
		got := recordedLog(t, "savvycan/"+name)
		if len(got) != len(want) {
			t.Fatalf("%s: %d frames", name, len(got))
		}
		for i := range got {
			if got[i].Frame != want[i].Frame {
				t.Fatalf("%s: frame %d is %v, want %v", name, i, got[i].Frame, want[i].Frame)
			}
			if timed && got[i].Stamp.Nanos-got[0].Stamp.Nanos != times[i].Stamp.Nanos-times[0].Stamp.Nanos {
				t.Fatalf("%s: frame %d at %v behind %v", name, i, got[i].Stamp, got[0].Stamp)
			}
		}
	}
}

// TestRecordedTwins counts the frames of the format samples, and compares what
// is the same recording in two formats.
func TestRecordedTwins(t *testing.T) {
	const dir = "python_can_formats/"
	text := func(name string, digits int) (lines []string) {
		for _, e := range recordedLog(t, dir+name) {
			lines = append(lines, fmt.Sprintf("%.*f %s %v", digits, float64(e.Stamp.Nanos)/1e9, strings.TrimPrefix(e.Interface, "can"), e.Frame))
		}
		return lines
	}
	for name, want := range map[string]int{
		"issue_1256.asc": 1457, "issue_1299.asc": 4, "logfile.asc": 20, "logfile_errorframes.asc": 12, "single_frame.asc": 1,
		"single_frame_us_locale.asc": 1, "test_CanErrorFrames.asc": 4, "test_CanFdMessage.asc": 3, "test_CanFdMessage64.asc": 2,
		"test_CanFdRemoteMessage.asc": 1, "test_CanMessage.asc": 2, "test_CanMessage.asc.gz": 2, "test_CanMessage.trc": 2,
		"test_CanMessage_V1_0_BUS1.trc": 11, "test_CanMessage_V1_1.trc": 11, "test_CanMessage_V1_3.trc": 11, "test_CanMessage_V2_0_BUS1.trc": 11,
		"test_CanMessage_V2_1.trc": 11, "test_CanRemoteMessage.asc": 3,
	} {
		if got := text(name, 3); len(got) != want {
			t.Errorf("%s: %d frames, want %d", name, len(got), want)
		}
	}
	message := []string{"1506809175.692000 2 0C8#0908070605040302", "1506809191.067708 1 6F9#050C000000000000"}
	for _, name := range []string{"test_CanMessage.asc", "test_CanMessage.asc.gz", "test_CanMessage.trc"} {
		if got := text(name, 6); !slices.Equal(got, message) {
			t.Errorf("%s: %q", name, got)
		}
	}
	// 1.0 has whole milliseconds and no bus, 1.1 and 2.0 no bus.
	versions := text("test_CanMessage_V2_1.trc", 2)
	for _, name := range []string{"test_CanMessage_V1_0_BUS1.trc", "test_CanMessage_V1_1.trc", "test_CanMessage_V1_3.trc", "test_CanMessage_V2_0_BUS1.trc"} {
		got := text(name, 2)
		for i := range got {
			got[i] = strings.Replace(got[i], " 0 ", " 1 ", 1)
		}
		if !slices.Equal(got, versions) {
			t.Errorf("%s:\n%q\n%q", name, got, versions)
		}
	}
	for name, want := range map[string]string{
		"test_CanFdMessage.asc":       "1 300##111C2030405060708|2 1C4D80A7##212C2030405060708|3 30A##30102030405060708",
		"test_CanFdRemoteMessage.asc": "3 00050005#R5",
		"test_CanRemoteMessage.asc":   "2 100#R|3 200#R|4 300#R8",
		"test_CanErrorFrames.asc":     "1 20000088#0000000000000000|1 20000088#0000000000000000|2 20000088#0000000000000000|5 20000088#0000000000000000",
	} {
		got := text(name, 0)
		for i := range got {
			_, got[i], _ = strings.Cut(got[i], " ")
		}
		if strings.Join(got, "|") != want {
			t.Errorf("%s: %q", name, got)
		}
	}
}
