package buffer_test

import (
	"bufio"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"obu/buffer"
	"obu/telemetry"
)

// How often the writer is killed; OBU_BUFFER_KILLS overrides it.
const (
	defaultKills = 200
	shortKills   = 10
	killsEnv     = "OBU_BUFFER_KILLS"
	seedEnv      = "OBU_BUFFER_SEED"
	bugEnv       = "OBU_BUFFER_BUG"
	clipChunk    = 32 << 10
	earlyKill    = 5 // every so many kills come at a time from the start of the process, not from its first commit
)

// writerChild fills the buffer in its last argument as fast as it can and
// writes down what it was promised: C = a name came back, A = an
// acknowledgement is about to be given, M = a chunk is in custody, F = a clip
// is finished, G = a loss is listed. What follows is the name and the content's number.
func writerChild() {
	seed, _ := strconv.ParseUint(os.Getenv(seedEnv), 10, 64)
	rnd := rand.New(rand.NewPCG(seed, 2))
	start := time.Now()
	o := buffer.Options{
		Dir: os.Args[len(os.Args)-1], Unit: "sim-1", Boot: telemetry.BootID{1},
		Now: func() telemetry.At { return telemetry.At(time.Since(start)) + 1 }, MediaQuota: 4 << 20,
	}
	switch os.Getenv(bugEnv) {
	case "seq":
		buffer.Break(&o, buffer.Faults{SeqOutsideTx: true})
	case "drop":
		buffer.Break(&o, buffer.Faults{DropEvery: 5})
	case "delete":
		buffer.Break(&o, buffer.Faults{DeleteBeforeAck: true})
	}
	b, err := buffer.Open(context.Background(), o)
	if err != nil {
		fmt.Println("E", err)
		os.Exit(1)
	}
	fmt.Println("O")
	go mediaChild(b, seed)
	for id := int(seed) * 1_000_000; ; {
		var entries []buffer.Entry
		first := id
		for range 1 + rnd.IntN(3) {
			class := [...]telemetry.Class{telemetry.ClassTelemetry, telemetry.ClassTelemetry, telemetry.ClassEvent}[rnd.IntN(3)]
			id++
			entries = append(entries, buffer.Entry{Class: class, Content: numbered(id)})
		}
		names, err := b.Commit(entries)
		if err != nil {
			fmt.Println("E", err)
			os.Exit(1)
		}
		for i, n := range names {
			fmt.Println("C", n.Store, uint8(n.Class), n.Seq, first+1+i)
		}
		for _, s := range b.Streams() {
			if s.Batches < 8 || rnd.IntN(3) > 0 {
				continue
			}
			got, err := b.Read(s.Store, s.Class, s.Floor, 2000)
			if err != nil {
				fmt.Println("E", err)
				os.Exit(1)
			}
			for _, st := range got[:rnd.IntN(len(got)+1)] {
				sayGaps(st)
				fmt.Println("A", st.Store, uint8(st.Class), st.Seq, 0)
				b.Ack(st.Name)
			}
		}
	}
}

// sayGaps writes down the losses an event lists before it is acknowledged:
// G, store, class, first and last seq.
func sayGaps(st telemetry.Stored) {
	if st.Class != telemetry.ClassEvent {
		return
	}
	b, err := telemetry.DecodeBatch(st.Name, st.Blob)
	if err != nil {
		fmt.Println("E", err)
		os.Exit(1)
	}
	for _, g := range b.Gaps {
		if g.FromSeq != 0 {
			fmt.Println("G", g.Store, uint8(g.Class), g.FromSeq, g.ToSeq)
		}
	}
}

// numbered is content that carries its number, padded to a size that depends
// on it.
func numbered(id int) telemetry.Content {
	c := telemetry.Content{Anchors: []telemetry.Anchor{{At: telemetry.At(id) * 1e9, By: telemetry.AnchorNTP, Wall: time.Unix(1.7e9, 0).UTC()}}}
	if id%11 == 0 {
		pad := sha256.Sum256([]byte(strconv.Itoa(id)))
		data := make([]byte, 0, 3000)
		for len(data) < 1000+id%2000 {
			data = append(data, pad[:]...)
			pad = sha256.Sum256(pad[:])
		}
		c.Chunks = []telemetry.Chunk{{Data: data}}
	}
	return c
}

