package agent

import (
	"encoding/json"
	"log/slog"
	"testing"
	"time"

	"obu/telemetry"
)

// TestPrivateTimeEndsWithItsFixes: a fix of private mode that the receiver hands
// over when it has just ended, by command or by its limit, is left out too.
func TestPrivateTimeEndsWithItsFixes(t *testing.T) {
	now := telemetry.At(time.Hour)
	lost := 0
	p := &privacy{dir: t.TempDir(), boot: telemetry.BootID{1}, now: func() telemetry.At { return now }, wall: func() time.Time { return time.Time{} },
		lost: func(telemetry.Gap) { lost++ }, log: slog.New(slog.DiscardHandler)}
	order := func(args string) {
		t.Helper()
		if _, err := p.command(t.Context(), telemetry.Command{Args: json.RawMessage(args)}); err != nil {
			t.Fatal(err)
		}
	}
	for name, end := range map[string]func(){
		"by command":   func() { order(`{"on":true}`); now = now.Add(time.Minute); order(`{"on":false}`) },
		"by its limit": func() { order(`{"on":true,"for":"1m"}`); now = now.Add(time.Minute) },
		"told it twice": func() {
			order(`{"on":true}`)
			now = now.Add(time.Minute)
			order(`{"on":false}`)
			now = now.Add(time.Millisecond)
			order(`{"on":false}`)
		},
	} {
		lost = 0
		end()
		said := now.Add(-500 * time.Millisecond)
		now = now.Add(100 * time.Millisecond)
		if p.keeps(telemetry.Fix{At: said}) || lost != 1 {
			t.Errorf("%s: a fix of private mode is kept, %d are listed", name, lost)
		}
		if !p.keeps(telemetry.Fix{At: now}) {
			t.Errorf("%s: the next fix is left out", name)
		}
		now = now.Add(time.Minute)
	}
}
