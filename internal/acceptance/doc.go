// Package acceptance holds tests that join the real buffer and the real uplink
// with real brokers: mosquitto, NATS and RabbitMQ as Debian packages them, one
// node and three, and a consumer with a persistent session behind them. It has
// no code of its own besides its tests.
//
// It is not the place for laws of one room (they stand beside it) nor for what
// an in-repo broker can show. The tests start each broker themselves, on free
// ports of 127.0.0.1 and in a directory of their own, and end it by its process
// id. They are skipped unless OBU_BROKERS is set: `make brokers`, `make
// cluster` and `make drain` set it. docs/brokers.md quotes them.
//
// Spec: MQTT 3.1.1, QoS 1 (§4.3.2), persistent sessions (§3.1.2.4).
package acceptance
