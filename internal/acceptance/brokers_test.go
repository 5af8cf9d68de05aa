package acceptance_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"obu/telemetry"
	"obu/uplink"
)

// drainLimit is how long a few thousand batches may take on a busy machine.
const drainLimit = time.Minute

// TestBrokers is the acceptance suite: one broker of each make, configured as
// docs/brokers.md says, and everything a unit does with it.
func TestBrokers(t *testing.T) {
	wanted(t, "brokers")
	for _, k := range kinds {
		t.Run(k.Name, func(t *testing.T) {
			b := k.New(t, settings{TLS: newAuthority(t)})
			b.Start()
			for _, c := range [...]struct {
				name string
				run  func(t *testing.T, b broker)
			}{
				{"delivers every class", delivers},
				{"answers a command", answers},
				{"tells who is gone", tellsWhoIsGone},
				{"takes over a client id", takesOver},
				{"refuses a wrong password", refusesPassword},
				{"keeps units apart", keepsApart},
				{"denied unit keeps its data", deniedKeeps},
				{"forbidden topic keeps its data", forbiddenKeeps},
				{"client certificate", clientCertificate},
				{"killed mid-drain", killed},
				{"killed mid-drain, with receipts", killedWithReceipts},
			} {
				t.Run(c.name, func(t *testing.T) { c.run(t, b) })
			}
		})
	}
}

// whole fails unless everything arrived, value for value, and nobody is left
// with a hole.
func whole(t *testing.T, car *car, c *consumer) {
	t.Helper()
	a := drainInto(t, car, c)
	if a.Missing > 0 || a.Holes > 0 || a.Wrong > 0 {
		t.Errorf("of %d batches %d are missing, %d came changed; %d holes; %s", len(car.want), a.Missing, a.Wrong, a.Holes, car.says())
	}
}

// drainInto waits for the end of a drain and returns the account.
func drainInto(t *testing.T, car *car, c *consumer) account {
	t.Helper()
	c.expect(car.want)
	car.drained(drainLimit)
	car.live() // its envelope tells the floor: what is missing below is a hole
	c.expect(car.want)
	car.drained(drainLimit)
	a := c.settled()
	t.Logf("%d batches, missing %d, holes %d, copies %d", a.Batches, a.Missing, a.Holes, a.Copies)
	return a
}

// delivers drains a backlog of every class to a consumer, and leaves the
// retained messages behind.
func delivers(t *testing.T, b broker) {
	car := newCar(t, "u1")
	car.drive(3000)
	car.film("20260504_060000.mp4", 700<<10)
	car.film("20260504_060100.mp4", 900<<10)
	c := consume(&consumer{t: t, url: b.URL(), unit: "u1"})
	c.subscribed()
	car.start(b.URL(), nil)
	whole(t, car, c)
	birth, link := retained(t, b, "u1", "birth"), retained(t, b, "u1", "link")
	if m, err := telemetry.DecodeBirth(birth); err != nil || m.Unit != "u1" {
		t.Errorf("retained birth %s: %v", birth, err)
	}
	if m, err := telemetry.DecodeLink(link); err != nil || m.State != telemetry.LinkOnline {
		t.Errorf("retained link %s: %v", link, err)
	}
}

