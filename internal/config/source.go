package config

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"unicode/utf16"
	"unicode/utf8"
)

// maxFile bounds a configuration file; a real one has some kilobytes, and the
// YAML parser's time grows with the square.
const maxFile = 64 << 10

// maxOverlays bounds the files of path.d; a unit has a handful, and thousands
// are a script gone wrong.
const maxOverlays = 256

// source is the text of one file.
type source struct {
	rank  int // order of merging
	file  string
	lines []string // without line ends
}

// at returns an Error about a place in the file; line 0 means the whole file.
func (s source) at(line, column int, what, cure string) *Error {
	e := &Error{File: s.file, Line: line, Column: column, Problem: what, Cure: cure}
	if line < 1 || line > len(s.lines) {
		e.Line, e.Column = 0, 0
		return e
	}
	e.Text = masked(s.lines[line-1])
	return e
}

// masked returns a line without the password in it: complaints are logged and
// reported to the cloud.
func masked(line string) string {
	if host, rest, ok := strings.Cut(line, "://"); ok { // of an address: //user:password@
		if i := strings.LastIndexByte(rest, '@'); i >= 0 {
			line = host + "://" + Mask + rest[i:]
		}
	}
	i := strings.Index(line, "password")
	if i < 0 || strings.Contains(line[i:], "${") {
		return line
	}
	i += len("password")
	rest := strings.TrimLeft(line[i:], "\"' :=")
	if rest == "" {
		return line
	}
	return line[:len(line)-len(rest)] + Mask
}

// ReadBytes returns the beginning of a file that may be no valid configuration,
// as it stands: all that a configuration may have. It waits for nobody; what is
// no regular file is ErrUnreadable.
func ReadBytes(path string) ([]byte, error) {
	data, mode, err := readRegular(path)
	if err == nil && !mode.IsRegular() {
		err = fmt.Errorf("read %s: %w: it is no file", path, ErrUnreadable)
	}
	return data, err
}

// readFile reads one file as text. Only a regular file is read: a pipe waits
// for a writer for ever, and opening a device may start it.
func readFile(path string) (string, *Error) {
	fail := func(what, cure string) (string, *Error) {
		return "", &Error{File: path, Problem: what, Cure: cure, Err: ErrUnreadable}
	}
	data, mode, err := readRegular(path)
	switch {
	case err == nil && mode.IsRegular():
		return decodeText(path, data)
	case err == nil && mode.IsDir():
		return fail("it is a folder", fmt.Sprintf("name the file in it, for example %s", filepath.Join(path, "obu.yaml")))
	case err == nil:
		return fail(fmt.Sprintf("it is %s, not a file", kindOf(mode)), "put a plain text file, or a link to one, in its place")
	case errors.Is(err, fs.ErrNotExist):
		if target, err := os.Readlink(path); err == nil {
			return fail(fmt.Sprintf("it is a link to %s, which is not there", target), "put the file there (is its disk mounted?), or remove the link")
		}
		return fail("there is no such file", fmt.Sprintf("make one with `obu config example > %s`, or name another one with -c", path))
	case errors.Is(err, fs.ErrPermission):
		return fail("no permission to read it", fmt.Sprintf("the agent runs as its own user: `chgrp obu %[1]s && chmod 640 %[1]s`", path))
	}
	return fail(fmt.Sprintf("it cannot be read: %v", err), "check the disk it is on, with `dmesg` for example")
}

// readRegular reads at most maxFile and one byte of a regular file; of anything
// else it returns the mode alone, and has not opened it.
func readRegular(path string) ([]byte, fs.FileMode, error) {
	info, err := os.Stat(path)
	if err != nil || !info.Mode().IsRegular() {
		return nil, modeOf(info), err
	}
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0) // it may have been replaced meanwhile
	if err != nil {
		return nil, 0, err
	}
	defer f.Close()
	if info, err = f.Stat(); err != nil || !info.Mode().IsRegular() {
		return nil, modeOf(info), err
	}
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	return data, info.Mode(), err
}

func modeOf(info fs.FileInfo) fs.FileMode {
	if info == nil {
		return 0
	}
	return info.Mode()
}

