package acceptance_test

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

// TestCluster drains units into three nodes through something that moves them
// to a living one, as a load balancer does, and kills nodes by SIGKILL in the
// middle. Mosquitto has no cluster: it can only be bridged.
func TestCluster(t *testing.T) {
	if os.Getenv("OBU_BROKERS") != "cluster" {
		t.Skip("not asked for: run make cluster")
	}
	t.Run("nats", func(t *testing.T) {
		nodes := natsCluster(t)
		t.Run("node in use killed", func(t *testing.T) { nodeKilled(t, nodes, "u1", false) })
		t.Run("node of the consumer killed", func(t *testing.T) { consumerNodeKilled(t, nodes, "u2") })
	})
	// RabbitMQ 3.10 keeps the queue of a clean session on one node and turns the
	// unit away elsewhere until that node is back.
	t.Run("rabbitmq", func(t *testing.T) {
		nodes := rabbitCluster(t)
		t.Run("node in use killed, and back", func(t *testing.T) { nodeKilled(t, nodes, "u1", true) })
	})
}

func hostOf(b broker) string { return strings.TrimPrefix(b.URL(), "mqtt://") }

// nodeKilled: the node a unit drains into dies; the unit goes on at the next
// one, or, if it must be back first, when it is. The consumer is at the third.
func nodeKilled(t *testing.T, nodes []broker, unit string, back bool) {
	car := newCar(t, unit)
	car.drive(3000)
	car.film("20260504_060000.mp4", 700<<10)
	c := consume(&consumer{t: t, url: nodes[2].URL(), unit: unit})
	c.subscribed()
	front := (&wan{}).open(t, hostOf(nodes[0]))
	all := car.held()
	slowTo(car, front.URL())
	if !await(drainLimit, func() bool { return car.held() < all*2/3 }) {
		t.Fatalf("no start of the drain: %s", car.says())
	}
	left := car.held()
	nodes[0].Kill()
	front.move(hostOf(nodes[1]))
	t.Logf("killed with %d of %d batches acknowledged", all-left, all)
	if left == 0 {
		t.Error("the drain was over before the kill")
	}
	if back {
		time.Sleep(5 * time.Second)
		t.Logf("5 s later %d batches are held: %s", car.held(), car.up.Stats().LastError)
		nodes[0].Start()
	}
	whole(t, car, c)
	if n := car.up.Stats().Connects; n < 2 {
		t.Errorf("%d sessions: the unit never noticed", n)
	}
	if !back {
		nodes[0].Start()
	}
}

// consumerNodeKilled: the node that serves the consumer dies while the unit
// drains into another; the consumer's persistent session goes on elsewhere.
func consumerNodeKilled(t *testing.T, nodes []broker, unit string) {
	car := newCar(t, unit)
	car.drive(3000)
	back := (&wan{}).open(t, hostOf(nodes[2]))
	c := consume(&consumer{t: t, url: back.URL(), unit: unit})
	c.subscribed()
	all := car.held()
	slowTo(car, nodes[0].URL())
	if !await(drainLimit, func() bool { return car.held() < all*2/3 }) {
		t.Fatalf("no start of the drain: %s", car.says())
	}
	nodes[2].Kill()
	back.move(hostOf(nodes[1]))
	whole(t, car, c)
	nodes[2].Start()
}

// natsCluster starts three nodes with three copies of everything.
func natsCluster(t *testing.T) []broker {
	var listen [3]string
	for i := range listen {
		listen[i] = loopback(freePort(t))
	}
	var nodes []broker
	for i := range listen {
		var routes []string
		for j := range listen {
			if j != i {
				routes = append(routes, fmt.Sprintf("%q", "nats://"+listen[j]))
			}
		}
		nodes = append(nodes, newNATSNode(t, settings{}, natsPlace{fmt.Sprintf("n%d", i+1), listen[i], routes}))
	}
	for _, n := range nodes {
		n.Start()
	}
	ready(t, nodes[0].URL()) // a JetStream leader was chosen
	return nodes
}

// rabbitCluster starts three nodes whose MQTT sessions are quorum queues.
func rabbitCluster(t *testing.T) []broker {
	names := []string{"obu1", "obu2", "obu3"}
	first := newRabbitNode(t, settings{}, names[0], 0, names)
	nodes := []broker{first}
	for _, n := range names[1:] {
		nodes = append(nodes, newRabbitNode(t, settings{}, n, first.epmdPort, names))
	}
	for _, n := range nodes { // the first makes the cluster, the others join it
		n.Start()
	}
	time.Sleep(time.Second)
	return nodes
}
