//go:build !linux

package gps

import "errors"

func openPPS(string) (func() (stamps, error), func(), error) {
	return nil, nil, errors.New("a PPS device needs Linux")
}
