// Command fleet drives make-believe cars against real agents. `fleet --cars N`
// runs hundreds of agents and cars in one process, broker and receiver in
// child processes, and afterwards compares every value a car put on a wire
// with what arrived: the ledger. `fleet demo` shows one car, the real obu
// binary and a link that is cut, live.
//
// Cars come from internal/virtual, agents from internal/agent: the same New
// that obu calls. The command owns every goroutine and process it starts and
// ends them by themselves, on SIGINT too. Exit codes: 0 the ledger is clean,
// 1 it is not or the run failed, 2 wrong use.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

// usageError is wrong use: exit code 2.
type usageError struct{ err error }

func (e usageError) Error() string { return e.err.Error() }
func (e usageError) Unwrap() error { return e.err }

// errUnclean ends with exit code 1 after the report has said why.
var errUnclean = errors.New("the ledger is not clean")

// errorPrefix begins the line that says why fleet ended with 1 or 2.
const errorPrefix = "fleet: error: "

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

func run(ctx context.Context, args []string, in io.Reader, out, errw io.Writer) int {
	root := newRoot()
	root.SetArgs(args)
	root.SetIn(in)
	root.SetOut(out)
	root.SetErr(errw)
	err := root.ExecuteContext(ctx)
	switch {
	case err == nil:
		return 0
	case errors.As(err, new(usageError)):
		fmt.Fprintf(errw, errorPrefix+"%v\n", err)
		return 2
	case errors.Is(err, errUnclean):
		return 1
	case errors.Is(err, context.Canceled):
		fmt.Fprintln(errw, "fleet: interrupted")
		return 1
	}
	fmt.Fprintf(errw, errorPrefix+"%v\n", err)
	return 1
}

func newRoot() *cobra.Command {
	root := fleetCommand()
	root.SilenceErrors, root.SilenceUsage = true, true
	root.CompletionOptions.DisableDefaultCmd = true
	root.SetFlagErrorFunc(flagError)
	root.AddCommand(demoCommand(), brokerCommand(), receiveCommand())
	return root
}
