package buffer_test

import (
	"os"
	"testing"

	"go.uber.org/goleak"
)

// The test binary is its own child: a writer to be killed.
const (
	childMode   = "OBU_BUFFER_CHILD"
	childWriter = "writer"

	childCrashLife   = "crash-life"
	childCrashWorker = "crash-worker"

	childBadDisk = "bad-disk"
)

func TestMain(m *testing.M) {
	switch os.Getenv(childMode) {
	case childWriter:
		writerChild()
	case childCrashLife:
		lifeChild()
	case childCrashWorker:
		workerChild()
		os.Exit(0)
	case childBadDisk:
		badDiskChild()
	}
	goleak.VerifyTestMain(m)
}
