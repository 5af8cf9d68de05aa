package main

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"obu/can"
	"obu/can/link"
	"obu/gps"
	"obu/internal/clock"
)

// spoken are the sentinels that no technician meets as the end of something:
// they are counted, or handled where they arise.
var spoken = map[string]string{
	"can.ErrReceiveOnly": "a recording is never asked",
	"frame.ErrFrame":     "an allow-list stands before it",
	"canlog.ErrLongLine": "always together with canlog.ErrLine, or counted",
	"canlog.ErrCut":      "its text says it: the last line is missing",
	"dashcam.ErrStopped": "Run says why",
	"buffer.ErrClosed":   "after the agent's end",
	"buffer.ErrOffset":   "handled by the dashcam source",
	"buffer.ErrTooLarge": "the reply to a command says it",

	"buffer.ErrTooManyCommands": "the reply to the command says it",
	"agent.ErrFile":             "its text names the folder",
}

// TestEverySentinelHasAHint: whatever the rooms can end with has a next step.
func TestEverySentinelHasAHint(t *testing.T) {
	source, err := os.ReadFile("hint.go")
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for _, room := range []string{"can", "can/canlog", "can/frame", "can/link", "gps", "dashcam", "buffer", "internal/agent"} {
		files, err := filepath.Glob(filepath.Join("..", "..", room, "*.go"))
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: %d files, %v", room, len(files), err)
		}
		for _, name := range files {
			if strings.HasSuffix(name, "_test.go") {
				continue
			}
			f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			for _, sentinel := range sentinels(f) {
				seen++
				full := filepath.Base(room) + "." + sentinel
				if _, ok := spoken[full]; !ok && !strings.Contains(string(source), "{"+full+", ") {
					t.Errorf("%s has no hint", full)
				}
			}
		}
	}
	if seen < 25 {
		t.Errorf("only %d sentinels found", seen)
	}
}

// sentinels returns the exported Err… variables of a file.
func sentinels(f *ast.File) (names []string) {
	for _, d := range f.Decls {
		g, ok := d.(*ast.GenDecl)
		if !ok || g.Tok != token.VAR {
			continue
		}
		for _, s := range g.Specs {
			for _, n := range s.(*ast.ValueSpec).Names {
				if strings.HasPrefix(n.Name, "Err") {
					names = append(names, n.Name)
				}
			}
		}
	}
	return names
}

// TestHintsOfALostBus: each way to lose a bus, or never to get it, has its own
// next step.
func TestHintsOfALostBus(t *testing.T) {
	clk := clock.Virtual()
	dir := t.TempDir()
	dial := func(path string) error {
		_, err := can.Device("unix:"+path, can.SocketOptions{Clock: clk})(t.Context())
		if err == nil {
			t.Fatalf("%s opens", path)
		}
		return fmt.Errorf("open unix:%s: %w", path, err) // as the source does
	}
	dead, err := can.ListenUnix(filepath.Join(dir, "dead"), clk)
	if err != nil {
		t.Fatal(err)
	}
	stale := filepath.Join(dir, "stale") // a socket whose car was killed
	if err := os.Link(filepath.Join(dir, "dead"), stale); err != nil {
		t.Fatal(err)
	}
	dead.Close()
	stream, err := net.Listen("unix", filepath.Join(dir, "stream"))
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	for _, c := range []struct {
		err  error
		want string
	}{
		{dial(filepath.Join(dir, "nobody")), "start the virtual car"},
		{dial(stale), "start the virtual car"},
		{dial(filepath.Join(dir, "stream")), "SEQPACKET"},
		{fmt.Errorf("read can0: %w: the other side went away", can.ErrClosed), "the virtual car behind unix:PATH; the agent opens it again by itself"},
		{fmt.Errorf("read can0: %w: %w", can.ErrClosed, syscall.ENODEV), "check the adapter's plug"},
		{fmt.Errorf("read can0: %w: %w", can.ErrClosed, can.ErrDown), "restart-ms 1000"},
		{fmt.Errorf("open can0: %w", &link.RenamedError{Old: "can0", New: "can7"}), "write can7 in can.device"},
		{fmt.Errorf("open can0: %w", &link.RenamedError{Old: "can0", New: "can7"}), "ip link set can7 name can0"},
		{fmt.Errorf("open can0: %w", link.ErrNotAdmin), "CAP_NET_ADMIN"},
		{fmt.Errorf("read gps: %w: %w", gps.ErrGone, syscall.EIO), "check the plug and the receiver's power"},
		{&os.PathError{Op: "write", Path: "x", Err: syscall.EIO}, "the device fails"},
		{&os.PathError{Op: "mkdir", Path: "x", Err: syscall.ENOTDIR}, "a file is in the way"},
	} {
		if got := hint(c.err); !strings.Contains(got, c.want) {
			t.Errorf("%v: %q, want %q in it", c.err, got, c.want)
		}
	}
}

// TestEveryFailureHasANext: where no hint is known, that is said.
func TestEveryFailureHasANext(t *testing.T) {
	if f := failed(errors.New("odd")); f.Next != noCure {
		t.Errorf("%+v", f)
	}
	if f := failedWith("do this", "odd"); f.Next != "do this" || f.Text != "odd" || f.OK {
		t.Errorf("%+v", f)
	}
	if got := hint(usageError{errors.New("wrong use")}); got != "" {
		t.Errorf("wrong use gets %q", got)
	}
}
