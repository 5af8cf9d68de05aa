package gps

import (
	"errors"
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// openPPS opens a PPS device of the kernel (include/uapi/linux/pps.h). Fetch
// waits for an edge.
func openPPS(path string) (fetch func() (stamps, error), hangUp func(), err error) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NONBLOCK|unix.O_NOCTTY, 0)
	switch {
	case err == nil:
	case errors.Is(err, unix.EACCES), errors.Is(err, unix.EPERM):
		return nil, nil, fmt.Errorf("%w: %w", ErrPPSPermission, err)
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ENXIO), errors.Is(err, unix.ENODEV):
		return nil, nil, fmt.Errorf("%w: %w", ErrNoPPS, err)
	default:
		return nil, nil, err
	}
	fetch = func() (stamps, error) { return fetchPPS(fd) }
	var params unix.PPSKParams
	if err := ppsControl(fd, unix.PPS_GETPARAMS, unsafe.Pointer(&params)); err != nil {
		unix.Close(fd)
		if errors.Is(err, unix.ENOTTY) || errors.Is(err, unix.EINVAL) {
			err = fmt.Errorf("%w: %w", ErrNotPPS, err)
		}
		return nil, nil, err
	}
	return fetch, func() { unix.Close(fd) }, nil
}

func fetchPPS(fd int) (stamps, error) {
	data := unix.PPSFData{Timeout: unix.PPSKTime{Nsec: int32(fetchFor)}}
	switch err := ppsControl(fd, unix.PPS_FETCH, unsafe.Pointer(&data)); {
	case errors.Is(err, unix.ETIMEDOUT), errors.Is(err, unix.EINTR):
		return stamps{}, errNoEdge
	case err != nil:
		return stamps{}, err
	}
	i := &data.Info
	return stamps{assertN: i.Assert_sequence, clearN: i.Clear_sequence,
		assert: i.Assert_tu.Sec*1e9 + int64(i.Assert_tu.Nsec), clear: i.Clear_tu.Sec*1e9 + int64(i.Clear_tu.Nsec)}, nil
}

func ppsControl(fd int, request uintptr, p unsafe.Pointer) error {
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), request, uintptr(p)); errno != 0 {
		return errno
	}
	return nil
}
