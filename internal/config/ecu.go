package config

// ECU is one control unit to ask by UDS.
type ECU struct {
	// Name of the ECU in `obu status`.
	Name string `key:"name" example:"bms" check:"name" required:"give the ECU a name, for example bms"`
	// Identifier it is asked with, as hexadecimal digits: 700 to 7E7 without 7DF, 7F0 to 7FF, or 18DAxxF1.
	Request CANID `key:"request" example:"7E4" required:"it is the identifier the ECU is asked with, for example 7E4 or 18DA10F1"`
	// Identifier of its answers. Without it: request plus 8, or 18DAF1xx.
	Response CANID `key:"response" example:"7EC"`
	// Whether a byte with an address stands in front of each frame: extended or
	// mixed, and the byte.
	Addressing string  `key:"addressing" default:"normal" oneof:"normal extended mixed"`
	Address    HexByte `key:"address" default:"00"`
	// How often to ask for each DID.
	Period Duration `key:"period" default:"10s" min:"50ms" max:"1h"`
	// How many DIDs of known length are asked for in one request; an ECU that does
	// not take several is asked for one at a time.
	DIDsPerRequest int `key:"dids_per_request" default:"3" min:"1" max:"3"`
	// Values to ask for (service 22).
	DIDs []DID `key:"dids"`
	// Trouble codes (service 19), told when one comes, goes or changes. dtc: true is
	// short for all of it.
	DTC UDSCodes `key:"dtc"`
}

// DID is one identifier of an ECU's data.
type DID struct {
	// Four hexadecimal digits, for example F190 for the VIN.
	DID DIDNumber `key:"did" example:"0101" required:"write four hexadecimal digits, for example F190 for the VIN"`
	// How many bytes of data it has. It is needed to ask for several in one
	// request, and to read it in the snapshot of a trouble code.
	Length int `key:"length" example:"59" min:"1" max:"4092"`
	// How often to ask for this one.
	Period Duration `key:"period" example:"1s" min:"50ms" max:"1h"` // 0: ECU.Period
	// true: send a value only when it differs from the one before.
	OnChange bool `key:"on_change" default:"false"`
	// What its bytes mean. Without signals they are sent as they are; where a file of
	// dbc explains the answers it does, and these are not needed.
	Signals []DIDSignal `key:"signals"`
}

// DIDSignal is one quantity in the data of a DID.
type DIDSignal struct {
	// Name, a path of VSS where there is one.
	Name string `key:"name" example:"Vehicle.Powertrain.TractionBattery.StateOfCharge.Current" check:"signal" required:"it names the value, for example Vehicle.Powertrain.TractionBattery.StateOfCharge.Current"`
	// What the bits are: number, float (IEEE 754), text, bytes as they are, or bits
	// as digits 0 and 1.
	Type string `key:"type" default:"number" oneof:"number float text bytes bits"`
	// Where it begins, counted from 0 behind the DID.
	Byte int `key:"byte" default:"0" min:"0" max:"4091"`
	// How many bytes it has. Without it: one, of text and bytes all the rest.
	Bytes int `key:"bytes" example:"2" min:"1" max:"4092"`
	// In place of bytes: how many bits, if not 0, and its highest one in that byte,
	// 7 to 0 (with byte_order: little its lowest).
	Bits int    `key:"bits" default:"0" min:"0" max:"64"`
	Bit  Number `key:"bit" example:"7"`
	// big: the first byte is the highest, as usual in UDS.
	ByteOrder string `key:"byte_order" default:"big" oneof:"big little"`
	// true: the highest bit is the sign.
	Signed bool `key:"signed" default:"false"`
	// Value = raw * scale + offset.
	Scale  Number `key:"scale" example:"0.5"`
	Offset Number `key:"offset" example:"-40"`
	// Unit of the value. It may be left out for a name that has one.
	Unit string `key:"unit" example:"percent"`
}

// UDSCodes is how an ECU is asked for its trouble codes.
type UDSCodes struct {
	// true: they are asked for.
	Enabled bool `key:"enabled" default:"false"`
	// How often.
	Period Duration `key:"period" default:"60s" min:"5s" max:"1h"`
	// Which ones: those with one of these bits in their status (ISO 14229-1), 09:
	// failing now, or confirmed.
	Mask HexByte `key:"mask" default:"09"`
	// What the ECU measured when a new one was stored.
	Snapshot bool `key:"snapshot" default:"true"`
	// What else it counts about it; bytes as they are.
	Extended bool `key:"extended" default:"false"`
}
