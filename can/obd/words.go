package obd

import (
	"strconv"
	"strings"
)

// words reads a number as the word J1979 has for it, "0x1F" when it has none.
type words []struct {
	n    uint32
	word string
}

func (w *words) format(n uint32) (string, bool) {
	for _, e := range *w {
		if e.n == n {
			return e.word, true
		}
	}
	return "0x" + hexByte(byte(n)), false
}

func (w *words) parse(s string) (uint32, bool) {
	for _, e := range *w {
		if e.word == s {
			return e.n, true
		}
	}
	n, err := strconv.ParseUint(strings.TrimPrefix(s, "0x"), 16, 8)
	return uint32(n), err == nil && strings.HasPrefix(s, "0x")
}

// flags reads a byte as the names of its set bits, from bit 0: "a,b"; one
// without a name is "bit7".
type flags [8]string

func (f *flags) format(n uint32) (string, bool) {
	var b strings.Builder
	sure := true
	for i, name := range f {
		if n&(1<<i) == 0 {
			continue
		}
		if name == "" {
			name, sure = "bit"+strconv.Itoa(i), false
		}
		if b.Len() > 0 {
			b.WriteByte(',')
		}
		b.WriteString(name)
	}
	return b.String(), sure
}

func (f *flags) parse(s string) (n uint32, ok bool) {
	for len(s) > 0 {
		var one string
		one, s, _ = strings.Cut(s, ",")
		bit := -1
		for i, name := range f {
			if one == name || name == "" && one == "bit"+strconv.Itoa(i) {
				bit = i
			}
		}
		if bit < 0 {
			return 0, false
		}
		n |= 1 << bit
	}
	return n, true
}

// monitors reads the readiness bits of PID 01 and 41 as the monitors that are
// supported (enabled in 41), or that are not complete: "MIS,FUEL,CCM,CAT". The
// number is the whole answer: byte B says of which ignition the rest speaks.
type monitors struct{ incomplete bool }

// The monitors in the abbreviations of J1979: the three of byte B, then those
// of bytes C and D by ignition.
var (
	continuousMonitors  = flags{"MIS", "FUEL", "CCM"}
	sparkMonitors       = flags{"CAT", "HCAT", "EVAP", "AIR", "ACRF", "O2S", "HTR", "EGR"}
	compressionMonitors = flags{"HCCAT", "NCAT", "R2", "BP", "R4", "EGS", "PM", "EGR"}
)

func (m monitors) format(n uint32) (string, bool) {
	first, second := n>>16&7, n>>8&0xFF
	if m.incomplete {
		first, second = n>>20&7, n&0xFF
	}
	list := &sparkMonitors
	if n>>19&1 == 1 {
		list = &compressionMonitors
	}
	a, _ := continuousMonitors.format(first)
	b, _ := list.format(second)
	if a != "" && b != "" {
		a += ","
	}
	return a + b, true
}

func (m monitors) parse(s string) (n uint32, ok bool) {
	for len(s) > 0 {
		var one string
		one, s, _ = strings.Cut(s, ",")
		bit, found := continuousMonitors.parse(one)
		if found && bit < 8 {
			n |= bit << 16
			continue
		}
		if bit, found = sparkMonitors.parse(one); !found {
			bit, found = compressionMonitors.parse(one)
		}
		if !found {
			return 0, false
		}
		n |= bit << 8
	}
	if m.incomplete {
		n = n&0x70000<<4 | n&0xFF00>>8
	}
	return n, true
}

