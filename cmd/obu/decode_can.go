package main

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"obu/can"
	"obu/can/canlog"
	"obu/can/dbc"
	"obu/internal/agent"
	"obu/internal/config"
)

func decodeCANCommand() *command {
	var obd, groups bool
	var files, vss []string
	var names databaseNames
	var ecus string
	cmd := &command{
		Use:   "can [--dbc FILE]... [--obd] [--j1939] [--uds FILE] FILE|-",
		Short: "values in a log of CAN frames (plain or .gz)",
		Long: `Reads logs of candump (-l, -L and what -ta prints), Vector (ASC), PEAK (TRC),
OVMS (CRTD) and SavvyCAN (GVRET CSV, and its other text exports): the first
lines tell which one it is. Times are the log's own; a date in its head counts
as UTC. BLF, MDF and pcap files have to be converted first.`,
		Example: "  obu decode can --obd candump-2026-11-22.log.gz\n  obu decode can --dbc car.dbc --dbc can1:gps.dbc drive.log\n" +
			"  obu decode can --j1939 truck.log.gz\n  obu decode can --uds /etc/obu/obu.yaml diagnosis.log\n  candump -L can0 | obu decode can --obd -",
		Args: exactly("FILE"),
		RunE: func(cmd *command, args []string) error {
			if !obd && !groups && len(files) == 0 && ecus == "" {
				return usageError{errors.New("decode can wants --obd, --j1939, --uds FILE or --dbc FILE, or several of them: say what to decode")}
			}
			if err := names.parse(vss, len(files)); err != nil {
				return usageError{err}
			}
			opt := can.DecodeOptions{OBD: obd, J1939: groups}
			if ecus != "" {
				var err error
				if opt.UDS, err = loadECUs(ecus); err != nil {
					return err
				}
			}
			for _, arg := range files {
				db, err := loadDatabase(arg, &names, opt.Databases, cmd.ErrOrStderr())
				if err != nil {
					return err
				}
				opt.Databases = append(opt.Databases, db)
			}
			if err := names.unused(opt.Databases); err != nil {
				return err
			}
			names.doubt(cmd.ErrOrStderr())
			return withFile(cmd, args[0], func(r io.Reader, w *bufio.Writer) error {
				return decodeCAN(r, opt, w, cmd.ErrOrStderr())
			})
		},
	}
	cmd.Flags().BoolVar(&obd, "obd", false, "answers to OBD-II requests (SAE J1979)")
	cmd.Flags().BoolVar(&groups, "j1939", false, "values, trouble codes and identifications of SAE J1939")
	cmd.Flags().StringVar(&ecus, "uds", "", "answers of ECUs by UDS (ISO 14229-1), as can.uds of a configuration `FILE` explains them")
	cmd.Flags().Func("dbc", "signals of a DBC `FILE`; can1:FILE for those of one bus alone; may be repeated",
		func(f string) error { files = append(files, f); return nil })
	cmd.Flags().Func("vss", "`SIGNAL=PATH`: a path of VSS for a signal of the DBC, as in vss of obu.yaml; Engine.Speed[mph]=Vehicle.Speed when the file does not say the unit; may be repeated",
		func(n string) error { vss = append(vss, n); return nil })
	return cmd
}

// loadECUs reads the ECUs of a configuration. Those of several buses belong to
// the interfaces of the same names, those of one bus to all of the log.
func loadECUs(path string) (all []can.ECU, err error) {
	buses, err := config.LoadUDS(path)
	if err != nil {
		return nil, err
	}
	n := 0
	for _, c := range buses {
		n += min(len(c.UDS), 1)
	}
	for _, c := range buses {
		for _, e := range agent.ECUs(c.UDS) {
			if n > 1 {
				e.Bus = c.Device
			}
			all = append(all, e)
		}
	}
	if len(all) == 0 {
		return nil, usageError{fmt.Errorf("there is no can.uds in %s: `obu config example` shows how to write it", path)}
	}
	return all, nil
}

