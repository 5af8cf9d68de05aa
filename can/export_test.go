package can

var (
	AllowedRequest = allowedRequest
	AllowedFlow    = allowedFlow
	AllowedNetwork = allowedNetwork
)
