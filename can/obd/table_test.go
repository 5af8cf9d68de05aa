package obd_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"obu/can/obd"
	"obu/telemetry"
)

// rawPIDs are the PIDs up to D3 that stay raw, and why. Everything else that
// SAE J1979-DA gives out is read.
var rawPIDs = map[byte]string{
	0xA3: "the step of its wide range is not public",
	0xA7: "size differs between public sources (4 or 9 bytes)",
	0xA8: "size differs between public sources (4 or 9 bytes)",
	0xC3: "public sources name it (fuel level A/B) and give no layout",
	0xC4: "public sources name it (particulate control times) and give no layout",
	0xC5: "public sources name it (fuel pressure A/B) and give no layout",
	0xC6: "public sources name it (particulate control counters) and give no layout",
	0xC7: "public sources name it (distance since reflash) and give no layout",
	0xC8: "public sources name it (NOx and particulate warning lamp) and give no layout",
}

// TestRawPIDs: a PID is read, or it is listed with the reason why not, or no
// public edition of the standard gives it a meaning.
func TestRawPIDs(t *testing.T) {
	unassigned := map[byte]bool{0x95: true, 0x96: true, 0x97: true, 0xB0: true, 0xB1: true, 0xC1: true, 0xC2: true}
	for pid := 0xAB; pid <= 0xAF; pid++ {
		unassigned[byte(pid)] = true
	}
	for pid := 0xB3; pid <= 0xBF; pid++ {
		unassigned[byte(pid)] = true
	}
	for pid := 0xC9; pid <= 0xD1; pid++ {
		unassigned[byte(pid)] = true
	}
	read := 0
	for pid := 0; pid <= 0xD3; pid++ {
		why, raw := rawPIDs[byte(pid)]
		if obd.HasFormula(byte(pid)) == (raw || unassigned[byte(pid)]) {
			t.Errorf("PID %02X: has a formula %v, listed as raw %q, unassigned %v", pid, obd.HasFormula(byte(pid)), why, unassigned[byte(pid)])
		}
		if obd.HasFormula(byte(pid)) {
			read++
		} else if raw {
			t.Logf("PID %02X stays raw: %s", pid, why)
		}
	}
	t.Logf("%d of %d PIDs are read", read, 0xD4-len(unassigned))
}

// TestFieldsLieWithin: no field reaches beyond the bytes of its PID, and an
// answer with every bit set is read whole, in range.
func TestFieldsLieWithin(t *testing.T) {
	for pid := range 256 {
		if !obd.HasFormula(byte(pid)) {
			continue
		}
		for _, fill := range []byte{0x00, 0x01, 0x7F, 0x80, 0xFE} {
			data := make([]byte, 2+obd.Size(byte(pid)))
			for i := range data {
				data[i] = fill
			}
			data[0], data[1] = 0x41, byte(pid)
			rs, err := obd.Decode(nil, data)
			if err != nil || len(rs) != len(obd.Signals(byte(pid))) {
				t.Errorf("PID %02X filled with %02X: %s, %v; want %d readings", pid, fill, show(rs), err, len(obd.Signals(byte(pid))))
			}
			for _, r := range rs {
				if r.Signal.Kind == telemetry.KindFloat && !r.Signal.InRange(r.Value.Float()) {
					t.Errorf("PID %02X filled with %02X: %s is %v, beyond %v to %v", pid, fill, r.Signal.Name, r.Value, r.Signal.Min, r.Signal.Max)
				}
			}
		}
	}
}

