package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"obu/internal/agent"
	"obu/internal/config"
)

// flagError says in plain words what is wrong with a flag.
func flagError(cmd *cobra.Command, err error) error {
	var value interface{ GetValue() string }
	var unknown interface{ GetSpecifiedName() string }
	f, known := flagOf(cmd.Flags().Lookup, err)
	switch {
	case known && errors.As(err, &value):
		err = fmt.Errorf("--%s %s: it wants %s", f.Name, value.GetValue(), wants(f.Name, f.Value.Type(), f.Usage))
	case known:
		err = fmt.Errorf("--%s wants %s", f.Name, wants(f.Name, f.Value.Type(), f.Usage))
	case errors.As(err, &unknown):
		name := unknown.GetSpecifiedName()
		err = fmt.Errorf("there is no flag %s%s", map[bool]string{true: "-", false: "--"}[len(name) == 1], name)
	}
	return usageError{fmt.Errorf("%w; `%s --help` shows the flags", err, cmd.CommandPath())}
}

// flagOf returns the flag an error is about; lookup only says what type the
// flags of the command line library have.
func flagOf[F any](_ func(name string) F, err error) (f F, ok bool) {
	var of interface{ GetFlag() F }
	if ok = errors.As(err, &of); ok {
		f = of.GetFlag()
	}
	return f, ok
}

// wants says what a flag's value looks like.
func wants(name, kind, usage string) string {
	switch kind {
	case "int", "uint64":
		return fmt.Sprintf("a whole number, for example --%s 42", name)
	case "duration":
		return fmt.Sprintf("a time with its unit, for example --%s 60s", name)
	case "bool":
		return "nothing, true or false"
	}
	return "a value: " + usage
}

// valid says what is wrong with the flags, before anything is started. It
// completes the address of the broker.
func (o *options) valid() (err error) {
	switch {
	case o.Cars < 1:
		return errors.New("--cars wants a number of cars, for example --cars 400")
	case o.Load != loadTrack && o.Load != loadCity:
		return fmt.Errorf("--load %s: there are track and city", o.Load)
	case o.Load == loadCity && o.Replay == "" && o.Cars > maxCityCars:
		return fmt.Errorf("--load city is meant for up to %d cars", maxCityCars)
	case o.For < time.Second:
		return errors.New("--for wants at least 1s")
	case o.Custody != custodyPuback && o.Custody != custodyReceipt:
		return fmt.Errorf("--custody %s: there are puback and receipt", o.Custody)
	case o.Restart != 0 && o.Custody != custodyReceipt:
		return errors.New("--restart-receiver goes with --custody receipt: with puback what the receiver had in memory is lost")
	case o.Restart < 0 || o.Restart >= o.For:
		return errors.New("--restart-receiver wants a time within the run, for example --for 60s --restart-receiver 20s")
	case o.Live < 100*time.Millisecond || o.Live > time.Hour:
		return errors.New("--live-every wants 100ms to 1h")
	}
	if err := o.clocks.valid(o); err != nil {
		return err
	}
	if o.Broker != "" {
		if o.Broker, err = config.BrokerAddress(o.Broker); err != nil {
			return fmt.Errorf("--broker: %w", err)
		}
	}
	if o.Replay != "" {
		if err := checkDrive("--replay", o.Replay); err != nil {
			return err
		}
	}
	return checkReport(o.Report)
}

// checkReport finds out whether the report can be written, since a run that
// cannot tell its result is a wasted one. It leaves no file behind.
func checkReport(path string) error {
	if path == "" || path == "-" {
		return nil
	}
	_, err := os.Stat(path)
	isNew := errors.Is(err, fs.ErrNotExist)
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE, 0o644)
	if err == nil {
		err = f.Close()
		if isNew {
			err = errors.Join(err, os.Remove(path))
		}
		return err
	}
	if st, statErr := os.Stat(path); statErr == nil && st.IsDir() {
		return fmt.Errorf("--report %s is a folder; name a file in it: --report %s", path, filepath.Join(path, "report.json"))
	}
	if isNew && errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("--report %s: there is no folder %s; make it first", path, filepath.Dir(path))
	}
	return fmt.Errorf("--report %s cannot be written: %w", path, reason(err))
}

// checkDrive finds out whether a replay folder holds anything.
func checkDrive(flag, dir string) error {
	st, err := os.Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%s %s: there is no such folder", flag, dir)
	case err != nil:
		return fmt.Errorf("%s %s cannot be read: %w", flag, dir, reason(err))
	case !st.IsDir():
		return fmt.Errorf("%s %s is a file; name the folder it lies in: %s %s", flag, dir, flag, filepath.Dir(dir))
	}
	if _, err := agent.ReadDrive(dir); errors.Is(err, agent.ErrNoDrive) {
		why := strings.TrimPrefix(err.Error(), agent.ErrNoDrive.Error()+" "+dir) // that a log is a binary one
		return fmt.Errorf("%s %s: there is nothing to replay in this folder%s; it wants %s or a folder dashcam/", flag, dir, why, agent.DriveFiles)
	} else if err != nil {
		return fmt.Errorf("%s: %w", flag, err)
	}
	return nil
}

// reason returns what an operation on a file failed for, without its path.
func reason(err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		return path.Err
	}
	return err
}
