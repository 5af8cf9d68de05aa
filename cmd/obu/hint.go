package main

import (
	"errors"
	"io/fs"
	"net"
	"syscall"

	"obu/buffer"
	"obu/can"
	"obu/can/canlog"
	"obu/can/link"
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
	{link.ErrNotAdmin, "allow it: systemctl edit obu, and there [Service], AmbientCapabilities=CAP_NET_RAW CAP_NET_ADMIN, CapabilityBoundingSet=CAP_NET_RAW CAP_NET_ADMIN; or bring the interface up yourself (ip link set can0 up type can bitrate 500000 restart-ms 1000) and remove manage"},
	{link.ErrMode, "`ip -details link show` tells what the controller has; auto needs one that can listen only and send in one shot: write the bit rate as a number, or use another adapter"},
	{can.ErrUnreadable, "there is traffic, at another bit rate or broken: check CAN-H, CAN-L and the 120 ohm at both ends; if the vehicle's rate is known write it in bitrate as a number"},
	{can.ErrProbeFailed, "nobody acknowledges at that bit rate: check the plug; the agent asks again, less and less often, and the other rate next; if the vehicle's rate is known write it in bitrate as a number"},
	{can.ErrSilent, "turn the ignition on; behind a gateway the bus speaks only when asked, which is done once the receiver says that the vehicle travels; if its rate is known write it in bitrate as a number"},
	{link.ErrNoDevice, "`ip link` lists the interfaces; a USB adapter shows up after `modprobe can_raw` and plugging it in"},
	{can.ErrDown, "bring it up, with the vehicle's bit rate: ip link set can0 up type can bitrate 500000 restart-ms 1000; or have the agent do it: manage: true beside its bitrate"},
	{can.ErrNoCAN, "modprobe can_raw, and the driver of the adapter; on a kernel built without CAN only unix:PATH and recordings work"},
	{link.ErrNotCAN, "`ip -details link show type can` lists the CAN interfaces"},
	{link.ErrPlatform, "run it on Linux; here recordings can be decoded"},
	{can.ErrBusy, "nobody on the bus acknowledges: check ignition, bit rate and wiring"},
	{can.ErrConfig, "correct the entry of this bus under can; `obu config example` explains each setting"},
	{can.ErrClosed, "check the adapter's plug and driver (ip link; dmesg | tail), or the virtual car behind unix:PATH; the agent opens it again by itself"},
	{can.ErrFolderInUse, "stop it (pgrep -af 'obu record'), or give this one a folder of its own with --out"},
	{syscall.ENOTDIR, "a file is in the way of a folder: correct the path, or move the file"},
	{can.ErrRecording, "check free space (df -h) and rights of the folder; --total bounds what a recording takes"},
	{canlog.ErrNotText, "convert it to ASC, GVRET CSV or candump's format: with the program that wrote it, SavvyCAN, or of BLF and MDF `python3 -m can.logconvert FILE out.asc` (package python-can)"},
	{canlog.ErrPacked, "unpack it first, with unzip, bunzip2, unxz or zstd -d; what gzip has packed is read as it is"},
	{canlog.ErrEncoding, "save it again as UTF-8: iconv -f UTF-16 -t UTF-8 FILE > out.log"},
	{canlog.ErrDamaged, "what could be read is above, the last of it may be wrong; copy the file again from where it was recorded (gzip -t FILE tests it)"},
	{gps.ErrDamaged, "what could be read is above; copy the file again from where it was recorded (gzip -t FILE tests it)"},
	{canlog.ErrLine, "record with `candump -L can0 > can0.log`"},
	{gps.ErrInit, "correct gps.init for this modem (AT+QGPS=1: Quectel, AT+CGPS=1: SIMCom, AT$GPSP=1: Telit), and gps.init_port: AT commands have a port of their own; gps.stop (AT+QGPSEND) ends what was left running"},
	{gps.ErrNothingPlugged, "plug the receiver in; auto looks under /dev/serial/by-id alone, where USB ports are: name any other in gps.device (/dev/ttyAMA0, /dev/ttyS0)"},
	{gps.ErrNoDevice, "plug the receiver in; `ls /dev/serial/by-id` shows names that stay"},
	{gps.ErrNoNMEA, "if bytes came, switch the receiver from its binary protocol to NMEA 0183; if it is silent, check its power and its TX wire to our RX; a modem has another port for it or wants gps.init"},
	{gps.ErrNoGpsd, "start it: systemctl start gpsd; on another machine gpsd listens only with -G; or name the receiver's serial port in gps.device"},
	{gps.ErrPermission, "join the group that owns the port (`ls -l` shows it, dialout or uucp): usermod -aG dialout USER, then start again; one that is root's alone (crw-------) needs a udev rule: KERNEL==\"ttyS0\", GROUP=\"dialout\", MODE=\"0660\""},
	{gps.ErrBusy, "read from gpsd instead (gps.device: gpsd://localhost:2947), or stop the program that is named (gpsd and ModemManager: systemctl disable --now gpsd.socket gpsd ModemManager)"},
	{can.ErrRecorder, "correct --file-size, --file-age, --total or --sync; `obu record --help` explains them"},
	{gps.ErrNotSerial, "correct gps.device or gps.baud"},
	{gps.ErrNoPPS, "`ls /dev/pps*`; a GPIO pin needs dtoverlay=pps-gpio,gpiopin=N (config.txt of a Raspberry Pi), a serial port's DCD line needs `ldattach PPS /dev/ttyS0`"},
	{gps.ErrPPSPermission, "write SUBSYSTEM==\"pps\", GROUP=\"dialout\", MODE=\"0660\" to /etc/udev/rules.d/60-pps.rules, then `udevadm trigger -s pps`"},
	{gps.ErrNotPPS, "correct gps.pps; `ls /dev/pps*` shows such devices"},
	{gps.ErrGone, "check the plug and the receiver's power; the agent opens it again by itself"},
	{dashcam.ErrNoFolder, "mount the camera's card, or correct dashcam.dir"},
	{dashcam.ErrConfig, "correct the entry of this camera under dashcam; `obu config example` explains each setting"},
	{buffer.ErrLocked, "stop the other agent (systemctl stop obu), or give this one a buffer.dir of its own"},
	{buffer.ErrNewerFormat, "install the newer obu again to deliver what it stored"},
	{buffer.ErrGone, "put the folder in buffer.dir back where it was; do not delete or move it while the agent runs"},
	{buffer.ErrDiskFailed, "check free space (df -h) and the card (dmesg | tail)"},
	{buffer.ErrNothingLeft, "check that it is a store file of obu (telemetry.db, media.db, or one of them with .damaged-N behind it), not cut short by copying; in the agent's own folder start the agent: it begins a new one"},
	{buffer.ErrNoFile, "move it out of buffer.dir, and look at who made it there; then start the agent again"},
	{buffer.ErrDamaged, "start the agent: it sets a damaged file aside, lists what is missing and goes on; dmesg | tail tells whether the card fails"},
	{agent.ErrNothingToDo, "add can, gps or dashcam to the configuration; `obu config example` shows all of it"},
	{agent.ErrNoDrive, "a replay folder holds " + agent.DriveFiles + ", dashcam/ and, if they do not start together, drive.yaml"},
	{agent.ErrSpan, "cut out the line whose time is wrong; `obu decode can --obd` prints the times"},
	{errNoConfig, "`obu config example > obu.yaml` writes one to start from; name it with -c"},
	{errNoStore, "name the folder in buffer.dir, or the configuration with -c"},
	{agent.ErrNoAgent, "start it (systemctl start obu, or obu run -c obu.yaml), or name its socket with --socket"},
}