// visit opens a session of a person or tool of the cloud.
func visit(t *testing.T, b broker, id, user string) *uplink.Session {
	t.Helper()
	s, err := uplink.Connect(t.Context(), uplink.SessionConfig{Broker: b.URL(), ClientID: id, Username: user, Password: passwordOf(user)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// retained returns what a newcomer hears of a topic at once.
func retained(t *testing.T, b broker, unit, topic string) []byte {
	t.Helper()
	s := visit(t, b, "newcomer", "cloud")
	defer s.Close()
	heard := make(chan []byte, 10)
	if err := s.Subscribe(t.Context(), "obu/v1/f1/"+unit+"/"+topic, func(_ string, p []byte, kept bool) {
		if kept {
			heard <- p
		}
	}); err != nil {
		t.Fatal(err)
	}
	select {
	case p := <-heard:
		return p
	case <-time.After(5 * time.Second):
		t.Errorf("nothing is retained on %s", topic)
		return nil
	}
}

// answers: a command of the cloud is executed and answered.
func answers(t *testing.T, b broker) {
	car := newCar(t, "u2")
	c := consume(&consumer{t: t, url: b.URL(), unit: "u2"})
	c.subscribed()
	car.start(b.URL(), nil)
	online(t, car)
	s := visit(t, b, "operator", "cloud")
	cmd, err := json.Marshal(telemetry.Command{ID: "c1", Name: "ping", NotAfter: time.Now().Add(time.Minute), Issuer: "acceptance"})
	if err != nil {
		t.Fatal(err)
	}
	for n := range 2 { // the second is answered with the reply of the first
		if err := s.Publish(t.Context(), "obu/v1/f1/u2/cmd", false, cmd); err != nil {
			t.Fatal(err)
		}
		if !await(15*time.Second, func() bool { c.mu.Lock(); defer c.mu.Unlock(); return len(c.replies) > n }) {
			t.Fatalf("no reply %d; %s", n+1, car.says())
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if r, err := telemetry.DecodeReply(c.replies[0]); err != nil || !r.OK || r.ID != "c1" || string(c.replies[0]) != string(c.replies[1]) {
		t.Errorf("replies %s and %s: %v", c.replies[0], c.replies[1], err)
	}
}

// online waits until the unit has heard its own link message: the broker took
// its subscriptions and delivers.
func online(t *testing.T, car *car) {
	t.Helper()
	if !await(30*time.Second, func() bool { return car.up.Stats().Echo == uplink.EchoSeen }) {
		t.Fatalf("the unit does not hear itself: %s", car.says())
	}
}

// tellsWhoIsGone: a unit that vanishes leaves its will, retained.
func tellsWhoIsGone(t *testing.T, b broker) {
	car := newCar(t, "u3")
	car.start(b.URL(), nil)
	online(t, car)
	car.conns.away(true)
	var l telemetry.Link
	if !await(15*time.Second, func() bool {
		var err error
		l, err = telemetry.DecodeLink(retained(t, b, "u3", "link"))
		return err == nil && l.State == telemetry.LinkOffline
	}) || l.Reason != "lost" {
		t.Errorf("the will left %+v", l)
	}
	car.conns.away(false)
	if !await(15*time.Second, func() bool {
		l, err := telemetry.DecodeLink(retained(t, b, "u3", "link"))
		return err == nil && l.State == telemetry.LinkOnline
	}) {
		t.Error("a unit that came back still counts as gone")
	}
}

// takesOver: a second session under a unit's client id ends the first, and the
// unit comes back and goes on.
func takesOver(t *testing.T, b broker) {
	car := newCar(t, "u4")
	c := consume(&consumer{t: t, url: b.URL(), unit: "u4"})
	c.subscribed()
	car.start(b.URL(), nil)
	online(t, car)
	before := car.up.Stats().Connects
	other := visit(t, b, "u4", "u4")
	select {
	case <-other.Done():
	case <-time.After(15 * time.Second):
		t.Error("the unit did not take its client id back")
	}
	if !await(15*time.Second, func() bool { return car.up.Stats().Connects > before }) {
		t.Errorf("the unit did not notice: %s", car.says())
	}
	car.drive(50)
	car.up.Notify()
	whole(t, car, c)
}

func refusesPassword(t *testing.T, b broker) {
	for _, who := range [...][2]string{{"u5", "wrong"}, {"stranger", "pw-stranger"}} {
		_, err := uplink.Connect(t.Context(), uplink.SessionConfig{Broker: b.URL(), ClientID: "x", Username: who[0], Password: who[1]})
		want := error(uplink.ErrNotAuthorised) // CONNACK 5
		if _, ok := b.(*rabbitNode); ok {
			want = uplink.ErrBadCredentials // CONNACK 4
		}
		if !errors.Is(err, want) {
			t.Errorf("%s: %v, not %v", who[0], err, want)
		}
		t.Logf("%s: %v", who[0], err)
	}
}

// keepsApart: a unit can neither write another's topics nor read them.
func keepsApart(t *testing.T, b broker) {
	cloud := visit(t, b, "listener", "cloud")
	heard := make(chan string, 10)
	if err := cloud.Subscribe(t.Context(), "obu/v1/f1/u6/#", func(topic string, _ []byte, _ bool) { heard <- "cloud: " + topic }); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	err := visit(t, b, "u5", "u5").Publish(ctx, "obu/v1/f1/u6/event", false, []byte("forged"))
	t.Logf("write to a foreign topic: %s", outcome(err))
	if hangsUp(b) != errors.Is(err, uplink.ErrEndedByBroker) || !hangsUp(b) && err != nil {
		t.Errorf("docs/brokers.md says otherwise: a write to a foreign topic ends with %v", err)
	}
	if err := visit(t, b, "u5", "u5").Subscribe(t.Context(), "obu/v1/f1/u6/#", func(topic string, _ []byte, _ bool) { heard <- "unit: " + topic }); err != nil {
		t.Logf("read of a foreign topic: %v", err)
	}
	if err := cloud.Publish(t.Context(), "obu/v1/f1/u6/cmd", false, []byte("{}")); err != nil {
		t.Fatal(err)
	}
	select {
	case what := <-heard:
		if what != "cloud: obu/v1/f1/u6/cmd" {
			t.Errorf("%s was delivered", what)
		}
	case <-time.After(5 * time.Second):
		t.Error("the cloud does not hear its own command")
	}
	select {
	case what := <-heard:
		t.Errorf("%s was delivered", what)
	case <-time.After(500 * time.Millisecond):
	}
}

// outcome says what became of a publish.
func outcome(err error) string {
	switch {
	case err == nil:
		return "acknowledged"
	case errors.Is(err, context.DeadlineExceeded):
		return "no PUBACK, session goes on"
	}
	return fmt.Sprintf("session ended (%v)", err)
}

// hangsUp reports whether a broker ends the session of whoever publishes on a
// topic that is not his; the others acknowledge and drop.
func hangsUp(b broker) bool {
	_, ok := b.(*rabbitNode)
	return ok
}

// deniedKeeps: a unit whose ACL line is missing loses nothing with custody
// receipt, and hears of it. With custody puback it loses everything where the
// broker acknowledges what it drops; RabbitMQ hangs up.
func deniedKeeps(t *testing.T, b broker) {
	for _, custody := range [...]uplink.Custody{uplink.CustodyPuback, uplink.CustodyReceipt} {
		car := newCar(t, "u7")
		car.drive(20)
		stored := car.held()
		car.start(b.URL(), func(c *uplink.Config) {
			c.Username, c.Password, c.Custody, c.AckTimeout = "u8", passwordOf("u8"), custody, 2*time.Second
		})
		dropped := !hangsUp(b) && custody == uplink.CustodyPuback
		echo := uplink.EchoMissing
		if _, ok := b.(*natsNode); ok { // refuses the subscription too
			echo = uplink.EchoDenied
		}
		knows := func() bool {
			s := car.up.Stats()
			if hangsUp(b) {
				return s.LastError != ""
			}
			return s.Echo == echo && (!dropped || car.held() == 0)
		}
		if !await(20*time.Second, knows) {
			t.Errorf("custody %s: the unit thinks that all is well, or keeps what was acknowledged: %+v", custody, car.up.Stats())
		}
		time.Sleep(2 * time.Second) // what is dropped would be so by now
		s := car.up.Stats()
		t.Logf("custody %s: %d of %d batches kept, echo %v, last error %q", custody, car.held(), stored, s.Echo, s.LastError)
		if !dropped && car.held() != stored {
			t.Errorf("custody %s: %d of %d batches left", custody, car.held(), stored)
		}
		car.stop()
	}
}

// forbiddenKeeps: a unit that may publish on all its topics but telemetry. Where
// the broker hangs up on that, as RabbitMQ does, all telemetry is kept, the other
// classes arrive and the unit names the topic. The others acknowledge it all and
// drop telemetry.
func forbiddenKeeps(t *testing.T, b broker) {
	car := newCar(t, muted)
	car.drive(60)
	held := func() (forbidden, others int) {
		for _, s := range car.buf.Streams() {
			if s.Class == telemetry.ClassTelemetry {
				forbidden += s.Batches
			} else {
				others += s.Batches
			}
		}
		return forbidden, others
	}
	stored, _ := held()
	car.start(b.URL(), nil)
	await(drainLimit, func() bool {
		_, others := held()
		return others == 0 && len(car.up.Stats().Denied) > 0 || car.held() == 0
	})
	forbidden, others := held()
	s := car.up.Stats()
	t.Logf("%d of %d batches of telemetry kept, %d of the others wait; denied %v, failures %v", forbidden, stored, others, s.Denied, s.Failures)
	switch {
	case others != 0 || s.Refused != 0:
		t.Errorf("%d batches of what is allowed are kept, %d were refused", others, s.Refused)
	case hangsUp(b) && (forbidden != stored || !slices.Equal(s.Denied, []string{"telemetry"})):
		t.Errorf("%+v", s)
	case !hangsUp(b) && forbidden != 0:
		t.Errorf("docs/brokers.md says otherwise: %d batches were not acknowledged", forbidden)
	}
}

// clientCertificate: the certificate is the unit's name, no password.
func clientCertificate(t *testing.T, b broker) {
	ca := b.Authority()
	car := newCar(t, "u9")
	car.drive(300)
	c := consume(&consumer{t: t, url: b.TLSURL(), unit: "u9", files: ca.files("cloud")})
	c.subscribed()
	car.start(b.TLSURL(), func(c *uplink.Config) { c.Username, c.Password, c.TLS = "", "", ca.files("u9") })
	whole(t, car, c)
	if _, err := uplink.Connect(t.Context(), uplink.SessionConfig{Broker: b.TLSURL(), ClientID: "u9", TLS: uplink.TLS{CAFile: ca.file}}); err == nil {
		t.Error("a session without a certificate")
	} else {
		t.Logf("no certificate: %v", err)
	}
}
