package telemetry

import "strings"

// corePaths are numbers and switches of the VSS core tree (v6.0) that a vehicle's
// network may bring and nothing in signalTables does: datatype, unit, paths below
// Vehicle. A * stands for an instance: Row1, Left, DriverSide. They have no id.
const corePaths = `
float km/h AverageSpeed Chassis.Axle.*.Wheel.*.Speed ADAS.CruiseControl.SpeedSet Powertrain.TractionBattery.Charging.ChargeRate
float degrees/s AngularVelocity.Pitch AngularVelocity.Roll AngularVelocity.Yaw Chassis.Axle.*.Wheel.*.AngularSpeed
float m/s^2 Acceleration.Lateral Acceleration.Longitudinal Acceleration.Vertical
float degrees Chassis.Axle.*.SteeringAngle
float Celsius Cabin.HVAC.AmbientAirTemperature Cabin.HVAC.Station.*.*.Temperature Chassis.Axle.*.Wheel.*.Tire.AirTemperature Chassis.Axle.*.Wheel.*.Tire.RubberTemperature Chassis.Axle.*.Wheel.*.Tire.Temperature Powertrain.CombustionEngine.DieselParticulateFilter.InletTemperature Powertrain.CombustionEngine.DieselParticulateFilter.OutletTemperature Powertrain.ElectricMotor.EngineCoolant.Temperature Powertrain.ElectricMotor.Temperature Powertrain.TractionBattery.Charging.Temperature Powertrain.TractionBattery.DCDC.Temperature Powertrain.TractionBattery.Temperature.Average Powertrain.TractionBattery.Temperature.Max Powertrain.TractionBattery.Temperature.Min Powertrain.Transmission.Temperature
float Pa Powertrain.CombustionEngine.DieselParticulateFilter.DeltaPressure
float percent Exterior.Humidity Exterior.LightIntensity Powertrain.TractionBattery.StateOfCharge.Current Powertrain.TractionBattery.StateOfCharge.Displayed Powertrain.TractionBattery.StateOfHealth Powertrain.Transmission.ClutchEngagement Powertrain.Transmission.TorqueDistribution
float V LowVoltageBattery.CurrentVoltage Powertrain.TractionBattery.CurrentVoltage Powertrain.TractionBattery.CellVoltage.Max Powertrain.TractionBattery.CellVoltage.Min Powertrain.TractionBattery.Charging.ChargeVoltage.*
float A LowVoltageBattery.CurrentCurrent Powertrain.TractionBattery.CurrentCurrent Powertrain.TractionBattery.Charging.ChargeCurrent.*
float W Powertrain.TractionBattery.CurrentPower Powertrain.TractionBattery.PowerLoss Powertrain.TractionBattery.Charging.PowerLoss
float kW Powertrain.TractionBattery.Charging.AveragePower Powertrain.TractionBattery.Charging.MaxPower
float kWh Powertrain.AccumulatedBrakingEnergy Powertrain.TractionBattery.AccumulatedChargedEnergy Powertrain.TractionBattery.AccumulatedConsumedEnergy Powertrain.TractionBattery.StateOfCharge.CurrentEnergy
float l Powertrain.FuelSystem.AbsoluteLevel Powertrain.FuelSystem.ConsumptionSinceStart
float l/100km Powertrain.FuelSystem.AverageConsumption Powertrain.FuelSystem.InstantConsumption
float h Powertrain.CombustionEngine.EngineHours Powertrain.CombustionEngine.IdleHours Powertrain.ElectricMotor.TimeInUse
float s TripDuration
float km Service.DistanceToService Powertrain.Transmission.TravelledDistance
float rpm Powertrain.ElectricMotor.Speed
int percent Body.Hood.Position Body.Trunk.*.Position Body.Windshield.*.WasherFluid.Level Cabin.Door.*.*.Window.Position Cabin.Sunroof.Position Chassis.Accelerator.PedalPosition Chassis.Brake.PedalPosition Chassis.Axle.*.Wheel.*.Brake.FluidLevel Chassis.Axle.*.Wheel.*.Brake.PadWear Powertrain.CombustionEngine.DieselExhaustFluid.Level Powertrain.CombustionEngine.TPS Powertrain.FuelSystem.RelativeLevel Powertrain.TractionBattery.Charging.ChargeLimit Powertrain.Transmission.ClutchWear
int kPa Chassis.Axle.*.Wheel.*.Tire.Pressure Powertrain.CombustionEngine.EOP
int degrees Chassis.SteeringWheel.Angle
int Nm Powertrain.CombustionEngine.Torque Powertrain.ElectricMotor.Torque
int kW Powertrain.CombustionEngine.Power Powertrain.ElectricMotor.Power
int g/s Powertrain.CombustionEngine.MAF
int m TraveledDistanceSinceStart TripMeterReading Powertrain.Range Powertrain.FuelSystem.Range Powertrain.TractionBattery.Range Powertrain.CombustionEngine.DieselExhaustFluid.Range
int s Powertrain.FuelSystem.TimeRemaining Powertrain.TractionBattery.TimeRemaining Powertrain.TractionBattery.Charging.TimeToComplete Service.TimeToService
int kg CurrentOverallWeight
int - Powertrain.Transmission.SelectedGear
bool - ADAS.ABS.IsEngaged ADAS.ESC.IsEngaged ADAS.CruiseControl.IsActive ADAS.CruiseControl.IsEnabled Body.Hood.IsOpen Body.Trunk.*.IsOpen Body.Trunk.*.IsLocked Body.Lights.Beam.*.IsOn Body.Lights.DirectionIndicator.*.IsSignaling Body.Lights.Hazard.IsSignaling Body.Lights.Parking.IsOn Cabin.Door.*.*.IsOpen Cabin.Door.*.*.IsLocked Cabin.HVAC.IsAirConditioningActive Chassis.ParkingBrake.IsEngaged Chassis.Axle.*.Wheel.*.Tire.IsPressureLow IsMoving Powertrain.CombustionEngine.IsRunning Powertrain.CombustionEngine.DieselExhaustFluid.IsLevelLow Powertrain.FuelSystem.IsFuelLevelLow Powertrain.TractionBattery.Charging.IsCharging Powertrain.TractionBattery.Charging.ChargingPort.*.IsChargingCableConnected Powertrain.Transmission.IsParkLockEngaged Service.IsServiceDue Trailer.IsConnected
`

