package main

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"obu/telemetry"
	"obu/uplink"
)

// What ends the custody of an agent.
const (
	custodyPuback  = "puback"
	custodyReceipt = "receipt"
)

// How the receiver confirms what it keeps.
const (
	ackTopic        = "ack"
	receiptEvery    = time.Second     // one receipt a stream, while anything of it comes
	receiptsAtOnce  = 64              // published without waiting for the broker's word
	receiptPatience = 5 * time.Second // of agents whose receiver is restarted
	receiverDown    = 2 * time.Second // for so long nobody listens when it is
)

// receipts says whether the receiver sends any.
type receipts struct {
	on     bool
	unkept bool // a fault: before the spool is written
}

// stream is one (store, class) of a unit.
type stream struct {
	unit  string
	store telemetry.StoreID
	class telemetry.Class
}

// confirm makes what was taken durable and then says so to the units whose
// streams were heard of since the last time, copies included: a copy says that
// the last receipt may have been lost.
func (r *receiver) confirm(ctx context.Context, session *uplink.Session, fleet string, unkept bool) error {
	r.mu.Lock()
	heard := r.heard
	r.heard = make(map[stream]bool)
	due := make(map[string][]telemetry.Receipt)
	for s := range heard {
		if _, done := due[s.unit]; !done {
			due[s.unit] = r.led.Receipts(s.unit)
		}
	}
	var err error
	if !unkept {
		err = r.out.w.Flush()
	}
	r.mu.Unlock()
	if err == nil {
		err = r.out.f.Sync()
	}
	if err != nil {
		return fmt.Errorf("keep what was received: %w", err) // and confirm nothing
	}
	var g errgroup.Group
	g.SetLimit(receiptsAtOnce)
	for unit, list := range due {
		for _, receipt := range list {
			if !heard[stream{unit, receipt.Store, receipt.Class}] {
				continue
			}
			payload, err := json.Marshal(receipt)
			if err != nil {
				return fmt.Errorf("encode receipt: %w", err)
			}
			g.Go(func() error {
				return session.Publish(ctx, "obu/v1/"+fleet+"/"+unit+"/"+ackTopic, false, payload)
			})
		}
	}
	if err := g.Wait(); err != nil && ctx.Err() == nil {
		return fmt.Errorf("send receipts: %w", err)
	}
	return nil
}

// drive waits while the cars drive. With --restart-receiver the receiver is
// killed in between, and with it what it had not written yet.
func (r *fleetRun) drive(ctx context.Context) {
	if r.Restart == 0 {
		sleep(ctx, r.For)
		return
	}
	sleep(ctx, r.Restart)
	began := time.Now()
	r.say("killing the receiver; for %v nobody listens", receiverDown)
	if err := r.receiver.kill(r.followed); err != nil {
		r.note(err.Error())
	}
	sleep(ctx, receiverDown)
	if err := r.startReceiver(); err != nil {
		r.note("the receiver did not start again: " + err.Error())
	}
	r.note(fmt.Sprintf("the receiver was killed after %v and nobody listened for %.1f s: what it had not confirmed came again", r.Restart, time.Since(began).Seconds()))
	sleep(ctx, r.For-r.Restart-time.Since(began))
}
