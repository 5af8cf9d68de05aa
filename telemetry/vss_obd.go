package telemetry

// Resolutions of SAE J1979 data bytes.
var (
	stepOne     = Step{1, 1}
	stepPercent = Step{100, 255} // one byte over 0-100 %
	stepTrim    = Step{100, 128} // fuel trim, -100 to 99.2 %
)

const combustion = "Vehicle.Powertrain.CombustionEngine."

// obdSignals are the quantities of SAE J1979 services 01 and 09. A VSS core
// path is used where it keeps the sensor's precision, the OBD overlay's
// otherwise, Vehicle.Obu.* where neither has one.
var obdSignals = []Signal{
	// 01
	{Name: "Vehicle.OBD.Status.IsMILOn", Kind: KindBool, Level: LevelOverlay},
	{Name: "Vehicle.Diagnostics.DTCCount", Kind: KindInt, Max: 127},
	{Name: "Vehicle.OBD.Status.IgnitionType", Kind: KindText, Level: LevelOverlay},
	// 02, 03
	{Name: "Vehicle.OBD.FreezeDTC", Kind: KindText, Level: LevelOverlay},
	{Name: "Vehicle.OBD.FuelStatus", Kind: KindText, Level: LevelOverlay},
	// 04-0F
	{Name: "Vehicle.OBD.EngineLoad", Unit: "percent", Kind: KindFloat, Step: stepPercent, Max: 100, Level: LevelOverlay},
	{Name: combustion + "EngineCoolant.Temperature", Unit: "Celsius", Kind: KindFloat, Step: stepOne, Min: -40, Max: 215},
	{Name: "Vehicle.OBD.ShortTermFuelTrim1", Unit: "percent", Kind: KindFloat, Step: stepTrim, Min: -100, Max: 99.21875, Level: LevelOverlay},
	{Name: "Vehicle.OBD.LongTermFuelTrim1", Unit: "percent", Kind: KindFloat, Step: stepTrim, Min: -100, Max: 99.21875, Level: LevelOverlay},
	{Name: "Vehicle.OBD.ShortTermFuelTrim2", Unit: "percent", Kind: KindFloat, Step: stepTrim, Min: -100, Max: 99.21875, Level: LevelOverlay},
	{Name: "Vehicle.OBD.LongTermFuelTrim2", Unit: "percent", Kind: KindFloat, Step: stepTrim, Min: -100, Max: 99.21875, Level: LevelOverlay},
	{Name: "Vehicle.OBD.FuelPressure", Unit: "kPa", Kind: KindFloat, Step: Step{3, 1}, Max: 765, Level: LevelOverlay},
	{Name: combustion + "MAP", Unit: "kPa", Kind: KindInt, Max: 255},
	{Name: combustion + "Speed", Unit: "rpm", Kind: KindFloat, Step: Step{1, 4}, Max: 16383.75},
	{Name: "Vehicle.Speed", Unit: "km/h", Kind: KindFloat, Step: stepOne, Max: 255},
	{Name: "Vehicle.OBD.TimingAdvance", Unit: "degrees", Kind: KindFloat, Step: Step{1, 2}, Min: -64, Max: 63.5, Level: LevelOverlay},
	{Name: "Vehicle.OBD.IntakeTemp", Unit: "Celsius", Kind: KindFloat, Step: stepOne, Min: -40, Max: 215, Level: LevelOverlay},
	// 10-1F
	{Name: "Vehicle.OBD.MAF", Unit: "g/s", Kind: KindFloat, Step: Step{1, 100}, Max: 655.35, Level: LevelOverlay},
	{Name: "Vehicle.OBD.ThrottlePosition", Unit: "percent", Kind: KindFloat, Step: stepPercent, Max: 100, Level: LevelOverlay},
	{Name: "Vehicle.OBD.OxygenSensorsIn2Banks", Kind: KindInt, Max: 255, Level: LevelOverlay},
	{Name: "Vehicle.OBD.O2.Sensor2.Voltage", Unit: "V", Kind: KindFloat, Step: Step{1, 200}, Max: 1.275, Level: LevelOverlay},
	{Name: "Vehicle.OBD.O2.Sensor2.ShortTermFuelTrim", Unit: "percent", Kind: KindFloat, Step: stepTrim, Min: -100, Max: 99.21875, Level: LevelOverlay},
	{Name: "Vehicle.OBD.OBDStandards", Kind: KindInt, Max: 255, Level: LevelOverlay},
	{Name: "Vehicle.OBD.IsPTOActive", Kind: KindBool, Level: LevelOverlay},
	{Name: "Vehicle.OBD.RunTime", Unit: "s", Kind: KindFloat, Step: stepOne, Max: 65535, Level: LevelOverlay},
	// 21-3F
	{Name: "Vehicle.OBD.DistanceWithMIL", Unit: "km", Kind: KindFloat, Step: stepOne, Max: 65535, Level: LevelOverlay},
	{Name: "Vehicle.OBD.CommandedEVAP", Unit: "percent", Kind: KindFloat, Step: stepPercent, Max: 100, Level: LevelOverlay},
	{Name: "Vehicle.OBD.FuelLevel", Unit: "percent", Kind: KindFloat, Step: stepPercent, Max: 100, Level: LevelOverlay},
	{Name: "Vehicle.OBD.WarmupsSinceDTCClear", Kind: KindInt, Max: 255, Level: LevelOverlay},
	{Name: "Vehicle.OBD.DistanceSinceDTCClear", Unit: "km", Kind: KindFloat, Step: stepOne, Max: 65535, Level: LevelOverlay},
	{Name: "Vehicle.OBD.BarometricPressure", Unit: "kPa", Kind: KindFloat, Step: stepOne, Max: 255, Level: LevelOverlay},
	{Name: "Vehicle.OBD.O2WR.Sensor1.Lambda", Unit: "ratio", Kind: KindFloat, Step: Step{1, 32768}, Max: 2, Level: LevelOverlay},
	{Name: "Vehicle.OBD.O2WR.Sensor1.Current", Unit: "A", Kind: KindFloat, Step: Step{1, 256000}, Min: -0.128, Max: 0.128, Level: LevelOverlay},
	{Name: "Vehicle.OBD.Catalyst.Bank1.Temperature1", Unit: "Celsius", Kind: KindFloat, Step: Step{1, 10}, Min: -40, Max: 6513.5, Level: LevelOverlay},
	{Name: "Vehicle.OBD.Catalyst.Bank2.Temperature1", Unit: "Celsius", Kind: KindFloat, Step: Step{1, 10}, Min: -40, Max: 6513.5, Level: LevelOverlay},
	{Name: "Vehicle.OBD.Catalyst.Bank1.Temperature2", Unit: "Celsius", Kind: KindFloat, Step: Step{1, 10}, Min: -40, Max: 6513.5, Level: LevelOverlay},
	{Name: "Vehicle.OBD.Catalyst.Bank2.Temperature2", Unit: "Celsius", Kind: KindFloat, Step: Step{1, 10}, Min: -40, Max: 6513.5, Level: LevelOverlay},
	// 42-5E
	{Name: "Vehicle.OBD.ControlModuleVoltage", Unit: "V", Kind: KindFloat, Step: Step{1, 1000}, Max: 65.535, Level: LevelOverlay},
	{Name: "Vehicle.OBD.AbsoluteLoad", Unit: "percent", Kind: KindFloat, Step: stepPercent, Max: 25700, Level: LevelOverlay},
	{Name: "Vehicle.OBD.CommandedEquivalenceRatio", Unit: "ratio", Kind: KindFloat, Step: Step{1, 32768}, Max: 2, Level: LevelOverlay},
	{Name: "Vehicle.OBD.RelativeThrottlePosition", Unit: "percent", Kind: KindFloat, Step: stepPercent, Max: 100, Level: LevelOverlay},
	{Name: "Vehicle.Exterior.AirTemperature", Unit: "Celsius", Kind: KindFloat, Step: stepOne, Min: -40, Max: 215},
	{Name: "Vehicle.OBD.AcceleratorPositionD", Unit: "percent", Kind: KindFloat, Step: stepPercent, Max: 100, Level: LevelOverlay},
	{Name: "Vehicle.OBD.RunTimeMIL", Unit: "min", Kind: KindFloat, Step: stepOne, Max: 65535, Level: LevelOverlay},
	{Name: "Vehicle.OBD.TimeSinceDTCCleared", Unit: "min", Kind: KindFloat, Step: stepOne, Max: 65535, Level: LevelOverlay},
	{Name: "Vehicle.OBD.FuelType", Kind: KindInt, Max: 255, Level: LevelOverlay},
	{Name: "Vehicle.OBD.EthanolPercent", Unit: "percent", Kind: KindFloat, Step: stepPercent, Max: 100, Level: LevelOverlay},
	{Name: "Vehicle.OBD.EVAPVaporPressureAbsolute", Unit: "kPa", Kind: KindFloat, Step: Step{1, 200}, Max: 327.675, Level: LevelOverlay},
	{Name: "Vehicle.OBD.RelativeAcceleratorPosition", Unit: "percent", Kind: KindFloat, Step: stepPercent, Max: 100, Level: LevelOverlay},
	{Name: "Vehicle.OBD.HybridBatteryRemaining", Unit: "percent", Kind: KindFloat, Step: stepPercent, Max: 100, Level: LevelOverlay},
	{Name: combustion + "EngineOil.Temperature", Unit: "Celsius", Kind: KindFloat, Step: stepOne, Min: -40, Max: 215},
	{Name: "Vehicle.OBD.FuelRate", Unit: "l/h", Kind: KindFloat, Step: Step{1, 20}, Max: 3276.75, Level: LevelOverlay},
	// 61-63, 9B, A4, A6
	{Name: "Vehicle.Obu.Engine.DemandTorque", Unit: "percent", Kind: KindFloat, Step: stepOne, Min: -125, Max: 130, Level: LevelObu},
	{Name: "Vehicle.Obu.Engine.ActualTorque", Unit: "percent", Kind: KindFloat, Step: stepOne, Min: -125, Max: 130, Level: LevelObu},
	{Name: "Vehicle.Obu.Engine.ReferenceTorque", Unit: "Nm", Kind: KindFloat, Step: stepOne, Max: 65535, Level: LevelObu},
	{Name: "Vehicle.Obu.DieselExhaustFluid.Level", Unit: "percent", Kind: KindFloat, Step: stepPercent, Max: 100, Level: LevelObu},
	{Name: "Vehicle.Powertrain.Transmission.CurrentGear", Kind: KindInt, Min: -1, Max: 15},
	{Name: "Vehicle.TraveledDistance", Unit: "m", Kind: KindInt, Max: 429496729500},
	// supported PIDs, DTC lists, service 09
	{Name: "Vehicle.OBD.PidsA", Kind: KindText, Level: LevelOverlay},
	{Name: "Vehicle.OBD.PidsB", Kind: KindText, Level: LevelOverlay},
	{Name: "Vehicle.OBD.PidsC", Kind: KindText, Level: LevelOverlay},
	{Name: "Vehicle.Diagnostics.DTCList", Kind: KindText},
	{Name: "Vehicle.Obu.Diagnostics.PendingDTCList", Kind: KindText, Level: LevelObu},
	{Name: "Vehicle.Obu.Diagnostics.PermanentDTCList", Kind: KindText, Level: LevelObu},
	{Name: "Vehicle.VehicleIdentification.VIN", Kind: KindText},
}
