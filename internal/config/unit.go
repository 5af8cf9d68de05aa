package config

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Duration is a time span written with its unit: 500ms, 1s, 1m30s, 2h.
type Duration time.Duration

// Std returns d as the standard library's type.
func (d Duration) Std() time.Duration { return time.Duration(d) }

// String returns d as it is written in a configuration, without zero parts:
// 1h, not 1h0m0s.
func (d Duration) String() string {
	s := time.Duration(d).String()
	if strings.HasSuffix(s, "m0s") {
		s = s[:len(s)-2]
	}
	if strings.HasSuffix(s, "h0m") {
		s = s[:len(s)-2]
	}
	return s
}

// Size is a number of bytes written with its unit: 512MiB (binary) or 10MB
// (decimal).
type Size int64

// ParseSize reads a size as it is written in a configuration.
func ParseSize(text string) (s Size, err error) {
	if p := s.parse(text); p != nil {
		return 0, fmt.Errorf("%s; %s", p.what, p.cure)
	}
	return s, nil
}

// Bytes returns the size in bytes.
func (s Size) Bytes() int64 { return int64(s) }

// String returns the size in the largest unit that divides it.
func (s Size) String() string {
	for i := len(sizeUnits) - 1; i >= 0; i-- {
		if u := sizeUnits[i]; s != 0 && int64(s)%u.bytes == 0 {
			return strconv.FormatInt(int64(s)/u.bytes, 10) + u.name
		}
	}
	return strconv.FormatInt(int64(s), 10) + "B"
}

// Rate is a number of bytes per second written with its unit, 64KiB/s;
// Unlimited is written as unlimited.
type Rate int64

// Unlimited is the Rate without a bound.
const Unlimited Rate = math.MaxInt64

// BytesPerSecond returns the rate; math.MaxInt64 for Unlimited.
func (r Rate) BytesPerSecond() int64 { return int64(r) }

// IsUnlimited reports whether there is no bound.
func (r Rate) IsUnlimited() bool { return r == Unlimited }

// String returns the rate as it is written in a configuration.
func (r Rate) String() string {
	if r == Unlimited {
		return "unlimited"
	}
	return Size(r).String() + "/s"
}

// PIDNumber is a parameter id of OBD service 01 (SAE J1979), written as two
// hexadecimal digits.
type PIDNumber uint8

// String returns two hexadecimal digits.
func (p PIDNumber) String() string { return fmt.Sprintf("%02X", uint8(p)) }

// problem is what is wrong with a value and how to cure it; the caller knows
// where it stands.
type problem struct {
	what, cure string
}

// scalar is a type that is written as one word in the configuration.
type scalar interface {
	parse(text string) *problem
}

var _ = [...]scalar{new(Duration), new(Size), new(Rate), new(PIDNumber), new(Number), new(NodeName), new(NodeAddress), new(Bitrate),
	new(CANID), new(DIDNumber), new(HexByte), new(Metres), new(Speed), new(Acceleration)}

// unit is one unit of a quantity.
type unit struct {
	name  string
	bytes int64
}

// In rising order; where two divide a size the later one names it.
var sizeUnits = [...]unit{
	{"B", 1}, {"KB", 1e3}, {"kB", 1e3}, {"KiB", 1 << 10}, {"MB", 1e6}, {"MiB", 1 << 20},
	{"GB", 1e9}, {"GiB", 1 << 30}, {"TB", 1e12}, {"TiB", 1 << 40},
}

func (d *Duration) parse(text string) *problem {
	v, err := time.ParseDuration(text)
	if err == nil && v >= 0 && text != "0" && text != "+0" {
		*d = Duration(v)
		return nil
	}
	p := &problem{fmt.Sprintf("`%s` is not a duration", text), "write a number with its unit: 500ms, 1s, 5m or 2h"}
	_, number, word, ok := split(text)
	switch {
	case !ok || number < 0:
	case word == "":
		p.what = fmt.Sprintf("`%s` has no unit", text)
		p.cure = fmt.Sprintf("write `%[1]ss` if you mean %[1]s seconds, `%[1]sm` for minutes, `%[1]sms` for milliseconds", text)
	default:
		if u, ok := timeWord(word); ok {
			p.cure = fmt.Sprintf("write `%s`", trimFloat(number)+u)
		} else if strings.HasPrefix(word, "d") || strings.HasPrefix(word, "w") {
			p.cure = "the largest unit is the hour: write days as hours, 24h for a day"
		}
	}
	return p
}

// timeWord returns the unit somebody meant by a word.
func timeWord(word string) (string, bool) {
	switch strings.ToLower(strings.TrimSuffix(word, ".")) {
	case "ms", "msec", "msecs", "millisecond", "milliseconds":
		return "ms", true
	case "s", "sec", "secs", "second", "seconds":
		return "s", true
	case "m", "min", "mins", "minute", "minutes":
		return "m", true
	case "h", "hr", "hrs", "hour", "hours":
		return "h", true
	}
	return "", false
}

