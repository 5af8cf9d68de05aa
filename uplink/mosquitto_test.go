package uplink_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"obu/internal/clock"
	"obu/telemetry"
	"obu/uplink"
	"obu/uplink/brokertest"
)

// mosquittoPath is where Debian's package puts the broker.
const mosquittoPath = "/usr/sbin/mosquitto"

// mosquitto starts the real broker on a loopback port with extra lines of
// configuration and returns its host:port. It ends with the test.
func mosquitto(t *testing.T, lines ...string) string {
	t.Helper()
	if _, err := os.Stat(mosquittoPath); err != nil {
		t.Skipf("no %s: the test against a real broker did not run (apt-get install mosquitto)", mosquittoPath)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	port := l.Addr().(*net.TCPAddr).Port
	l.Close()
	conf := filepath.Join(t.TempDir(), "mosquitto.conf")
	text := fmt.Sprintf("listener %d 127.0.0.1\n%s\n", port, strings.Join(lines, "\n"))
	if os.Geteuid() == 0 {
		text += "user root\n"
	}
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	cmd := exec.Command(mosquittoPath, "-c", conf)
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
		if t.Failed() {
			t.Logf("mosquitto said:\n%s", log.String())
		}
	})
	for range 200 {
		if c, err := net.Dial("tcp", address); err == nil {
			c.Close()
			return address
		}
		time.Sleep(25 * time.Millisecond)
	}
	t.Fatal("mosquitto does not listen")
	return ""
}

// drain delivers a backlog through a real broker while a second session
// receives it, and reports what is missing.
func drain(t *testing.T, c uplink.Config, m *model, watch uplink.SessionConfig, names []telemetry.Name) {
	t.Helper()
	s, err := uplink.Connect(t.Context(), watch)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var mu sync.Mutex
	seen := make(map[telemetry.Name]bool)
	all := make(chan struct{})
	if err := s.Subscribe(t.Context(), "obu/v1/f1/u1/+", func(topic string, p []byte, _ bool) {
		if strings.HasSuffix(topic, "/birth") || strings.HasSuffix(topic, "/link") {
			return
		}
		e, err := telemetry.DecodeEnvelope(p)
		if err != nil {
			t.Errorf("%s: %v", topic, err)
			return
		}
		mu.Lock()
		defer mu.Unlock()
		for _, b := range e.Batches {
			if e.Part == nil || e.Part.Index == e.Part.Of-1 {
				seen[b.Name] = true
			}
		}
		if len(seen) == len(names) {
			select {
			case <-all:
			default:
				close(all)
			}
		}
	}); err != nil {
		t.Fatal(err)
	}
	g := &rig{T: t, m: m, b: brokertest.New(), ended: make(chan error, 1)}
	if g.u, err = uplink.New(c); err != nil {
		t.Fatal(err)
	}
	g.start()
	select {
	case <-all:
	case <-time.After(time.Minute):
		mu.Lock()
		t.Errorf("%d of %d batches arrived; %+v", len(seen), len(names), g.u.Stats())
		mu.Unlock()
	}
	g.stop()
	if held := m.held(telemetry.ClassTelemetry) + m.held(telemetry.ClassMedia); held != 0 {
		t.Errorf("%d batches not acknowledged", held)
	}
}

func backlog(clk *clock.Clock, n int) (*model, []telemetry.Name) {
	m := newModel(clk)
	var names []telemetry.Name
	for i := range n {
		names = append(names, m.commit(telemetry.ClassTelemetry, m.speed(float64(i%200)))...)
	}
	return m, append(names, m.commit(telemetry.ClassMedia, telemetry.Content{Chunks: []telemetry.Chunk{{Data: make([]byte, 256<<10)}}})...)
}

func TestMosquittoPlain(t *testing.T) {
	address := mosquitto(t, "allow_anonymous true")
	clk := clock.Virtual()
	m, names := backlog(clk, 500)
	drain(t, uplink.Config{Broker: "mqtt://" + address, Fleet: "f1", Unit: "u1", Clock: clk, Backlog: m, HistoryRate: uplink.Unlimited},
		m, uplink.SessionConfig{Broker: "mqtt://" + address, ClientID: "watch"}, names)
}

