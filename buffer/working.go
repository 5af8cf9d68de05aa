package buffer

import (
	"io"
	"sync/atomic"

	"go.etcd.io/bbolt"
)

// progress is how many bytes long work on the file has read or written so far.
// It may be asked at any time.
func (f *file) progress() uint64 {
	n := f.worked.Load()
	if dst := f.copying.Load(); dst != nil {
		n += copied(dst)
	}
	return n
}

// copied is what the committed transactions of a copy took.
func copied(dst *bbolt.DB) uint64 {
	st := dst.Stats().TxStats
	return uint64(st.GetPageAlloc())
}

// watched counts what is read.
type watched struct {
	io.ReaderAt
	n *atomic.Uint64
}

func (w watched) ReadAt(p []byte, off int64) (int, error) {
	n, err := w.ReaderAt.ReadAt(p, off)
	w.n.Add(uint64(n))
	return n, err
}
