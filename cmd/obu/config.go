package main

import (
	"fmt"

	"obu/internal/config"
)

func configCommand() *command {
	cmd := &command{
		Use:   "config",
		Short: "a commented example, the JSON Schema, or the resolved settings",
	}
	cmd.AddCommand(&command{
		Use:     "example",
		Short:   "a commented configuration to start from",
		Example: "  obu config example > obu.yaml",
		Args:    atMost(0),
		RunE: func(cmd *command, _ []string) error {
			_, err := fmt.Fprint(cmd.OutOrStdout(), config.Example())
			return err
		},
	}, &command{
		Use:   "schema",
		Short: "JSON Schema of the configuration, for editors",
		Long: `An editor that knows YAML then offers the settings with what they mean and marks
what is wrong. The file names it in its first line:

  # yaml-language-server: $schema=obu.schema.json

A value that a schema cannot judge (how long a duration is, what needs what) is
told by obu check.`,
		Example: "  obu config schema > obu.schema.json",
		Args:    atMost(0),
		RunE: func(cmd *command, _ []string) error {
			_, err := fmt.Fprint(cmd.OutOrStdout(), config.Schema())
			return err
		},
	}, configShowCommand())
	return cmd
}

func configShowCommand() *command {
	var path string
	cmd := &command{
		Use:   "show",
		Short: "every setting as it is in force, and where it comes from; secrets are masked",
		Args:  atMost(0),
		RunE: func(cmd *command, _ []string) error {
			path, err := findConfig(path)
			if err != nil {
				return err
			}
			cfg, err := config.Load(path)
			if err != nil {
				return err
			}
			_, err = fmt.Fprint(cmd.OutOrStdout(), config.Show(cfg))
			return err
		},
	}
	configFlag(cmd, &path)
	return cmd
}
