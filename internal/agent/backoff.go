package agent

import (
	"encoding/json"
	"log/slog"
	"os"
	"sync"

	"obu/can"
	"obu/internal/clock"
	"obu/internal/config"
	"obu/telemetry"
)

// backoffName is the file in buffer.dir that has how long each bus is left alone.
// It is there while the agent runs and is removed when the agent is stopped: who
// restarts it wants the car to be asked. What is found at the start is from a
// process that crashed, or of another boot, and then of no use.
const backoffName = "backoff.json"

// backoffs keeps what the buses were asked in vain for the next process.
type backoffs struct {
	path  string
	clock *clock.Clock
	log   *slog.Logger

	mu     sync.Mutex // guards what follows, and the file
	loaded bool
	backoffFile
}

type backoffFile struct {
	Boot  telemetry.BootID      `json:"boot"`
	Buses map[string]busBackoff `json:"buses"`
}

// busBackoff is that of one bus, and the times from which it counts.
type busBackoff struct {
	SearchAt  telemetry.At `json:"search_at_ns"`
	Search    can.Backoff  `json:"search"`
	ProbingAt telemetry.At `json:"probing_at_ns"`
	Probing   can.Probing  `json:"probing"`
}

// of returns that of a bus. mu is held.
func (k *backoffs) of(bus string) busBackoff {
	if !k.loaded {
		k.loaded = true
		text, err := config.ReadBytes(k.path)
		if err != nil || json.Unmarshal(text, &k.backoffFile) != nil || k.Boot != k.clock.Boot() {
			k.Buses = nil
		}
	}
	b, now := k.Buses[bus], k.clock.Now()
	if b.SearchAt > now || b.ProbingAt > now {
		return busBackoff{}
	}
	return b
}

func (k *backoffs) search(bus string) can.Backoff {
	k.mu.Lock()
	defer k.mu.Unlock()
	b := k.of(bus)
	return b.Search.Later(k.clock.Now().Sub(b.SearchAt))
}

func (k *backoffs) probing(bus string) can.Probing {
	k.mu.Lock()
	defer k.mu.Unlock()
	b := k.of(bus)
	return b.Probing.Later(k.clock.Now().Sub(b.ProbingAt))
}

func (k *backoffs) keepSearch(bus string, s can.Backoff) {
	k.mu.Lock()
	defer k.mu.Unlock()
	b := k.of(bus)
	b.Search, b.SearchAt = s, k.clock.Now()
	k.save(bus, b)
}

func (k *backoffs) keepProbing(bus string, p can.Probing) {
	k.mu.Lock()
	defer k.mu.Unlock()
	b := k.of(bus)
	b.Probing, b.ProbingAt = p, k.clock.Now()
	k.save(bus, b)
}

// save writes the file, with mu held. A few times a day: see can.Backoff.
func (k *backoffs) save(bus string, b busBackoff) {
	if k.Buses == nil {
		k.Buses = make(map[string]busBackoff)
	}
	k.Boot, k.Buses[bus] = k.clock.Boot(), b
	text, err := json.Marshal(k.backoffFile)
	if err == nil {
		err = config.WriteBytes(k.path, text)
	}
	if err != nil { // a full disk: after a crash the bus is asked anew
		k.log.Debug("how long a bus is left alone could not be noted", "error", err)
	}
}

// forget removes the file.
func (k *backoffs) forget() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.Buses = nil
	if err := os.Remove(k.path); err != nil && !os.IsNotExist(err) {
		k.log.Debug("the note how long buses are left alone is still there", "error", err)
	}
}
