package isotp

// Addressing is how a frame says who speaks to whom (ISO 15765-2, 10.3).
type Addressing uint8

// The ways to address. Extended and mixed addressing take the first data byte
// of every frame, flow control included.
const (
	Normal      Addressing = iota // the identifier says all
	NormalFixed                   // likewise, in 29 bits: 18DA and 18DB, target, source
	Extended                      // first data byte: the address of the target
	Mixed                         // first data byte: an address extension; in 29 bits 18CE and 18CD, target, source
)

// Address names the sender of a message: the identifier and, with extended
// and mixed addressing, the first data byte. One ECU may speak to several
// targets, and a gateway for several ECUs, behind one identifier.
type Address struct {
	ID  uint32
	Ext uint8 // target address or address extension; else 0
}

// Split parts the data bytes of a frame into the address byte, 0 where there
// is none, and what follows. ok is false when the frame is too short.
func (a Addressing) Split(data []byte) (ext uint8, pdu []byte, ok bool) {
	h := a.head()
	if len(data) <= h {
		return 0, nil, false
	}
	if h == 1 {
		ext = data[0]
	}
	return ext, data[h:], true
}

// head is the number of data bytes in front of the PCI.
func (a Addressing) head() int {
	if a == Extended || a == Mixed {
		return 1
	}
	return 0
}

// The parameter groups of fixed 29-bit identifiers, with priority 6 in front.
const (
	fixedMixedFunctional  = 0x18CD
	fixedMixedPhysical    = 0x18CE
	fixedNormalPhysical   = 0x18DA
	fixedNormalFunctional = 0x18DB
)

// Fixed reads a 29-bit identifier that names target and source: NormalFixed
// or Mixed. Functional ones speak to a group of ECUs and are never answered
// under the same target.
func Fixed(id uint32) (a Addressing, target, source uint8, functional, ok bool) {
	target, source = uint8(id>>8), uint8(id)
	switch id >> 16 {
	case fixedNormalPhysical, fixedNormalFunctional:
		return NormalFixed, target, source, id>>16 == fixedNormalFunctional, true
	case fixedMixedPhysical, fixedMixedFunctional:
		return Mixed, target, source, id>>16 == fixedMixedFunctional, true
	}
	return 0, 0, 0, false, false
}

// Reverse returns the identifier of the other direction of a physical one that
// names target and source: 18DA10F1 for 18DAF110.
func Reverse(id uint32) (uint32, bool) {
	_, target, source, functional, ok := Fixed(id)
	if !ok || functional {
		return 0, false
	}
	return id&^0xFFFF | uint32(source)<<8 | uint32(target), true
}