// Declared returns what the path of a signal says of it: of the table, or of
// the VSS core tree; false for a path that neither has.
func Declared(path string) (Signal, bool) {
	if s, ok := Lookup(path); ok {
		return *s, true
	}
	below, ok := strings.CutPrefix(path, "Vehicle.")
	if !ok {
		return Signal{}, false
	}
	for line := range strings.Lines(corePaths) {
		words := strings.Fields(line)
		for i := 2; i < len(words); i++ {
			if samePath(words[i], below) {
				s := Signal{Name: path, Unit: strings.Trim(words[1], "-"), Kind: KindFloat}
				switch words[0] {
				case "int":
					s.Kind = KindInt
				case "bool":
					s.Kind = KindBool
				}
				return s, true
			}
		}
	}
	return Signal{}, false
}

// samePath reports whether a path is one of a pattern's instances.
func samePath(pattern, path string) bool {
	for {
		p, restP, moreP := strings.Cut(pattern, ".")
		w, rest, more := strings.Cut(path, ".")
		if p != w && (p != "*" || w == "") || moreP != more {
			return false
		}
		if !more {
			return true
		}
		pattern, path = restP, rest
	}
}

// CorePaths returns the paths of the VSS core tree that Declared knows beside
// the table. Where one has an instance it has that of the path like.
func CorePaths(like string) (all []string) {
	instance := strings.Split(like, ".")
	for line := range strings.Lines(corePaths) {
		words := strings.Fields(line)
		for i := 2; i < len(words); i++ {
			parts := strings.Split("Vehicle."+words[i], ".")
			for j := range parts {
				if parts[j] == "*" && j < len(instance) {
					parts[j] = instance[j]
				}
			}
			all = append(all, strings.Join(parts, "."))
		}
	}
	return all
}
