package config_test

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"obu/internal/config"
)

// TestWriteBytes: the file is replaced whole and private, whatever a power cut
// left beside it; what is no file there is an error at once, and the old one stays.
func TestWriteBytes(t *testing.T) {
	for _, tt := range []struct {
		name  string
		left  func(next string) error // what stands at PATH.new
		taken bool
	}{
		{"nothing", func(string) error { return nil }, true},
		{"the half of a write", func(next string) error { return os.WriteFile(next, []byte("half of something longer"), 0o644) }, true},
		{"a pipe", func(next string) error { return syscall.Mkfifo(next, 0o600) }, false},
		{"a folder", func(next string) error { return os.Mkdir(next, 0o700) }, false},
		{"a link", func(next string) error { return os.Symlink("elsewhere", next) }, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "book.json")
			if err := config.WriteBytes(path, []byte("old")); err != nil {
				t.Fatal(err)
			}
			if err := tt.left(path + ".new"); err != nil {
				t.Fatal(err)
			}
			err := config.WriteBytes(path, []byte("new"))
			want := "old"
			if tt.taken {
				want = "new"
			}
			got, rerr := os.ReadFile(path)
			if (err == nil) != tt.taken || rerr != nil || string(got) != want {
				t.Errorf("%v; holds %q (%v), want %q", err, got, rerr, want)
			}
			if st, err := os.Stat(path); err != nil || st.Mode() != 0o600 {
				t.Errorf("mode %v, %v", st.Mode(), err)
			}
			if _, err := os.Stat(filepath.Join(filepath.Dir(path), "elsewhere")); err == nil {
				t.Error("a link was followed")
			}
		})
	}
}
