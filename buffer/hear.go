package buffer

import (
	"obu/buffer/wreck"
	"obu/telemetry"
)

// hear looks through all leaf pages for the names of streams where no state
// tells them: else what lies outside of their trees could not be told to be
// theirs.
func (w *search) hear(yield func(find) bool) (going bool) {
	going = true
	w.Sweep(func(it wreck.Item) bool {
		store, class, ok := parseStreamBucket(it.Key)
		if !ok || !it.Bucket {
			var n telemetry.Name
			n, ok = parseTailKey(it.Key)
			store, class, ok = n.Store, n.Class, ok && !it.Bucket
		}
		if ok && w.ours(class) && len(w.streams) < maxHeard {
			w.heard(store, class)
		}
		return true
	}, func() bool {
		going = yield(find{})
		return going
	})
	return going
}

// maxHeard bounds the streams that names on stale pages may make up: a file
// holds few, and each is asked for every record that is found.
const maxHeard = 256

// heard makes a stream of which only the name was found; should no batch be,
// it may be one that was drained long ago, or never.
func (w *search) heard(store telemetry.StoreID, class telemetry.Class) {
	n := len(w.streams)
	if s := w.stream(store, class); len(w.streams) > n {
		s.rumour = true
	}
}
