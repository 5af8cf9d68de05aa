package link

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"time"

	"golang.org/x/sys/unix"
)

// Named is an interface of the kernel that is known by its name.
type Named struct {
	name string
	last int // its index when it was found last
}

// New returns the CAN interface of that name. Whether there is one shows when
// it is used.
func New(name string) *Named { return &Named{name: name} }

// Find looks it up. One that has another name by now is a RenamedError.
func (l *Named) Find() (*net.Interface, error) {
	iface, err := net.InterfaceByName(l.name)
	if err == nil {
		l.last = iface.Index
		return iface, nil
	}
	if l.last != 0 {
		if other, err := net.InterfaceByIndex(l.last); err == nil {
			return nil, &RenamedError{Old: l.name, New: other.Name}
		}
	}
	return nil, ErrNoDevice
}

// Set takes the interface down and brings it up with the settings. It tries a driver without what only tells more: error frames of each bus
// error, and the restart, which some controllers do by themselves.
func (l *Named) Set(s Settings) error {
	iface, err := l.Find()
	if err != nil {
		return fmt.Errorf("set up %s: %w", l.name, err)
	}
	index := iface.Index
	if err := change(newMessage(unix.RTM_NEWLINK, index, 0, unix.IFF_UP)); err != nil {
		return fmt.Errorf("take %s down: %w", l.name, err)
	}
	err = change(s.message(index, true, true))
	if errors.Is(err, ErrMode) {
		err = change(s.message(index, false, true))
	}
	if errors.Is(err, ErrMode) && !s.ListenOnly && !s.OneShot {
		err = change(s.message(index, false, false))
	}
	if err != nil {
		return fmt.Errorf("set %s to %d bit/s: %w", l.name, s.Bitrate, err)
	}
	if err := change(newMessage(unix.RTM_NEWLINK, index, unix.IFF_UP, unix.IFF_UP)); err != nil {
		return fmt.Errorf("bring %s up: %w", l.name, err)
	}
	return nil
}

func (s *Settings) message(index int, reporting, restart bool) *message {
	m := newMessage(unix.RTM_NEWLINK, index, 0, 0)
	info := m.open(unix.IFLA_LINKINFO)
	m.add(unix.IFLA_INFO_KIND, []byte("can"))
	data := m.open(unix.IFLA_INFO_DATA)
	timing := [8]uint32{uint32(s.Bitrate)} // the kernel works out the rest
	m.words(unix.IFLA_CAN_BITTIMING, timing[:]...)
	mask, flags := uint32(unix.CAN_CTRLMODE_LISTENONLY|unix.CAN_CTRLMODE_ONE_SHOT), uint32(0)
	if s.ListenOnly {
		flags |= unix.CAN_CTRLMODE_LISTENONLY
	}
	if s.OneShot {
		flags |= unix.CAN_CTRLMODE_ONE_SHOT
	}
	if reporting {
		mask |= unix.CAN_CTRLMODE_BERR_REPORTING
		flags |= unix.CAN_CTRLMODE_BERR_REPORTING
	}
	m.words(unix.IFLA_CAN_CTRLMODE, mask, flags)
	if restart {
		m.words(unix.IFLA_CAN_RESTART_MS, uint32(s.Restart/time.Millisecond))
	}
	m.shut(data)
	m.shut(info)
	return m
}

// State asks the driver.
func (l *Named) State() (s State, err error) {
	iface, err := l.Find()
	if err != nil {
		return s, fmt.Errorf("ask %s: %w", l.name, err)
	}
	return StateOf(iface.Index)
}

// StateOf asks the driver of an interface, which has an index, how it is.
func StateOf(index int) (s State, err error) {
	reply, err := newMessage(unix.RTM_GETLINK, index, 0, 0).exchange()
	if err != nil {
		return s, fmt.Errorf("ask interface %d: %w", index, err)
	}
	return parseLink(reply)
}

// statesOfLink are enum can_state, from 0.
var statesOfLink = [...]string{Active, Warning, Passive, BusOff}

// parseLink reads struct ifinfomsg and the attributes behind it.
func parseLink(b []byte) (s State, err error) {
	if len(b) < unix.SizeofIfInfomsg {
		return s, ErrNotCAN
	}
	s.Up = binary.NativeEndian.Uint32(b[8:])&unix.IFF_UP != 0
	isCAN := false
	attributes(b[unix.SizeofIfInfomsg:], func(kind uint16, info []byte) {
		if kind == unix.IFLA_STATS64 && len(info) >= 24 { // struct rtnl_link_stats64: received, sent, bytes received
			s.Frames, s.Bytes = binary.NativeEndian.Uint64(info), binary.NativeEndian.Uint64(info[16:])
		}
		if kind != unix.IFLA_LINKINFO {
			return
		}
		attributes(info, func(kind uint16, data []byte) {
			switch kind {
			case unix.IFLA_INFO_KIND:
				isCAN = string(data) == "can\x00" || string(data) == "can"
			case unix.IFLA_INFO_DATA:
				attributes(data, s.read)
			}
		})
	})
	if !isCAN {
		return s, ErrNotCAN
	}
	return s, nil
}

// read takes one attribute of a controller.
func (s *State) read(kind uint16, v []byte) {
	word := func(i int) uint32 {
		if len(v) < 4*i+4 {
			return 0
		}
		return binary.NativeEndian.Uint32(v[4*i:])
	}
	switch kind {
	case unix.IFLA_CAN_BITTIMING:
		s.Bitrate = int(word(0))
	case unix.IFLA_CAN_CTRLMODE:
		s.ListenOnly, s.OneShot = word(1)&unix.CAN_CTRLMODE_LISTENONLY != 0, word(1)&unix.CAN_CTRLMODE_ONE_SHOT != 0
	case unix.IFLA_CAN_RESTART_MS:
		s.Restart = time.Duration(word(0)) * time.Millisecond
	case unix.IFLA_CAN_STATE:
		if n := word(0); n < uint32(len(statesOfLink)) {
			s.State = statesOfLink[n]
		}
	case unix.IFLA_CAN_BERR_COUNTER:
		if len(v) >= 4 {
			s.Counts = true
			s.TXErrors = uint8(min(binary.NativeEndian.Uint16(v), 255))
			s.RXErrors = uint8(min(binary.NativeEndian.Uint16(v[2:]), 255))
		}
	}
}

// change sends a message and returns what the kernel thinks of it.
func change(m *message) error {
	_, err := m.exchange()
	switch {
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.EACCES):
		return ErrNotAdmin
	case errors.Is(err, unix.EOPNOTSUPP), errors.Is(err, unix.EINVAL), errors.Is(err, unix.EDOM), errors.Is(err, unix.ERANGE):
		return fmt.Errorf("%w (%w)", ErrMode, err)
	}
	return err
}