// loadDatabase reads FILE or BUS:FILE behind others, and says what of it was left
// out.
func loadDatabase(arg string, names *databaseNames, before []can.Database, errw io.Writer) (can.Database, error) {
	bus, path := "", arg
	if before, after, ok := strings.Cut(arg, ":"); ok && before != "" && !strings.ContainsAny(before, `/\`) {
		if _, err := os.Stat(arg); err != nil {
			bus, path = before, after
		}
	}
	f, err := can.ReadDatabase(path)
	if err != nil {
		return can.Database{}, err
	}
	for _, d := range before {
		if d.Bus == "" || d.Bus == bus {
			f.LeaveOut(d.Decoder.File())
		}
	}
	said := problems{out: errw, among: true}
	for _, w := range f.Warnings {
		said.add(w)
	}
	said.n += f.More
	said.end()
	if len(f.Messages) == 0 {
		return can.Database{}, fmt.Errorf("%s: %w: no message of it is left to decode; correct it, or do without it", path, dbc.ErrFile)
	}
	if err := names.apply(f); err != nil {
		return can.Database{}, err
	}
	return can.Database{Bus: bus, Decoder: dbc.Compile(f)}, nil
}

func decodeCAN(r io.Reader, opt can.DecodeOptions, w *bufio.Writer, errw io.Writer) error {
	var line []byte
	said := problems{out: errw}
	var damaged error
	stats, err := can.Decode(r, opt, func(rec can.Record) error {
		said.good()
		line = appendRecord(line[:0], &rec)
		_, err := w.Write(line)
		return err
	}, func(err error) {
		if errors.Is(err, canlog.ErrDamaged) {
			damaged = err
			return
		}
		said.add(err)
	})
	if err == nil && damaged == nil && stats.Frames == 0 && stats.BadLines > 0 {
		return fmt.Errorf("no line of %d reads like a log of candump, `(1700000000.123456) can0 7E8#03410D38`, or of another program it knows (ASC, TRC, CRTD, GVRET): record with `candump -L`%s",
			stats.BadLines, said.examples())
	}
	said.end()
	if err = cmp.Or(err, damaged); err != nil {
		return err
	}
	if stats.Frames == 0 {
		return errors.New("no frame in it: the recording is empty")
	}
	refused := stats.Refusal != "" && stats.Answers+stats.UDS == 0
	if refused {
		fmt.Fprintf(errw, "obu: warning: %d frames, but every answer among them is a refusal, %d of them; the first: %s. Record with the ignition on, or while something else is asked for\n", stats.Frames, stats.Negatives, stats.Refusal)
	}
	if opt.OBD && stats.Answers == 0 && !refused {
		fmt.Fprintf(errw, "obu: warning: %d frames, but no answer to an OBD request among them (7E8-7EF, 18DAF1xx)\n", stats.Frames)
	}
	if len(opt.UDS) > 0 && stats.UDS == 0 && !refused {
		fmt.Fprintf(errw, "obu: warning: %d frames, but no answer of these ECUs by UDS among them: compare request and response with the log\n", stats.Frames)
	}
	if stats.UDS > 0 && len(stats.Unheard) > 0 {
		fmt.Fprintf(errw, "obu: warning: no answer by UDS of %s among %d frames: compare its request and response with the log\n", strings.Join(stats.Unheard, ", "), stats.Frames)
	}
	if opt.J1939 && stats.Groups.Messages == 0 {
		fmt.Fprintf(errw, "obu: warning: %d frames, but no message of J1939 that is known among them: is it a log of a truck or a machine? `--dbc` reads messages of its maker\n", stats.Frames)
	}
	if len(opt.Databases) > 0 && stats.Messages == 0 {
		fmt.Fprintf(errw, "obu: warning: %d frames, but no message of the DBC among them: is it of this vehicle, and of this bus (%s)?\n", stats.Frames, busesOf(opt.Databases))
	}
	if stats.Short > 0 {
		fmt.Fprintf(errw, "obu: warning: %d times a signal of the DBC lay beyond the received bytes and was left out: the DBC may be of another model year%s\n", stats.Short, beyond(opt.Databases))
	}
	return nil
}

// beyond names a signal that its own file puts behind the end of its message.
func beyond(all []can.Database) string {
	for _, d := range all {
		if w, found := d.Decoder.Beyond(); found {
			return ", or is wrong: " + w.Error()
		}
	}
	return ""
}

// busesOf names the buses the databases are for.
func busesOf(all []can.Database) string {
	var names []string
	for _, d := range all {
		if d.Bus == "" {
			return "all of the log were tried"
		}
		names = append(names, d.Bus)
	}
	return "tried: " + strings.Join(names, ", ")
}