// TestMosquittoPassword: a broker with a password file refuses with one code
// for everything; the hint names the user name before the ACL.
func TestMosquittoPassword(t *testing.T) {
	users := filepath.Join(t.TempDir(), "users")
	if out, err := exec.Command("mosquitto_passwd", "-b", "-c", users, "u1", "right").CombinedOutput(); err != nil {
		t.Skipf("mosquitto_passwd: %v %s: the test with a password file did not run", err, out)
	}
	if err := os.Chmod(users, 0o644); err != nil {
		t.Fatal(err)
	}
	address := mosquitto(t, "allow_anonymous false", "password_file "+users)
	for _, c := range []struct{ name, user, password, hint string }{
		{"no user name", "", "", "no username is set: set uplink.username"},
		{"no password", "u1", "", `no password is set for uplink.username "u1"`},
		{"wrong password", "u1", "wrong", `check uplink.username "u1" and uplink.password`},
	} {
		_, err := uplink.Connect(t.Context(), uplink.SessionConfig{Broker: "mqtt://" + address, ClientID: "u", Username: c.user, Password: c.password})
		if !errors.Is(err, uplink.ErrNotAuthorised) && !errors.Is(err, uplink.ErrBadCredentials) {
			t.Errorf("%s: %v", c.name, err)
		}
		if h := uplink.HintFor(err); !strings.HasPrefix(h, c.hint) || !strings.Contains(h, "ACL") {
			t.Errorf("%s: hint %q, want %q…", c.name, h, c.hint)
		}
	}
	s, err := uplink.Connect(t.Context(), uplink.SessionConfig{Broker: "mqtt://" + address, ClientID: "u", Username: "u1", Password: "right"})
	if err != nil {
		t.Fatalf("right password: %v, next: %s", err, uplink.HintFor(err))
	}
	s.Close()
}

// TestMosquittoWrongPort: TLS to the plain port and the other way round. What
// the broker does then depends on timing; each way out asks for the port.
func TestMosquittoWrongPort(t *testing.T) {
	ca := newAuthority(t, "fleet-ca")
	cert, key := ca.issue("broker", -time.Hour, time.Hour)
	plain, tls := mosquitto(t, "allow_anonymous true"), mosquitto(t, secured(ca, cert, key)...)
	for _, broker := range []string{"mqtts://" + plain, "mqtt://" + tls} {
		_, err := uplink.Connect(t.Context(), uplink.SessionConfig{Broker: broker, ClientID: "u1", TLS: uplink.TLS{CAFile: ca.file}})
		if h := uplink.HintFor(err); !strings.Contains(h, "mqtts://") || !strings.Contains(h, "port") {
			t.Errorf("%s: %v, next: %s", broker, err, h)
		} else {
			t.Logf("%s: %v", broker, err)
		}
	}
}

// TestMosquittoOwnCertificate: what is wrong with the unit's certificate is
// named from what the unit knows, because the broker only hangs up.
func TestMosquittoOwnCertificate(t *testing.T) {
	ca := newAuthority(t, "fleet-ca")
	cert, key := ca.issue("broker", -time.Hour, time.Hour)
	address := mosquitto(t, secured(ca, cert, key)...)
	oldCert, oldKey := ca.issue("old", -48*time.Hour, -24*time.Hour)
	earlyCert, earlyKey := ca.issue("early", 24*time.Hour, 48*time.Hour)
	day := time.Now().UTC().Add(-24 * time.Hour).Format("2006-01-02")
	for _, c := range []struct {
		name      string
		cert, key string
		want      error
		says      string
	}{
		{"none configured", "", "", uplink.ErrNoClientCert, "none is configured"},
		{"expired", oldCert, oldKey, uplink.ErrOwnCertExpired, oldCert + " expired on " + day},
		{"not yet valid", earlyCert, earlyKey, uplink.ErrOwnCertNotYetValid, earlyCert + " is valid from "},
	} {
		_, err := uplink.Connect(t.Context(), uplink.SessionConfig{Broker: "mqtts://" + address, ClientID: "u1",
			TLS: uplink.TLS{CAFile: ca.file, CertFile: c.cert, KeyFile: c.key}})
		if !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.says) || uplink.HintFor(err) == "" {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		} else {
			t.Logf("%s: %v", c.name, err)
		}
	}
}