// TestSensorPIDs pins an answer of each layout of the PIDs with support bits,
// and of the ones that are easily read wrong.
func TestSensorPIDs(t *testing.T) {
	for _, c := range []struct{ payload, want string }{
		{"41 06 7C 84", "ShortTermFuelTrim1=-3.125 ShortTermFuelTrim3=3.125"},
		{"41 55 80 81", "ShortTermO2Trim1=0 ShortTermO2Trim3=0.78125"},
		{"41 06 7C 00", "ShortTermFuelTrim1=-3.125"},
		{"41 14 9C 80", "Voltage=0.78 ShortTermFuelTrim=0"},
		{"41 1D FF", "OxygenSensorsIn4Banks=255"},
		{"41 22 00 64", "FuelRailPressureVac=7.9"},
		{"41 23 01 5B", "FuelRailPressureDirect=3470"},
		{"41 24 80 00 7F FF", "Lambda=1 Voltage=3.9979258174719376"},
		{"41 3B 80 00 7F 00", "Lambda=1 Current=-0.001"},
		{"41 2D 00", "EGRError=-100"},
		{"41 32 FF 2C", "EVAPVaporPressure=-53"},
		{"41 54 80 00", "EVAPVaporPressureAlternate=-32768"},
		{"41 41 00 0F 21 20", "IgnitionType=COMPRESSION Enabled=MIS,FUEL,CCM,HCCAT,EGS Incomplete=EGS"},
		{"41 41 00 77 E1 A1", "IgnitionType=SPARK Enabled=MIS,FUEL,CCM,CAT,O2S,HTR,EGR Incomplete=MIS,FUEL,CCM,CAT,O2S,EGR"},
		{"41 4F 02 08 80 19", "MaxEquivalenceRatio=2 MaxO2Voltage=8 MaxO2Current=128 MaxMAP=250"},
		{"41 50 41 00 00 00", "MaxMAF=650"},
		{"41 5D 69 00", "FuelInjectionTiming=0"},
		{"41 5F 11", "EmissionStandard=EURO VI"},
		{"41 64 7D 7E 7F 80 FF", "Idle=0 Point2=1 Point3=2 Point4=3 Point5=130"},
		{"41 65 1F 6A", "IsPTOOutputActive=false IsAutomaticInGear=true IsManualInGear=false IsGlowPlugLampOn=true RecommendedGear=6"},
		{"41 66 01 00 53 00 00", "A=2.59375 B=0!unsupported"},
		{"41 67 03 4F 24", "CoolantTemperature1=39 CoolantTemperature2=-4"},
		{"41 69 07 80 80 80 00 00 00", "Commanded=50.19607843137255 Actual=50.19607843137255 Error=0 Commanded=0!unsupported Actual=0!unsupported Error=-100!unsupported"},
		{"41 6B 11 FF 00 00 00", "Bank1Sensor1=980 Bank1Sensor2=-40!unsupported Bank2Sensor1=-40!unsupported Bank2Sensor2=-40!unsupported"},
		{"41 6B 20 00 28 00 00", "Bank1Sensor1=-40!unsupported Bank1Sensor2=120 Bank2Sensor1=-40!unsupported Bank2Sensor2=-40!unsupported"},
		{"41 6D 07 01 00 00 80 50 00 00 00 00 00", "CommandedPressure=2560 Pressure=1280 Temperature=40 CommandedPressure=0!unsupported Pressure=0!unsupported Temperature=-40!unsupported"},
		{"41 6F 04 10 00", "CompressorInletPressure=128 CompressorInletPressure=0!unsupported"},
		{"41 70 07 0C 9C 0C A3 00 00 00 00 01", "CommandedBoostPressure=100.875 BoostPressure=101.09375 CommandedBoostPressure=0!unsupported BoostPressure=0!unsupported BoostControl=OL BoostControl=RESERVED!unsupported"},
		{"41 74 01 10 00 00 00", "Speed=40960 Speed=0!unsupported"},
		{"41 75 0F 40 50 13 88 0F A0", "CompressorInletTemperature=24 CompressorOutletTemperature=40 TurbineInletTemperature=460 TurbineOutletTemperature=360"},
		{"41 7A 01 FF FF 00 00 00 00", "DeltaPressure=-0.01 InletPressure=0!unsupported OutletPressure=0!unsupported"},
		{"41 7D 05", "NOxNTEStatus=INSIDE,CARVE-OUT"},
		{"41 7F 01 00 01 00 00 00 00 00 00 00 00 00 00", "TotalRunTime=65536 TotalIdleTime=0!unsupported TotalPTOTime=0!unsupported"},
		{"41 83 01 00 7B 00 00", "Bank1Sensor1=123 Bank1Sensor2=0!unsupported"}, // an older edition: two sensors
		{"41 85 0F 00 C8 01 90 80 00 00 00 3C", "AverageConsumption=1 DemandedConsumption=2 TankLevel=50.19607843137255 NOxWarningTime=60"},
		{"41 88 81 12 34 00 01 00 02 00 03 00 04 00 05", "Inducement=LEVEL LOW,INDUCEMENT InducementHistory10=WRONG REAGENT InducementHistory20=LEVEL LOW InducementHistory30=CONSUMPTION InducementHistory40=LEVEL LOW,WRONG REAGENT Active10=1 Block10=2 Active20=3 Active30=4 Active40=5"},
		{"41 8B 13 03 80 00 00 00 00", "IsRegenerating=true IsRegenerationActive=true IsRegenerating=false!unsupported IsDesulfurizing=false!unsupported RegenerationTrigger=50.19607843137255 RegenerationInterval=0!unsupported RegenerationDistance=0!unsupported"},
		{"41 8F 03 01 FF FF 00 00 00", "IsMeasuring=true IsRegenerating=false Output=-0.01 IsMeasuring=false!unsupported IsRegenerating=false!unsupported Output=0!unsupported"},
		{"41 90 0D 00 10", "DisplayStrategy=DISCRIMINATORY VehicleMIMode=CONTINUOUS IsReadinessIncomplete=false VehicleMITime=16"},
		{"41 92 03 01", "Supported=FP1,FIQ1 ClosedLoop=FP1"},
		{"41 94 03 0B 00 05 00 00 00 00 00 00 00 00", "IsWarningActive=true Inducement1=ENABLED Inducement2=ENABLED Inducement3=INACTIVE ReagentQualityTime=5 ReagentConsumptionTime=0!unsupported DosingTime=0!unsupported EGRValveTime=0!unsupported MonitoringTime=0!unsupported"},
		{"41 9A 07 00 3C 93 FF CB", "ChargingMode=CSM EnhancedChargingMode=CSM!unsupported BatteryVoltage=242.296875 BatteryCurrent=-5.3"},
		{"41 9D 00 0E 00 0E", "FuelMassRate=0.28 FuelMassRate=0.28"},
		{"41 9E 00 4A", "MassFlow=14.8"},
		{"41 A2 00 20", "CylinderFuelRate=1"},
		{"41 A4 03 30 05 DC", "CurrentGear=3 GearRatio=1.5"},
		{"41 A5 03 64 07 D0", "CommandedDosing=50 CycleUsage=1"},
		{"41 A9 01 01 00 00", "IsABSDisabled=true"},
		{"41 D2 03 FF 80", "CertifiedEnergy=100 CertifiedRange=50.19607843137255"},
		{"41 D3 00 00 00 0A", "TraveledDistance=1000"},
	} {
		rs, err := obd.Decode(nil, unhex(t, c.payload))
		if got := show(rs); got != c.want || err != nil {
			t.Errorf("%s: %s (%v)\nwant %s", c.payload, got, err, c.want)
		}
	}
}