var (
	airStatuses  = words{{1, "UPS"}, {2, "DNS"}, {4, "OFF"}, {8, "DIAG"}}
	loopControls = words{{0, "RESERVED"}, {1, "OL"}, {2, "CL"}, {3, "FAULT"}}
	inducements  = words{{0, "INACTIVE"}, {1, "ENABLED"}, {2, "ACTIVE"}, {3, "NOT SUPPORTED"}}
	// chargingModes: charge sustaining, depletion, increasing.
	chargingModes     = words{{0, "CSM"}, {1, "CDM"}, {2, "CIM"}}
	displayStrategies = words{{0, "NON-DISCRIMINATORY"}, {1, "DISCRIMINATORY"}, {3, "NOT AVAILABLE"}}
	miModes           = words{{0, "OFF"}, {1, "ON DEMAND"}, {2, "SHORT"}, {3, "CONTINUOUS"}, {14, "ERROR"}, {15, "NOT AVAILABLE"}}
	fluidConditions   = words{{0, "UREA TOO HIGH"}, {1, "UREA TOO LOW"}, {2, "DIESEL"}, {3, "PROPER"}, {4, "SENSOR FAULT"}}
	emissionStandards = words{{14, "EURO IV B1"}, {15, "EURO V B2"}, {16, "EURO C"}, {17, "EURO VI"}}
	nteAreas          = flags{"INSIDE", "OUTSIDE", "CARVE-OUT", "DEFICIENCY"}
	fuelControls      = flags{"FP1", "FIQ1", "FIT1", "IFB1", "FP2", "FIQ2", "FIT2", "IFB2"}
	scrStates         = flags{0: "LEVEL LOW", 1: "WRONG REAGENT", 2: "CONSUMPTION", 3: "NOX HIGH", 7: "INDUCEMENT"}
)

// fuelTypes are the fuels of PID 51.
var fuelTypes = words{
	{0, "NONE"}, {1, "GAS"}, {2, "METH"}, {3, "ETH"}, {4, "DSL"}, {5, "LPG"}, {6, "CNG"}, {7, "PROP"}, {8, "ELEC"},
	{9, "BI_GAS"}, {10, "BI_METH"}, {11, "BI_ETH"}, {12, "BI_LPG"}, {13, "BI_CNG"}, {14, "BI_PROP"}, {15, "BI_ELEC"},
	{16, "BI_MIX"}, {17, "HYB_GAS"}, {18, "HYB_ETH"}, {19, "HYB_DSL"}, {20, "HYB_ELEC"}, {21, "HYB_MIX"}, {22, "HYB_REG"},
	{23, "BI_DSL"}, {24, "BI_NG"}, {25, "BI_DSL"}, {26, "NG"}, {27, "DSL_CNG"}, {28, "DSL_LNG"}, {29, "FC_H2"},
	{30, "HICE_HHO"}, {31, "KERO"}, {32, "HFO"},
}

// standards are the OBD requirements of PID 1C.
var standards = words{
	{1, "OBD II"}, {2, "OBD"}, {3, "OBD & OBD II"}, {4, "OBD I"}, {5, "NO OBD"}, {6, "EOBD"}, {7, "EOBD & OBD II"},
	{8, "EOBD & OBD"}, {9, "EOBD, OBD, OBD II"}, {10, "JOBD"}, {11, "JOBD & OBD II"}, {12, "JOBD & EOBD"},
	{13, "JOBD, EOBD, OBD II"}, {14, "EURO IV B1"}, {15, "EURO V B2"}, {16, "EURO C"}, {17, "EMD"}, {18, "EMD+"},
	{19, "HD OBD-C"}, {20, "HD OBD"}, {21, "WWH OBD"}, {23, "HD EOBD-I"}, {24, "HD EOBD-I N"}, {25, "HD EOBD-II"},
	{26, "HD EOBD-II N"}, {27, "HD-ZEV"}, {28, "OBDBr-1"}, {29, "OBDBr-2"}, {30, "KOBD"}, {31, "IOBD-I-BS4"},
	{32, "IOBD-II-BS4"}, {33, "HD EOBD-VI"}, {34, "OBD, OBD II and HD OBD"}, {35, "OBDBr-3"}, {36, "MC EOBD-I"},
	{37, "MC EOBD-II"}, {38, "MC COBD-I"}, {39, "MC TOBD-I"}, {40, "MC JOBD-I"}, {41, "CN-OBD-6"}, {42, "OBDBr-P7"},
	{43, "CN-HDOBD-VI"}, {44, "IOBD-I-BS6"}, {45, "IOBD-II-BS6"}, {46, "IHDOBD-BSVI"}, {47, "OBDBr-P8"},
	{48, "HD-JOBD-II"}, {49, "HD-KOBD-II"}, {50, "CN-OROBD-IV"}, {51, "CARB ACC-II"}, {52, "MC JOBD-II"},
	{53, "MC CARB OBD"}, {54, "MC EPA OBD"}, {55, "MC CARB & EPA OBD"}, {56, "HD ZEV CARB ZEP"},
	{57, "CARB ACC-II & EPA TIER4"}, {58, "EPA TIER4"}, {59, "EPA HD"},
}
