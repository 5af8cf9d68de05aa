package can_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"obu/can"
	"obu/can/canlog"
	"obu/internal/clock"
	"obu/telemetry"
)

func zipped(t testing.TB, text string) []byte {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	io.WriteString(z, text)
	z.Close()
	return b.Bytes()
}

// TestLogBus plays a log on a replay clock: its own pace, its interface, its
// bad line counted.
func TestLogBus(t *testing.T) {
	path := filepath.Join(t.TempDir(), "can.log.gz")
	log := "(100.5) can0 7E8#03410D4A\n(100.7) can1 7E8#03410D4B\nrubbish\n(160.5) can0 7E8#03410D4C\n"
	if err := os.WriteFile(path, zipped(t, log), 0o600); err != nil {
		t.Fatal(err)
	}
	clk := clock.Replay(0, clock.Virtual().Wall().Time)
	bus, err := can.OpenLog(path, clk, can.LogOptions{Interface: "can0", Offset: telemetry.At(1e9)})
	if err != nil {
		t.Fatal(err)
	}
	clk.Start(1)
	if err := bus.Send(can.Frame{ID: 1}); err != can.ErrReceiveOnly || !bus.ReceiveOnly() {
		t.Errorf("Send: %v", err)
	}
	for _, want := range []telemetry.At{1e9, 61e9} {
		f, err := bus.Receive()
		if err != nil || f.At != want || clk.Now() != want {
			t.Errorf("frame at %v (%v), clock at %v, want %v", f.At, err, clk.Now(), want)
		}
	}
	if _, err := bus.Receive(); err != io.EOF || bus.Drops() != 1 {
		t.Errorf("end: %v, %d bad lines", err, bus.Drops())
	}
	bus.Close()
	info, err := can.InspectLog(path)
	if err != nil || info.Frames != 3 || info.Bad != 1 || info.Interfaces["can0"] != 2 || info.First.String() != "100.5" || info.Last.String() != "160.5" {
		t.Errorf("%+v, %v", info, err)
	}
	if _, err := can.OpenLog(path+"x", clk, can.LogOptions{}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("missing log: %v", err)
	}
}

// TestLoggersClockSetInMidLog: a logger that learns the date, or loses it, does
// not make the replay wait for years, nor its time run backwards.
func TestLoggersClockSetInMidLog(t *testing.T) {
	const log = "(0.0) can0 001#\n(4000.0) can0 001#\n(4001.0) can0 001#\n(1600000000.0) can0 001#\n(1600000002.0) can0 001#\n(5.0) can0 001#\n(5.5) can0 001#\n(9223372036.9) can0 001#\n(4.7) can0 001#\n"
	synctest.Test(t, func(t *testing.T) {
		clk := clock.Replay(1, time.Time{})
		bus := can.NewLogBus(io.NopCloser(strings.NewReader(log)), clk, can.LogOptions{})
		defer bus.Close()
		clk.Start(1)
		for _, want := range []telemetry.At{0, 0, 1e9, 1e9, 3e9, 3e9, 3.5e9, 2.7e9} { // a little disorder is the log's own
			if f, err := bus.Receive(); err != nil || f.At != want {
				t.Fatalf("frame at %v (%v), want %v", f.At, err, want)
			}
		}
		if bus.Drops() != 1 {
			t.Errorf("%d bad lines: a time beyond what 64 bits hold is one", bus.Drops())
		}
	})
}

// TestRubbishIsComplainedOfInAFewLines: a file that is no log, or one whose clock
// jumps all the time, is counted to its end and named a few times.
func TestRubbishIsComplainedOfInAFewLines(t *testing.T) {
	var said bytes.Buffer
	log := strings.Repeat("rubbish\n", 1000) + strings.Repeat("(0.0) can0 001#\n(9000.0) can0 001#\n", 500)
	clk := clock.Replay(0, time.Time{})
	bus := can.NewLogBus(io.NopCloser(strings.NewReader(log)), clk, can.LogOptions{Log: slog.New(slog.NewTextHandler(&said, nil))})
	defer bus.Close()
	clk.Start(1)
	frames := 0
	for ; ; frames++ {
		if _, err := bus.Receive(); err != nil {
			break
		}
	}
	if frames != 1000 || bus.Drops() != 1000 {
		t.Errorf("%d frames, %d bad lines", frames, bus.Drops())
	}
	if n := strings.Count(said.String(), "\n"); n != 10 || strings.Count(said.String(), "only counted") != 2 {
		t.Errorf("%d lines:\n%s", n, &said)
	}
}

// TestLogsShareOneOrigin: two logs of one drive keep their distance in time.
func TestLogsShareOneOrigin(t *testing.T) {
	clk := clock.Replay(0, clock.Virtual().Wall().Time)
	bus := can.NewLogBus(io.NopCloser(strings.NewReader("(130.5) can0 001#\n")), clk, can.LogOptions{
		Origin: canlog.Stamp{Nanos: 100e9}, Offset: telemetry.At(5e9),
	})
	defer bus.Close()
	clk.Start(1)
	if f, err := bus.Receive(); err != nil || f.At != 35.5e9 {
		t.Errorf("frame at %v, %v", f.At, err)
	}
}

// TestCloseEndsAReplayThatSleeps closes a bus that waits an hour of real time
// for its next frame.
func TestCloseEndsAReplayThatSleeps(t *testing.T) {
	clk := clock.Replay(1, clock.Virtual().Wall().Time)
	bus := can.NewLogBus(io.NopCloser(strings.NewReader("(0.0) can0 001#\n(3600.0) can0 001#\n")), clk, can.LogOptions{})
	clk.Start(1)
	if _, err := bus.Receive(); err != nil {
		t.Fatal(err)
	}
	done := make(chan error)
	go func() { _, err := bus.Receive(); done <- err }()
	bus.Close()
	if err := <-done; err != can.ErrClosed {
		t.Errorf("Receive: %v", err)
	}
}

