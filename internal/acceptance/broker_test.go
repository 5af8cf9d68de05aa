package acceptance_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"obu/uplink"
)

// broker is a real one under the control of a test: plain and TLS on loopback,
// users u1 to u20 who own the topics of the unit of that name in fleet f1, and
// the user cloud who owns all. Passwords are "pw-" and the name.
type broker interface {
	URL() string           // plain
	TLSURL() string        // client certificate required
	Start()                // once it was made, or killed
	Kill()                 // SIGKILL to every process of it
	Authority() *authority // nil: no TLS
}

// settings say how to configure a broker.
type settings struct {
	Dir     string     // its store; "": a directory of the test
	Plain   bool       // as the package comes with persistence on, instead of as docs/brokers.md says
	Deep    bool       // mosquitto: no limit to what waits for a consumer
	TLS     *authority // nil: no TLS listener
	MaxSize int        // largest packet; 0: the broker's default
}

// kind is a make of broker.
type kind struct {
	Name string
	New  func(t *testing.T, s settings) broker
	// Packet is whether the broker has a limit that settings.MaxSize can lower.
	Packet bool
}

var kinds = [...]kind{
	{Name: "mosquitto", New: newMosquitto, Packet: true},
	{Name: "nats", New: newNATS, Packet: true},
	{Name: "rabbitmq", New: newRabbitMQ},
}

// ready waits until the broker lets the cloud in: RabbitMQ listens some time
// before it knows its users.
func ready(t *testing.T, url string) {
	t.Helper()
	var err error
	if !await(startLimit, func() bool {
		var s *uplink.Session
		if s, err = uplink.Connect(t.Context(), uplink.SessionConfig{Broker: url, ClientID: "ready", Username: "cloud", Password: passwordOf("cloud")}); err == nil {
			s.Close()
		}
		return err == nil
	}) {
		t.Fatalf("%s lets nobody in: %v", url, err)
	}
}

const units = 20

// muted is a unit that may publish on all its topics but telemetry.
const muted = "u12"

func unitName(i int) string         { return fmt.Sprintf("u%d", i) }
func passwordOf(user string) string { return "pw-" + user }

func users() []string {
	out := []string{"cloud"}
	for i := range units {
		out = append(out, unitName(i+1))
	}
	return out
}

// ports is where one node listens, and who signed its certificate.
type ports struct {
	t          *testing.T // the broker's, not that of the test that uses it
	plain, tls int
	ca         *authority
}

func (p ports) Authority() *authority { return p.ca }

func (p ports) URL() string    { return "mqtt://" + loopback(p.plain) }
func (p ports) TLSURL() string { return "mqtts://" + loopback(p.tls) }

// mosquitto is Debian's mosquitto.
type mosquitto struct {
	ports
	path, conf string
	proc       *process
}

func newMosquitto(t *testing.T, s settings) broker {
	m := &mosquitto{path: need(t, "mosquitto", "mosquitto", "/usr/sbin/mosquitto"), ports: ports{t, freePort(t), freePort(t), s.TLS}}
	dir := t.TempDir()
	if s.Dir == "" {
		s.Dir = t.TempDir()
	}
	passwords := filepath.Join(dir, "passwords")
	for i, u := range users() {
		args := []string{"-b", passwords, u, passwordOf(u)}
		if i == 0 {
			args = append([]string{"-c"}, args...)
		}
		if out, err := exec.Command("mosquitto_passwd", args...).CombinedOutput(); err != nil {
			t.Fatalf("mosquitto_passwd: %v\n%s", err, out)
		}
	}
	if err := os.Chmod(passwords, 0o644); err != nil {
		t.Fatal(err)
	}
	acl := write(t, filepath.Join(dir, "acl"), "user cloud", "topic readwrite #", "", "pattern readwrite obu/v1/+/%u/#", "", "user "+muted, "topic deny obu/v1/f1/"+muted+"/telemetry")
	conf := []string{
		"persistence true", "persistence_location " + s.Dir + "/",
		"per_listener_settings true",
		fmt.Sprintf("listener %d 127.0.0.1", m.plain), "allow_anonymous false", "password_file " + passwords, "acl_file " + acl,
	}
	if os.Geteuid() == 0 {
		conf = append(conf, "user root")
	}
	if !s.Plain {
		conf = append([]string{"autosave_interval 1", "autosave_on_changes true", "max_queued_messages 10000000", "max_queued_bytes 0", "max_inflight_messages 0"}, conf...)
	}
	if s.Deep {
		conf = append([]string{"max_queued_messages 0", "max_queued_bytes 0"}, conf...)
	}
	if s.MaxSize > 0 {
		conf = append([]string{fmt.Sprintf("max_packet_size %d", s.MaxSize)}, conf...)
	}
	if s.TLS != nil {
		cert, key := s.TLS.issue("broker")
		conf = append(conf, fmt.Sprintf("listener %d 127.0.0.1", m.tls), "cafile "+s.TLS.file, "certfile "+cert, "keyfile "+key,
			"require_certificate true", "use_identity_as_username true", "acl_file "+acl)
	}
	m.conf = write(t, filepath.Join(dir, "mosquitto.conf"), conf...)
	return m
}

func (m *mosquitto) Start() {
	m.proc = launch(m.t, exec.Command(m.path, "-c", m.conf))
	m.proc.listens(m.plain)
	ready(m.t, m.URL())
}

func (m *mosquitto) Kill() { m.proc.kill() }
