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
// folder.
func ReadDatabase(path string) (*dbc.File, error) {
	data, err := ReadDatabaseBytes(path)
	if err != nil {
		return nil, err
	}
	return dbc.Parse(filepath.Base(path), data)
}

// ReadDatabaseBytes reads a DBC file as it is. It opens regular files alone: a pipe would wait for ever.
func ReadDatabaseBytes(path string) ([]byte, error) {
	fail := func(what string) ([]byte, error) { return nil, fmt.Errorf("%s: %w: %s", path, dbc.ErrFile, what) }
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
	return data, nil
}

// maxLeftOut bounds what is named of all that the databases of a bus lost.
const maxLeftOut = 20

// noteLeftOut names what could not be read of the databases.
func (s *Source) noteLeftOut() {
	for _, d := range s.cfg.Databases {
		if d.Bus != "" && d.Bus != s.cfg.Name {
			continue
		}
		f := d.Decoder.File()
		s.leftOutMore += f.More
		for _, w := range f.Warnings {
			if len(s.leftOut) < maxLeftOut {
				s.leftOut = append(s.leftOut, w.Error())
			} else {
				s.leftOutMore++
			}
		}
	}
}

// DatabaseOptions say how the DBC files of one bus are read.
type DatabaseOptions struct {
	Paths []string
	Names []dbc.Name                      // of VSS, for signals of any of the files
	Read  func(string) (*dbc.File, error) // nil: ReadDatabase

	Warn    func(dbc.Warning) // what is left out of a file
	Problem func(error)       // a file that cannot be used, a name that does not fit
}

// ReadDatabases reads and compiles the DBC files of one bus. What is wrong with
// one goes to Problem; the others are used, and a signal that cannot have its
// name under its own. unused are the names of signals that no file has.
func ReadDatabases(o DatabaseOptions) (all []Database, unused []dbc.Name) {
	if o.Read == nil {
		o.Read = ReadDatabase
	}
	used := make([]bool, len(o.Names))
	for _, path := range o.Paths {
		f, err := o.Read(path)
		if err != nil {
			o.Problem(err)
			continue
		}
		for _, before := range all {
			f.LeaveOut(before.Decoder.File())
		}
		for _, w := range f.Warnings {
			o.Warn(w)
		}
		if f.More > 0 {
			o.Warn(dbc.Warning{File: f.Name, Line: f.Warnings[len(f.Warnings)-1].Line, Text: fmt.Sprintf("%d more lines like these", f.More)})
		}
		for i, n := range o.Names {
			found, err := f.Apply(n)
			used[i] = used[i] || found
			if err != nil {
				o.Problem(fmt.Errorf("%s: %w", path, err))
			}
		}
		all = append(all, Database{Decoder: dbc.Compile(f)})
	}
	for i, n := range o.Names {
		if !used[i] {
			unused = append(unused, n)
		}
	}
	return all, unused
}
