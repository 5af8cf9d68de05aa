package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"obu/internal/config"
)

func configCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "config",
		Short: "a commented example, or the resolved settings",
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usageError{fmt.Errorf("obu config knows example, show and schema, not %q", args[0])}
			}
			return cmd.Help()
		},
	}
	cmd.AddCommand(&cobra.Command{
		Use:     "example",
		Short:   "a commented configuration to start from",
		Example: "  obu config example > obu.yaml",
		Args:    atMost(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprint(cmd.OutOrStdout(), config.Example())
			return err
		},
	}, &cobra.Command{
		Use:   "schema",
		Short: "JSON Schema (a later release)",
		RunE:  func(*cobra.Command, []string) error { return later("config schema") },
	}, configShowCommand())
	return cmd
}

func configShowCommand() *cobra.Command {
	var path string
	cmd := &cobra.Command{
		Use:   "show",
		Short: "every setting as it is in force, and where it comes from; secrets are masked",
		Args:  atMost(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
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