// kindOf names what is not a regular file.
func kindOf(mode fs.FileMode) string {
	switch {
	case mode&fs.ModeNamedPipe != 0:
		return "a pipe (FIFO)"
	case mode&fs.ModeSocket != 0:
		return "a socket"
	case mode&fs.ModeDevice != 0:
		return "a device"
	}
	return "something else"
}

// decodeText turns what an editor saved into UTF-8 with plain line ends.
// Notepad's UTF-16 and byte order marks are understood.
func decodeText(path string, data []byte) (string, *Error) {
	if len(data) > maxFile {
		return "", &Error{File: path, Problem: fmt.Sprintf("it is larger than %s, so it is not a configuration", Size(maxFile)),
			Cure: "check that the right file is named", Err: ErrUnreadable}
	}
	switch {
	case bytes.HasPrefix(data, []byte{0xFF, 0xFE}):
		data = fromUTF16(data[2:], binary.LittleEndian)
	case bytes.HasPrefix(data, []byte{0xFE, 0xFF}):
		data = fromUTF16(data[2:], binary.BigEndian)
	default:
		data = bytes.TrimPrefix(data, []byte{0xEF, 0xBB, 0xBF})
	}
	text := strings.ReplaceAll(strings.ReplaceAll(string(data), "\r\n", "\n"), "\r", "\n")
	src := newSource(path, text)
	for i, line := range src.lines {
		if strings.IndexByte(line, 0) >= 0 {
			return "", &Error{File: path, Line: i + 1, Text: line, Problem: "the file contains zero bytes, so it is not a text file or is damaged",
				Cure: "write it again as UTF-8 text", Err: ErrUnreadable}
		}
		if utf8.ValidString(line) {
			continue
		}
		column := 1
		for _, r := range line {
			if r == utf8.RuneError {
				break
			}
			column++
		}
		return "", src.at(i+1, column, "a character here is not UTF-8", "save the file with the encoding UTF-8, or write the letter without its accent")
	}
	return text, nil
}

func fromUTF16(data []byte, order binary.ByteOrder) []byte {
	units := make([]uint16, 0, len(data)/2)
	for ; len(data) >= 2; data = data[2:] {
		units = append(units, order.Uint16(data))
	}
	return []byte(string(utf16.Decode(units)))
}

func newSource(file, text string) source {
	return source{file: file, lines: strings.Split(strings.TrimSuffix(text, "\n"), "\n")}
}

// Files returns where the configuration at path is read from: the file, the
// folder of what lies over it, and its files.
func Files(path string) []string {
	over, _ := overlays(path) // what is wrong with it Load has said
	return append([]string{path, path + ".d"}, over...)
}

// overlays returns the files of path.d in name order, and a complaint about
// each that its name keeps from being read.
func overlays(path string) (files []string, wrong Errors) {
	dir := path + ".d"
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, Errors{{File: dir, Problem: fmt.Sprintf("the folder cannot be read: %v", err),
			Cure: "its files are merged over " + path + ": give the agent's user permission to read the folder, or remove it", Err: ErrUnreadable}}
	}
	for _, e := range entries { // sorted by name
		name := filepath.Join(dir, e.Name())
		switch {
		case strings.HasPrefix(e.Name(), "."):
		case e.IsDir() && strings.HasSuffix(e.Name(), ".yaml"):
			wrong = append(wrong, &Error{File: name, Problem: "it is a folder, and only files are read here",
				Cure: fmt.Sprintf("move its files to %s and remove it", dir), Err: ErrUnreadable})
		case e.IsDir():
		case strings.HasSuffix(e.Name(), ".yaml"):
			files = append(files, name)
		case strings.HasSuffix(e.Name(), ".yml"):
			wrong = append(wrong, &Error{File: name, Problem: "only files that end in .yaml are read here",
				Cure: fmt.Sprintf("`mv %s %s`, or remove it", name, strings.TrimSuffix(name, "yml")+"yaml")})
		}
	}
	if len(files) > maxOverlays {
		return nil, Errors{{File: dir, Problem: fmt.Sprintf("there are %d files in it, more than the %d that are read", len(files), maxOverlays),
			Cure: "put the settings into fewer files; has a script written there again and again?", Err: ErrUnreadable}}
	}
	return files, wrong
}
