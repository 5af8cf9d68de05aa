package main

import (
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"obu/internal/config"
)

// TestCheckTellsAFixAsItIs: what the receiver does not say is left out and not
// printed as NaN or -1, and a fix that is doubted does not pass for a good one.
func TestCheckTellsAFixAsItIs(t *testing.T) {
	const here = `"lat":50.1,"lon":8.6`
	for name, k := range map[string]struct {
		says       string
		year       int
		want, next string
	}{
		"position alone":      {here, 2026, "2d fix", ""},
		"nowhere":             {`"lat":0,"lon":0`, 2026, "2d fix, but doubtful: zero-island", doubtNext},
		"before its rollover": {here, 2007, "2d fix; its date is off by 1024 weeks", timeWords["repaired"].next},
		"decades ahead":       {here, 2060, "2d fix; its time is off by ", timeWords["refused"].next},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			var serving sync.WaitGroup
			t.Cleanup(func() { l.Close(); serving.Wait() })
			serving.Go(func() { sayTPV(l, k.says, k.year) })
			got := tryGPS(t.Context(), &config.GPS{Device: "gpsd://" + l.Addr().String(), Name: "gps"})
			text, rest, _ := strings.Cut(got.Text, "; first fix") // how long that took is the machine's
			if _, more, ok := strings.Cut(rest, "; "); ok {
				text += "; " + more
			}
			if !got.OK || !strings.HasPrefix(text, k.want) || k.next == "" && text != k.want || got.Next != k.next {
				t.Errorf("%+v", got)
			}
		})
	}
}

// sayTPV is a gpsd that has said nothing but a position, again and again.
func sayTPV(l net.Listener, position string, year int) {
	c, err := l.Accept()
	if err != nil {
		return
	}
	defer c.Close()
	for at := time.Date(year, 5, 4, 6, 0, 0, 0, time.UTC); ; at = at.Add(time.Second) {
		report := fmt.Sprintf(`{"class":"TPV","device":"/dev/ttyUSB0","mode":2,"time":%q,%s}`+"\n", at.Format(time.RFC3339), position)
		if _, err := io.WriteString(c, report); err != nil {
			return
		}
		time.Sleep(200 * time.Millisecond)
	}
}
