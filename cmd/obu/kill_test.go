package main

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"obu/internal/agent"
	"obu/internal/virtual"
	"obu/telemetry"
	"obu/telemetry/ledger"
	"obu/uplink/brokertest"
)

// kills is how often the agent is killed in mid-drive.
const kills = 3

// books is the consumer behind the broker.
type books struct {
	t *testing.T

	mu      sync.Mutex // guards what follows
	led     ledger.Ledger
	content map[telemetry.Name][]byte // of every batch, to compare copies with
	copies  int
	samples map[virtual.SeriesKey][]telemetry.Sample
}

func (b *books) take(m brokertest.Message) {
	if !strings.HasSuffix(m.Topic, "/telemetry") && !strings.HasSuffix(m.Topic, "/event") && !strings.HasSuffix(m.Topic, "/health") {
		return
	}
	env, err := telemetry.DecodeEnvelope(m.Payload)
	if err != nil {
		b.t.Error(err)
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for i := range env.Batches {
		if env.Part != nil {
			b.t.Errorf("a batch of a second came in parts: %+v", env.Batches[i].Name)
		}
		blob, err := telemetry.EncodeBatch(&env.Batches[i])
		if err != nil {
			b.t.Error(err)
		}
		if was, ok := b.content[env.Batches[i].Name]; ok && !bytes.Equal(was, blob) {
			b.t.Errorf("%+v stands for two contents", env.Batches[i].Name)
		}
		b.content[env.Batches[i].Name] = blob
	}
	fresh, copies := b.led.Take(env)
	b.copies += copies
	for _, batch := range fresh {
		for _, s := range batch.Samples {
			if batch.Class == telemetry.ClassTelemetry && s.Value.Kind() != telemetry.KindNone {
				k := virtual.SeriesKey{Signal: s.Signal.Name, Address: s.Source.Address}
				b.samples[k] = append(b.samples[k], s)
			}
		}
	}
}

func (b *books) count() (n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, s := range b.samples {
		n += len(s)
	}
	return n
}

// process is the real binary.
type process struct {
	cmd  *exec.Cmd
	sock string
	log  bytes.Buffer // complete after Wait
}

func startProcess(t *testing.T, config, sock string, more ...string) *process {
	t.Helper()
	return startCommand(t, sock, exec.Command("obu", append([]string{"run", "-c", config}, more...)...))
}

func startCommand(t *testing.T, sock string, cmd *exec.Cmd) *process {
	t.Helper()
	p := &process{cmd: cmd, sock: sock}
	p.cmd.Stdout, p.cmd.Stderr = io.Discard, &p.log
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.cmd.Process.Kill() })
	return p
}

func (p *process) status() (s agent.Status, ok bool) {
	return s, ask(context.Background(), p.sock, "status", &s) == nil && s.Unit != ""
}

func await(t *testing.T, what string, cond func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !cond(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s did not happen within a minute", what)
		}
	}
}

// TestKillInMidDrive kills the real binary again and again while a car drives:
// each next start lists the loss, what was stored is delivered, no name stands
// for two contents, no hole remains, and SIGTERM ends the last one in order.
func TestKillInMidDrive(t *testing.T) {
	t.Parallel()
	dir := shortDir(t)
	w, err := newWorld(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.close)
	in := &books{t: t, content: make(map[telemetry.Name][]byte), samples: make(map[virtual.SeriesKey][]telemetry.Sample)}
	w.broker.OnMessage(in.take)
	config, sock, store := filepath.Join(dir, "obu.yaml"), filepath.Join(dir, "sock"), filepath.Join(dir, "store")
	text := fmt.Sprintf("unit: unit-1\ncan:\n  - device: unix:%s/car\n    obd: {period: 100ms, pids: [0C, 0D]}\nbuffer: {dir: %s, flush_every: 100ms}\nuplink: {broker: %q, history_rate: unlimited}\nstatus: {socket: %s}\n",
		dir, store, w.url(), sock)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	rnd := rand.New(rand.NewPCG(1, uint64(time.Now().UnixNano())))
	for range kills {
		p := startProcess(t, config, sock)
		had := in.count()
		await(t, "data", func() bool { return in.count() >= had+10 })
		if rnd.IntN(2) == 0 { // with a backlog
			w.broker.Set(func(f *brokertest.Faults) { f.DropPuback = func(brokertest.Message) bool { return true } })
		}
		time.Sleep(time.Duration(rnd.IntN(400)) * time.Millisecond)
		if err := p.cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = p.cmd.Wait()
		w.broker.Set(func(f *brokertest.Faults) { f.DropPuback = nil })
		if strings.Contains(p.log.String(), "panic") {
			t.Errorf("log:\n%s", p.log.String())
		}
	}
	p := startProcess(t, config, sock)
	await(t, "drain", func() bool {
		s, ok := p.status()
		if !ok || s.Uplink == nil || !s.Uplink.Connected {
			return false
		}
		held := 0
		for _, st := range s.Streams {
			if !st.Current || st.Class == telemetry.ClassEvent {
				held += st.Batches
			}
		}
		return held == 0 && s.Flush.Flushes > 5
	})
	stopProcess(t, p)
	in.settle(w.car.Journal())
}

// settle looks at the books after the last agent has ended.
func (b *books) settle(j *virtual.Journal) {
	b.mu.Lock()
	defer b.mu.Unlock()
	const unit = "sim-unit-1"
	if h := b.led.Holes(); len(h) > 0 {
		b.t.Errorf("holes: %+v", h)
	}
	unclean := 0
	for _, g := range b.led.Gaps(unit) {
		if g.Reason != telemetry.ReasonUncleanStart && g.Reason != telemetry.ReasonBusError {
			b.t.Errorf("gap of something else: %+v", g)
		}
		if g.Reason == telemetry.ReasonUncleanStart && g.Class == telemetry.ClassTelemetry {
			unclean++
		}
	}
	if unclean != kills {
		b.t.Errorf("%d unclean starts are listed, it was killed %d times: %+v", unclean, kills, b.led.Gaps(unit))
	}
	for k, got := range b.samples {
		slices.SortStableFunc(got, func(x, y telemetry.Sample) int { return cmp.Compare(x.At, y.At) })
		said, i := j.Readings(k), 0
		for _, g := range got { // in order, some missing: a subsequence
			for i < len(said) && said[i].Value != g.Value {
				i++
			}
			if i++; i > len(said) {
				b.t.Errorf("%v: %v at %.3f s was never said, or not in that order", k, g.Value, g.At.Seconds())
				break
			}
		}
	}
	b.t.Logf("%d batches, %d copies", len(b.content), b.copies)
}
