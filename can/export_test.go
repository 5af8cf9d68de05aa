package can

var (
	IsTester       = isTester
	AllowedRequest = allowedRequest
	AllowedFlow    = func(f *Frame) bool { return allowedFlow(f, 0, false) }
	AllowedLongUDS = func(f *Frame) bool { return allowedFlow(f, 0, true) }
	AllowedAddress = allowedAddressed
	AllowedNetwork = allowedNetwork
)

// Kept is what a log's reader keeps from line to line: words, interfaces and
// letters of columns.
func (l *LogReader) Kept() (words, interfaces, columns int) {
	return cap(l.words), len(l.ifaces), len(l.head.columns)
}
