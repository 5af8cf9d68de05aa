//go:build linux && (amd64 || arm64)

package crashdisk

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"path/filepath"
)

// Image is the content of a disk at rest.
type Image struct {
	Dirs  map[uint64]map[string]uint64 // directory → name → inode
	Files map[uint64][]byte            // inode → content; without a name it is lost
}

func (m *Image) clone() Image {
	out := Image{Dirs: map[uint64]map[string]uint64{}, Files: map[uint64][]byte{}}
	for ino, names := range m.Dirs {
		out.Dirs[ino] = maps.Clone(names)
	}
	for ino, data := range m.Files {
		out.Files[ino] = bytes.Clone(data)
	}
	return out
}

// WriteTo writes the image into an existing directory, which is emptied first.
func (m *Image) WriteTo(dir string) error {
	old, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("write image: %w", err)
	}
	for _, e := range old {
		if err := os.RemoveAll(filepath.Join(dir, e.Name())); err != nil {
			return fmt.Errorf("write image: %w", err)
		}
	}
	return m.writeDir(Root, dir)
}

func (m *Image) writeDir(ino uint64, path string) error {
	for name, child := range m.Dirs[ino] {
		at := filepath.Join(path, name)
		if _, ok := m.Dirs[child]; ok {
			if err := os.Mkdir(at, 0o700); err != nil {
				return fmt.Errorf("write image: %w", err)
			}
			if err := m.writeDir(child, at); err != nil {
				return err
			}
			continue
		}
		if err := writeSparse(at, m.Files[child]); err != nil {
			return fmt.Errorf("write image: %w", err)
		}
	}
	return nil
}

// writeSparse leaves out what is zero.
func writeSparse(path string, data []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := f.Truncate(int64(len(data))); err != nil {
		return err
	}
	const block = 16 << 10
	var zero [block]byte
	for off := 0; off < len(data); {
		end := min(off+block, len(data))
		if bytes.Equal(data[off:end], zero[:end-off]) {
			off = end
			continue
		}
		for end < len(data) && !bytes.Equal(data[end:min(end+block, len(data))], zero[:min(block, len(data)-end)]) {
			end = min(end+block, len(data))
		}
		if _, err := f.WriteAt(data[off:end], int64(off)); err != nil {
			return err
		}
		off = end
	}
	return nil
}
