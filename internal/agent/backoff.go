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

// busBackoff is that of one bus, and the time from which it counts.
type busBackoff struct {
	At telemetry.At `json:"at_ns"`
	can.Backoff
}

// was returns that of a bus, as it is now.
func (k *backoffs) was(bus string) can.Backoff {
	k.mu.Lock()
	defer k.mu.Unlock()
	if !k.loaded {
		k.loaded = true
		text, err := config.ReadBytes(k.path)
		if err != nil || json.Unmarshal(text, &k.backoffFile) != nil || k.Boot != k.clock.Boot() || k.Buses == nil {
			k.Boot, k.Buses = k.clock.Boot(), make(map[string]busBackoff)
		}
	}
	b, now := k.Buses[bus], k.clock.Now()
	if b.At > now {
		return can.Backoff{}
	}
	b.Age(now.Sub(b.At))
	return b.Backoff
}

// keep writes what is news of a bus, a few times a day.
func (k *backoffs) keep(bus string, search *can.Backoff, probing *can.Probing) {
	b := busBackoff{k.clock.Now(), k.was(bus)}
	k.mu.Lock()
	defer k.mu.Unlock()
	if search != nil {
		search.Probing = b.Probing
		b.Backoff = *search
	} else {
		b.Probing = *probing
	}
	k.Buses[bus] = b
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
	clear(k.Buses)
	_ = os.Remove(k.path)
}
