package buffer_test

import (
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"

	"obu/buffer"
)

// The test binary is its own child: a verifier, or a writer to be killed.
const (
	childMode   = "OBU_BUFFER_CHILD"
	childVerify = "verify"
	childWriter = "writer"

	childCrashLife   = "crash-life"
	childCrashWorker = "crash-worker"
)

func TestMain(m *testing.M) {
	switch os.Getenv(childMode) {
	case childVerify:
		if err := buffer.VerifyFile(os.Args[len(os.Args)-1]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	case childWriter:
		writerChild()
	case childCrashLife:
		lifeChild()
	case childCrashWorker:
		workerChild()
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

// verifier is the command for Options.Verify. A race-built child would sleep a
// second at its exit.
func verifier() []string {
	return []string{"/usr/bin/env", "GORACE=atexit_sleep_ms=0", childMode + "=" + childVerify, os.Args[0]}
}
