package gps

// reject says why a line is not used.
type reject uint8

const (
	accepted reject = iota
	rejectNoChecksum
	rejectChecksum
	rejectMalformed
	rejectTooLong
)

// checked verifies the frame of a sentence, "$" body "*" two hexadecimal
// digits, and returns the body. Blanks after the checksum are forgiven.
func checked(line []byte) (body []byte, why reject) {
	star := -1
	var sum byte
	for i := 1; i < len(line); i++ {
		c := line[i]
		if c == '*' {
			star = i
			break
		}
		if c < 0x20 || c > 0x7e {
			return nil, rejectMalformed
		}
		sum ^= c
	}
	if star < 0 {
		return line[1:], rejectNoChecksum
	}
	tail := line[star+1:]
	for len(tail) > 2 && (tail[len(tail)-1] == ' ' || tail[len(tail)-1] == 0) {
		tail = tail[:len(tail)-1]
	}
	if len(tail) != 2 {
		return nil, rejectMalformed
	}
	high, ok1 := hexDigit(tail[0])
	low, ok2 := hexDigit(tail[1])
	if !ok1 || !ok2 {
		return nil, rejectMalformed
	}
	if high<<4|low != sum {
		return nil, rejectChecksum
	}
	return line[1:star], accepted
}

func hexDigit(c byte) (byte, bool) {
	switch {
	case c >= '0' && c <= '9':
		return c - '0', true
	case c >= 'A' && c <= 'F':
		return c - 'A' + 10, true
	case c >= 'a' && c <= 'f':
		return c - 'a' + 10, true
	}
	return 0, false
}

// wanted reports whether the body is a sentence that makes up an epoch: two
// letters or digits of talker, three letters of type, a comma.
func wanted(body []byte) bool {
	if len(body) < 6 || body[5] != ',' || !alnum(body[0]) || !alnum(body[1]) {
		return false
	}
	switch string(body[2:5]) {
	case "RMC", "GGA", "GLL", "GNS", "GSA", "VTG", "ZDA":
		return true
	}
	return false
}

func alnum(c byte) bool { return c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' }
