package telemetry

// Stable ids: on the wire a signal of the table is a small number instead of
// its name, which would cost more than all the values of a short message. An
// id is the position in signalIDs, counted from 1. The list is only ever
// appended to; a name never moves and never leaves, even when the signal
// leaves the table.

const (
	// baselineIDs is how many ids the first release had. Every decoder knows
	// kind and step of these; those of later ids travel with the batch, so an
	// older decoder reads the values too.
	baselineIDs = 100

	// dynamicID is the first number that stands for a signal declared in the
	// body itself: dynamicID is the first of those, and so on.
	dynamicID = 4096
)

var signalIDs = [...]string{
	"Vehicle.OBD.Status.IsMILOn",
	"Vehicle.Diagnostics.DTCCount",
	"Vehicle.OBD.Status.IgnitionType",
	"Vehicle.OBD.FreezeDTC",
	"Vehicle.OBD.FuelStatus",
	"Vehicle.OBD.EngineLoad",
	"Vehicle.Powertrain.CombustionEngine.EngineCoolant.Temperature",
	"Vehicle.OBD.ShortTermFuelTrim1",
	"Vehicle.OBD.LongTermFuelTrim1",
	"Vehicle.OBD.ShortTermFuelTrim2",
	"Vehicle.OBD.LongTermFuelTrim2",
	"Vehicle.OBD.FuelPressure",
	"Vehicle.Powertrain.CombustionEngine.MAP",
	"Vehicle.Powertrain.CombustionEngine.Speed",
	"Vehicle.Speed",
	"Vehicle.OBD.TimingAdvance",
	"Vehicle.OBD.IntakeTemp",
	"Vehicle.OBD.MAF",
	"Vehicle.OBD.ThrottlePosition",
	"Vehicle.OBD.OxygenSensorsIn2Banks",
	"Vehicle.OBD.O2.Sensor2.Voltage",
	"Vehicle.OBD.O2.Sensor2.ShortTermFuelTrim",
	"Vehicle.OBD.OBDStandards",
	"Vehicle.OBD.IsPTOActive",
	"Vehicle.OBD.RunTime",
	"Vehicle.OBD.DistanceWithMIL",
	"Vehicle.OBD.CommandedEVAP",
	"Vehicle.OBD.FuelLevel",
	"Vehicle.OBD.WarmupsSinceDTCClear",
	"Vehicle.OBD.DistanceSinceDTCClear",
	"Vehicle.OBD.BarometricPressure",
	"Vehicle.OBD.O2WR.Sensor1.Lambda",
	"Vehicle.OBD.O2WR.Sensor1.Current",
	"Vehicle.OBD.Catalyst.Bank1.Temperature1",
	"Vehicle.OBD.Catalyst.Bank2.Temperature1",
	"Vehicle.OBD.Catalyst.Bank1.Temperature2",
	"Vehicle.OBD.Catalyst.Bank2.Temperature2",
	"Vehicle.OBD.ControlModuleVoltage",
	"Vehicle.OBD.AbsoluteLoad",
	"Vehicle.OBD.CommandedEquivalenceRatio",
	"Vehicle.OBD.RelativeThrottlePosition",
	"Vehicle.Exterior.AirTemperature",
	"Vehicle.OBD.AcceleratorPositionD",
	"Vehicle.OBD.RunTimeMIL",
	"Vehicle.OBD.TimeSinceDTCCleared",
	"Vehicle.OBD.FuelType",
	"Vehicle.OBD.EthanolPercent",
	"Vehicle.OBD.EVAPVaporPressureAbsolute",
	"Vehicle.OBD.RelativeAcceleratorPosition",
	"Vehicle.OBD.HybridBatteryRemaining",
	"Vehicle.Powertrain.CombustionEngine.EngineOil.Temperature",
	"Vehicle.OBD.FuelRate",
	"Vehicle.Obu.Engine.DemandTorque",
	"Vehicle.Obu.Engine.ActualTorque",
	"Vehicle.Obu.Engine.ReferenceTorque",
	"Vehicle.Obu.DieselExhaustFluid.Level",
	"Vehicle.Powertrain.Transmission.CurrentGear",
	"Vehicle.TraveledDistance",
	"Vehicle.OBD.PidsA",
	"Vehicle.OBD.PidsB",
	"Vehicle.OBD.PidsC",
	"Vehicle.Diagnostics.DTCList",
	"Vehicle.Obu.Diagnostics.PendingDTCList",
	"Vehicle.Obu.Diagnostics.PermanentDTCList",
	"Vehicle.VehicleIdentification.VIN",
	"Vehicle.Obu.Uptime",
	"Vehicle.Obu.Process.ResidentBytes",
	"Vehicle.Obu.Process.CPUSeconds",
	"Vehicle.Obu.Process.Restarts",
	"Vehicle.Obu.CAN.Frames",
	"Vehicle.Obu.CAN.Samples",
	"Vehicle.Obu.CAN.Drops",
	"Vehicle.Obu.CAN.DecodeErrors",
	"Vehicle.Obu.GPS.Sentences",
	"Vehicle.Obu.GPS.Rejected",
	"Vehicle.Obu.GPS.Fixes",
	"Vehicle.Obu.GPS.Valid",
	"Vehicle.Obu.Dashcam.Clips",
	"Vehicle.Obu.Dashcam.Bytes",
	"Vehicle.Obu.Dashcam.Lost",
	"Vehicle.Obu.Batcher.Held",
	"Vehicle.Obu.Batcher.Drops",
	"Vehicle.Obu.Buffer.Batches",
	"Vehicle.Obu.Buffer.BacklogBytes",
	"Vehicle.Obu.Buffer.OldestUnsent",
	"Vehicle.Obu.Buffer.Runway",
	"Vehicle.Obu.Buffer.Commits",
	"Vehicle.Obu.Buffer.SlowestCommit",
	"Vehicle.Obu.Buffer.FlushEvery",
	"Vehicle.Obu.Buffer.Evicted",
	"Vehicle.Obu.Buffer.Gaps",
	"Vehicle.Obu.Buffer.IsVolatile",
	"Vehicle.Obu.Uplink.Connects",
	"Vehicle.Obu.Uplink.Published",
	"Vehicle.Obu.Uplink.Acked",
	"Vehicle.Obu.Uplink.WireBytes",
	"Vehicle.Obu.Uplink.AckRate",
	"Vehicle.Obu.Uplink.Refused",
	"Vehicle.Obu.Clock.Uncertainty",
	"Vehicle.Obu.Clock.By",
	"Vehicle.Obu.Buffer.HostBytesPerDay",
	"Vehicle.Obu.Buffer.EMMCLifeUsed",
	"Vehicle.Obu.Buffer.Expired",
	"Vehicle.Obu.Buffer.Salvaged",
	"Vehicle.Obu.Budget.Used",
	"Vehicle.Obu.Budget.Forecast",
	"Vehicle.Obu.Budget.Monthly",
	"Vehicle.Obu.Budget.Step",
	"Vehicle.Obu.Budget.IsMetered",
	"Vehicle.Obu.Budget.Day.Telemetry",
	"Vehicle.Obu.Budget.Day.Event",
	"Vehicle.Obu.Budget.Day.Health",
	"Vehicle.Obu.Budget.Day.Media",
	"Vehicle.Obu.Budget.Day.Control",
	"Vehicle.Obu.IsPrivate",
	"Vehicle.Obu.Uplink.Awaiting",
	"Vehicle.Obu.Uplink.IsTakenOver",
	"Vehicle.Obu.Uplink.IsDenied",
}

var idByName = func() map[string]uint32 {
	m := make(map[string]uint32, len(signalIDs))
	for i, name := range signalIDs {
		m[name] = uint32(i + 1)
	}
	return m
}()

// ID returns the stable number that stands for the signal on the wire, or 0
// for a signal that travels by name. Numbers are never reused.
func (s *Signal) ID() uint32 { return idByName[s.Name] }

// LookupID returns the signal of the table with that stable number.
func LookupID(id uint32) (*Signal, bool) {
	if id == 0 || id > uint32(len(signalIDs)) {
		return nil, false
	}
	return Lookup(signalIDs[id-1])
}
