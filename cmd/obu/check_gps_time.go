package main

import (
	"math"
	"strconv"
	"strings"

	"obu/internal/clock"
)

// timeWords are plain words for what is wrong with a receiver's time (%s: by how
// much), and what to do.
var timeWords = map[string]struct{ text, next string }{
	string(clock.Repaired): {"its date is off by %s and is repaired", "update the receiver's firmware, or replace it: its count of weeks has run over"},
	string(clock.Refused): {"its time is off by %s from what is known and is not believed",
		"take the receiver's power away for a minute, its backup battery's too; if it lasts, replace it"},
	string(clock.Off): {"its time is off by %s from the system clock, which NTP keeps",
		"wait a quarter of an hour: started cold, a receiver may be seconds off; if it lasts, replace it, or correct the time server"},
}

// wrongTime says what is wrong with a receiver's time, and what to do; "": nothing.
func wrongTime(verdict string, offS float64) (text, next string) {
	w := timeWords[verdict]
	off := seconds(math.Abs(offS))
	if verdict == string(clock.Repaired) {
		off = strconv.Itoa(int(math.Round(math.Abs(offS)/(7*86400)))) + " weeks"
	}
	return strings.Replace(w.text, "%s", off, 1), w.next
}

// judgeTime adds what is wrong with the receiver's time.
func judgeTime(f finding, verdict string, offS float64) finding {
	if wrong, next := wrongTime(verdict, offS); wrong != "" {
		f.Text += "; " + wrong
		f.Next = next
	}
	return f
}
