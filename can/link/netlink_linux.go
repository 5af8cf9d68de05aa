package link

import (
	"encoding/binary"
	"fmt"

	"golang.org/x/sys/unix"
)

// message is a request of rtnetlink about one interface: struct nlmsghdr,
// struct ifinfomsg, attributes.
type message struct{ b []byte }

func newMessage(kind uint16, index int, flags, changed uint32) *message {
	b := make([]byte, unix.SizeofNlMsghdr+unix.SizeofIfInfomsg, 256)
	e := binary.NativeEndian
	e.PutUint16(b[4:], kind)
	e.PutUint16(b[6:], unix.NLM_F_REQUEST|unix.NLM_F_ACK)
	e.PutUint32(b[8:], 1) // the only one of its socket
	e.PutUint32(b[unix.SizeofNlMsghdr+4:], uint32(index))
	e.PutUint32(b[unix.SizeofNlMsghdr+8:], flags)
	e.PutUint32(b[unix.SizeofNlMsghdr+12:], changed)
	return &message{b}
}

// add appends an attribute, padded to four bytes.
func (m *message) add(kind uint16, data []byte) {
	m.b = binary.NativeEndian.AppendUint16(m.b, uint16(unix.SizeofRtAttr+len(data)))
	m.b = binary.NativeEndian.AppendUint16(m.b, kind)
	m.b = append(m.b, data...)
	for len(m.b)%4 != 0 {
		m.b = append(m.b, 0)
	}
}

// words appends an attribute of 32-bit numbers.
func (m *message) words(kind uint16, all ...uint32) {
	data := make([]byte, 0, 32)
	for _, w := range all {
		data = binary.NativeEndian.AppendUint32(data, w)
	}
	m.add(kind, data)
}

// open begins an attribute of attributes, which shut ends.
func (m *message) open(kind uint16) (at int) {
	at = len(m.b)
	m.add(kind, nil)
	return at
}

func (m *message) shut(at int) {
	binary.NativeEndian.PutUint16(m.b[at:], uint16(len(m.b)-at))
}

// exchange sends the message and returns what comes back before the kernel's
// acknowledgement, or its error.
func (m *message) exchange() (reply []byte, err error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("make netlink socket: %w", err)
	}
	defer unix.Close(fd)
	binary.NativeEndian.PutUint32(m.b, uint32(len(m.b)))
	// What is written without an address goes to the kernel. (Recvfrom and Sendto
	// would bring the code of every kind of address into the binary.)
	if _, err := unix.Write(fd, m.b); err != nil {
		return nil, fmt.Errorf("send netlink message: %w", err)
	}
	buf := make([]byte, 8<<10) // several times what one interface is told in, asked each second
	for {
		n, err := unix.Read(fd, buf)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("receive netlink message: %w", err)
		}
		for b := buf[:n]; len(b) >= unix.SizeofNlMsghdr; {
			size := int(binary.NativeEndian.Uint32(b))
			if size < unix.SizeofNlMsghdr || size > len(b) {
				return nil, unix.EBADMSG
			}
			body := b[unix.SizeofNlMsghdr:size]
			if binary.NativeEndian.Uint16(b[4:]) == unix.NLMSG_ERROR {
				if len(body) < 4 {
					return nil, unix.EBADMSG
				}
				if code := int32(binary.NativeEndian.Uint32(body)); code != 0 {
					return nil, unix.Errno(-code)
				}
				return reply, nil
			}
			reply = append([]byte(nil), body...)
			b = b[min((size+3)&^3, len(b)):]
		}
	}
}

// typeMask leaves out the flags of an attribute's type (NLA_TYPE_MASK).
const typeMask = 1<<14 - 1

// attributes calls visit with each attribute of b.
func attributes(b []byte, visit func(kind uint16, data []byte)) {
	for len(b) >= unix.SizeofRtAttr {
		size := int(binary.NativeEndian.Uint16(b))
		if size < unix.SizeofRtAttr || size > len(b) {
			return
		}
		visit(binary.NativeEndian.Uint16(b[2:])&typeMask, b[unix.SizeofRtAttr:size])
		b = b[min((size+3)&^3, len(b)):]
	}
}
