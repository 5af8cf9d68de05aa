package config

// Uplink is the MQTT connection.
type Uplink struct {
	// Address of the MQTT broker: mqtts:// with TLS (port 8883 if none is
	// given), mqtt:// without (port 1883).
	Broker string `key:"broker" example:"mqtts://broker.example.com:8883" check:"broker" required:"it is the address of the MQTT broker, for example mqtts://broker.example.com:8883"`
	// MQTT client id; without one the unit's name is used.
	ClientID string `key:"client_id" example:"unit-0001" check:"name"`
	// Name and password, if the broker wants them. ${OBU_PASSWORD} takes the
	// password from the environment.
	Username string `key:"username" example:"unit-0001"`
	Password string `key:"password" example:"${OBU_PASSWORD}" secret:"true"`
	// Certificates. Those of the system are trusted when no ca is given.
	TLS *TLS `key:"tls"`
	// How often the newest state leaves. 10s saves data volume.
	LiveEvery Duration `key:"live_every" default:"1s" min:"100ms" max:"1h"`
	// How fast a backlog may drain beside the live data: 64KiB/s, or unlimited.
	HistoryRate Rate `key:"history_rate" default:"64KiB/s" min:"1KiB/s"`
	// When data counts as delivered and leaves the buffer: puback when the
	// broker has it, receipt when the cloud has said so.
	Custody string `key:"custody" default:"puback" oneof:"puback receipt"`
	// How long data waits for the cloud's receipt before it is sent again, with
	// custody: receipt.
	ReceiptPatience Duration `key:"receipt_patience" default:"2m" min:"1s" max:"24h"`
	// protobuf, or json: the same data, readable and larger.
	Encoding string `key:"encoding" default:"protobuf" oneof:"protobuf json"`
	// Version of the protobuf envelopes. By itself 2, and 3 where gps.curvelog keeps
	// corners (detail), which then take a third less. 1 takes up to a third more than
	// 2. 1 and 2 are for consumers that are not updated yet.
	Format int `key:"format" example:"2" oneof:"1 2 3"`
	// Largest packet sent; not more than the broker accepts.
	MaxPacket Size `key:"max_packet" default:"120KiB" min:"1KiB" max:"16MiB"`
	// How soon a dead connection is noticed.
	KeepAlive Duration `key:"keep_alive" default:"30s" min:"1s" max:"18h"`
	// Longest wait before the next try while the broker cannot be reached. The
	// wait doubles up to it and is drawn at random, so that a fleet does not
	// come back in one wave.
	ReconnectMax Duration `key:"reconnect_max" default:"2m" min:"1s" max:"1h"`
	// What the data may cost. docs/budget.md says what is held back, and when.
	Budget Budget `key:"budget"`
}

// Budget is what was agreed with the carrier.
type Budget struct {
	// Bytes a billing month may cost on metered links, as the carrier counts
	// them. Without it they are counted and nothing is held back.
	Monthly Size `key:"monthly" example:"500MB" min:"1MB" max:"1TiB"`
	// Day on which the billing month begins, in UTC.
	MonthStarts int `key:"month_starts" default:"1" min:"1" max:"28"`
	// Interfaces that cost money; a * at the end stands for any ending. Without
	// metered and free: [ww*, ppp*, usb*, rmnet*]. Name a VPN here if it runs over
	// the modem: wg0.
	Metered []string `key:"metered" example:"[wwan*, usb0]" check:"interface"`
	// Interfaces that cost nothing. With this list any other one costs money.
	Free []string `key:"free" example:"[wlan0, eth0]" check:"interface"`
	// Clips over metered links: any, until the ladder holds them back, or free:
	// never, they wait for a free network.
	Media string `key:"media" default:"any" oneof:"any free"`
	// What to save with, in this order, when the forecast is over the month's
	// bytes: slower (live each 10 s), coarser (live once a minute, the rest waits
	// for a free network), media (waits too). With cameras put media first.
	Ladder []string `key:"ladder" example:"[media, slower, coarser]" oneof:"slower coarser media"`
}

// TLS holds the certificates of the connection, as PEM files.
type TLS struct {
	// Who signed the broker's certificate.
	CA string `key:"ca" example:"/etc/obu/ca.pem"`
	// Certificate and key of this unit.
	Cert string `key:"cert" example:"/etc/obu/unit.pem"`
	Key  string `key:"key" example:"/etc/obu/unit.key"`
	// Name in the broker's certificate, if it is not that of its address.
	ServerName string `key:"server_name" example:"broker.example.com"`
}
