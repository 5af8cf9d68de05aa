package config

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
)

// WriteBytes replaces a small file that only the agent's user may read: after a
// power cut the old one is there, or the new one, and at most one PATH.new beside
// it, which the next call takes. A pipe in its place is an error, not a wait.
func WriteBytes(path string, body []byte) error {
	next := path + ".new"
	f, err := os.OpenFile(next, os.O_WRONLY|os.O_CREATE|os.O_TRUNC|syscall.O_NONBLOCK|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return err
	}
	err = f.Chmod(0o600) // one that was left behind may have another mode
	if err == nil {
		_, err = f.Write(body)
	}
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(next, path)
	}
	if err != nil {
		os.Remove(next)
		return err
	}
	d, err := os.Open(filepath.Dir(path)) // makes the rename durable
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
