// Command obu is the on-board unit's agent and its tools. `obu run` reads
// OBD-II/CAN, GPS and dashcam, keeps what it read and sends it on; every other
// command looks at a unit, a recording or a broker without touching either.
// Exit codes: 0 done, 1 failed, 2 wrong use.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// Set by the linker.
var (
	version   = "dev"
	buildDate = ""
)

// builtAt returns when this binary was built: TLS never believes in an earlier
// time. An unstamped build says nothing.
func builtAt() time.Time {
	t, err := time.Parse(time.RFC3339, buildDate)
	if err != nil {
		return time.Time{}
	}
	return t
}

// usageError is wrong use: exit code 2.
type usageError struct{ err error }

func (e usageError) Error() string { return e.err.Error() }
func (e usageError) Unwrap() error { return e.err }

// errSilent ends with exit code 1 after the command has said everything itself.
var errSilent = errors.New("")

func main() {
	ends := []os.Signal{os.Interrupt, syscall.SIGTERM}
	if !signal.Ignored(syscall.SIGHUP) { // as nohup has it
		ends = append(ends, syscall.SIGHUP)
	}
	ctx, stop := signal.NotifyContext(context.Background(), ends...)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

func run(ctx context.Context, args []string, in io.Reader, out, errw io.Writer) int {
	err := newRoot().run(ctx, args, in, out, errw)
	if err == nil {
		return 0
	}
	if !errors.Is(err, errSilent) {
		fmt.Fprintf(errw, "obu: error: %v\n", err)
		if h := hint(err); h != "" {
			fmt.Fprintf(errw, "obu: hint: %s\n", h)
		}
	}
	if errors.As(err, new(usageError)) {
		return 2
	}
	return 1
}

func newRoot() *command {
	root := &command{
		Use:   "obu",
		Short: "the on-board unit: OBD-II/CAN, GPS and dashcam to the cloud, nothing stored is lost",
		Long: `obu reads OBD-II/CAN, NMEA and dashcam segments, buffers them on disk and
publishes them over MQTT.

  obu config example > obu.yaml      write a commented configuration
  obu check -c obu.yaml              is everything there? what to do next
  obu run -c obu.yaml                the agent
  obu status                         what the running agent says of itself`,
	}
	root.AddCommand(runCommand(), checkCommand(), statusCommand(), decodeCommand(), tailCommand(),
		bufferCommand(), recordCommand(), configCommand(), versionCommand())
	return root
}

// exactly asks for n arguments and says which.
func exactly(names ...string) func(*command, []string) error {
	return func(cmd *command, args []string) error {
		if len(args) != len(names) {
			return usageError{fmt.Errorf("%s wants %d argument(s) %v, got %d; `%s --help` shows an example",
				cmd.CommandPath(), len(names), names, len(args), cmd.CommandPath())}
		}
		return nil
	}
}

func atMost(n int) func(*command, []string) error {
	return func(cmd *command, args []string) error {
		if n == 0 && len(args) > 0 {
			return usageError{fmt.Errorf("%s takes no argument, got %q", cmd.CommandPath(), args[0])}
		}
		if len(args) > n {
			return usageError{fmt.Errorf("%s takes at most %d argument(s), got %d", cmd.CommandPath(), n, len(args))}
		}
		return nil
	}
}
