package telemetry

// obuSignals are the unit's own statistics, sent in the health class and shown
// by `obu status`. Counters rise for the life of the process.
var obuSignals = []Signal{
	{Name: "Vehicle.Obu.Uptime", Unit: "s", Kind: KindInt, Level: LevelObu},
	{Name: "Vehicle.Obu.Process.ResidentBytes", Unit: "bytes", Kind: KindInt, Level: LevelObu},
	{Name: "Vehicle.Obu.Process.CPUSeconds", Unit: "s", Kind: KindFloat, Step: Step{1, 100}, Level: LevelObu},
	{Name: "Vehicle.Obu.Process.Restarts", Kind: KindInt, Level: LevelObu}, // of sources, by the supervisor
	{Name: "Vehicle.Obu.CAN.Frames", Kind: KindInt, Level: LevelObu},
	{Name: "Vehicle.Obu.CAN.Samples", Kind: KindInt, Level: LevelObu},
	{Name: "Vehicle.Obu.CAN.Drops", Kind: KindInt, Level: LevelObu},
	{Name: "Vehicle.Obu.CAN.DecodeErrors", Kind: KindInt, Level: LevelObu},
	// Of the controller of one bus, which is the source. All but the first come
	// once there is something to tell.
	{Name: "Vehicle.Obu.CAN.ErrorFrames", Kind: KindInt, Level: LevelObu}, // lost arbitrations included
	{Name: "Vehicle.Obu.CAN.Overruns", Kind: KindInt, Level: LevelObu},    // times it lost received frames; each is a Gap
	{Name: "Vehicle.Obu.CAN.NoACKs", Kind: KindInt, Level: LevelObu},      // nobody acknowledged what was sent
	{Name: "Vehicle.Obu.CAN.Warnings", Kind: KindInt, Level: LevelObu},    // an error counter rose above 96
	{Name: "Vehicle.Obu.CAN.Passives", Kind: KindInt, Level: LevelObu},    // above 127
	{Name: "Vehicle.Obu.CAN.BusOffs", Kind: KindInt, Level: LevelObu},     // above 255; each is a Gap
	{Name: "Vehicle.Obu.CAN.ControllerRestarts", Kind: KindInt, Level: LevelObu},
	{Name: "Vehicle.Obu.CAN.TXErrors", Kind: KindInt, Level: LevelObu}, // the error counters themselves
	{Name: "Vehicle.Obu.CAN.RXErrors", Kind: KindInt, Level: LevelObu},
	{Name: "Vehicle.Obu.CAN.ControllerState", Kind: KindText, Level: LevelObu}, // active, warning, passive, bus-off
	{Name: "Vehicle.Obu.GPS.Sentences", Kind: KindInt, Level: LevelObu},
	{Name: "Vehicle.Obu.GPS.Rejected", Kind: KindInt, Level: LevelObu},
	{Name: "Vehicle.Obu.GPS.Fixes", Kind: KindInt, Level: LevelObu},
	{Name: "Vehicle.Obu.GPS.Valid", Kind: KindInt, Level: LevelObu},
	{Name: "Vehicle.Obu.Dashcam.Clips", Kind: KindInt, Level: LevelObu},
	{Name: "Vehicle.Obu.Dashcam.Bytes", Unit: "bytes", Kind: KindInt, Level: LevelObu},
	{Name: "Vehicle.Obu.Dashcam.Lost", Kind: KindInt, Level: LevelObu},
	{Name: "Vehicle.Obu.Batcher.Held", Kind: KindInt, Level: LevelObu},
	{Name: "Vehicle.Obu.Batcher.Drops", Kind: KindInt, Level: LevelObu},
	{Name: "Vehicle.Obu.Buffer.Batches", Kind: KindInt, Level: LevelObu},
	{Name: "Vehicle.Obu.Buffer.BacklogBytes", Unit: "bytes", Kind: KindInt, Level: LevelObu},
	{Name: "Vehicle.Obu.Buffer.OldestUnsent", Unit: "s", Kind: KindInt, Level: LevelObu},
	{Name: "Vehicle.Obu.Buffer.Runway", Unit: "s", Kind: KindInt, Level: LevelObu}, // until the telemetry quota is reached at today's rate
	{Name: "Vehicle.Obu.Buffer.Commits", Kind: KindInt, Level: LevelObu},
	{Name: "Vehicle.Obu.Buffer.SlowestCommit", Unit: "ms", Kind: KindInt, Level: LevelObu},
	{Name: "Vehicle.Obu.Buffer.FlushEvery", Unit: "ms", Kind: KindInt, Level: LevelObu},
	{Name: "Vehicle.Obu.Buffer.Evicted", Kind: KindInt, Level: LevelObu},
	{Name: "Vehicle.Obu.Buffer.Gaps", Kind: KindInt, Level: LevelObu},
	{Name: "Vehicle.Obu.Buffer.IsVolatile", Kind: KindBool, Level: LevelObu},
	{Name: "Vehicle.Obu.Uplink.Connects", Kind: KindInt, Level: LevelObu},
	{Name: "Vehicle.Obu.Uplink.Published", Kind: KindInt, Level: LevelObu},
	{Name: "Vehicle.Obu.Uplink.Acked", Kind: KindInt, Level: LevelObu},
	{Name: "Vehicle.Obu.Uplink.WireBytes", Unit: "bytes", Kind: KindInt, Level: LevelObu},
	{Name: "Vehicle.Obu.Uplink.AckRate", Unit: "bytes/s", Kind: KindInt, Level: LevelObu},
	{Name: "Vehicle.Obu.Uplink.Refused", Kind: KindInt, Level: LevelObu},
	{Name: "Vehicle.Obu.Clock.Uncertainty", Unit: "ms", Kind: KindInt, Level: LevelObu},
	{Name: "Vehicle.Obu.Clock.By", Kind: KindText, Level: LevelObu},
	// From here on newer than version 1 of the format: bodies declare them.
	{Name: "Vehicle.Obu.Buffer.HostBytesPerDay", Unit: "bytes", Kind: KindInt, Level: LevelObu}, // what the device was given to write, at the rate since start
	{Name: "Vehicle.Obu.Buffer.EMMCLifeUsed", Unit: "percent", Kind: KindInt, Level: LevelObu},  // JEDEC JESD84-B51 DEVICE_LIFE_TIME_EST, the worse of A and B
	{Name: "Vehicle.Obu.Buffer.Expired", Kind: KindInt, Level: LevelObu},
	{Name: "Vehicle.Obu.Buffer.Salvaged", Kind: KindInt, Level: LevelObu},            // batches saved from files set aside
	{Name: "Vehicle.Obu.Budget.Used", Unit: "bytes", Kind: KindInt, Level: LevelObu}, // of the running month, metered links
	{Name: "Vehicle.Obu.Budget.Forecast", Unit: "bytes", Kind: KindInt, Level: LevelObu},
	{Name: "Vehicle.Obu.Budget.Monthly", Unit: "bytes", Kind: KindInt, Level: LevelObu},
	{Name: "Vehicle.Obu.Budget.Step", Kind: KindInt, Level: LevelObu}, // of the ladder; 0: none needed
	{Name: "Vehicle.Obu.Budget.IsMetered", Kind: KindBool, Level: LevelObu},
	{Name: "Vehicle.Obu.Budget.Day.Telemetry", Unit: "bytes", Kind: KindInt, Level: LevelObu}, // on the wire today
	{Name: "Vehicle.Obu.Budget.Day.Event", Unit: "bytes", Kind: KindInt, Level: LevelObu},
	{Name: "Vehicle.Obu.Budget.Day.Health", Unit: "bytes", Kind: KindInt, Level: LevelObu},
	{Name: "Vehicle.Obu.Budget.Day.Media", Unit: "bytes", Kind: KindInt, Level: LevelObu},
	{Name: "Vehicle.Obu.Budget.Day.Control", Unit: "bytes", Kind: KindInt, Level: LevelObu}, // all else that crossed the socket
	{Name: "Vehicle.Obu.IsPrivate", Kind: KindBool, Level: LevelObu},
	{Name: "Vehicle.Obu.Uplink.Awaiting", Kind: KindInt, Level: LevelObu},     // batches acknowledged by the broker and not yet by the cloud
	{Name: "Vehicle.Obu.Uplink.IsTakenOver", Kind: KindBool, Level: LevelObu}, // another device uses this unit's client id
	{Name: "Vehicle.Obu.Uplink.IsDenied", Kind: KindBool, Level: LevelObu},    // the broker closes the connection on one of the topics
	// By system (the address of the source) and receiver.
	{Name: "Vehicle.Obu.GNSS.InView", Kind: KindInt, Level: LevelObu},
	{Name: "Vehicle.Obu.GNSS.Used", Kind: KindInt, Level: LevelObu},
	{Name: "Vehicle.Obu.GNSS.Strong", Kind: KindInt, Level: LevelObu}, // in view with at least 30 dB-Hz
	{Name: "Vehicle.Obu.GNSS.CN0.Best", Unit: "dB-Hz", Kind: KindInt, Level: LevelObu},
	{Name: "Vehicle.Obu.GNSS.CN0.Mean", Unit: "dB-Hz", Kind: KindFloat, Step: Step{1, 10}, Level: LevelObu}, // of the used ones
	{Name: "Vehicle.Obu.GNSS.Antenna", Kind: KindText, Level: LevelObu},                                     // an event when it changes
	{Name: "Vehicle.CurrentLocation.HorizontalAccuracy", Unit: "m", Kind: KindFloat, Step: Step{1, 100}, Level: LevelCore},
	{Name: "Vehicle.CurrentLocation.VerticalAccuracy", Unit: "m", Kind: KindFloat, Step: Step{1, 100}, Level: LevelCore},
	// Events of the drive, each with its evidence as a JSON object.
	{Name: "Vehicle.Obu.Trip.Start", Kind: KindText, Level: LevelObu},
	{Name: "Vehicle.Obu.Trip.End", Kind: KindText, Level: LevelObu},
	{Name: "Vehicle.Obu.Trip.Standing", Kind: KindText, Level: LevelObu},
	{Name: "Vehicle.Obu.Trip.Idling", Kind: KindText, Level: LevelObu},
	{Name: "Vehicle.Obu.Motion.Speeding", Kind: KindText, Level: LevelObu},
	{Name: "Vehicle.Obu.Motion.HarshAcceleration", Kind: KindText, Level: LevelObu},
	{Name: "Vehicle.Obu.Motion.HarshBraking", Kind: KindText, Level: LevelObu},
	{Name: "Vehicle.Obu.Motion.HarshCornering", Kind: KindText, Level: LevelObu},
	{Name: "Vehicle.Obu.Motion.Tow", Kind: KindText, Level: LevelObu},
	{Name: "Vehicle.Obu.Geofence.Entered", Kind: KindText, Level: LevelObu},
	{Name: "Vehicle.Obu.Geofence.Left", Kind: KindText, Level: LevelObu},
	{Name: "Vehicle.Obu.GNSS.Lost", Kind: KindText, Level: LevelObu},
	{Name: "Vehicle.Obu.GNSS.Regained", Kind: KindText, Level: LevelObu},
}
