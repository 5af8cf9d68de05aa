package acceptance_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"obu/uplink"
)

// rabbitNode is one RabbitMQ node with the MQTT plugin.
type rabbitNode struct {
	ports
	path string
	env  []string
	epmd *exec.Cmd // nil: another node's serves

	epmdPort int
	cred     *syscall.Credential
	proc     *process
}

// newRabbitMQ returns a node that is a cluster of its own.
func newRabbitMQ(t *testing.T, s settings) broker {
	return newRabbitNode(t, s, "obu1", 0, nil)
}

// newRabbitNode returns one node. epmdPort is that of a running name server of
// the cluster, 0 to start one; others are the names of nodes to join.
func newRabbitNode(t *testing.T, s settings, name string, epmdPort int, others []string) *rabbitNode {
	r := &rabbitNode{path: need(t, "rabbitmq-server", "/usr/lib/rabbitmq/bin/rabbitmq-server"), ports: ports{t, freePort(t), freePort(t), s.TLS}}
	dir := openDir(t)
	if s.Dir == "" {
		s.Dir = openDir(t)
	}
	if epmdPort == 0 {
		epmdPort = freePort(t)
		r.epmd = exec.Command(need(t, "erlang-base", "epmd"), "-address", "127.0.0.1", "-port", strconv.Itoa(epmdPort))
	}
	r.epmdPort = epmdPort
	home := filepath.Join(dir, "home")
	if err := os.Mkdir(home, 0o777); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(home, ".erlang.cookie"), "OBUACCEPTANCE")
	conf := []string{
		"listeners.tcp = none",
		fmt.Sprintf("mqtt.listeners.tcp.default = 127.0.0.1:%d", r.plain),
		"mqtt.allow_anonymous = false", "mqtt.vhost = /", "mqtt.exchange = amq.topic", "mqtt.prefetch = 500",
		"mqtt.retained_message_store = rabbit_mqtt_retained_msg_store_dets",
		"load_definitions = " + write(t, filepath.Join(dir, "definitions.json"), rabbitDefinitions(t)),
		"disk_free_limit.absolute = 50MB",
	}
	if len(others) > 0 { // alone, a quorum queue stays without a leader after a SIGKILL of 3.10
		conf = append(conf, "mqtt.durable_queue_type = quorum")
	}
	for i, o := range others {
		if i == 0 {
			conf = append(conf, "cluster_formation.peer_discovery_backend = classic_config")
		}
		conf = append(conf, fmt.Sprintf("cluster_formation.classic_config.nodes.%d = %s@localhost", i+1, o))
	}
	if s.TLS != nil {
		cert, key := s.TLS.issue("broker")
		conf = append(conf, fmt.Sprintf("mqtt.listeners.ssl.default = 127.0.0.1:%d", r.tls), "mqtt.ssl_cert_login = true",
			"ssl_cert_login_from = common_name", "ssl_options.cacertfile = "+s.TLS.file, "ssl_options.certfile = "+cert,
			"ssl_options.keyfile = "+key, "ssl_options.verify = verify_peer", "ssl_options.fail_if_no_peer_cert = true")
	}
	r.env = []string{
		"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8", "HOME=" + home,
		"RABBITMQ_NODENAME=" + name + "@localhost", fmt.Sprintf("RABBITMQ_DIST_PORT=%d", freePort(t)),
		fmt.Sprintf("ERL_EPMD_PORT=%d", epmdPort), "ERL_EPMD_ADDRESS=127.0.0.1",
		"RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS=-kernel inet_dist_use_interface {127,0,0,1}",
		"RABBITMQ_CONFIG_FILE=" + write(t, filepath.Join(dir, "rabbitmq.conf"), conf...),
		"RABBITMQ_ENABLED_PLUGINS_FILE=" + write(t, filepath.Join(dir, "plugins"), "[rabbitmq_mqtt,rabbitmq_auth_mechanism_ssl]."),
		"RABBITMQ_MNESIA_BASE=" + s.Dir, "RABBITMQ_LOG_BASE=" + dir, "RABBITMQ_LOGS=-",
		"RABBITMQ_PID_FILE=" + filepath.Join(dir, "pid"), "RABBITMQ_CONF_ENV_FILE=/dev/null",
	}
	r.cred = rabbitUser(t, dir, s.Dir)
	return r
}

