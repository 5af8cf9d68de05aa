package uplink

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"time"

	"obu/internal/clock"
	"obu/telemetry"
	"obu/uplink/budget"
)

// Backlog is what the uplink drains. *buffer.Buffer is one.
type Backlog interface {
	// Streams lists every (store, class), retired stores first.
	Streams() []telemetry.Stream
	// Read returns consecutive held batches at or after from, at least one if
	// there is any, and no more than about maxBytes of blobs.
	Read(store telemetry.StoreID, class telemetry.Class, from uint64, maxBytes int) ([]telemetry.Stored, error)
	// Ack says that the names are delivered. Those that are not held are ignored.
	Ack(names ...telemetry.Name)
	// Refuse says that the broker will never take this batch.
	Refuse(n telemetry.Name, why telemetry.Reason)
}

// Commands remembers executed command ids across power cuts.
type Commands interface {
	// Executed returns the reply of a command that was recorded, empty when it
	// only began.
	Executed(id string) (reply []byte, ok bool)
	// Admit is asked before a command is executed: an error says that its id
	// could not be remembered. It may forget ids whose not-after is before now.
	Admit(now time.Time) error
	// Record notes durably that a command begins (no reply) or has ended.
	Record(id string, reply []byte, notAfter time.Time) error
	// Told says that the broker has the reply.
	Told(id string)
	// Untold calls fn with each recorded command whose reply the broker does not
	// have, oldest first, until it returns false.
	Untold(fn func(id string, reply []byte) bool)
}

// Encoding is how envelopes travel.
type Encoding string

// The encodings.
const (
	Protobuf Encoding = "protobuf" // columns, range coded or zstd
	JSON     Encoding = "json"     // the same batches for people and simple consumers
)

// Custody says what proves delivery.
type Custody string

// The proofs.
const (
	CustodyPuback  Custody = "puback"  // the broker has it
	CustodyReceipt Custody = "receipt" // the cloud said so on the ack topic
)

// Defaults and bounds of Config.
const (
	DefaultMaxPacket   = 120 << 10 // payload of one packet
	DefaultHistoryRate = 64 << 10  // bytes/s
	DefaultLiveEvery   = time.Second
	Unlimited          = -1 // HistoryRate without a cap
	minMaxPacket       = 4 << 10
	stopWait           = 2 * time.Second  // for outstanding PUBACKs and the last link message
	ackTimeout         = 30 * time.Second // oldest packet without PUBACK before the session is given up
	refreshEvery       = 10 * time.Second // look at the backlog even if nobody notifies
	liveBehind         = 30               // live falls back to the newest batch when more than this are waiting
)

// Config says where to deliver, as whom, and how.
type Config struct {
	Broker         string // mqtt:// or mqtts:// URL
	TLS            TLS
	Username       string
	Password       string
	ClientID       string        // "": Unit
	Fleet, Unit    string        // of the topics obu/v1/<fleet>/<unit>/…
	Encoding       Encoding      // "": protobuf
	Format         int           // of protobuf envelopes, up to telemetry.FormatTrack; 0: telemetry.Format
	Custody        Custody       // "": puback
	LiveEvery      time.Duration // 0: 1 s; live batches are grouped over this time
	HistoryRate    int64         // bytes/s; 0: 64 KiB/s; Unlimited
	MaxPacket      int           // payload bytes; 0: 120 KiB
	KeepAlive      time.Duration // 0: 30 s
	ConnectTimeout time.Duration // 0: 20 s
	BackoffMin     time.Duration // first window of the reconnect delay while nothing answers; 0: 2 s
	BackoffMax     time.Duration // largest window of any reconnect delay; 0: 2 min
	AckTimeout     time.Duration // 0: 30 s
	// ReceiptPatience is how long a batch waits for the cloud's receipt before
	// it is sent again (custody: receipt). 0: 2 min.
	ReceiptPatience time.Duration

	Clock    *clock.Clock
	Backlog  Backlog
	Commands Commands          // nil: commands are answered, their ids kept in memory only
	Birth    func() any        // the retained birth message, marshalled to JSON at each CONNACK; nil: none
	Handlers map[string]Action // commands besides ping, by name
	Version  string            // answered to ping
	// ClearRetained clears the unit's retained messages once, before it announces
	// itself: what they said belongs to a store that was wiped.
	ClearRetained bool

	// Budget is told what crosses the wire and says what may leave over a link
	// that costs money. nil: everything may.
	Budget *budget.Budget
	// Network tells which interface a link is. nil: what the kernel says.
	Network Network

	// Dial replaces the TCP connection, below TLS.
	Dial func(ctx context.Context) (net.Conn, error)
	// Route names the way out that the unit has now, "" while it has none: a
	// loss that comes with another way out hit this unit alone. nil: the address
	// the kernel would send from; with Dial, unknown.
	Route func() string
	// Now is the time certificates and not-after are checked against. nil:
	// Clock.VerifyTime, the latest of system time, build date and last good time.
	Now func() time.Time
	Log *slog.Logger
}

// ErrConfig is wrapped by New's errors about a Config; the text names the key.
var ErrConfig = errors.New("uplink configuration")

func (c *Config) check() error {
	if _, err := parseBroker(c.Broker); err != nil {
		return fmt.Errorf("%w: broker: %w", ErrConfig, err)
	}
	for key, v := range map[string]string{"fleet": c.Fleet, "unit": c.Unit} {
		if v == "" || strings.ContainsAny(v, "/+#\x00") {
			return fmt.Errorf("%w: %s %q: must not be empty or hold / + #", ErrConfig, key, v)
		}
	}
	if c.Encoding != Protobuf && c.Encoding != JSON {
		return fmt.Errorf("%w: encoding %q: want protobuf or json", ErrConfig, c.Encoding)
	}
	if c.Format < 1 || c.Format > telemetry.FormatTrack {
		return fmt.Errorf("%w: format %d: want 1 to %d", ErrConfig, c.Format, telemetry.FormatTrack)
	}
	if c.Custody != CustodyPuback && c.Custody != CustodyReceipt {
		return fmt.Errorf("%w: custody %q: want puback or receipt", ErrConfig, c.Custody)
	}
	if c.MaxPacket < minMaxPacket {
		return fmt.Errorf("%w: max_packet %d: want at least %d bytes", ErrConfig, c.MaxPacket, minMaxPacket)
	}
	if c.Clock == nil || c.Backlog == nil {
		return fmt.Errorf("%w: a clock and a backlog are needed", ErrConfig)
	}
	return nil
}

func (c *Config) defaults() {
	def(&c.ClientID, c.Unit)
	def(&c.Encoding, Protobuf)
	def(&c.Format, telemetry.Format)
	def(&c.Custody, CustodyPuback)
	def(&c.LiveEvery, DefaultLiveEvery)
	def(&c.HistoryRate, DefaultHistoryRate)
	def(&c.MaxPacket, DefaultMaxPacket)
	def(&c.BackoffMin, backoffMin)
	def(&c.BackoffMax, backoffMax)
	c.BackoffMin = min(c.BackoffMin, c.BackoffMax)
	def(&c.AckTimeout, ackTimeout)
	def(&c.ReceiptPatience, receiptPatience)
	if c.Now == nil && c.Clock != nil {
		c.Now = c.Clock.VerifyTime
	}
	if c.Budget == nil {
		c.Budget = budget.New(budget.Config{})
	}
	if c.Network == nil {
		c.Network = kernelNetwork{}
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
}

// def sets *v to d when it is the zero value.
func def[T comparable](v *T, d T) {
	var zero T
	if *v == zero {
		*v = d
	}
}
