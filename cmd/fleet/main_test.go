package main

import (
	"bytes"
	"context"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"testing"
)

// TestMain lets the test binary be its own children, as fleet is.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case "broker", "receive":
			ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			os.Exit(run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
		}
	}
	os.Exit(m.Run())
}

func TestWrongUseEndsWithTwo(t *testing.T) {
	for _, args := range [][]string{
		{}, {"--cars", "0"}, {"--cars", "x"}, {"--cars", "3", "--load", "motorway"},
		{"--cars", "21", "--load", "city"}, {"--cars", "1", "--for", "10ms"}, {"drive"}, {"demo", "--seconds", "1"},
	} {
		var out, errw bytes.Buffer
		if code := run(t.Context(), args, strings.NewReader(""), &out, &errw); code != 2 {
			t.Errorf("fleet %v: exit %d, want 2: %s", args, code, errw.String())
		}
		if !strings.HasPrefix(errw.String(), "fleet: error: ") {
			t.Errorf("fleet %v says %q", args, errw.String())
		}
	}
}

func TestMissingObuIsNamed(t *testing.T) {
	var out, errw bytes.Buffer
	code := run(t.Context(), []string{"demo", "--obu", "/nowhere/obu", "--dir", t.TempDir()}, strings.NewReader(""), &out, &errw)
	if code != 1 || !strings.Contains(errw.String(), "go build -o bin/obu ./cmd/obu") {
		t.Errorf("exit %d: %s", code, errw.String())
	}
}
