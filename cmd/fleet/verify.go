package main

import (
	"os"

	"github.com/spf13/cobra"

	"obu/buffer"
)

// verifyFileName is the hidden subcommand that walks a store in a process of
// its own, where a damaged file can do no harm.
const verifyFileName = "verify-file"

// verifyArgs is the command an agent runs on a store that was not closed
// cleanly: this very binary.
func verifyArgs() []string {
	exe, err := os.Executable()
	if err != nil {
		return nil
	}
	return []string{exe, verifyFileName}
}

func verifyFileCommand() *cobra.Command {
	return &cobra.Command{
		Use: verifyFileName + " FILE", Hidden: true, Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error { return buffer.VerifyFile(args[0]) },
	}
}
