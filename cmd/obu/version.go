package main

import (
	"fmt"
	"runtime"

	"obu/telemetry"
)

func versionCommand() *command {
	return &command{
		Use:   "version",
		Short: "version, wire format and platform",
		Args:  atMost(0),
		RunE: func(cmd *command, _ []string) error {
			built := buildDate
			if built == "" {
				built = "not stamped"
			}
			fmt.Fprintf(cmd.OutOrStdout(), "obu %s\nbuilt %s with %s for %s/%s\nwire format %d, VSS %s\n",
				version, built, runtime.Version(), runtime.GOOS, runtime.GOARCH, telemetry.Format, telemetry.VSSVersion)
			return nil
		},
	}
}
