package main

import (
	"os"
	"runtime/debug"
)

// softMemory is what the agent's heap and stacks are kept below while that is
// possible, in bytes. Live it needs a quarter of it; a drain at full speed makes
// garbage of 70 MB without the limit and takes no more CPU with it
// (make drain). It is soft: nothing fails above it.
const softMemory = 40 << 20

// limitMemory sets the limit, unless GOMEMLIMIT says another one.
func limitMemory() {
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(softMemory)
	}
}
