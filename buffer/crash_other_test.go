//go:build !linux || !(amd64 || arm64)

package buffer_test

// The file systems of the tests do not build for 32 bits.
func lifeChild() {}

func workerChild() {}

func badDiskChild() {}
