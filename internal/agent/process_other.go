//go:build !linux

package agent

// ProcessStatus is what the agent costs the machine; only Linux tells.
type ProcessStatus struct {
	ResidentBytes int64   `json:"resident_bytes"`
	CPUS          float64 `json:"cpu_s"`
}

func processStatus() ProcessStatus { return ProcessStatus{} }
