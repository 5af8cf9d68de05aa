package budget

import (
	"slices"
	"strings"
)

// DefaultMetered are the names modems have on Linux: WWAN drivers and systemd
// (wwan0, wwp0s20f0u4), PPP dial-up, USB tethering, Qualcomm's rmnet.
var DefaultMetered = [...]string{"ww*", "ppp*", "usb*", "rmnet*"}

// isMetered reports whether an interface costs money. One that is not known
// does: the surprise would be on the bill.
func (c *Config) isMetered(iface string) bool {
	matches := func(pattern string) bool { return matches(pattern, iface) }
	switch {
	case iface == "" || slices.ContainsFunc(c.Metered, matches):
		return true
	case len(c.Free) > 0:
		return !slices.ContainsFunc(c.Free, matches)
	case len(c.Metered) > 0:
		return false
	}
	return slices.ContainsFunc(DefaultMetered[:], matches)
}

// matches holds a name against a pattern: the name itself, or its beginning
// and a star.
func matches(pattern, name string) bool {
	if prefix, ok := strings.CutSuffix(pattern, "*"); ok {
		return strings.HasPrefix(name, prefix)
	}
	return pattern == name
}
