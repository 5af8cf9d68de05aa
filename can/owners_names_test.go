package can_test

// owners are the names the collection has for the quantities of service 01.
var owners = buildOwners()

func buildOwners() map[string]owner {
	o := map[string]owner{
		"MIL": {signal: "IsMILOn"}, "DTC_CNT": {signal: "DTCCount"}, "CIM_SUP": {signal: "Status.IgnitionType"},
		"CIM_SUP_FLAG": {signal: "DriveCycleStatus.IgnitionType"},
		"FUELSYS1":     {signal: "FuelStatus", part: 1}, "FUELSYS2": {signal: "FuelStatus", part: 2},
		"AIR_STAT": {signal: "AirStatus"}, "OBDSUP": {signal: "OBD.Standard"}, "FUEL_TYP": {signal: "FuelTypeName"},
		"O2S12": {signal: "O2.Sensor2.Voltage"}, "SHRTFT11": {signal: "O2.Sensor2.ShortTermFuelTrim"},
		"O2S22": {signal: "O2.Sensor6.Voltage"}, "SHRTFT22": {signal: "O2.Sensor6.ShortTermFuelTrim"},
		"LAMBDA11_VOLT": {signal: "O2WR.Sensor1.Lambda"}, "O2S11_VOLT": {signal: "O2WR.Sensor1.Voltage"},
		"LAMBDA11_CURRENT": {signal: "O2WR.Sensor1.Lambda"}, "O2S11_CURRENT": {signal: "O2WR.Sensor1.Current", factor: 1000},
		"EVAP_VP": {signal: "EVAPVaporPressure", factor: 0.001}, "ODO": {signal: "TraveledDistance", factor: 0.001},
		"GEAR_RCMD": {signal: "RecommendedGear"}, "GEAR_SUP": {signal: "RecommendedGear", support: true},
		"GPL_STAT": {signal: "IsGlowPlugLampOn"}, "GPL_SUP": {signal: "IsGlowPlugLampOn", support: true},
		"N/D_STAT": {signal: "IsAutomaticInGear"}, "N/D_SUP": {signal: "IsAutomaticInGear", support: true},
		"N/G_STAT": {signal: "IsManualInGear"}, "N/G_SUP": {signal: "IsManualInGear", support: true},
		"PTO_STAT_AUX": {signal: "IsPTOOutputActive"}, "PTO_SUP": {signal: "IsPTOOutputActive", support: true},
		"TAC_A_CMD": {signal: "Throttle.A.Commanded"}, "CTAC_A_SUP": {signal: "Throttle.A.Commanded", support: true},
		"TAC_B_CMD": {signal: "Throttle.B.Commanded"}, "CTAC_B_SUP": {signal: "Throttle.B.Commanded", support: true},
		"TP_A_REL": {signal: "Throttle.A.Position"}, "RTP_A_SUP": {signal: "Throttle.A.Position", support: true},
		"TP_B_REL": {signal: "Throttle.B.Position"}, "RTP_B_SUP": {signal: "Throttle.B.Position", support: true},
		"HEV_MODE": {signal: "Hybrid.ChargingMode"}, "EHEV_MODE": {signal: "EnhancedChargingMode"},
		"FUEL_RATE_ALT": {signal: "Engine.FuelMassRate"}, "VFUEL_RATE": {signal: "Powertrain.FuelMassRate"}, "EXH_RATE": {signal: "Exhaust.MassFlow"},
	}
	for id, signal := range map[string]string{
		"LOAD_PCT": "EngineLoad", "ECT": "EngineCoolant.Temperature", "SHRTFT1": "ShortTermFuelTrim1", "LONGFT1": "LongTermFuelTrim1",
		"SHRTFT2": "ShortTermFuelTrim2", "LONGFT2": "LongTermFuelTrim2", "MAP": "CombustionEngine.MAP", "RPM": "CombustionEngine.Speed",
		"VSS": "Vehicle.Speed", "SPARKADV": "TimingAdvance", "IAT": "IntakeTemp", "MAF": "OBD.MAF", "TP": "OBD.ThrottlePosition",
		"RUNTM": "OBD.RunTime", "MIL_DIST": "DistanceWithMIL", "FRP": "FuelRailPressureDirect", "EGR_PCT": "CommandedEGR", "EGR_ERR": "EGRError",
		"EVAP_PCT": "CommandedEVAP", "FLI": "FuelLevel", "WARM_UPS": "WarmupsSinceDTCClear", "CLR_DIST": "DistanceSinceDTCClear",
		"BARO": "BarometricPressure", "CATEMP11": "Bank1.Temperature1", "CATEMP21": "Bank2.Temperature1", "CATEMP12": "Bank1.Temperature2",
		"CATEMP22": "Bank2.Temperature2", "VPWR": "ControlModuleVoltage", "LOAD_ABS": "AbsoluteLoad", "TP_R": "RelativeThrottlePosition",
		"AAT": "AirTemperature", "TP_B": "ThrottlePositionB", "APP_D": "AcceleratorPositionD", "APP_E": "AcceleratorPositionE",
		"TAC_PCT": "ThrottleActuator", "MIL_TIME": "RunTimeMIL", "CLR_TIME": "TimeSinceDTCCleared", "EVAP_VPA": "EVAPVaporPressureAbsolute",
		"STSO2FT1": "ShortTermO2Trim1", "LGSO2FT1": "LongTermO2Trim1", "STSO2FT2": "ShortTermO2Trim2", "LGSO2FT2": "LongTermO2Trim2",
		"BAT_SOC": "HybridBatteryRemaining", "TQ_ACT": "ActualTorque", "TQ_REF": "ReferenceTorque", "TQ_FR": "FrictionTorque",
	} {
		o[id] = owner{signal: signal}
	}
	for id, signal := range map[string]string{
		"MAFA": "MAF.A", "MAFB": "MAF.B", "ECT_1": "CoolantTemperature1", "ECT_2": "CoolantTemperature2",
		"IAT_11": "IntakeTemperature.Bank1Sensor1", "IAT_12": "IntakeTemperature.Bank1Sensor2", "IAT_13": "IntakeTemperature.Bank1Sensor3",
		"IAT_21": "IntakeTemperature.Bank2Sensor1", "IAT_22": "IntakeTemperature.Bank2Sensor2", "IAT_23": "IntakeTemperature.Bank2Sensor3",
		"BP_A_CMD": "A.CommandedBoostPressure", "BP_A_ACT": "A.BoostPressure", "BP_B_CMD": "B.CommandedBoostPressure", "BP_B_ACT": "B.BoostPressure",
		"BP_B": "B.BoostControl", "HEV_BATT_A": "Hybrid.BatteryCurrent", "HEV_BATT_V": "Hybrid.BatteryVoltage",
	} {
		o[id] = owner{signal: signal}
		o[id+"_SUP"] = owner{signal: signal, support: true}
	}
	o["BP_A"], o["BP_A_SUP"] = owner{signal: "A.BoostControl", strip: "BP_A_"}, owner{signal: "A.BoostControl", support: true}
	o["HEV_MODE_SUP"], o["EHEV_MODE_SUP"] = owner{signal: "Hybrid.ChargingMode", support: true}, owner{signal: "EnhancedChargingMode", support: true}
	for _, bank := range []string{"1", "2", "3", "4"} {
		for _, x := range []string{"A", "B"} {
			signal := "FuelSystem." + x + ".Bank" + bank + ".Use"
			o["FUELSYS"+x+"_B"+bank] = owner{signal: signal}
			o["FUELSYS"+x+"_B"+bank+"_SUP"] = owner{signal: signal, support: true}
		}
	}
	for i, sensor := range []string{"11", "12", "13", "14", "21", "22", "23", "24"} {
		o["O2S"+sensor+"_EXISTS"] = owner{signal: "OxygenSensorsIn2Banks", mask: 1 << i}
	}
	for _, m := range []string{"MIS", "FUEL", "CCM", "CAT", "HCAT", "EVAP", "AIR", "ACRF", "O2S", "HTR", "EGR"} {
		o[m+"_SUP"] = owner{signal: "Readiness.Supported", bit: m}
		o[m+"_RDY"] = owner{signal: "Readiness.Incomplete", bit: m}
		o[m+"_ENA"] = owner{signal: "DriveCycle.Enabled", bit: m}
		o[m+"_CMPL"] = owner{signal: "DriveCycle.Incomplete", bit: m}
	}
	for _, m := range []string{"ACRF", "EVAP", "HCAT"} {
		o[m+"CMPL"] = o[m+"_CMPL"]
	}
	return o
}
