package can

var (
	IsTester       = isTester
	AllowedRequest = allowedRequest
	AllowedFlow    = func(f *Frame) bool { return allowedFlow(f, 0, false) }
	AllowedLongUDS = func(f *Frame) bool { return allowedFlow(f, 0, true) }
	AllowedAddress = allowedAddressed
	AllowedNetwork = allowedNetwork
)

const MaxLogFiles = maxLogFiles
