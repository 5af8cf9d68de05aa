package main

import (
	"fmt"
	"math"
	"strings"
	"time"
)

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// seconds writes a duration as a person says it.
func seconds(s float64) string {
	d := time.Duration(s * float64(time.Second))
	two := func(big time.Duration, bigName string, small time.Duration, smallName string) string {
		d := d.Round(small)
		text := fmt.Sprintf("%d %s", d/big, bigName)
		if rest := d % big / small; rest > 0 {
			text += fmt.Sprintf(" %d %s", rest, smallName)
		}
		return text
	}
	switch {
	case d < time.Millisecond:
		return "<1 ms"
	case d < time.Second:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	case d < 10*time.Second:
		return fmt.Sprintf("%g s", math.Round(d.Seconds()*10)/10)
	case d < time.Minute:
		return fmt.Sprintf("%d s", d/time.Second)
	case d < time.Hour:
		return two(time.Minute, "min", time.Second, "s")
	case d < 48*time.Hour:
		return two(time.Hour, "h", time.Minute, "min")
	}
	return fmt.Sprintf("%.0f d", d.Hours()/24)
}

// times counts things in words: 1 batch, 2 batches.
func times(n int, thing string) string {
	switch {
	case n == 1:
	case strings.HasSuffix(thing, "ch"):
		thing += "es"
	case strings.HasSuffix(thing, "y"):
		thing = strings.TrimSuffix(thing, "y") + "ies"
	default:
		thing += "s"
	}
	return fmt.Sprintf("%d %s", n, thing)
}

func bytesText(n float64) string {
	for _, u := range [...]struct {
		of   float64
		name string
	}{{1e9, "GB"}, {1e6, "MB"}, {1e3, "kB"}} {
		if n >= u.of {
			return fmt.Sprintf("%.1f %s", n/u.of, u.name)
		}
	}
	return fmt.Sprintf("%.0f B", n)
}

func waits(batches int64) string {
	if batches == 1 {
		return "1 batch waits"
	}
	return fmt.Sprintf("%d batches wait", batches)
}

func because(text string) string {
	if text == "" {
		return ""
	}
	return " (" + text + ")"
}
