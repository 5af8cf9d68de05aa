package acceptance_test

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// natsNode is one NATS server with MQTT and JetStream. It has one MQTT
// listener, so a second server beside it, with a store of its own, does TLS.
type natsNode struct {
	ports
	path, conf string
	proc       *process
	secured    *natsNode // nil: no TLS
}

// newNATS returns a server that is a cluster of its own.
func newNATS(t *testing.T, s settings) broker {
	ca := s.TLS
	s.TLS = nil
	n := newNATSNode(t, s, natsPlace{name: "n1"})
	if ca != nil {
		n.secured = newNATSNode(t, settings{TLS: ca}, natsPlace{name: "s1"})
		n.tls, n.ca = n.secured.plain, ca
	}
	return n
}

// natsPlace is a node's place in a cluster.
type natsPlace struct {
	name   string
	listen string   // for the other nodes; "": alone
	routes []string // where the others listen
}

func newNATSNode(t *testing.T, s settings, place natsPlace) *natsNode {
	n := &natsNode{path: need(t, "nats-server", "nats-server", "/usr/sbin/nats-server"), ports: ports{t: t, plain: freePort(t)}}
	dir := t.TempDir()
	if s.Dir == "" {
		s.Dir = t.TempDir()
	}
	size := ""
	if s.MaxSize > 0 {
		size = fmt.Sprintf("max_payload: %d", s.MaxSize)
	}
	replicas, join := "", ""
	if place.listen != "" {
		replicas = "stream_replicas: 3, consumer_replicas: 3"
		join = fmt.Sprintf("cluster { name: fleet, listen: %q, routes: [%s] }", place.listen, strings.Join(place.routes, ", "))
	}
	if s.TLS != nil {
		cert, key := s.TLS.issue("broker")
		replicas = fmt.Sprintf("tls { cert_file: %q, key_file: %q, ca_file: %q, verify_and_map: true }", cert, key, s.TLS.file)
	}
	password := func(u string) string {
		if s.TLS != nil {
			return "" // a user known by certificate must have none
		}
		return ", password: " + passwordOf(u)
	}
	lines := []string{
		"server_name: " + place.name,
		fmt.Sprintf("listen: %q", loopback(freePort(t))), size, join,
		fmt.Sprintf("jetstream { store_dir: %q, max_memory_store: 64MB, max_file_store: 4GB }", s.Dir),
		fmt.Sprintf("mqtt { listen: %q, ack_wait: \"10s\", max_ack_pending: 1000, %s }", loopback(n.plain), replicas),
		"authorization { users: [", "  { user: cloud" + password("cloud") + " }",
	}
	for _, u := range users()[1:] {
		own := fmt.Sprintf(`"obu.v1.f1.%s", "obu.v1.f1.%s.>"`, u, u)
		deny := ""
		if u == muted {
			deny = `"obu.v1.f1.` + muted + `.telemetry"`
		}
		lines = append(lines, fmt.Sprintf(`  { user: %s%s, permissions: { publish: { allow: [%s], deny: [%s] }, subscribe: [%s, "$MQTT.sub.>"] } }`, u, password(u), own, deny, own))
	}
	lines = append(lines, "] }")
	n.conf = write(t, filepath.Join(dir, "nats.conf"), lines...)
	return n
}

func (n *natsNode) Start() {
	n.proc = launch(n.t, exec.Command(n.path, "-c", n.conf))
	n.proc.listens(n.plain)
	if n.secured != nil && n.secured.proc == nil {
		n.secured.proc = launch(n.t, exec.Command(n.path, "-c", n.secured.conf))
		n.secured.proc.listens(n.tls)
	}
}

func (n *natsNode) Kill() { n.proc.kill() }
