package config

import (
	"fmt"
	"path/filepath"
)

const lastGoodFile = "last-good.yaml"

// SaveLastGood keeps a copy of a configuration that worked in dir, for
// LoadLastGood. The copy is resolved: it needs neither obu.yaml.d nor the
// environment, and holds their secrets, so only the agent's user may read it.
// It survives a power cut: the old copy is there until the new one is whole.
func SaveLastGood(dir string, c *Config) error {
	body := "# The last configuration this unit ran well with. It is used when the current one is wrong.\n" + render(c, renderOptions{})
	path := filepath.Join(dir, lastGoodFile)
	if old, mode, err := readRegular(path); err == nil && mode.IsRegular() && string(old) == body {
		return nil // spares the flash
	}
	if err := WriteBytes(path, []byte(body)); err != nil {
		return fmt.Errorf("save last good configuration: %w", err)
	}
	return nil
}

// LoadLastGood reads the copy that SaveLastGood left in dir. An agent that runs
// as a service falls back to it and reports what is wrong with the current
// configuration, because a remote unit must stay reachable.
func LoadLastGood(dir string) (*Config, error) {
	path := filepath.Join(dir, lastGoodFile)
	text, e := readFile(path)
	if e != nil {
		return nil, Errors{e}
	}
	return Parse(path, []byte(text), nil)
}
