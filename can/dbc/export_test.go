package dbc

// Scale returns factor and offset as doubles.
func (s *Signal) Scale() (factor, offset float64) { return s.factor.near, s.offset.near }