// TestTLSFilesAreReadBeforeDialling: a missing or useless file is named without
// a network.
func TestTLSFilesAreReadBeforeDialling(t *testing.T) {
	ca := newAuthority(t, "fleet-ca")
	cert, key := ca.issue("u1", -time.Hour, time.Hour)
	otherCert, _ := ca.issue("u2", -time.Hour, time.Hour)
	for name, files := range map[string]uplink.TLS{
		"no CA":             {CAFile: "/nowhere/ca.crt"},
		"no certificate":    {CAFile: ca.file, CertFile: "/nowhere/u1.crt", KeyFile: key},
		"no key":            {CAFile: ca.file, CertFile: cert, KeyFile: "/nowhere/u1.key"},
		"key of another":    {CAFile: ca.file, CertFile: otherCert, KeyFile: key},
		"key not mentioned": {CAFile: ca.file, CertFile: cert},
	} {
		_, err := uplink.Connect(t.Context(), uplink.SessionConfig{Broker: "mqtts://b", ClientID: "u1", TLS: files,
			Dial: func(context.Context) (net.Conn, error) {
				t.Errorf("%s: dialled", name)
				return nil, net.ErrClosed
			}})
		if !errors.Is(err, uplink.ErrTLSFiles) {
			t.Errorf("%s: %v", name, err)
		} else {
			t.Logf("%s: %v", name, err)
		}
	}
}

// authority is a CA that lives as long as a test.
type authority struct {
	t    *testing.T
	dir  string
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
	file string
}

func newAuthority(t *testing.T, name string) *authority {
	a := &authority{t: t, dir: t.TempDir()}
	a.key, _ = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &a.key.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	a.cert, _ = x509.ParseCertificate(der)
	a.file = a.write(name+".crt", "CERTIFICATE", der)
	return a
}

func (a *authority) write(name, kind string, der []byte) string {
	path := filepath.Join(a.dir, name)
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		a.t.Fatal(err)
	}
	return path
}

