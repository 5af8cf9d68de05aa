//go:build !linux

package link

import "net"

// Named is an interface that is known by its name; here there is none.
type Named struct{}

// New returns one that only returns ErrPlatform.
func New(string) *Named { return &Named{} }

// Find returns ErrPlatform.
func (*Named) Find() (*net.Interface, error) { return nil, ErrPlatform }

// Set returns ErrPlatform.
func (*Named) Set(Settings) error { return ErrPlatform }

// State returns ErrPlatform.
func (*Named) State() (State, error) { return State{}, ErrPlatform }
