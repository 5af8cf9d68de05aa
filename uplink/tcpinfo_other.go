//go:build !linux

package uplink

import (
	"net"
	"syscall"
)

func preferBBR(string, string, syscall.RawConn) error { return nil }

func askTCP(net.Conn) (tcpState, bool) { return tcpState{}, false }

func tcpHeaders(net.Conn) (int64, bool) { return 0, false }