// rabbitUser returns the package's own user when the test runs as root, which
// RabbitMQ does not like, and gives it the directories.
func rabbitUser(t *testing.T, dirs ...string) *syscall.Credential {
	t.Helper()
	cookie := filepath.Join(dirs[0], "home", ".erlang.cookie")
	if err := os.Chmod(cookie, 0o400); err != nil {
		t.Fatal(err)
	}
	if os.Geteuid() != 0 {
		return nil
	}
	u, err := user.Lookup("rabbitmq")
	if err != nil {
		t.Skipf("%v: the node does not run as root", err)
	}
	uid, _ := strconv.Atoi(u.Uid)
	gid, _ := strconv.Atoi(u.Gid)
	for _, d := range dirs {
		if err := filepath.Walk(d, func(p string, _ os.FileInfo, err error) error {
			if err != nil {
				return err
			}
			return os.Chown(p, uid, gid)
		}); err != nil {
			t.Fatal(err)
		}
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
}

// openDir returns a directory that other users may walk to.
func openDir(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for d := dir; strings.HasPrefix(d, os.TempDir()+"/"); d = filepath.Dir(d) {
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// rabbitDefinitions are the users and what they may do.
func rabbitDefinitions(t *testing.T) string {
	t.Helper()
	type object = map[string]any
	var people, may, topics []object
	for _, u := range users() {
		salt := []byte{1, 2, 3, 4}
		sum := sha256.Sum256(append(salt, passwordOf(u)...))
		tags := []string{}
		people = append(people, object{"name": u, "password_hash": base64.StdEncoding.EncodeToString(append(salt, sum[:]...)),
			"hashing_algorithm": "rabbit_password_hashing_sha256", "tags": tags})
		may = append(may, object{"user": u, "vhost": "/", "configure": "^mqtt-subscription-.*",
			"write": `^(mqtt-subscription-.*|amq\.topic)$`, "read": `^(mqtt-subscription-.*|amq\.topic)$`})
		if u != "cloud" {
			own := `^obu\.v1\.[^.]+\.{username}(\..*)?$`
			write := own
			if u == muted {
				write = `^obu\.v1\.[^.]+\.{username}\.(birth|link|event|health|media|reply|check)$`
			}
			topics = append(topics, object{"user": u, "vhost": "/", "exchange": "amq.topic", "write": write, "read": own})
		}
	}
	b, err := json.Marshal(object{"users": people, "vhosts": []object{{"name": "/"}}, "permissions": may, "topic_permissions": topics})
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func (r *rabbitNode) Start() {
	if r.epmd != nil && r.epmd.Process == nil {
		launch(r.t, r.epmd)
	}
	cmd := exec.Command(r.path)
	cmd.Env = r.env
	cmd.Dir = os.TempDir()
	if r.cred != nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: r.cred}
	}
	r.proc = launch(r.t, cmd)
	r.proc.listens(r.plain)
	ready(r.t, r.URL())
	// It lets people in before it has read who may write what.
	if !await(startLimit, func() bool {
		s, err := uplink.Connect(r.t.Context(), uplink.SessionConfig{Broker: r.URL(), ClientID: "ready", Username: "u1", Password: passwordOf("u1")})
		if err != nil {
			return false
		}
		defer s.Close()
		return s.Publish(r.t.Context(), "obu/v1/f1/u2/check", false, nil) != nil
	}) {
		r.t.Fatal("the node lets everybody write everything")
	}
}

func (r *rabbitNode) Kill() { r.proc.kill() }
