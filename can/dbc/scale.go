package dbc

import "errors"

// SetScale makes a signal's value raw*factor+offset, for signals that are not
// parsed from a file; "" is 1 and 0. Compile uses it.
func (s *Signal) SetScale(factor, offset string) error {
	if factor == "" {
		factor = "1"
	}
	if offset == "" {
		offset = "0"
	}
	var ok, alsoOK bool
	s.factor, ok = parseDecimal(factor)
	s.offset, alsoOK = parseDecimal(offset)
	if !ok || !alsoOK {
		return errors.New("scale and offset are decimal numbers")
	}
	return nil
}