// TestReplaySource: on a log nothing is asked, every answer is read, and what
// cannot be read is a Gap.
func TestReplaySource(t *testing.T) {
	log := `(10.0) can0 7DF#02010D
(10.1) can0 7E8#03410D4A
(10.2) can0 18DAF110#04410C1AF8
(10.3) can0 7E8#03410C1A
(10.4) can0 7E8#037F0112
rubbish
(10.5) can0 7E8#1014490201575657
(10.6) can0 7E8#215A5A5A314A5A58
(10.7) can0 7E8#2257303030303031
(12.0) can0 7E9#1014490201575657
`
	clk := clock.Replay(0, clock.Virtual().Wall().Time)
	clk.Start(1)
	var out sink
	cfg := out.config(clk, nil, &can.OBDConfig{})
	cfg.Dial = func(context.Context) (can.Bus, error) {
		return can.NewLogBus(io.NopCloser(strings.NewReader(log)), clk, can.LogOptions{}), nil
	}
	src, err := can.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := src.Run(context.Background()); err != nil {
		t.Fatal(err)
	}
	if len(out.samples) != 2 || out.samples[0].At != 1e8 || out.samples[1].Source.Address != "18DAF110" {
		t.Errorf("samples %+v", out.samples)
	}
	if len(out.events) != 1 || out.events[0].Value.Text() != "WVWZZZ1JZXW000001" || out.events[0].At != 5e8 {
		t.Errorf("events %+v", out.events)
	}
	lost := map[string]int64{}
	for _, g := range out.gaps {
		lost[g.Source] += g.Count
		if g.Reason != telemetry.ReasonDecode || g.Boot != clk.Boot() || g.From > g.To {
			t.Errorf("gap %+v", g)
		}
	}
	if lost["can0"] != 1 || lost["can0/7E8/obd"] != 1 || lost["can0/7E9/obd"] != 1 {
		t.Errorf("lost %v", lost)
	}
	st := src.Stats()
	if st.Requests != 0 || st.Responses != 4 || st.Negatives["sub-function-not-supported"] != 1 || st.Transfers["unfinished"] != 1 || st.DecodeErrors != 1 || st.Drops != 1 {
		t.Errorf("stats %+v", st)
	}
}

// TestDecodeOBDKeepsBusesApart: one ECU address on two interfaces of one log.
func TestDecodeOBDKeepsBusesApart(t *testing.T) {
	log := `(1.000001) can0 7E8#1014490201575657
(1.000002) can1 7E8#1014490201313233
(1.000003) can0 7E8#215A5A5A314A5A58
(1.000004) can1 7E8#2134353637383930
(1.000005) can0 7E8#2257303030303031
(1.000006) can1 7E8#2241424344454647
(1.000007) can1 7E8#0341
`
	var got []string
	var bad []error
	st, err := can.DecodeOBD(strings.NewReader(log), func(r can.Record) error {
		got = append(got, fmt.Sprintf("%s %s %s %s", r.T, r.Bus, r.Source, r.Value))
		return nil
	}, func(err error) { bad = append(bad, err) })
	if want := "1.000001 can0 7E8 WVWZZZ1JZXW000001|1.000002 can1 7E8 1234567890ABCDEFG"; strings.Join(got, "|") != want || err != nil {
		t.Errorf("%q (%v)", got, err)
	}
	if len(bad) != 1 || !strings.HasPrefix(bad[0].Error(), "line 7: 7E8: transfer: the length it announces cannot be") || st.Answers != 2 {
		t.Errorf("%v, %+v", bad, st)
	}
	stop := errors.New("stop")
	if _, err := can.DecodeOBD(strings.NewReader(log), func(can.Record) error { return stop }, nil); err != stop {
		t.Errorf("emit's error: %v", err)
	}
}

// TestHostileLogBoundsMemory: ten thousand interfaces and identifiers.
func TestHostileLogBoundsMemory(t *testing.T) {
	r, w := io.Pipe()
	go func() {
		for i := range 10_000 {
			fmt.Fprintf(w, "(1.0) iface%d 18DAF1%02X#10FF490201575657\n(1.0) can0 %08X#10FF490201575657\n", i, i%256, i)
		}
		w.Close()
	}()
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	st, err := can.DecodeOBD(r, func(can.Record) error { return nil }, nil)
	runtime.GC()
	runtime.ReadMemStats(&after)
	if err != nil || st.Frames != 20_000 {
		t.Fatal(st, err)
	}
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 8<<20 {
		t.Errorf("heap grew by %d bytes", grown)
	}
}

// BenchmarkDecodeOBD is the whole way of `obu decode can --obd`, per frame.
func BenchmarkDecodeOBD(b *testing.B) {
	lines := []string{"(1725695599.863200) can0 7E8#03410D4A00000000\n", "(1725695599.863300) can0 7E8#04410C1AF8000000\n", "(1725695599.863400) can0 1A0#0000000000000000\n"}
	text := strings.Repeat(strings.Join(lines, ""), b.N/3+1)
	b.ReportAllocs()
	b.ResetTimer()
	if _, err := can.DecodeOBD(strings.NewReader(text), func(can.Record) error { return nil }, nil); err != nil {
		b.Fatal(err)
	}
}
