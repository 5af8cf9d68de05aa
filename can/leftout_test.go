package can_test

import (
	"strings"
	"testing"

	"obu/can"
	"obu/can/dbc"
	"obu/internal/clock"
)

// TestStatsNameWhatFilesLost: what could not be read of the DBC files of a bus is
// in its figures, bounded and counted; what is of another bus is not.
func TestStatsNameWhatFilesLost(t *testing.T) {
	var text strings.Builder
	text.WriteString(engineDBC)
	for range 30 {
		text.WriteString(" SG_ Speed : 0|8@1+ (1,0) [0|0] \"rpm\" X\n")
	}
	f, err := dbc.Parse("car.dbc", []byte(text.String()))
	if err != nil {
		t.Fatal(err)
	}
	cfg := new(sink).config(clock.Virtual(), nil, nil)
	cfg.Databases = []can.Database{{Bus: "can1", Decoder: dbc.Compile(f)}}
	src, err := can.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if s := src.Stats(); len(s.LeftOut) != 0 || s.LeftOutMore != 0 {
		t.Errorf("of another bus: %+v", s)
	}
	cfg.Databases = append(cfg.Databases, can.Database{Decoder: dbc.Compile(f)})
	if src, err = can.New(cfg); err != nil {
		t.Fatal(err)
	}
	s := src.Stats()
	if len(s.LeftOut) != 20 || len(s.LeftOut)+s.LeftOutMore != 30 || !strings.HasPrefix(s.LeftOut[0], "car.dbc:4: message Engine has a signal Speed already") {
		t.Errorf("%d named, %d more: %v", len(s.LeftOut), s.LeftOutMore, s.LeftOut)
	}
}
