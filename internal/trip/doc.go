// Package trip hears the fixes of one car and reduces its track to what a map
// needs (Track). It does no I/O, reads no clock and starts no goroutine; what is
// doubtful is passed on and never drawn through.
//
// Units are those of telemetry.Fix: degrees (WGS-84), metres, metres per second.
package trip
