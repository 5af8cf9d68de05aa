package can

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// netLink is the Link of an interface of the kernel, by rtnetlink
// (linux/can/netlink.h). Asking needs no privilege.
type netLink struct{ namedInterface }

// NewLink returns the Link of a CAN interface of the kernel.
func NewLink(name string) Link { return &netLink{namedInterface{name: name}} }

// Set tries a driver without what only tells more: error frames of each bus
// error, and the restart, which some controllers do by themselves.
func (l *netLink) Set(s LinkSettings) error {
	iface, err := l.find()
	if err != nil {
		return fmt.Errorf("set up %s: %w", l.name, err)
	}
	index := iface.Index
	if err := change(newLinkMessage(unix.RTM_NEWLINK, index, 0, unix.IFF_UP)); err != nil {
		return fmt.Errorf("take %s down: %w", l.name, err)
	}
	err = change(s.message(index, true, true))
	if errors.Is(err, ErrLinkMode) {
		err = change(s.message(index, false, true))
	}
	if errors.Is(err, ErrLinkMode) && !s.ListenOnly && !s.OneShot {
		err = change(s.message(index, false, false))
	}
	if err != nil {
		return fmt.Errorf("set %s to %d bit/s: %w", l.name, s.Bitrate, err)
	}
	if err := change(newLinkMessage(unix.RTM_NEWLINK, index, unix.IFF_UP, unix.IFF_UP)); err != nil {
		return fmt.Errorf("bring %s up: %w", l.name, err)
	}
	return nil
}

func (s *LinkSettings) message(index int, reporting, restart bool) *linkMessage {
	m := newLinkMessage(unix.RTM_NEWLINK, index, 0, 0)
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

func (l *netLink) State() (s LinkState, err error) {
	iface, err := l.find()
	if err != nil {
		return s, fmt.Errorf("ask %s: %w", l.name, err)
	}
	return linkState(iface.Index)
}

// linkState asks for the state of an interface.
func linkState(index int) (s LinkState, err error) {
	reply, err := newLinkMessage(unix.RTM_GETLINK, index, 0, 0).exchange()
	if err != nil {
		return s, fmt.Errorf("ask interface %d: %w", index, err)
	}
	return parseLink(reply)
}

// statesOfLink are enum can_state, from 0.
var statesOfLink = [...]string{ControllerActive, ControllerWarning, ControllerPassive, ControllerBusOff}

// parseLink reads struct ifinfomsg and the attributes behind it.
func parseLink(b []byte) (s LinkState, err error) {
	if len(b) < unix.SizeofIfInfomsg {
		return s, ErrNotCAN
	}
	s.Up = binary.NativeEndian.Uint32(b[8:])&unix.IFF_UP != 0
	isCAN := false
	attributes(b[unix.SizeofIfInfomsg:], func(kind uint16, info []byte) {
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
func (s *LinkState) read(kind uint16, v []byte) {
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
func change(m *linkMessage) error {
	_, err := m.exchange()
	switch {
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.EACCES):
		return ErrNotAdmin
	case errors.Is(err, unix.EOPNOTSUPP), errors.Is(err, unix.EINVAL), errors.Is(err, unix.EDOM), errors.Is(err, unix.ERANGE):
		return fmt.Errorf("%w (%w)", ErrLinkMode, err)
	}
	return err
}