// issue signs a certificate valid from now+from to now+to.
func (a *authority) issue(name string, from, to time.Duration) (cert, key string) {
	k, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(from), NotAfter: time.Now().Add(to), KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		DNSNames:    []string{name}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	if name == "elsewhere" {
		tmpl.IPAddresses = nil
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, a.cert, &k.PublicKey, a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	raw, err := x509.MarshalECPrivateKey(k)
	if err != nil {
		a.t.Fatal(err)
	}
	return a.write(name+".crt", "CERTIFICATE", der), a.write(name+".key", "EC PRIVATE KEY", raw)
}

func secured(ca *authority, cert, key string) []string {
	return []string{"allow_anonymous true", "cafile " + ca.file, "certfile " + cert, "keyfile " + key,
		"require_certificate true", "use_identity_as_username true"}
}

func TestMosquittoTLS(t *testing.T) {
	ca := newAuthority(t, "fleet-ca")
	cert, key := ca.issue("broker", -time.Hour, time.Hour)
	address := mosquitto(t, secured(ca, cert, key)...)
	unitCert, unitKey := ca.issue("u1", -time.Hour, time.Hour)
	tls := uplink.TLS{CAFile: ca.file, CertFile: unitCert, KeyFile: unitKey}
	clk := clock.Virtual()
	m, names := backlog(clk, 100)
	drain(t, uplink.Config{Broker: "mqtts://" + address, TLS: tls, Fleet: "f1", Unit: "u1", Clock: clk, Backlog: m,
		HistoryRate: uplink.Unlimited, Now: time.Now},
		m, uplink.SessionConfig{Broker: "mqtts://" + address, ClientID: "watch", TLS: tls}, names)

	stranger := newAuthority(t, "stranger")
	strangeCert, strangeKey := stranger.issue("u1", -time.Hour, time.Hour)
	for _, c := range []struct {
		name string
		tls  uplink.TLS
		now  time.Duration
		want error
	}{
		{"wrong CA", uplink.TLS{CAFile: stranger.file, CertFile: unitCert, KeyFile: unitKey}, 0, uplink.ErrUnknownAuthority},
		{"system CAs", uplink.TLS{CertFile: unitCert, KeyFile: unitKey}, 0, uplink.ErrUnknownAuthority},
		{"no client certificate", uplink.TLS{CAFile: ca.file}, 0, uplink.ErrNoClientCert},
		{"client certificate of a stranger", uplink.TLS{CAFile: ca.file, CertFile: strangeCert, KeyFile: strangeKey}, 0, uplink.ErrClientCert},
		{"clock at 1970", tls, -50 * 365 * 24 * time.Hour, uplink.ErrCertNotYetValid},
		{"clock far ahead", tls, 365 * 24 * time.Hour, uplink.ErrCertExpired},
		{"another name", uplink.TLS{CAFile: ca.file, CertFile: unitCert, KeyFile: unitKey, ServerName: "other.example"}, 0, uplink.ErrWrongHost},
		{"missing file", uplink.TLS{CAFile: "/nowhere/ca.crt"}, 0, uplink.ErrTLSFiles},
		{"certificate without key", uplink.TLS{CAFile: ca.file, CertFile: unitCert}, 0, uplink.ErrTLSFiles},
		{"key of another", uplink.TLS{CAFile: ca.file, CertFile: unitCert, KeyFile: strangeKey}, 0, uplink.ErrTLSFiles},
		{"no PEM", uplink.TLS{CAFile: "/etc/hostname"}, 0, uplink.ErrTLSFiles},
	} {
		_, err := uplink.Connect(t.Context(), uplink.SessionConfig{Broker: "mqtts://" + address, ClientID: "u1", TLS: c.tls,
			Now: func() time.Time { return time.Now().Add(c.now) }})
		if !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
	}
	if _, err := uplink.Connect(t.Context(), uplink.SessionConfig{Broker: "mqtt://" + address, ClientID: "u1"}); err == nil {
		t.Error("plain session on the TLS port")
	} else {
		t.Logf("plain on the TLS port: %v", err)
	}
}

func TestMosquittoExpiredBrokerCertificate(t *testing.T) {
	ca := newAuthority(t, "fleet-ca")
	cert, key := ca.issue("broker", -48*time.Hour, -24*time.Hour)
	address := mosquitto(t, secured(ca, cert, key)...)
	_, err := uplink.Connect(t.Context(), uplink.SessionConfig{Broker: "mqtts://" + address, ClientID: "u1", TLS: uplink.TLS{CAFile: ca.file}})
	if !errors.Is(err, uplink.ErrCertExpired) {
		t.Errorf("%v, want %v", err, uplink.ErrCertExpired)
	}
}

// TestMosquittoPacketLimit: everything arrives through a broker that closes
// the connection on packets of more than 30,000 bytes.
func TestMosquittoPacketLimit(t *testing.T) {
	t.Parallel() // it waits most of the time
	address := mosquitto(t, "allow_anonymous true", "max_packet_size 30000")
	clk := clock.Virtual()
	m, names := backlog(clk, 50)
	drain(t, uplink.Config{Broker: "mqtt://" + address, Fleet: "f1", Unit: "u1", Clock: clk, Backlog: m,
		HistoryRate: uplink.Unlimited, BackoffMin: time.Millisecond, BackoffMax: 10 * time.Millisecond},
		m, uplink.SessionConfig{Broker: "mqtt://" + address, ClientID: "watch"}, names)
}