// TestOtherServices pins answers of services 02 and 09, and broken ones.
func TestOtherServices(t *testing.T) {
	text := func(s string, size int) string { return fmt.Sprintf("%X", s+strings.Repeat("\x00", size-len(s))) }
	for _, c := range []struct{ payload, want string }{
		{"42 02 00 03 01", "FreezeDTC=P0301"},
		{"42 0C 00 1A F8", "Speed=1726"},
		{"42 00 00 7F F8 00 00", "PidsA=02,03,04,05,06,07,08,09,0A,0B,0C,0D"},
		{"42 C7 00 12", "PID02.C7=12"},
		{"49 00 55 40 00 00", "InfoTypes=02,04,06,08,0A"},
		{"49 04 02" + text("3G5906012AB", 16) + text("0001", 16), "CalibrationIDs=3G5906012AB,0001"},
		{"49 06 01 17 91 BC 82", "CVNs=1791BC82"},
		{"49 0A 01" + text("ECM\x00-EngineControl", 20), "Name=ECM-EngineControl"},
		{"49 08 03 04 00 0E 10 03 38", "InUseCounters=OBDCOND=1024,IGNCNTR=3600,CATCOMP1=824"},
		{"49 0B 03 04 00 0E 10 00 05", "InUseCounters=OBDCOND=1024,IGNCNTR=3600,HCCATCOMP=5"},
		{"49 08 03 04 00", "PID08=030400"},      // fewer than it says: as it stands
		{"49 04 01 41 42", "PID04=014142"},      //
		{"49 06 00", "PID06=00"},                //
		{"49 0D 01 41 42 43", "PID0D=01414243"}, // no reading for it
	} {
		rs, err := obd.Decode(nil, unhex(t, c.payload))
		got := show(rs)
		if len(rs) == 1 && strings.Contains(rs[0].Signal.Name, "Service02") {
			got = strings.Replace(got, "PID", "PID02.", 1)
		}
		if got != c.want || err != nil {
			t.Errorf("%s: %s (%v)\nwant %s", c.payload, got, err, c.want)
		}
	}
	for _, short := range []string{"42", "42 0C", "42 0C 00", "42 0C 00 1A", "49 04"} {
		if rs, err := obd.Decode(nil, unhex(t, short)); !errors.Is(err, obd.ErrShort) || len(rs) != 0 {
			t.Errorf("%s: %s, %v", short, show(rs), err)
		}
	}
}
