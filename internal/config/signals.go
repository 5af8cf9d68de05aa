package config

import (
	"errors"
	"strings"
)

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
// first there, of an empty range nothing was kept, and below zero all, as now.
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
		if s.Change.Or(0) < 0 {
			d.conflict(child(path, "change"), "a value cannot differ by less than nothing", "write how much it has to differ, 0.5 for example, or remove the line")
		}
		if s.Curvelog != nil && s.Curvelog.MaxError.Or(0) < 0 {
			d.conflict(path+".curvelog.max_error", "nothing is nearer to the line than 0", "write how far a value left out may be from it, in the signal's unit: 0.5 for example")
		}
		if set && s.Curvelog != nil {
			d.conflict(child(path, other), "`"+other+"` stands beside `curvelog`", "the curve decides which values are kept, and when: remove one of the two")
		}
		if s.Above != "" && s.Below != "" && s.Above.Or(0) > s.Below.Or(0) {
			d.conflict(child(path, "above"), "`above` is greater than `below`: no value lies there", "write the lower number in `above`, the higher one in `below`")
		}
	}
}

// checkMessage holds a text against what may name one signal of a DBC file.
func checkMessage(text string) *problem {
	if m, s, ok := strings.Cut(text, "."); !ok || m == "" || s == "" || strings.ContainsAny(text, " *") {
		return &problem{"`" + cut(text) + "` is not Message.Signal", "write it as `obu decode can --dbc` prints it, for example Engine.Speed"}
	}
	return nil
}

// checkVSS holds a text against what may be a path of VSS.
func checkVSS(text string) *problem {
	below, ok := strings.CutPrefix(text, "Vehicle.")
	for part := range strings.SplitSeq(below, ".") {
		ok = ok && part != "" && !strings.ContainsFunc(part, func(r rune) bool {
			return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '_'
		})
	}
	if !ok {
		return &problem{"`" + cut(text) + "` is no path of VSS", "a path begins with Vehicle. and has letters and digits between its points, for example Vehicle.Speed; what VSS does not have goes below Vehicle.Obu"}
	}
	return nil
}

// CheckVSS holds an entry of CAN.VSS that stands elsewhere against what Load takes.
func CheckVSS(signal, path string) error {
	for _, p := range [...]*problem{checkMessage(signal), checkVSS(path)} {
		if p != nil {
			return errors.New(p.what + "; " + p.cure)
		}
	}
	return nil
}

// checkNames reports paths of VSS that contradict each other.
func (d *decoder) checkNames(bus string, c *CAN) {
	list := child(bus, "vss")
	d.onlyOnce(list, len(c.VSS), "signal", func(i int) string { return c.VSS[i].Signal }, "a signal has one path")
	d.onlyOnce(list, len(c.VSS), "path", func(i int) string { return c.VSS[i].Path }, "two signals would mix: give one of them another path")
	if len(c.VSS) > 0 && len(c.DBC) == 0 && !d.mistaken(child(bus, "dbc")) {
		d.conflict(list, "there is `vss` and no `dbc`", "add `dbc: [/etc/obu/car.dbc]`: it names signals of those files")
	}
}
