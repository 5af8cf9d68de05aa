package telemetry_test

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"obu/telemetry"
)

// TestEncodingTable prints what docs/encoding.md states: bytes per
// vehicle-hour of every input in our encoding and its rivals, the near limit,
// and where our bytes go. Nothing is asserted here; TestRecordedDrives and
// TestBytesPerValue hold the bytes.
func TestEncodingTable(t *testing.T) {
	if os.Getenv("OBU_ENCODING") == "" {
		t.Skip("the table takes some minutes: make encoding")
	}
	_, noXZ := exec.LookPath("xz")
	if noXZ != nil {
		fmt.Println("no xz on this machine: the table has no near limit and no ratios")
	}
	for _, in := range loads {
		t.Run(in.name, func(t *testing.T) {
			l := in.make(t)
			table := table{load: &l}
			if noXZ == nil {
				table.limit = nearLimit(t, &l)
			}
			fmt.Printf("\n%s: %.0f s, %d values, %.1f a second\n\n", l.name, l.seconds, l.values(), float64(l.values())/l.seconds)
			table.rows(t)
			table.parts(t)
			table.entropies()
		})
	}
}

// table prints the rows of one load.
type table struct {
	load  *load
	limit limit
}

func (b *table) row(name string, c cost) {
	hour := 3600 / b.load.seconds / 1000
	cells := []string{name, fmt.Sprintf("%.0f", 1000*hour*float64(c.messages)), fmt.Sprintf("%.1f", hour*float64(c.payload)),
		fmt.Sprintf("%.1f", hour*float64(c.wire)), fmt.Sprintf("%.2f", float64(c.payload)/float64(b.load.values())), "", ""}
	if b.limit.bytes > 0 {
		cells[5] = fmt.Sprintf("%.2f", float64(c.payload)/float64(b.limit.bytes))
		cells[6] = fmt.Sprintf("%.2f", float64(c.wire)/float64(onWire(b.limit.bytes)))
	}
	fmt.Println("| " + strings.Join(cells, " | ") + " |")
}

func (b *table) rows(t *testing.T) {
	fmt.Println("| encoding | messages/h | payload kB/h | wire kB/h | payload B/value | payload ÷ limit | wire ÷ limit |\n|---|---|---|---|---|---|---|")
	var each cost
	for _, p := range plainPoints(b.load.batches) {
		each.add(len(mustJSON(p)))
	}
	b.row("JSON, a message per value", each)
	for _, seconds := range []int{10, 60} {
		var plain, zipped, rows cost
		for _, e := range b.load.envelopesOf(seconds) {
			j := mustJSON(plainPoints(e.Batches))
			plain.add(len(j))
			zipped.add(len(gzipped(j)))
			rows.add(len(zstdBest(protoRows(e.Batches))))
		}
		b.row(fmt.Sprintf("JSON %d s", seconds), plain)
		b.row(fmt.Sprintf("JSON + gzip %d s", seconds), zipped)
		b.row(fmt.Sprintf("protobuf rows + zstd %d s", seconds), rows)
	}
	for _, seconds := range []int{1, 10, 60} {
		b.row(fmt.Sprintf("**obu** %d s", seconds), b.ours(t, seconds))
	}
	drained, c := 60, cost{}
	for _, seconds := range []int{120, 300, 600, 1000} { // as history drains: 120 KiB a packet, 1024 batches
		if most := b.ours(t, seconds); most.payload/most.messages < 110<<10 {
			drained, c = seconds, most
		}
	}
	if drained > 60 && b.load.seconds > 60 {
		b.row(fmt.Sprintf("**obu** %d s, as history drains", drained), c)
	}
	if b.limit.bytes > 0 {
		b.row("delta varint columns, xz -9e", cost{1, b.limit.plain, onWire(b.limit.plain)})
		b.row("near limit: "+b.limit.layout+", xz -9e", cost{1, b.limit.bytes, onWire(b.limit.bytes)})
	}
}

func (b *table) ours(t *testing.T, seconds int) (c cost) {
	for _, e := range b.load.envelopesOf(seconds) {
		p, err := telemetry.EncodeEnvelope(&e)
		if err != nil {
			t.Fatal(err)
		}
		c.add(len(p))
	}
	return c
}

// parts prints the bytes per message by where they go.
func (b *table) parts(t *testing.T) {
	fmt.Println("\n| bytes a message | transport | header | columns | cuts | starts of times | times | starts of values | values | fixes | less by zstd | on the wire |\n|---|---|---|---|---|---|---|---|---|---|---|---|")
	for _, seconds := range []int{1, 10, 60} {
		var sum telemetry.Parts
		wire := 0
		envelopes := b.load.envelopesOf(seconds)
		for i := range envelopes {
			p, err := telemetry.PartsOf(&envelopes[i])
			if err != nil {
				t.Fatal(err)
			}
			sum.Add(&p)
			wire += onWire(p.Total / 8)
		}
		n := float64(len(envelopes))
		row := fmt.Sprintf("| %d s | %.0f ", seconds, float64(wire-sum.Total/8)/n)
		for _, part := range []int{sum.Header, sum.Columns, sum.Cuts, sum.TimeStarts, sum.Times, sum.ValueStarts, sum.Values, sum.Fixes, -sum.Squeezed} {
			row += fmt.Sprintf("| %.0f ", float64(part)/8/n)
		}
		fmt.Printf("%s| %.0f |\n", row, float64(wire)/n)
	}
}

// entropies prints the order-0 entropy of the columns' differences.
func (b *table) entropies() {
	times, values := sequences(b.load.seriesOf())
	sum := func(all [][]int64) (bytes float64) {
		for _, xs := range all {
			bytes += entropy(xs)
		}
		return bytes * 3600 / b.load.seconds / 1000
	}
	fmt.Printf("\norder-0 entropy of %d clocks %.1f kB/h, of %d columns of values and fixes %.1f kB/h\n", len(times), sum(times), len(values), sum(values))
	if b.limit.bytes > 0 {
		fmt.Printf("of the near limit the clocks by themselves take %.1f kB/h\n", float64(b.limit.times)*3600/b.load.seconds/1000)
	}
}
