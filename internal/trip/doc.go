// Package trip hears the fixes and the samples of one car and says what the car
// does. Track reduces fixes to what a map needs. Watch tells trips, standing,
// speeding, harsh manoeuvres, towing, zones and the loss of the position, as
// events with their evidence; what is doubtful makes none.
//
// It does no I/O, reads no clock and starts no goroutine: where zones are read
// from and who keeps State is the agent's business.
//
// Units are those of telemetry.Fix: degrees (WGS-84), metres, metres per second.
// CONTRACT.md of telemetry has the events, docs/decisions/0021-trips.md the
// thresholds and where they come from.
package trip
