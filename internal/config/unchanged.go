package config

import (
	"net/url"
	"reflect"
	"strings"
)

// ExampleValue is a setting that was left as Example has it although each unit
// needs its own. It is no mistake: obu check names it.
type ExampleValue struct {
	Path  string // key with its sections: uplink.broker
	Value string // as it is in force
	Origin
}

// ExampleValues returns the settings that still have the example's value: the
// unit's name, the broker and the names of TLS. In the order of the file.
func (c *Config) ExampleValues() []ExampleValue {
	values := map[string]string{"unit": c.Unit, "uplink.client_id": c.Uplink.ClientID, "uplink.broker": c.Uplink.Broker}
	if t := c.Uplink.TLS; t != nil {
		values["uplink.tls.server_name"] = t.ServerName
	}
	var out []ExampleValue
	walkSchema(reflect.TypeFor[Config](), "", func(section, key string) {
		path := child(section, key)
		if v := values[path]; IsExample(path, v) {
			out = append(out, ExampleValue{path, v, c.origin[path]})
		}
	})
	return out
}

// IsExample reports whether value is what Example shows for the setting at
// path (unit, uplink.client_id, uplink.broker, uplink.tls.server_name): a unit
// called unit-0001, or a host below example.com, which nobody has (RFC 2606).
func IsExample(path, value string) bool {
	host := value
	switch path {
	case "unit", "uplink.client_id":
		return value == "unit-0001"
	case "uplink.broker":
		u, err := url.Parse(value)
		if err != nil {
			return false
		}
		host = u.Hostname()
	case "uplink.tls.server_name":
	default:
		return false
	}
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	return host == "example.com" || strings.HasSuffix(host, ".example.com")
}
