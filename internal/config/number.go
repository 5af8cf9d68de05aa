package config

import (
	"fmt"
	"math"
	"strconv"
)

// Number is a decimal as it stands in the file, or "" where none does.
type Number string

// Or returns the number, or instead where none is set.
func (n Number) Or(instead float64) float64 {
	if f, err := strconv.ParseFloat(string(n), 64); err == nil {
		return f
	}
	return instead
}

func (n *Number) parse(text string) *problem {
	f, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsNaN(f) || math.IsInf(f, 0) {
		return &problem{fmt.Sprintf("`%s` is not a number", cut(text)), "write digits and a point, without a unit: 0.5"}
	}
	*n = Number(text)
	return nil
}
