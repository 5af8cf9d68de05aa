package config_test

import (
	"reflect"
	"testing"
	"time"

	"obu/internal/config"
)

const second = config.Duration(time.Second)

// wantSame compares two configurations by every setting.
func wantSame(t *testing.T, got, want *config.Config) {
	t.Helper()
	if !reflect.DeepEqual(config.Plain(got), config.Plain(want)) {
		t.Errorf("got\n%s\nwant\n%s", config.Show(got), config.Show(want))
	}
}
