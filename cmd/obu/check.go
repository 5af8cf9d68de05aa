package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"obu/can/dbc"
	"obu/internal/agent"
	"obu/internal/clock"
	"obu/internal/config"
)

// finding is one line of `obu check`. Next says what to do about a failure; a
// finding that is OK and has a Next is a warning.
type finding struct {
	Check string `json:"check"`
	OK    bool   `json:"ok"`
	Text  string `json:"text"`
	Next  string `json:"next,omitempty"`
}

func passed(format string, args ...any) finding {
	return finding{OK: true, Text: fmt.Sprintf(format, args...)}
}

func failed(err error) finding {
	return finding{Text: err.Error(), Next: nextStep(err)}
}

// failedWith is a failure whose next step is known where it is found.
func failedWith(next, format string, args ...any) finding {
	return failed(advised{fmt.Errorf(format, args...), next})
}

// checkReport is what `obu check --json` prints.
type checkReport struct {
	OK       bool      `json:"ok"`
	Version  string    `json:"version"`
	Findings []finding `json:"findings"`
}

func (r *checkReport) add(name string, f finding) {
	f.Check = name
	r.OK = r.OK && f.OK
	r.Findings = append(r.Findings, f)
}

func checkCommand() *command {
	var path string
	var asJSON bool
	cmd := &command{
		Use:   "check -c obu.yaml",
		Short: "is everything there? pass or fail, and what to do next",
		Long: `Looks at the configuration, each device, the folder of the store and the broker,
where it publishes a probe on the unit's topic "check" and reads it back.
Devices in use by a running agent are asked of that agent. It sends nothing to
the vehicle and leaves nothing on the disk. Exit code 0: all passed, 1:
something to do.`,
		Args: atMost(0),
		RunE: func(cmd *command, _ []string) error {
			r := check(cmd.Context(), path)
			out := cmd.OutOrStdout()
			if asJSON {
				enc := json.NewEncoder(out)
				enc.SetIndent("", "  ")
				if err := enc.Encode(r); err != nil {
					return err
				}
			} else {
				printCheck(out, r)
			}
			if !r.OK {
				return errSilent
			}
			return nil
		},
	}
	configFlag(cmd, &path)
	cmd.Flags().BoolVar(&asJSON, "json", false, "as one JSON object")
	return cmd
}

func printCheck(out io.Writer, r checkReport) {
	fails, warnings := 0, 0
	for _, f := range r.Findings {
		mark := "pass"
		switch {
		case !f.OK:
			mark, fails = "FAIL", fails+1
		case f.Next != "":
			mark, warnings = "warn", warnings+1
		}
		fmt.Fprintf(out, "%s  %-*s%s\n", mark, max(15, len(f.Check)+2), f.Check, f.Text)
		if f.Next != "" {
			fmt.Fprintf(out, "%21s-> %s\n", "", f.Next)
		}
	}
	end := fmt.Sprintf("all %d passed", len(r.Findings))
	if fails > 0 {
		end = fmt.Sprintf("%d of %d to do", fails, len(r.Findings))
	}
	if warnings > 0 {
		end += fmt.Sprintf(", %d to look at", warnings)
	}
	fmt.Fprintf(out, "\n%s\n", end)
}

func check(ctx context.Context, path string) checkReport {
	r := checkReport{OK: true, Version: version}
	cfg := r.configuration(path)
	if cfg == nil {
		return r
	}
	if len(cfg.CAN) == 0 && cfg.GPS == nil && len(cfg.Dashcam) == 0 {
		r.add("sources", failed(agent.ErrNothingToDo))
	}
	running := watchAgent(ctx, cfg)
	for _, c := range cfg.CAN {
		r.add("can "+c.Device, checkCAN(ctx, running, c))
		var before []*dbc.File
		for _, path := range c.DBC {
			r.add("dbc "+path, checkDatabase(path, &before))
		}
	}
	r.signals(cfg)
	r.zones(cfg)
	if cfg.GPS != nil {
		r.add("gps "+cfg.GPS.Device, checkGPS(ctx, running, cfg.GPS, agent.ReadTime(cfg.Buffer.Dir), clock.WithBuild(builtAt())))
		if cfg.GPS.PPS != "" {
			r.add("pps "+cfg.GPS.PPS, checkPPS(ctx, running, cfg.GPS))
		}
	}
	for _, d := range cfg.Dashcam {
		r.add("dashcam "+d.Camera, checkFolder(d.Dir))
	}
	r.add("store", checkStore(cfg))
	r.quotas(cfg, wordBits)
	r.wear(cfg)
	r.add("broker", checkBroker(ctx, cfg, unitName(cfg, running)))
	r.uplink(running)
	return r
}

// configuration adds one finding for each mistake of the configuration and
// returns it when there is none.
func (r *checkReport) configuration(path string) *config.Config {
	path, err := findConfig(path)
	if err != nil {
		r.add("configuration", failed(err))
		return nil
	}
	cfg, err := config.Load(path)
	if err == nil {
		err = cfg.RequireUnit()
	}
	var mistakes config.Errors
	switch {
	case errors.As(err, &mistakes):
		for _, m := range mistakes {
			place, _, _ := strings.Cut(m.Error(), "\n") // the line itself is a look into the file away
			r.add("configuration", failedWith(m.Cure, "%s", place))
		}
		return nil
	case err != nil:
		r.add("configuration", failed(err))
		return nil
	}
	r.add("configuration", passed("%s", path))
	for _, e := range cfg.ExampleValues() {
		f := passed("%s is %s, the example's value", e.Path, e.Value)
		f.Next = exampleCure(e)
		r.add("configuration", f)
	}
	return cfg
}

// exampleCure says what belongs in the place of an example's value.
func exampleCure(e config.ExampleValue) string {
	own := "the address of your own broker"
	switch e.Path {
	case "unit", "uplink.client_id":
		own = "this unit's own name: two units of one name push each other off the broker"
	case "uplink.tls.server_name":
		own = "the name in your broker's certificate"
	}
	if e.File == "" {
		return "write " + own
	}
	return fmt.Sprintf("%s:%d: write %s", e.File, e.Line, own)
}
