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
	"unicode/utf16"
	"unicode/utf8"
)

// maxFile bounds a configuration file; a real one has some kilobytes, and the
// YAML parser's time grows with the square.
const maxFile = 64 << 10

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

// readFile reads one file as text.
func readFile(path string) (string, *Error) {
	fail := func(what, cure string) (string, *Error) {
		return "", &Error{File: path, Problem: what, Cure: cure, Err: ErrUnreadable}
	}
	f, err := os.Open(path)
	if err == nil {
		defer f.Close()
		var data []byte
		if data, err = io.ReadAll(io.LimitReader(f, maxFile+1)); err == nil {
			return decodeText(path, data)
		}
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fail("there is no such file", fmt.Sprintf("make one with `obu config example > %s`, or name another one with -c", path))
	case errors.Is(err, fs.ErrPermission):
		return fail("no permission to read it", fmt.Sprintf("the agent runs as its own user: `chgrp obu %[1]s && chmod 640 %[1]s`", path))
	}
	if info, statErr := os.Stat(path); statErr == nil && info.IsDir() {
		return fail("it is a folder", fmt.Sprintf("name the file in it, for example %s", filepath.Join(path, "obu.yaml")))
	}
	return fail(fmt.Sprintf("it cannot be read: %v", err), "check the disk it is on, with `dmesg` for example")
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
		case e.IsDir() || strings.HasPrefix(e.Name(), "."):
		case strings.HasSuffix(e.Name(), ".yaml"):
			files = append(files, name)
		case strings.HasSuffix(e.Name(), ".yml"):
			wrong = append(wrong, &Error{File: name, Problem: "only files that end in .yaml are read here",
				Cure: fmt.Sprintf("`mv %s %s`, or remove it", name, strings.TrimSuffix(name, "yml")+"yaml")})
		}
	}
	return files, wrong
}
