package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// checkSpool compares emissions with a spool and returns the sum.
func checkSpool(path, clipDir string, emissions []emission, countCopies bool) (total *account, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open spool: %w", err)
	}
	defer f.Close()
	offsets := make(map[string][]int64) // of the messages of each unit
	err = readSpool(f, func(offset int64, m message) error {
		if unit, kind, ok := topicParts(m.Topic); ok && stored(kind) {
			offsets[unit] = append(offsets[unit], offset)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	total = &account{}
	for _, e := range emissions {
		a, err := checkUnit(f, offsets[e.Unit], filepath.Join(clipDir, e.Unit), e, countCopies)
		if err != nil {
			return nil, fmt.Errorf("check %s: %w", e.Unit, err)
		}
		total.add(e.Unit, a)
		delete(offsets, e.Unit)
	}
	for unit, of := range offsets {
		total.Strange += len(of)
		total.problems.add("strange: %d messages of a unit %q that is not of this run", len(of), unit)
	}
	return total, nil
}

// checkUnit compares one car with its messages in the spool.
func checkUnit(f *os.File, offsets []int64, clipDir string, e emission, countCopies bool) (a *account, err error) {
	in, err := newIntake(clipDir)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, in.assembler.Close()) }()
	in.countCopies = countCopies
	for _, at := range offsets {
		m, _, err := readMessage(io.NewSectionReader(f, at, maxMessage))
		if err != nil {
			return nil, fmt.Errorf("read spool at byte %d: %w", at, err)
		}
		in.take(m)
	}
	return compare(e, in), nil
}