// mediaChild takes one clip after the other into custody, resuming the one
// that was cut.
func mediaChild(b *buffer.Buffer, seed uint64) {
	for n := uint64(0); ; n++ {
		id := telemetry.ClipID{byte(n), byte(n >> 8), 1}
		key := fmt.Sprintf("cam/%d", n)
		stored, done, _ := b.ClipProgress(key)
		if done {
			continue
		}
		for stored < 4*clipChunk {
			name, err := b.CommitChunk(key, telemetry.Chunk{Clip: id, Offset: stored, Data: clipBytes(n, stored)})
			if err != nil {
				fmt.Println("E", err)
				os.Exit(1)
			}
			fmt.Println("M", name.Store, uint8(name.Class), name.Seq, n)
			stored += clipChunk
		}
		if err := b.FinishClip(key, telemetry.Clip{ID: id, Camera: "cam", Name: key, SizeBytes: stored, Cause: "normal"}); err != nil {
			fmt.Println("E", err)
			os.Exit(1)
		}
		fmt.Println("F", telemetry.StoreID{}, 0, 0, n)
	}
}

func clipBytes(n uint64, offset int64) []byte {
	p := make([]byte, clipChunk)
	rnd := rand.New(rand.NewPCG(n, uint64(offset)))
	for i := range p {
		p[i] = byte(rnd.Uint32())
	}
	return p
}

// books is what the parent knows from the children's promises and from the
// files.
type books struct {
	promised map[telemetry.Name]int
	acked    map[telemetry.Name]bool
	content  map[telemetry.Name][32]byte // of every batch ever seen in the files
	next     map[streamID]uint64
	finished map[int]bool
	gaps     []telemetry.Gap // delivered
}

// run starts a writer, kills it at a random moment, and takes down its
// promises.
func (k *books) run(t *testing.T, dir, bug string, seed uint64, alive time.Duration) error {
	cmd := exec.Command(os.Args[0], dir)
	cmd.Env = append(os.Environ(), childMode+"="+childWriter, fmt.Sprintf("%s=%d", seedEnv, seed), bugEnv+"="+bug)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	kill := func() { _ = cmd.Process.Kill() }
	if seed%earlyKill == 0 { // while it opens, perhaps
		defer time.AfterFunc(alive, kill).Stop()
	}
	lines := bufio.NewScanner(out)
	var failed error
	for lines.Scan() {
		var kind, store string
		var class uint8
		var seq uint64
		var id int
		if lines.Text() == "O" {
			defer time.AfterFunc(alive, kill).Stop()
			continue
		}
		if _, err := fmt.Sscan(lines.Text(), &kind, &store, &class, &seq, &id); err != nil {
			if len(lines.Text()) > 0 && lines.Text()[0] == 'E' {
				failed = fmt.Errorf("writer: %s", lines.Text())
			}
			continue // cut in mid-line
		}
		sid, err := telemetry.ParseStoreID(store)
		if err != nil {
			continue
		}
		n := telemetry.Name{Store: sid, Class: telemetry.Class(class), Seq: seq}
		switch kind {
		case "C", "M":
			if was, twice := k.promised[n]; twice {
				return fmt.Errorf("%v was given to %d and %d", n, was, id)
			}
			k.promised[n] = id
		case "A":
			k.acked[n] = true
		case "F":
			k.finished[id] = true
		case "G":
			k.gaps = append(k.gaps, telemetry.Gap{Store: sid, Class: n.Class, FromSeq: seq, ToSeq: uint64(id)})
		}
	}
	_, _ = io.Copy(io.Discard, out)
	_ = cmd.Wait()
	return failed
}

