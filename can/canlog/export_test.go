package canlog

// Kept is what a log's reader keeps from line to line: words, interfaces and
// letters of columns.
func (l *Reader) Kept() (words, interfaces, columns int) {
	return cap(l.words), len(l.ifaces), len(l.head.columns)
}
