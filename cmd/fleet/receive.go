package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"obu/telemetry"
	"obu/telemetry/ledger"
	"obu/uplink"
)

// received is what the receiver says of itself, a JSON line whenever it
// changed.
type received struct {
	Messages  int64  `json:"messages"`
	Bytes     int64  `json:"bytes"` // topics and payloads
	Values    int64  `json:"values"`
	Copies    int64  `json:"copies"` // batches seen before
	Malformed int64  `json:"malformed"`
	Error     string `json:"error,omitempty"` // why it cannot go on
}

// receiveCommand is the child process that stands for the cloud: it decodes
// every envelope, keeps the ledger, and spools what it got for the check.
func receiveCommand() *cobra.Command {
	var brokerURL, fleet, path, custody string
	var unkept bool
	cmd := &cobra.Command{
		Use: "receive", Hidden: true, Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return receive(cmd.Context(), brokerURL, fleet, path, receipts{on: custody == custodyReceipt, unkept: unkept}, cmd.InOrStdin(), cmd.OutOrStdout())
		},
	}
	cmd.Flags().StringVar(&brokerURL, "broker", "", "broker URL")
	cmd.Flags().StringVar(&fleet, "fleet", "", "fleet whose topics are read")
	cmd.Flags().StringVar(&path, "spool", "", "file the messages are written to; one that is there is continued")
	cmd.Flags().StringVar(&custody, "custody", custodyPuback, "receipt: confirm to the units what the spool holds")
	cmd.Flags().BoolVar(&unkept, "confirm-unkept", false, "a fault for tests: confirm what is in memory only")
	return cmd
}

// receiver counts and spools; its methods may be called from any goroutine.
type receiver struct {
	mu    sync.Mutex
	led   ledger.Ledger   // under mu
	state received        // under mu
	out   *spool          // under mu
	heard map[stream]bool // under mu; of which something came since the last receipts
}

// take books one message.
func (r *receiver) take(topic string, payload []byte, retained bool) {
	at := monotonic()
	if _, kind, _ := topicParts(topic); kind == ackTopic {
		return // its own
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.out.add(message{at, topic, retained, payload}); err != nil && r.state.Error == "" {
		r.state.Error = err.Error()
	}
	r.book(message{at, topic, retained, payload})
}

// book counts one message that is in the spool. r.mu is held.
func (r *receiver) book(m message) {
	r.state.Messages++
	r.state.Bytes += int64(len(m.Topic) + len(m.Payload))
	unit, kind, ok := topicParts(m.Topic)
	if !ok || !stored(kind) {
		return
	}
	env, err := telemetry.DecodeEnvelope(m.Payload)
	if err != nil {
		r.state.Malformed++
		return
	}
	fresh, copies := r.led.Take(env)
	r.state.Copies += int64(copies)
	r.heard[stream{unit, env.Store, env.Class}] = true
	for i := range fresh {
		r.state.Values += int64(fresh[i].Values())
	}
}

func (r *receiver) now() received {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.state
}

// sayEvery is how often the receiver tells the parent how far it is.
const sayEvery = 200 * time.Millisecond

// receive subscribes, says "ready" and counts until in ends.
func receive(ctx context.Context, brokerURL, fleet, path string, confirms receipts, in io.Reader, out io.Writer) (err error) {
	r := &receiver{heard: make(map[stream]bool)}
	sp, err := continueSpool(path, r.book)
	if err != nil {
		return err
	}
	r.out = sp
	defer func() {
		r.mu.Lock() // no handler writes any more
		defer r.mu.Unlock()
		err = errors.Join(err, sp.Close())
	}()
	session, err := uplink.Connect(ctx, uplink.SessionConfig{
		Broker: brokerURL, ClientID: fleet + "-receiver", MaxInbound: maxMessage,
	})
	if err != nil {
		return fmt.Errorf("connect receiver: %w", err)
	}
	defer session.Close()
	if err := session.Subscribe(ctx, "obu/v1/"+fleet+"/#", r.take); err != nil {
		return fmt.Errorf("subscribe: %w", err)
	}
	fmt.Fprintln(out, "ready")
	enc := json.NewEncoder(out)
	var last received
	done := untilEOF(ctx, in)
	tick := time.NewTicker(sayEvery)
	defer tick.Stop()
	receipts := time.NewTicker(receiptEvery)
	defer receipts.Stop()
	for {
		select {
		case <-receipts.C:
			if confirms.on {
				if err := r.confirm(ctx, session, fleet, confirms.unkept); err != nil {
					return err
				}
			}
		case <-done:
			return enc.Encode(r.now())
		case <-session.Done():
			return fmt.Errorf("receiver lost the broker: %w", session.Err())
		case <-tick.C:
			if now := r.now(); now != last {
				last = now
				if err := enc.Encode(now); err != nil {
					return nil // the parent is gone
				}
			}
		}
	}
}