// audit compares the files with the books.
func (k *books) audit(dir string) error {
	if aside, _ := filepath.Glob(filepath.Join(dir, "*.damaged-*")); len(aside) > 0 {
		return fmt.Errorf("a sound store was set aside: %v", aside)
	}
	held := map[telemetry.Name]bool{}
	err := buffer.Each(context.Background(), dir, func(st buffer.Batch) error {
		sum := sha256.Sum256(st.Blob)
		if was, seen := k.content[st.Name]; seen && was != sum {
			return fmt.Errorf("%v stands for two contents", st.Name)
		}
		k.content[st.Name] = sum
		held[st.Name] = true
		b, err := telemetry.DecodeBatch(st.Name, st.Blob)
		if err != nil {
			return err
		}
		if id, ok := k.promised[st.Name]; ok && st.Class != telemetry.ClassMedia && contentID(b.Content) != id {
			return fmt.Errorf("%v holds %d, not %d", st.Name, contentID(b.Content), id)
		}
		return nil
	})
	if err != nil {
		return err
	}
	report, err := buffer.Inspect(context.Background(), dir)
	if err != nil {
		return err
	}
	gaps := append(report.Gaps, k.gaps...)
	for n := range k.promised {
		if !held[n] && !k.acked[n] && !coveredBy(gaps, n) {
			return fmt.Errorf("%v was promised and is gone", n)
		}
	}
	for _, s := range report.Streams {
		id := streamID{s.Store, s.Class}
		if s.Next < k.next[id] {
			return fmt.Errorf("%v: next fell from %d to %d", id, k.next[id], s.Next)
		}
		k.next[id] = s.Next
		for seq := uint64(1); seq < s.Next; seq++ {
			n := telemetry.Name{Store: s.Store, Class: s.Class, Seq: seq}
			if !held[n] && !k.acked[n] && !coveredBy(gaps, n) {
				return fmt.Errorf("hole at %v", n)
			}
		}
	}
	return nil
}

func coveredBy(gaps []telemetry.Gap, n telemetry.Name) bool {
	for _, g := range gaps {
		if g.Covers(n) {
			return true
		}
	}
	return false
}

func newBooks() *books {
	return &books{
		promised: map[telemetry.Name]int{}, acked: map[telemetry.Name]bool{}, content: map[telemetry.Name][32]byte{},
		next: map[streamID]uint64{}, finished: map[int]bool{},
	}
}

// TestKill9 kills a writer again and again: what it was promised is there,
// nothing stands for two contents, no store is given up.
func TestKill9(t *testing.T) {
	kills := defaultKills
	if testing.Short() {
		kills = shortKills
	}
	if n, err := strconv.Atoi(os.Getenv(killsEnv)); err == nil {
		kills = n
	}
	dir := t.TempDir()
	k := newBooks()
	rnd := rand.New(rand.NewPCG(9, 9))
	for i := range kills {
		alive := time.Duration(rnd.IntN(50)) * time.Millisecond
		if err := k.run(t, dir, "", uint64(i+1), alive); err != nil {
			t.Fatalf("kill %d: %v", i, err)
		}
		if err := k.audit(dir); err != nil {
			t.Fatalf("kill %d: %v", i, err)
		}
	}
	if len(k.promised) < kills {
		t.Fatalf("only %d promises in %d runs: the test tests nothing", len(k.promised), kills)
	}
	t.Logf("%d kills, %d promises, %d acknowledged, %d clips finished, %d streams", kills, len(k.promised), len(k.acked), len(k.finished), len(k.next))
}

// TestKill9NoticesBugs: the kill test must fail when the writer is broken.
// NoSync cannot be seen this way: the kernel keeps what a killed process
// wrote.
func TestKill9NoticesBugs(t *testing.T) {
	for _, bug := range [...]string{"seq", "drop", "delete"} {
		t.Run(bug, func(t *testing.T) {
			dir := t.TempDir()
			k := newBooks()
			for i := range 20 {
				err := k.run(t, dir, bug, uint64(i+1), 120*time.Millisecond)
				if err == nil {
					err = k.audit(dir)
				}
				if err != nil {
					t.Logf("noticed after %d kills: %v", i+1, err)
					return
				}
			}
			t.Fatal("not noticed")
		})
	}
}