// advised is an error that brings its next step with it, from who knows more.
type advised struct {
	error
	next string
}

func (a advised) Unwrap() error { return a.error }

// hint returns what to do next about err, "" when the error says it all.
func hint(err error) string {
	var known advised
	if errors.As(err, &known) {
		return known.next
	}
	if h := uplink.HintFor(err); h != "" {
		return h
	}
	if h := busHint(err); h != "" {
		return h
	}
	for _, h := range hints {
		if errors.Is(err, h.err) {
			return h.hint
		}
	}
	var mistakes config.Errors
	if errors.As(err, &mistakes) || errors.As(err, new(usageError)) {
		return "" // each mistake has its cure beside it
	}
	for _, h := range systemHints {
		if errors.Is(err, h.err) {
			return h.hint
		}
	}
	return ""
}

// noCure is the next step where this program knows none.
const noCure = "no cure is known for this one: `dmesg | tail` and the agent's log (journalctl -u obu) may say more"

// nextStep is hint for who has only one line to say what to do: what check
// finds, a source that the agent has lost. It is never empty.
func nextStep(err error) string {
	if h := hint(err); h != "" {
		return h
	}
	return noCure
}

// systemHints are for what the kernel says, where no sentinel knows more.
var systemHints = []struct {
	err  error
	hint string
}{
	{syscall.ENOSPC, "the disk is full: df -h shows which one"},
	{syscall.EDQUOT, "the user's disk quota is used up: quota -s shows it"},
	{syscall.EROFS, "the file system is read-only: dmesg | tail says why; a worn card does this"},
	{syscall.EIO, "the device fails: dmesg | tail says how; change the card, or check the plug"},
	{syscall.ENODEV, "the device is gone: check its plug; dmesg | tail says when it went"},
	{syscall.ENXIO, "the device is gone: check its plug; dmesg | tail says when it went"},
	{syscall.EISDIR, "it is a folder: name what is in it"},
	{fs.ErrPermission, "the agent's user may not do that: check owner and mode of the path"},
	{fs.ErrNotExist, "check the path"},
}

// busHint is for an interface that was renamed, and for a bus behind a unix
// socket, which is there while somebody serves it.
func busHint(err error) string {
	if renamed := new(link.RenamedError); errors.As(err, &renamed) {
		return "write " + renamed.New + " in can.device and restart the agent; or give it its name back: ip link set " + renamed.New + " down, then ip link set " +
			renamed.New + " name " + renamed.Old + "; a .link file of systemd (man systemd.link) keeps names"
	}
	var op *net.OpError
	if !errors.As(err, &op) || op.Net != "unixpacket" || op.Op != "dial" {
		return ""
	}
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		return "start the virtual car that serves this socket, or correct the path behind unix: in can.device"
	case errors.Is(err, fs.ErrPermission):
		return "give the agent's user the right to write to this socket"
	}
	return "the path behind unix: in can.device has to be the socket (SEQPACKET) of a virtual car"
}
