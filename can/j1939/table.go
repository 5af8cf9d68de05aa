package j1939

import "obu/telemetry"

const (
	own        = "Vehicle.Obu.J1939."
	combustion = "Vehicle.Powertrain.CombustionEngine."
)

// row places one suspect parameter (SAE J1939-71) in the bytes of its group:
// size bits from bit on, counted as Intel does, low bits first. With den the
// value is a float of (raw+offset)*num/den; without, two bits are a bool and
// more of them the whole number raw*num+offset.
type row struct {
	pgn              PGN
	spn              uint16
	bit, size        uint8
	num, den, offset int32
	name, unit       string
	axle             uint8 // the row is of this axle alone, counted from 1 at the front
}

// rows are the parameters of the FMS-Standard, and those of J1939-71 that come
// in the same groups, ordered by group. The name is a VSS core path where one
// has the precision of the bus: the pedals and the fuel level of VSS are whole
// percents, its kilometres metres.
var rows = [...]row{
	{61440, 520, 8, 8, 1, 1, -125, own + "RetarderTorque", "percent", 0},
	{61441, 563, 4, 2, 0, 0, 0, own + "IsABSActive", "", 0},
	{61441, 521, 8, 8, 2, 5, 0, own + "BrakePedalPosition", "percent", 0},
	{61442, 560, 0, 2, 0, 0, 0, own + "IsDrivelineEngaged", "", 0},
	{61442, 191, 8, 16, 1, 8, 0, own + "OutputShaftSpeed", "rpm", 0},
	{61442, 522, 24, 8, 2, 5, 0, own + "ClutchSlip", "percent", 0},
	{61442, 161, 40, 16, 1, 8, 0, own + "InputShaftSpeed", "rpm", 0},
	{61443, 558, 0, 2, 0, 0, 0, own + "IsPedalAtIdle", "", 0},
	{61443, 559, 2, 2, 0, 0, 0, own + "IsKickdown", "", 0},
	{61443, 91, 8, 8, 2, 5, 0, own + "AcceleratorPedalPosition", "percent", 0},
	{61443, 92, 16, 8, 1, 1, 0, own + "EngineLoad", "percent", 0},
	{61444, 899, 0, 4, 1, 0, 0, own + "EngineTorqueMode", "", 0},
	{61444, 512, 8, 8, 1, 1, -125, own + "DriverDemandTorque", "percent", 0},
	{61444, 513, 16, 8, 1, 1, -125, own + "ActualTorque", "percent", 0},
	{61444, 190, 24, 16, 1, 8, 0, combustion + "Speed", "rpm", 0},
	{61444, 2432, 56, 8, 1, 1, -125, own + "DemandTorque", "percent", 0},
	{61445, 524, 0, 8, 1, 0, -125, "Vehicle.Powertrain.Transmission.SelectedGear", "", 0},
	{61445, 526, 8, 16, 1, 1000, 0, own + "GearRatio", "ratio", 0},
	{61445, 523, 24, 8, 1, 0, -125, "Vehicle.Powertrain.Transmission.CurrentGear", "", 0},
	{64777, 5053, 0, 32, 1, 1000, 0, own + "TripFuelFine", "l", 0},
	{64777, 5054, 32, 32, 1, 1000, 0, own + "TotalFuelFine", "l", 0},
	{65110, 1761, 0, 8, 2, 5, 0, own + "DieselExhaustFluidLevel", "percent", 0},
	{65110, 3031, 8, 8, 1, 1, -40, own + "DieselExhaustFluidTemperature", "Celsius", 0},
	{65132, 1612, 0, 3, 1, 0, 0, own + "Driver1WorkingState", "", 0},
	{65132, 1613, 3, 3, 1, 0, 0, own + "Driver2WorkingState", "", 0},
	{65132, 1611, 6, 2, 0, 0, 0, own + "IsVehicleMoving", "", 0},
	{65132, 1617, 8, 4, 1, 0, 0, own + "Driver1TimeState", "", 0},
	{65132, 1615, 12, 2, 0, 0, 0, own + "HasDriver1Card", "", 0},
	{65132, 1614, 14, 2, 0, 0, 0, own + "IsOverspeed", "", 0},
	{65132, 1618, 16, 4, 1, 0, 0, own + "Driver2TimeState", "", 0},
	{65132, 1616, 20, 2, 0, 0, 0, own + "HasDriver2Card", "", 0},
	{65132, 1619, 30, 2, 0, 0, 0, own + "IsReversing", "", 0},
	{65132, 1623, 32, 16, 1, 8, 0, own + "TachographShaftSpeed", "rpm", 0},
	{65132, 1624, 48, 16, 1, 256, 0, own + "TachographSpeed", "km/h", 0},
	{65136, 1585, 0, 16, 10, 1, 0, own + "PoweredVehicleWeight", "kg", 0},
	{65136, 1760, 16, 16, 10, 1, 0, own + "GrossCombinationWeight", "kg", 0},
	{65198, 46, 0, 8, 8, 1, 0, own + "PneumaticSupplyPressure", "kPa", 0},
	{65198, 1086, 8, 8, 8, 1, 0, own + "ParkingAirPressure", "kPa", 0},
	{65198, 1087, 16, 8, 8, 1, 0, own + "ServiceBrake1AirPressure", "kPa", 0},
	{65198, 1088, 24, 8, 8, 1, 0, own + "ServiceBrake2AirPressure", "kPa", 0},
	{65198, 1089, 32, 8, 8, 1, 0, own + "AuxiliaryAirPressure", "kPa", 0},
	{65198, 1090, 40, 8, 8, 1, 0, own + "AirSuspensionPressure", "kPa", 0},
	{65216, 914, 8, 16, 5, 1, -32127, own + "ServiceDistance", "km", 0},
	{65217, 917, 0, 32, 5, 0, 0, "Vehicle.TraveledDistance", "m", 0},
	{65217, 918, 32, 32, 5, 0, 0, own + "TripDistanceFine", "m", 0},
	{65247, 514, 0, 8, 1, 1, -125, own + "NominalFrictionTorque", "percent", 0},
	{65247, 515, 8, 16, 1, 8, 0, own + "DesiredEngineSpeed", "rpm", 0},
	{65248, 244, 0, 32, 1, 8, 0, own + "TripDistance", "km", 0},
	{65248, 245, 32, 32, 1, 8, 0, own + "TotalDistance", "km", 0},
	{65253, 247, 0, 32, 1, 20, 0, combustion + "EngineHours", "h", 0},
	{65253, 249, 32, 32, 1000, 0, 0, own + "EngineRevolutions", "", 0},
	{65257, 182, 0, 32, 1, 2, 0, own + "TripFuel", "l", 0},
	{65257, 250, 32, 32, 1, 2, 0, own + "TotalFuel", "l", 0},
	{65258, 582, 8, 16, 1, 2, 0, own + "Axle1.Weight", "kg", 1},
	{65258, 582, 8, 16, 1, 2, 0, own + "Axle2.Weight", "kg", 2},
	{65258, 582, 8, 16, 1, 2, 0, own + "Axle3.Weight", "kg", 3},
	{65258, 582, 8, 16, 1, 2, 0, own + "Axle4.Weight", "kg", 4},
	{65258, 582, 8, 16, 1, 2, 0, own + "Axle5.Weight", "kg", 5},
	{65258, 582, 8, 16, 1, 2, 0, own + "Axle6.Weight", "kg", 6},
	{65258, 582, 8, 16, 1, 2, 0, own + "Axle7.Weight", "kg", 7},
	{65258, 582, 8, 16, 1, 2, 0, own + "Axle8.Weight", "kg", 8},
	{65262, 110, 0, 8, 1, 1, -40, combustion + "EngineCoolant.Temperature", "Celsius", 0},
	{65262, 174, 8, 8, 1, 1, -40, own + "FuelTemperature", "Celsius", 0},
	{65262, 175, 16, 16, 1, 32, -8736, combustion + "EngineOil.Temperature", "Celsius", 0},
	{65262, 176, 32, 16, 1, 32, -8736, own + "TurboOilTemperature", "Celsius", 0},
	{65262, 52, 48, 8, 1, 1, -40, own + "IntercoolerTemperature", "Celsius", 0},
	{65263, 94, 0, 8, 4, 1, 0, own + "FuelDeliveryPressure", "kPa", 0},
	{65263, 98, 16, 8, 2, 5, 0, own + "OilLevel", "percent", 0},
	{65263, 100, 24, 8, 4, 1, 0, own + "OilPressure", "kPa", 0},
	{65263, 101, 32, 16, 1, 128, -32000, own + "CrankcasePressure", "kPa", 0},
	{65263, 109, 48, 8, 2, 1, 0, own + "CoolantPressure", "kPa", 0},
	{65263, 111, 56, 8, 2, 5, 0, own + "CoolantLevel", "percent", 0},
	{65265, 70, 2, 2, 0, 0, 0, "Vehicle.Chassis.ParkingBrake.IsEngaged", "", 0},
	{65265, 84, 8, 16, 1, 256, 0, "Vehicle.Speed", "km/h", 0},
	{65265, 595, 24, 2, 0, 0, 0, "Vehicle.ADAS.CruiseControl.IsActive", "", 0},
	{65265, 596, 26, 2, 0, 0, 0, "Vehicle.ADAS.CruiseControl.IsEnabled", "", 0},
	{65265, 597, 28, 2, 0, 0, 0, own + "IsBrakePressed", "", 0},
	{65265, 598, 30, 2, 0, 0, 0, own + "IsClutchPressed", "", 0},
	{65265, 86, 40, 8, 1, 1, 0, "Vehicle.ADAS.CruiseControl.SpeedSet", "km/h", 0},
	{65265, 976, 48, 5, 1, 0, 0, own + "PTOState", "", 0},
	{65265, 527, 53, 3, 1, 0, 0, own + "CruiseControlState", "", 0},
	{65266, 183, 0, 16, 1, 20, 0, own + "FuelRate", "l/h", 0},
	{65266, 184, 16, 16, 1, 512, 0, own + "FuelEconomy", "km/l", 0},
	{65266, 185, 32, 16, 1, 512, 0, own + "AverageFuelEconomy", "km/l", 0},
	{65266, 51, 48, 8, 2, 5, 0, own + "ThrottlePosition", "percent", 0},
	{65269, 108, 0, 8, 1, 2, 0, own + "BarometricPressure", "kPa", 0},
	{65269, 170, 8, 16, 1, 32, -8736, "Vehicle.Cabin.HVAC.AmbientAirTemperature", "Celsius", 0},
	{65269, 171, 24, 16, 1, 32, -8736, "Vehicle.Exterior.AirTemperature", "Celsius", 0},
	{65269, 172, 40, 8, 1, 1, -40, own + "AirInletTemperature", "Celsius", 0},
	{65269, 79, 48, 16, 1, 32, -8736, own + "RoadTemperature", "Celsius", 0},
	{65270, 81, 0, 8, 1, 2, 0, own + "ParticulateFilterPressure", "kPa", 0},
	{65270, 102, 8, 8, 2, 1, 0, own + "BoostPressure", "kPa", 0},
	{65270, 105, 16, 8, 1, 1, -40, own + "IntakeManifoldTemperature", "Celsius", 0},
	{65270, 106, 24, 8, 2, 1, 0, own + "AirInletPressure", "kPa", 0},
	{65270, 107, 32, 8, 1, 20, 0, own + "AirFilterPressure", "kPa", 0},
	{65270, 173, 40, 16, 1, 32, -8736, own + "ExhaustTemperature", "Celsius", 0},
	{65271, 114, 0, 8, 1, 1, -125, own + "BatteryCurrent", "A", 0},
	{65271, 115, 8, 8, 1, 1, 0, own + "AlternatorCurrent", "A", 0},
	{65271, 167, 16, 16, 1, 20, 0, own + "ChargingVoltage", "V", 0},
	{65271, 168, 32, 16, 1, 20, 0, "Vehicle.LowVoltageBattery.CurrentVoltage", "V", 0},
	{65271, 158, 48, 16, 1, 20, 0, own + "KeyswitchVoltage", "V", 0},
	{65272, 124, 8, 8, 2, 5, 0, own + "TransmissionOilLevel", "percent", 0},
	{65272, 127, 24, 8, 16, 1, 0, own + "TransmissionOilPressure", "kPa", 0},
	{65272, 177, 32, 16, 1, 32, -8736, own + "TransmissionOilTemperature", "Celsius", 0},
	{65276, 80, 0, 8, 2, 5, 0, own + "WasherFluidLevel", "percent", 0},
	{65276, 96, 8, 8, 2, 5, 0, own + "FuelLevel", "percent", 0},
	{65276, 169, 32, 16, 1, 32, -8736, own + "CargoTemperature", "Celsius", 0},
	{65276, 38, 48, 8, 2, 5, 0, own + "FuelLevel2", "percent", 0},
}

// signals declare what the rows are, in their order.
var signals = func() (s [len(rows)]telemetry.Signal) {
	for i := range rows {
		r := &rows[i]
		s[i] = telemetry.Signal{Name: r.name, Unit: r.unit, Kind: telemetry.KindInt}
		switch {
		case r.den > 0:
			s[i].Kind, s[i].Step = telemetry.KindFloat, telemetry.Step{Num: int64(r.num), Den: int64(r.den)}
		case r.size == 2:
			s[i].Kind = telemetry.KindBool
		}
		if len(r.name) > len(own) && r.name[:len(own)] == own {
			s[i].Level = telemetry.LevelObu
		}
	}
	return s
}()
