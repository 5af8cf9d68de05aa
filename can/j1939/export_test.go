package j1939

// Row is what tests need of the table.
type Row struct {
	PGN             PGN
	Bit, Size, Axle int
	Name            string
}

// Rows returns the table of parameters.
func Rows() (out []Row) {
	for _, r := range rows {
		out = append(out, Row{r.pgn, int(r.bit), int(r.size), int(r.axle), r.name})
	}
	return out
}
