package telemetry_test

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"obu/telemetry"
)

// TestDecodedSharesNothing: what was decoded stays as it is while the decoder's
// scratch serves other messages, good and damaged ones, and while their bytes
// are overwritten.
func TestDecodedSharesNothing(t *testing.T) {
	name := telemetry.Name{Store: telemetry.StoreID{1}, Class: telemetry.ClassTelemetry, Seq: 1}
	var want, got []telemetry.Batch
	var blobs [][]byte
	for seed := range uint64(200) {
		b := randomBatch(rand.New(rand.NewPCG(seed, 31)), name)
		blob, err := telemetry.EncodeBatch(&b)
		if err != nil {
			t.Fatal(err)
		}
		first, err := telemetry.DecodeBatch(name, slices.Clone(blob))
		if err != nil {
			t.Fatal(err)
		}
		passing := slices.Clone(blob)
		second, err := telemetry.DecodeBatch(name, passing)
		if err != nil {
			t.Fatal(err)
		}
		clear(passing)
		want, got, blobs = append(want, clone(first)), append(got, second), append(blobs, blob)
		_, _ = telemetry.DecodeBatch(name, blob[:len(blob)*2/3]) // leaves the scratch as it stands
	}
	for i := range want {
		if diff := diffBatches(want[i:i+1], got[i:i+1]); diff != "" {
			t.Fatalf("batch %d changed after it was decoded: %s", i, diff)
		}
		if again, err := telemetry.EncodeBatch(&got[i]); err != nil || !bytes.Equal(again, blobs[i]) {
			t.Fatalf("batch %d encodes to something else later (%v)", i, err)
		}
	}
}

// clone copies what a decoder could still reach.
func clone(b telemetry.Batch) telemetry.Batch {
	b.Samples, b.Fixes, b.Gaps = slices.Clone(b.Samples), slices.Clone(b.Fixes), slices.Clone(b.Gaps)
	b.Anchors, b.Clips, b.Chunks = slices.Clone(b.Anchors), slices.Clone(b.Clips), slices.Clone(b.Chunks)
	for i := range b.Chunks {
		b.Chunks[i].Data = bytes.Clone(b.Chunks[i].Data)
	}
	return b
}

// TestDecodeAtOnce: decoders of several goroutines do not meet.
func TestDecodeAtOnce(t *testing.T) {
	name := telemetry.Name{Store: telemetry.StoreID{1}, Class: telemetry.ClassTelemetry, Seq: 1}
	var wg sync.WaitGroup
	for worker := range uint64(4) {
		wg.Go(func() {
			for seed := range uint64(50) {
				b := randomBatch(rand.New(rand.NewPCG(seed, worker)), name)
				blob, err := telemetry.EncodeBatch(&b)
				if err != nil {
					t.Error(err)
					return
				}
				got, err := telemetry.DecodeBatch(name, blob)
				if err != nil {
					t.Error(err)
					return
				}
				if again, err := telemetry.EncodeBatch(&got); err != nil || !bytes.Equal(again, blob) {
					t.Errorf("worker %d, batch %d encodes to something else (%v)", worker, seed, err)
				}
			}
		})
	}
	wg.Wait()
}
