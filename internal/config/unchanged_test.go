package config_test

import (
	"slices"
	"strings"
	"testing"

	"obu/internal/config"
)

// TestUnchangedExampleIsNoticed: a copied example is valid and still nobody's
// configuration.
func TestUnchangedExampleIsNoticed(t *testing.T) {
	c, err := config.Parse("obu.yaml", []byte(config.Example()), nil)
	if err != nil {
		t.Fatal(err)
	}
	want := []config.ExampleValue{
		{Path: "unit", Value: "unit-0001", Origin: config.Origin{File: "obu.yaml", Line: lineOf(t, "unit: unit-0001")}},
		{Path: "uplink.broker", Value: "mqtts://broker.example.com:8883", Origin: config.Origin{File: "obu.yaml", Line: lineOf(t, "  broker: mqtts://broker.example.com:8883")}},
	}
	if got := c.ExampleValues(); !slices.Equal(got, want) {
		t.Errorf("got %v\nwant %v", got, want)
	}
	c.Uplink.TLS = &config.TLS{ServerName: "broker.example.com"}
	if got := c.ExampleValues(); len(got) != 3 || got[2].Path != "uplink.tls.server_name" {
		t.Errorf("got %v", got)
	}
	own := parse(t, "unit: unit-0002\nuplink:\n  broker: mqtt://10.0.0.1\n  client_id: unit-0001\n")
	if got := own.ExampleValues(); len(got) != 1 || got[0].Path != "uplink.client_id" || got[0].Line != 4 {
		t.Errorf("got %v", got)
	}
}

func lineOf(t *testing.T, want string) int {
	for i, line := range strings.Split(config.Example(), "\n") {
		if line == want {
			return i + 1
		}
	}
	t.Fatalf("no line %q in the example", want)
	return 0
}

func TestIsExample(t *testing.T) {
	for _, c := range []struct {
		path, value string
		want        bool
	}{
		{"unit", "unit-0001", true}, {"unit", "unit-0011", false}, {"unit", "", false}, {"vehicle", "van-17", false},
		{"uplink.broker", "mqtts://broker.example.com:8883", true}, {"uplink.broker", "mqtt://MQTT.Example.com.:1", true},
		{"uplink.broker", "mqtt://example.com:1883", true}, {"uplink.broker", "mqtt://notexample.com:1883", false},
		{"uplink.broker", "mqtt://example.com.evil.org:1883", false}, {"uplink.broker", "", false}, {"uplink.broker", "::", false},
	} {
		if got := config.IsExample(c.path, c.value); got != c.want {
			t.Errorf("IsExample(%s, %s) = %v", c.path, c.value, got)
		}
	}
}
