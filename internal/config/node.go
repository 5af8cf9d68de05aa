package config

import (
	"fmt"
	"strconv"
	"strings"
)

// NodeName is the NAME of a node of SAE J1939, written as hexadecimal digits.
type NodeName uint64

// String returns 0x and 16 hexadecimal digits.
func (n NodeName) String() string { return fmt.Sprintf("0x%016X", uint64(n)) }

func (n *NodeName) parse(text string) *problem {
	digits, hex := strings.CutPrefix(strings.ToLower(text), "0x")
	v, err := strconv.ParseUint(digits, 16, 64)
	if err != nil || !hex || v == 0 || len(digits) != 16 {
		return &problem{fmt.Sprintf("`%s` is not a NAME of J1939", cut(text)), "write 0x and all 16 hexadecimal digits, zeros in front too: 0x8000FF0010600001 for example"}
	}
	*n = NodeName(v)
	return nil
}

// NodeAddress is the address of a node of SAE J1939, written as two hexadecimal
// digits.
type NodeAddress uint8

// String returns 0x and two hexadecimal digits.
func (a NodeAddress) String() string { return fmt.Sprintf("0x%02X", uint8(a)) }

func (a *NodeAddress) parse(text string) *problem {
	digits, hex := strings.CutPrefix(strings.ToLower(text), "0x")
	v, err := strconv.ParseUint(digits, 16, 8)
	switch {
	case err != nil || !hex:
		return &problem{fmt.Sprintf("`%s` is not an address of J1939", cut(text)), "write 0x and two hexadecimal digits, for example 0x4A"}
	case v == 0 || v > 0xFD:
		return &problem{fmt.Sprintf("`%s` is the engine's address, or nobody's", cut(text)), "use one from 0x01 to 0xFD that no node of this vehicle uses, for example 0x4A"}
	}
	*a = NodeAddress(v)
	return nil
}

// node reports settings of J1939 that need each other.
func (d *decoder) node(path string, j *J1939) {
	switch {
	case j.Name != 0 && j.Address == 0 && !d.mistaken(path+".address"):
		d.conflict(path+".name", "there is a `name` and no `address`", "add `address`, one that no node of this vehicle uses, for example 0x4A")
	case j.Address != 0 && j.Name == 0 && !d.mistaken(path+".name"):
		d.conflict(path+".address", "there is an `address` and no `name`", "add `name`, the unit's NAME, or remove `address`: then the unit only listens")
	case len(j.Request) > 0 && j.Name == 0 && !d.mistaken(path+".name"):
		d.conflict(path+".request", "only a node that has claimed an address may ask", "add `name` and `address`, or remove `request`: then the unit only listens")
	}
}
