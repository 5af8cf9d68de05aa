package main

import (
	"fmt"

	"obu/internal/config"
)

func configCommand() *command {
	cmd := &command{
		Use:   "config",
		Short: "a commented example, or the resolved settings",
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
		Short: "JSON Schema (a later release)",
		RunE:  func(*command, []string) error { return later("config schema") },
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
