package uplink

import (
	"fmt"
	"io"
	"os"
)

// maxPEM bounds a file of certificates: those of a whole system are 220 KB.
const maxPEM = 2 << 20

// readPEM reads one file of a TLS session. Reading a pipe or a device might
// never end, and nothing could stop it.
func readPEM(path string) ([]byte, error) {
	st, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !st.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is no file", path)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	pem, err := io.ReadAll(io.LimitReader(f, maxPEM+1))
	if err == nil && len(pem) > maxPEM {
		err = fmt.Errorf("%s is larger than %d bytes", path, maxPEM)
	}
	return pem, err
}
