//go:build !linux || !(amd64 || arm64)

package buffer_test

// The crash rig's file system does not build for 32 bits.
func lifeChild() {}

func workerChild() {}
