// Package rig runs tests on the kernel's real SocketCAN, which few build
// machines have: QEMU boots Debian's stock kernel with virtual and emulated CAN
// controllers, a serial GPS, a pulse per second and a disk of its own. The tests of this package
// (make rig) drive machines; the ones of package inside run in them.
//
// The emulated controller has neither bit timing nor error counters: it proves
// the driver's interface, not a physical bus.
package rig
