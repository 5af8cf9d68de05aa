package uplink_test

import (
	"errors"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"obu/uplink"
)

// TestTLSFileThatIsNone names a pipe and an endless device as certificates:
// reading one would never end, and with it neither would Connect, whatever its
// context says.
func TestTLSFileThatIsNone(t *testing.T) {
	ca := newAuthority(t, "ca")
	cert, key := ca.issue("u1", -time.Hour, time.Hour)
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, files := range map[string]uplink.TLS{
		"ca":     {CAFile: pipe},
		"cert":   {CAFile: ca.file, CertFile: pipe, KeyFile: key},
		"key":    {CAFile: ca.file, CertFile: cert, KeyFile: pipe},
		"device": {CAFile: "/dev/zero"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := uplink.Connect(t.Context(), uplink.SessionConfig{Broker: "mqtts://127.0.0.1:1", ClientID: "u1", TLS: files})
			if !errors.Is(err, uplink.ErrTLSFiles) || !strings.Contains(err.Error(), "is no file") {
				t.Errorf("%v, want %v and why", err, uplink.ErrTLSFiles)
			}
		})
	}
}
