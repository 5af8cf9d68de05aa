package main

import (
	"errors"
	"io/fs"
	"syscall"

	"obu/buffer"
	"obu/can"
	"obu/dashcam"
	"obu/gps"
	"obu/internal/agent"
	"obu/internal/config"
	"obu/uplink"
)

// hints say what to do next, one per sentinel, first match wins.
var hints = []struct {
	err  error
	hint string
}{
	{can.ErrNoDevice, "`ip link` lists the interfaces; a USB adapter shows up after `modprobe can_raw` and plugging it in"},
	{can.ErrDown, "bring it up: ip link set can0 up type can bitrate 500000"},
	{can.ErrNoCAN, "load the module: modprobe can_raw; on a kernel built without CAN only unix:PATH and recordings work"},
	{can.ErrNotCAN, "`ip -details link show type can` lists the CAN interfaces"},
	{can.ErrLine, "record with `candump -L can0 > can0.log`"},
	{gps.ErrNoDevice, "plug the receiver in; `ls /dev/serial/by-id` shows names that stay"},
	{gps.ErrPermission, "join the group that owns the port: usermod -aG dialout USER, then start again"},
	{gps.ErrBusy, "stop who holds the port: systemctl stop gpsd.socket gpsd ModemManager"},
	{gps.ErrNotSerial, "correct gps.device or gps.baud"},
	{gps.ErrGone, "check the plug and the receiver's power; the agent opens it again by itself"},
	{dashcam.ErrNoFolder, "mount the camera's card, or correct dashcam.dir"},
	{buffer.ErrLocked, "stop the other agent (systemctl stop obu), or give this one a buffer.dir of its own"},
	{buffer.ErrNewerFormat, "install the newer obu again to deliver what it stored"},
	{buffer.ErrDiskFailed, "check free space (df -h) and the card (dmesg | tail)"},
	{agent.ErrNothingToDo, "add can, gps or dashcam to the configuration; `obu config example` shows all of it"},
	{agent.ErrNoDrive, "a replay folder holds can*.log[.gz], gps.nmea, dashcam/ and, if they do not start together, drive.yaml"},
	{agent.ErrSpan, "cut out the line whose time is wrong; `obu decode can --obd` prints the times"},
	{errNoConfig, "`obu config example > obu.yaml` writes one to start from; name it with -c"},
	{errNoStore, "name the folder in buffer.dir, or the configuration with -c"},
	{agent.ErrNoAgent, "start it (systemctl start obu, or obu run -c obu.yaml), or name its socket with --socket"},
}

// hint returns what to do next about err, "" when the error says it all.
func hint(err error) string {
	var known advised
	if errors.As(err, &known) {
		return known.next
	}
	if h := uplink.HintFor(err); h != "" {
		return h
	}
	for _, h := range hints {
		if errors.Is(err, h.err) {
			return h.hint
		}
	}
	var mistakes config.Errors
	switch {
	case errors.As(err, &mistakes), errors.As(err, new(usageError)):
		return "" // each mistake has its cure beside it
	case errors.Is(err, syscall.ENOSPC):
		return "the disk is full: df -h shows which one"
	case errors.Is(err, syscall.EROFS):
		return "the file system is read-only: dmesg | tail says why; a worn card does this"
	case errors.Is(err, fs.ErrPermission):
		return "the agent's user may not do that: check owner and mode of the path"
	case errors.Is(err, fs.ErrNotExist):
		return "check the path"
	}
	return ""
}
