package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"obu/internal/config"
)

// command is one word of the command line: the standard library's flags, with
// words below words and help that shows an example. A library for this is half
// a megabyte of a binary that travels over LTE.
type command struct {
	Use     string // "run -c obu.yaml": the first word is its name
	Short   string // one line, for the list above it
	Long    string
	Example string
	Hidden  bool
	Args    func(*command, []string) error // checks what is no flag
	RunE    func(*command, []string) error // nil: a word more is wanted

	above *command
	subs  []*command
	flags *flag.FlagSet
	ctx   context.Context
	in    io.Reader
	out   io.Writer
	errw  io.Writer
}

// name is the first word of Use.
func (c *command) name() string {
	name, _, _ := strings.Cut(c.Use, " ")
	return name
}

// CommandPath returns the words that lead here: "obu decode can".
func (c *command) CommandPath() string {
	if c.above == nil {
		return c.name()
	}
	return c.above.CommandPath() + " " + c.name()
}

// AddCommand puts commands below this one.
func (c *command) AddCommand(subs ...*command) {
	for _, s := range subs {
		s.above = c
		c.subs = append(c.subs, s)
	}
}

// Flags returns the command's own flags.
func (c *command) Flags() *flag.FlagSet {
	if c.flags == nil {
		c.flags = flag.NewFlagSet(c.name(), flag.ContinueOnError)
		c.flags.SetOutput(io.Discard) // errors and help are printed here
		c.flags.Usage = func() {}
	}
	return c.flags
}

// Changed reports whether the flag was given.
func (c *command) Changed(name string) bool {
	given := false
	c.Flags().Visit(func(f *flag.Flag) { given = given || f.Name == name })
	return given
}

func (c *command) Context() context.Context { return c.ctx }
func (c *command) InOrStdin() io.Reader     { return c.in }
func (c *command) OutOrStdout() io.Writer   { return c.out }
func (c *command) ErrOrStderr() io.Writer   { return c.errw }

// run finds the command that args name, parses its flags, wherever they stand
// among the arguments, and runs it.
func (c *command) run(ctx context.Context, args []string, in io.Reader, out, errw io.Writer) error {
	c.ctx, c.in, c.out, c.errw = ctx, in, out, errw
	if len(args) > 0 {
		for _, s := range c.subs {
			if s.name() == args[0] {
				return s.run(ctx, args[1:], in, out, errw)
			}
		}
	}
	if c.above == nil && len(args) > 0 && args[0] == "--version" {
		return c.run(ctx, append([]string{"version"}, args[1:]...), in, out, errw)
	}
	if len(c.subs) > 0 && len(args) > 0 && args[0] == "help" {
		return c.run(ctx, append(args[1:], "--help"), in, out, errw)
	}
	if c.RunE == nil && len(args) > 0 && !strings.HasPrefix(args[0], "-") {
		return c.unknown(args[0])
	}
	rest, err := c.parse(args)
	if errors.Is(err, flag.ErrHelp) {
		return c.Help()
	}
	if err != nil {
		return usageError{fmt.Errorf("%s; `%s --help` shows the flags", c.flagMistake(err), c.CommandPath())}
	}
	if c.RunE == nil {
		if len(rest) > 0 {
			return c.unknown(rest[0])
		}
		c.out = c.errw // nothing was asked for
		return errors.Join(usageError{errSilent}, c.Help())
	}
	if c.Args != nil {
		if err := c.Args(c, rest); err != nil {
			return err
		}
	}
	return c.RunE(c, rest)
}

// unknown reports a word that is no command, and the one that may be meant.
func (c *command) unknown(word string) error {
	var names []string
	for _, s := range c.subs {
		names = append(names, s.name())
	}
	meant := config.Slip(word, names)
	if meant != "" {
		meant = "did you mean " + meant + "? "
	}
	return usageError{fmt.Errorf("unknown command %q; %s`%s --help` lists them", word, meant, c.CommandPath())}
}

// parse lets flags stand behind arguments too; what follows "--" is arguments.
func (c *command) parse(args []string) (rest []string, err error) {
	fs := c.Flags()
	for {
		if err := fs.Parse(args); err != nil {
			return nil, err
		}
		left := fs.Args()
		if len(left) == 0 {
			return rest, nil
		}
		if used := len(args) - len(left); used > 0 && args[used-1] == "--" {
			return append(rest, left...), nil
		}
		rest, args = append(rest, left[0]), left[1:]
	}
}

// flagMistake says what the flag package found in words of the command line.
func (c *command) flagMistake(err error) string {
	text := err.Error()
	if name, ok := strings.CutPrefix(text, "flag provided but not defined: -"); ok {
		return "unknown flag " + dashed(name)
	}
	if name, ok := strings.CutPrefix(text, "flag needs an argument: -"); ok {
		return dashed(name) + " wants a value behind it"
	}
	for _, prefix := range [...]string{"invalid value ", "invalid boolean value "} {
		rest, ok := strings.CutPrefix(text, prefix)
		if !ok {
			continue
		}
		value, err := strconv.QuotedPrefix(rest)
		_, name, found := strings.Cut(rest[len(value):], "-")
		if name, _, _ = strings.Cut(name, ":"); err != nil || !found {
			return text
		}
		return fmt.Sprintf("%s %s: want %s", dashed(name), value, c.wants(name))
	}
	return text
}

// wants says what kind of value a flag takes.
func (c *command) wants(name string) string {
	if f := c.Flags().Lookup(name); f != nil {
		if g, ok := f.Value.(flag.Getter); ok {
			switch g.Get().(type) {
			case config.Size:
				return "a size and its unit, for example 64MiB"
			case float64:
				return "a number, for example 1 or 0.5"
			case int, int64, uint, uint64:
				return "a whole number"
			case bool:
				return "true or false, or nothing behind it"
			case time.Duration:
				return "a number and its unit, for example 5s"
			}
		}
	}
	return "another value"
}

func dashed(name string) string {
	if len(name) == 1 {
		return "-" + name
	}
	return "--" + name
}

// shortFor begins the usage of a flag of one letter that stands for a long one.
const shortFor = "short for --"

// Help prints what the command is for and how it is used.
func (c *command) Help() error {
	text := c.Long
	if text == "" {
		text = c.Short
	}
	use := c.CommandPath() + strings.TrimPrefix(c.Use, c.name())
	if len(c.subs) > 0 {
		use = c.CommandPath() + " COMMAND"
	}
	fmt.Fprintf(c.out, "%s\n\nUsage:\n  %s\n", text, use)
	if c.Example != "" {
		fmt.Fprintf(c.out, "\nExamples:\n%s\n", c.Example)
	}
	w := tabwriter.NewWriter(c.out, 0, 0, 3, ' ', 0)
	if len(c.subs) > 0 {
		fmt.Fprintf(w, "\nCommands:\n")
		for _, s := range c.subs {
			if !s.Hidden {
				fmt.Fprintf(w, "  %s\t%s\n", s.name(), s.Short)
			}
		}
	}
	short := map[string]string{}
	first := true
	c.Flags().VisitAll(func(f *flag.Flag) { // the letter comes before its word
		if long, ok := strings.CutPrefix(f.Usage, shortFor); ok {
			short[long] = "-" + f.Name + ", "
			return
		}
		if first {
			fmt.Fprintf(w, "\nFlags:\n")
			first = false
		}
		kind, usage := flag.UnquoteUsage(f)
		fmt.Fprintf(w, "  %s\t%s\n", strings.TrimSpace(short[f.Name]+dashed(f.Name)+" "+kind), usage)
	})
	return w.Flush()
}
