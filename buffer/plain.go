package buffer

import (
	"fmt"
	"io"
	"os"
)

// isFile reports what stands at path instead of a file, if so. Opening a pipe
// or a device might never end, and nothing could stop it. What is not there, or
// cannot be looked at, is left to whoever opens it.
func isFile(path string) error {
	info, err := os.Stat(path)
	switch {
	case err != nil || info.Mode().IsRegular():
		return nil
	case info.IsDir():
		return fmt.Errorf("%s is a folder: %w", path, ErrNoFile)
	}
	return fmt.Errorf("%s is a pipe or a device: %w", path, ErrNoFile)
}

// openFile opens a file for reading.
func openFile(path string) (*os.File, error) {
	if err := isFile(path); err != nil {
		return nil, err
	}
	return os.Open(path)
}

// readFile reads a small file whole.
func readFile(path string) ([]byte, error) {
	f, err := openFile(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(f)
}
