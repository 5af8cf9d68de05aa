package config

import (
	"fmt"
	"math"
	"strconv"
	"strings"
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

// checkSignal holds a text against what may name signals.
func checkSignal(text string) *problem {
	name := strings.TrimSuffix(text, "*")
	switch {
	case text == "":
		return &problem{"the name is empty", "write it as `obu decode can` prints it: Message.Signal of a DBC file, or Message.* for all of a message, or a path of VSS"}
	case strings.Contains(name, "*"):
		return &problem{"a `*` stands at the end only", "write the beginning of the name and a star: Engine.*"}
	}
	return nil
}

// checkSelection reports entries whose words contradict each other. A copy of
// a configuration that ran well with an older release is spared: curvelog went
// first there, and of an empty range nothing was kept, as it is now.
func (d *decoder) checkSelection(all []Signal) {
	if d.spare {
		return
	}
	for i, s := range all {
		path := index("signals", i)
		other, set := "timebased", s.Timebased > 0
		if !set {
			other, set = "change", s.Change != ""
		}
		if set && s.Curvelog != nil {
			d.conflict(child(path, other), "`"+other+"` stands beside `curvelog`", "the curve decides which values are kept, and when: remove one of the two")
		}
		if s.Above != "" && s.Below != "" && s.Above.Or(0) > s.Below.Or(0) {
			d.conflict(child(path, "above"), "`above` is greater than `below`: no value lies there", "write the lower number in `above`, the higher one in `below`")
		}
	}
}
