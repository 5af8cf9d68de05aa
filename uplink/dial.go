package uplink

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"time"
)

// TLS names the PEM files of a TLS session. They are read at every connect, so
// that a renewed certificate is used without a restart. Certificates are
// always verified.
type TLS struct {
	CAFile     string // authorities to trust instead of the system's
	CertFile   string // this unit's certificate
	KeyFile    string // and its key
	ServerName string // name in the broker's certificate when it is not the URL's host
}

// SessionConfig says how to reach a broker and as whom.
type SessionConfig struct {
	Broker   string // mqtt://[user:password@]host[:port] or mqtts://…
	TLS      TLS    // used with mqtts
	ClientID string // tools use a suffixed one and never take over the agent's session
	Username string // instead of the URL's
	Password string

	WillTopic   string // "" for no will
	WillPayload []byte // published retained with QoS 1 when the session ends without DISCONNECT

	KeepAlive      time.Duration // 0: 30 s
	ConnectTimeout time.Duration // 0: 20 s
	WriteTimeout   time.Duration // 0: 20 s
	MaxInbound     int           // largest packet accepted from the broker in bytes; 0: 1 MiB

	// Dial replaces the TCP connection, below TLS. nil: the broker's host and port.
	Dial func(ctx context.Context) (net.Conn, error)
	// Now is the time certificates are verified at: the latest of system time,
	// build date and last good time. nil: system time.
	Now func() time.Time
	// Wire counts bytes; sessions may share it. nil: not shared.
	Wire *Wire
	// Opened is told of each connection before anything is written to it.
	Opened func(net.Conn)
}

func (c *SessionConfig) defaults() {
	if c.KeepAlive == 0 {
		c.KeepAlive = defaultKeepAlive
	}
	if c.ConnectTimeout == 0 {
		c.ConnectTimeout = defaultConnectTimeout
	}
	if c.WriteTimeout == 0 {
		c.WriteTimeout = defaultWriteTimeout
	}
	if c.MaxInbound == 0 {
		c.MaxInbound = defaultMaxInbound
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Wire == nil {
		c.Wire = new(Wire)
	}
}

// endpoint is a parsed broker URL.
type endpoint struct {
	address  string // host:port
	host     string
	tls      bool
	user     string
	password string
}

// parseBroker reads mqtt://host[:1883] or mqtts://host[:8883], each with an
// optional user:password@; tcp, ssl and tls are accepted as other names.
func parseBroker(raw string) (endpoint, error) {
	u, err := url.Parse(raw)
	if err != nil {
		return endpoint{}, fmt.Errorf("parse broker URL: %w", err)
	}
	var e endpoint
	port := "1883"
	switch u.Scheme {
	case "mqtt", "tcp":
	case "mqtts", "ssl", "tls":
		e.tls, port = true, "8883"
	default:
		return endpoint{}, fmt.Errorf("parse broker URL %q: scheme must be mqtt:// or mqtts://", u.Redacted())
	}
	if u.Hostname() == "" {
		return endpoint{}, fmt.Errorf("parse broker URL %q: no host", u.Redacted())
	}
	if u.Port() != "" {
		port = u.Port()
	}
	e.host = u.Hostname()
	e.address = net.JoinHostPort(e.host, port)
	if u.User != nil {
		e.user = u.User.Username()
		e.password, _ = u.User.Password()
	}
	return e, nil
}

// credentials returns the user name and password, "" without.
func (c *SessionConfig) credentials(e endpoint) (user, password string) {
	if c.Username != "" {
		return c.Username, c.Password
	}
	return e.user, e.password
}

// open dials the broker and, unless tc is nil, does the TLS handshake. count is
// the same connection below TLS.
func (c *SessionConfig) open(ctx context.Context, e endpoint, tc *tls.Config) (conn net.Conn, count *countConn, err error) {
	dial := c.Dial
	if dial == nil {
		dial = func(ctx context.Context) (net.Conn, error) {
			return (&net.Dialer{Timeout: dialTimeout, Control: preferBBR}).DialContext(ctx, "tcp", e.address)
		}
	}
	raw, err := dial(ctx)
	if err != nil {
		c.Wire.Headers.Add(connectExtra)
		return nil, nil, err
	}
	if c.Opened != nil {
		c.Opened(raw)
	}
	count = newCountConn(raw, c.Wire)
	if tc == nil {
		return count, count, nil
	}
	secured := tls.Client(count, tc)
	if err := secured.HandshakeContext(ctx); err != nil {
		count.Close()
		return nil, nil, err
	}
	return secured, count, nil
}

// tlsConfig reads the TLS files; nil for a plain session.
func (c *SessionConfig) tlsConfig(e endpoint) (*tls.Config, error) {
	if !e.tls {
		return nil, nil
	}
	t := c.TLS
	tc := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: e.host, Time: c.Now}
	if t.ServerName != "" {
		tc.ServerName = t.ServerName
	}
	if t.CAFile != "" {
		pem, err := readPEM(t.CAFile)
		if err != nil {
			return nil, why(ErrTLSFiles, err)
		}
		tc.RootCAs = x509.NewCertPool()
		if !tc.RootCAs.AppendCertsFromPEM(pem) {
			return nil, why(ErrTLSFiles, fmt.Errorf("%s holds no PEM certificate", t.CAFile))
		}
	}
	if (t.CertFile == "") != (t.KeyFile == "") {
		return nil, why(ErrTLSFiles, errors.New("a certificate needs its key, and a key its certificate"))
	}
	if t.CertFile != "" {
		cert, err := readPEM(t.CertFile)
		if err != nil {
			return nil, why(ErrTLSFiles, err)
		}
		key, err := readPEM(t.KeyFile)
		if err != nil {
			return nil, why(ErrTLSFiles, err)
		}
		pair, err := tls.X509KeyPair(cert, key)
		if err != nil {
			return nil, why(ErrTLSFiles, fmt.Errorf("%s with %s: %w", t.CertFile, t.KeyFile, err))
		}
		tc.Certificates = []tls.Certificate{pair}
	}
	return tc, nil
}
