package config

// Plain returns a copy without the memory of where values came from.
func Plain(c *Config) Config {
	out := *c
	out.origin, out.first = nil, source{}
	return out
}

// Render is what SaveLastGood writes.
func Render(c *Config) string { return render(c, renderOptions{}) }
