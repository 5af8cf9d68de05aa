package agent

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"time"

	"obu/internal/config"
	"obu/telemetry"
	"obu/uplink/budget"
)

const (
	budgetFile  = "budget.json"
	budgetEvery = time.Second
)

// newBudget opens the book of what the configuration agreed.
func newBudget(c config.Budget) *budget.Budget {
	b := budget.Config{Monthly: int64(c.Monthly), MonthStarts: c.MonthStarts, Metered: c.Metered, Free: c.Free, MediaFree: c.Media == "free"}
	for _, word := range c.Ladder {
		b.Ladder = append(b.Ladder, budget.Measure(word))
	}
	return budget.New(b)
}

// loadBudget goes on with the book of the run before. One that cannot be read
// is begun anew: data matters more than its price.
func (a *Agent) loadBudget() {
	path := filepath.Join(a.cfg.Buffer.Dir, budgetFile)
	text, err := config.ReadBytes(path)
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	if err == nil {
		err = a.budget.Restore(text)
	}
	if err != nil {
		a.log.Warn("the data budget of this month is counted from zero again", "file", path, "error", err,
			"next", "compare with the carrier's figure; if the file is of a newer version, nothing")
	}
}

// saveBudget keeps the book; closed says that nothing is spent any more.
func (a *Agent) saveBudget(closed bool) {
	err := a.budget.Keep(closed, func(book []byte) error {
		if err := config.WriteBytes(filepath.Join(a.cfg.Buffer.Dir, budgetFile), book); err != nil {
			return fmt.Errorf("keep the data budget's book: %w", err)
		}
		return nil
	})
	if err != nil && !a.unkept {
		a.log.Warn("the data budget cannot be kept: a power cut now would forget what was spent", "error", err,
			"next", "check free space (df -h) and that the agent may write to buffer.dir")
	}
	a.unkept = err != nil
}

// budgetLoop tells the book the time and keeps it, until ctx ends.
func (a *Agent) budgetLoop(ctx context.Context) {
	tick := time.NewTicker(budgetEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if change, ok := a.budget.Advance(a.clock.Now(), a.trustedWall()); ok {
			a.stepTaken(change)
		}
		if a.budget.Due() {
			a.saveBudget(false)
		}
	}
}

// stepTaken tells people and the cloud of a step of the ladder at once.
func (a *Agent) stepTaken(c budget.Change) {
	why := "the forecast of the month leaves room"
	if c.To > c.From {
		why = "the forecast of the month is over the data budget"
	}
	a.log.Warn("data budget: "+c.Saving, "step", c.To, "was", c.From, "why", why,
		"used_bytes", c.Used, "forecast_bytes", c.Forecast, "monthly_bytes", c.Monthly)
	a.batch.statistics(a.budgetStatistics())
}

// budgetStatistics are the budget's figures for the cloud, of a unit that has
// one.
func (a *Agent) budgetStatistics() []telemetry.Sample {
	r := a.budget.Report()
	if r.Monthly == 0 {
		return nil
	}
	var out []telemetry.Sample
	now, src := a.clock.Now(), telemetry.Source{Bus: "obu", Method: "stat"}
	add := func(name string, v telemetry.Value) {
		if sig, ok := telemetry.Lookup("Vehicle.Obu.Budget." + name); ok {
			out = append(out, telemetry.Sample{At: now, Signal: sig, Source: src, Value: v})
		}
	}
	day := r.Day.Plus(r.DayFree)
	for _, f := range [...]struct {
		name  string
		value int64
	}{
		{"Used", r.Used}, {"Forecast", r.Forecast}, {"Monthly", r.Monthly}, {"Step", int64(r.Step)},
		{"Day.Telemetry", day.Telemetry}, {"Day.Event", day.Event}, {"Day.Health", day.Health}, {"Day.Media", day.Media}, {"Day.Control", day.Control},
	} {
		add(f.name, telemetry.Int(f.value))
	}
	add("IsMetered", telemetry.Bool(r.Metered))
	return out
}
