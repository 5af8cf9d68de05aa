package can

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"obu/can/dbc"
)

// ReadDatabase reads and parses a DBC file. An error wraps dbc.ErrFile. Messages have its name without the
// folder. It opens regular files alone: a pipe would wait for ever.
func ReadDatabase(path string) (*dbc.File, error) {
	fail := func(what string) (*dbc.File, error) { return nil, fmt.Errorf("%s: %w: %s", path, dbc.ErrFile, what) }
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fail("there is no such file; correct the path, or copy the file there")
	case errors.Is(err, fs.ErrPermission):
		return fail("no permission to read it; chmod a+r it, and a+x the folders above")
	case err != nil:
		return fail(err.Error())
	case info.IsDir():
		return fail("it is a folder; name one file in it")
	case !info.Mode().IsRegular():
		return fail("it is no regular file; copy its content into one")
	case info.Size() > dbc.MaxFile:
		return fail(fmt.Sprintf("it has more than %d MiB; export the messages that are needed into a smaller file", dbc.MaxFile>>20))
	}
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrPermission) {
		return fail("no permission to read it; chmod a+r it")
	} else if err != nil {
		return fail(err.Error())
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, dbc.MaxFile+1))
	if err != nil {
		return fail(err.Error())
	}
	return dbc.Parse(filepath.Base(path), data)
}
