package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/hooks/auth"
	"github.com/mochi-mqtt/server/v2/listeners"
	"github.com/spf13/cobra"
)

// brokerCommand is the child process that carries the messages: its CPU time
// is its own. It says its URL on the first line and ends when its standard
// input does, so it never outlives the parent.
func brokerCommand() *cobra.Command {
	return &cobra.Command{
		Use: "broker", Hidden: true, Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			b, err := startBroker()
			if err != nil {
				return err
			}
			defer b.Close()
			fmt.Fprintf(cmd.OutOrStdout(), "%s\n", b.URL)
			<-untilEOF(cmd.Context(), cmd.InOrStdin())
			return nil
		},
	}
}

// broker is an embedded MQTT broker on a loopback port the kernel chose.
type broker struct {
	URL    string
	server *mqtt.Server
}

// startBroker opens a broker that queues for a slow subscriber instead of
// dropping: a receiver behind by 65,535 messages is the stated bound.
func startBroker() (*broker, error) {
	caps := mqtt.NewDefaultServerCapabilities()
	caps.MaximumClientWritesPending = 1 << 17
	caps.MaximumInflight = math.MaxUint16
	caps.ReceiveMaximum = math.MaxUint16
	server := mqtt.New(&mqtt.Options{
		Capabilities:             caps,
		ClientNetReadBufferSize:  2 << 10,
		ClientNetWriteBufferSize: 2 << 10,
		Logger:                   slog.New(slog.DiscardHandler),
	})
	if err := server.AddHook(new(auth.AllowHook), nil); err != nil {
		return nil, fmt.Errorf("set up broker: %w", err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen for broker: %w", err)
	}
	if err := server.AddListener(listeners.NewNet("tcp", l)); err != nil {
		return nil, fmt.Errorf("set up broker: %w", err)
	}
	if err := server.Serve(); err != nil {
		return nil, fmt.Errorf("start broker: %w", err)
	}
	return &broker{URL: "mqtt://" + l.Addr().String(), server: server}, nil
}

// Close ends the broker and its sessions.
func (b *broker) Close() error { return b.server.Close() }

// untilEOF returns a channel that closes when r ends or ctx does.
func untilEOF(ctx context.Context, r io.Reader) <-chan struct{} {
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_, _ = io.Copy(io.Discard, r)
	}()
	done := make(chan struct{})
	go func() {
		defer close(done)
		select {
		case <-ctx.Done():
		case <-ended:
		}
	}()
	return done
}