func (s *Size) parse(text string) *problem {
	v, p := parseBytes(text, "")
	if p == nil {
		*s = Size(v)
	}
	return p
}

func (r *Rate) parse(text string) *problem {
	if text == "unlimited" {
		*r = Unlimited
		return nil
	}
	v, p := parseBytes(text, "/s")
	if p == nil {
		*r = Rate(v)
	}
	return p
}

// parseBytes reads a number of bytes that ends in a size unit and suffix.
func parseBytes(text, suffix string) (int64, *problem) {
	what, cure := "size", "write a number with its unit: 512MiB or 10MB"
	if suffix != "" {
		what, cure = "rate", "write a number with its unit: 64KiB/s, or unlimited"
	}
	p := &problem{fmt.Sprintf("`%s` is not a %s", text, what), cure}
	digits, number, word, ok := split(text)
	if !ok || number < 0 {
		return 0, p
	}
	if word == "" {
		p.what = fmt.Sprintf("`%s` has no unit", text)
		p.cure = fmt.Sprintf("write `%[1]sMiB%[2]s` if you mean megabytes, `%[1]sKiB%[2]s` for kilobytes", text, suffix)
		return 0, p
	}
	base, isRate := strings.CutSuffix(word, "/s")
	meant, ok := sizeWord(base)
	if !ok || isRate != (suffix != "") || text != digits+meant.name+suffix {
		if ok {
			p.cure = fmt.Sprintf("write `%s`", trimFloat(number)+meant.name+suffix)
		}
		return 0, p
	}
	v := number * float64(meant.bytes)
	if v != math.Trunc(v) || v >= 1<<62 {
		p.what = fmt.Sprintf("`%s` is not a whole number of bytes", text)
		return 0, p
	}
	return int64(v), nil
}

// sizeWord returns the unit somebody meant by a word.
func sizeWord(word string) (unit, bool) {
	for _, u := range sizeUnits {
		if u.name == word {
			return u, true
		}
	}
	w := strings.ToLower(strings.TrimSpace(word))
	w = strings.TrimSuffix(strings.TrimSuffix(w, "ytes"), "yte")
	for _, u := range sizeUnits { // mb, mib
		if strings.ToLower(u.name) == w {
			return u, true
		}
	}
	for _, u := range sizeUnits { // k, M, g: binary, as dd and others mean it
		if strings.HasSuffix(u.name, "iB") && strings.ToLower(u.name[:1]) == w {
			return u, true
		}
	}
	return unit{}, false
}

// split separates the leading number of text from the word after it.
func split(text string) (digits string, number float64, word string, ok bool) {
	i := strings.IndexFunc(text, func(r rune) bool { return !strings.ContainsRune("0123456789.+-", r) })
	if i < 0 {
		i = len(text)
	}
	number, err := strconv.ParseFloat(text[:i], 64)
	return text[:i], number, strings.TrimSpace(text[i:]), err == nil
}

func trimFloat(f float64) string { return strconv.FormatFloat(f, 'f', -1, 64) }

func (p *PIDNumber) parse(text string) *problem {
	digits := strings.ToUpper(strings.TrimPrefix(strings.TrimPrefix(text, "0x"), "0X"))
	v, err := strconv.ParseUint(digits, 16, 8)
	switch {
	case err != nil || len(digits) != 2:
		pr := &problem{fmt.Sprintf("`%s` is not a PID", text), "write two hexadecimal digits, for example 0C for the engine speed"}
		if meant, ok := pidWord(text); ok {
			pr.cure = fmt.Sprintf("write `%s` for %s", meant, strings.ToLower(text))
		} else if err == nil && len(digits) == 1 {
			pr.cure = fmt.Sprintf("write two digits: `0%s`", digits)
		} else if words := strings.Fields(text); len(words) > 1 {
			pr.cure = "write a comma between two PIDs: [" + cut(strings.Join(words, ", ")) + "]"
		}
		return pr
	case v%0x20 == 0:
		return &problem{fmt.Sprintf("PID %s only lists which PIDs a vehicle offers", digits), "remove it: the agent asks for it by itself"}
	}
	*p = PIDNumber(v)
	return nil
}

// pidWord returns the PID somebody meant by a word.
func pidWord(word string) (PIDNumber, bool) {
	switch strings.ToLower(word) {
	case "rpm", "engine speed", "engine_speed":
		return 0x0C, true
	case "speed", "vehicle speed", "vehicle_speed":
		return 0x0D, true
	case "load", "engine load", "engine_load":
		return 0x04, true
	case "coolant", "coolant temperature", "coolant_temp", "temperature":
		return 0x05, true
	case "throttle":
		return 0x11, true
	case "maf":
		return 0x10, true
	case "fuel", "fuel level", "fuel_level":
		return 0x2F, true
	case "voltage":
		return 0x42, true
	}
	return 0, false
}
