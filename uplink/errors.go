package uplink

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"time"
)

// Reason is why a session could not start or did not last: a stable word for
// counters, a text for people, and what to do next.
type Reason struct {
	Word string // stable, for counters: "dns", "refused", …
	Text string // what is wrong
	Hint string // what to do next
}

// Error returns the text.
func (r *Reason) Error() string { return r.Text }

// The reasons, tested with errors.Is. Each stands for one cure, which is its
// Hint.
var (
	ErrNotAuthorised = &Reason{"not-authorised", "the broker does not authorise this unit",
		"check uplink.username and uplink.password, then the broker's ACL for the unit's user name or certificate name"}
	ErrBadCredentials = &Reason{"bad-credentials", "the broker rejects the user name or password",
		"check uplink.username and uplink.password, and that the broker knows them"}
	ErrIDRejected = &Reason{"id-rejected", "the broker rejects the client id",
		"check that unit holds only letters, digits, - and _, and that the broker allows this client id"}
	ErrBrokerBusy = &Reason{"broker-unavailable", "the broker answers but is not available",
		"nothing to do on the unit; look at the broker's log"}
	ErrProtocolVersion = &Reason{"protocol-version", "the broker does not speak MQTT 3.1.1",
		"enable MQTT 3.1.1 on this listener of the broker"}
	ErrNameNotFound = &Reason{"dns", "the broker's host name cannot be resolved",
		"check the name in uplink.broker and the unit's DNS server (resolvectl status)"}
	ErrConnRefused = &Reason{"conn-refused", "nothing listens on the broker's port",
		"check host and port in uplink.broker and that the broker runs"}
	ErrUnreachable = &Reason{"unreachable", "there is no network route to the broker",
		"check antenna, SIM and APN (mmcli -m any; ip route)"}
	ErrTimeout = &Reason{"timeout", "the broker did not answer in time",
		"check the signal, and that no firewall drops the broker's port"}
	ErrUnknownAuthority = &Reason{"unknown-authority", "the broker's certificate is signed by an authority this unit does not trust",
		"put the fleet's CA certificate into uplink.tls.ca"}
	ErrCertExpired = &Reason{"cert-expired", "the broker's certificate has expired",
		"renew the broker's certificate; if the unit's date is wrong, let it get a GPS fix first"}
	ErrCertNotYetValid = &Reason{"cert-not-yet-valid", "the broker's certificate is not valid yet by the unit's clock",
		"the unit's clock is probably wrong: wait for a GPS fix or NTP, it retries by itself"}
	ErrWrongHost = &Reason{"wrong-host", "the broker's certificate is for another host name",
		"use the name in the certificate in uplink.broker, or set uplink.tls.server_name"}
	ErrClientCert = &Reason{"client-cert", "the broker ended the TLS session, most likely because it rejects this unit's certificate",
		"check uplink.tls.cert and key: right CA, not expired, name known to the broker; if it worked before, the broker may just have stopped"}
	ErrNoClientCert = &Reason{"no-client-cert", "the broker ended the TLS session, most likely because it wants a certificate of this unit and none is configured",
		"set uplink.tls.cert and uplink.tls.key to this unit's certificate and key; if it worked before, the broker may just have stopped"}
	ErrOwnCertExpired = &Reason{"own-cert-expired", "the broker ended the TLS session: this unit's certificate has expired",
		"renew uplink.tls.cert and key; if the unit's date is wrong, let it get a GPS fix first"}
	ErrOwnCertNotYetValid = &Reason{"own-cert-not-yet-valid", "the broker ended the TLS session: this unit's certificate is not valid yet by the unit's clock",
		"compare the dates in uplink.tls.cert with the unit's: wait for a GPS fix or NTP, or have the certificate issued anew"}
	ErrTLSFiles = &Reason{"tls-files", "the TLS files cannot be used",
		"check that uplink.tls.ca, cert and key exist, are PEM, belong together and are readable by the agent"}
	ErrCaptivePortal = &Reason{"captive-portal", "a web server answers in the broker's place",
		"this network has a login page or a proxy: log in, or use another network; if not, the port is a web port"}
	ErrNotTLS = &Reason{"not-tls", "the broker's port does not speak TLS",
		"use mqtt:// with the plain port or mqtts:// with the TLS port (usually 8883)"}
	ErrTLSPort = &Reason{"tls-port", "the broker's port speaks TLS",
		"use mqtts:// with this port, or mqtt:// with the plain port (usually 1883)"}
	ErrNotMQTT = &Reason{"not-mqtt", "the other end does not speak MQTT",
		"check the port in uplink.broker (1883 plain, 8883 TLS)"}
	ErrLost = &Reason{"lost", "the connection was lost",
		"nothing to do, the agent reconnects; if it repeats, check the signal and the broker's log"}
	ErrEndedEarly = &Reason{"ended-early", "the connection ended before the broker answered",
		"is this the right port? mqtts:// is usually 8883, mqtt:// 1883; if it is, the broker just stopped or turns this unit away: look at its log"}
	ErrEndedByBroker = &Reason{"ended-by-broker", "the broker closed the connection",
		"if it repeats, look at the broker's log: packet too large, publish not allowed, or another client with the same id"}
	ErrTakenOver = &Reason{"taken-over", "another device with this unit's client id took the session over",
		"find the other device: two must not share uplink.client_id (by default unit); give each device its own unit and certificate"}
	ErrNoPuback = &Reason{"no-puback", "the broker stopped acknowledging",
		"nothing to do, the agent reconnects and sends again; if it repeats, look at the broker's log"}
	ErrSubscribeDenied = &Reason{"subscribe-denied", "the broker does not allow this subscription",
		"allow the unit to read its own cmd, ack and link topics in the broker's ACL"}
	ErrInboundTooLarge = &Reason{"inbound-too-large", "the other end announced a packet larger than allowed",
		"look at who publishes to this unit's cmd and ack topics"}
	ErrClosed = &Reason{"closed", "the session was closed", "connect again"}
)

// HintFor returns what to do next about err, "" when nothing is known.
func HintFor(err error) string {
	var a *advised
	if errors.As(err, &a) {
		return a.hint
	}
	var r *Reason
	if errors.As(err, &r) {
		return r.Hint
	}
	return ""
}

// wordFor returns the stable word err is counted under.
func wordFor(err error) string {
	var r *Reason
	if errors.As(err, &r) {
		return r.Word
	}
	return "other"
}

// because joins a reason with what was seen.
type because struct {
	reason *Reason
	cause  error
}

func (b *because) Error() string   { return b.reason.Text + " (" + b.cause.Error() + ")" }
func (b *because) Unwrap() []error { return []error{b.reason, b.cause} }

func why(r *Reason, cause error) error {
	if cause == nil || errors.Is(cause, r) {
		return r
	}
	return &because{r, cause}
}

// classify names the reason behind an error of dialling, of the TLS handshake
// or of the MQTT handshake. now is the time certificates were verified at.
func classify(err error, now time.Time) error {
	var known *Reason
	switch {
	case err == nil:
		return nil
	case errors.As(err, &known), errors.Is(err, context.Canceled):
		return err
	}
	if r := classifyTLS(err, now); r != nil {
		return why(r, err)
	}
	var dns *net.DNSError
	switch {
	case errors.As(err, &dns):
		return why(ErrNameNotFound, err)
	case errors.Is(err, syscall.ECONNREFUSED):
		return why(ErrConnRefused, err)
	case errors.Is(err, syscall.ENETUNREACH), errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETDOWN):
		return why(ErrUnreachable, err)
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded), isTimeout(err):
		return why(ErrTimeout, err)
	case endedByPeer(err):
		return why(ErrEndedEarly, err)
	}
	return err
}

func classifyTLS(err error, now time.Time) *Reason {
	var (
		unknown x509.UnknownAuthorityError
		invalid x509.CertificateInvalidError
		host    x509.HostnameError
		record  tls.RecordHeaderError
	)
	switch {
	case errors.As(err, &unknown):
		return ErrUnknownAuthority
	case errors.As(err, &invalid):
		if invalid.Reason != x509.Expired {
			return ErrUnknownAuthority
		}
		if invalid.Cert != nil && now.Before(invalid.Cert.NotBefore) {
			return ErrCertNotYetValid
		}
		return ErrCertExpired
	case errors.As(err, &host):
		return ErrWrongHost
	case errors.As(err, &record):
		if strings.HasPrefix(string(record.RecordHeader[:]), "HTTP") {
			return ErrCaptivePortal
		}
		return ErrNotTLS
	case strings.Contains(err.Error(), "remote error: tls:"):
		return ErrClientCert
	}
	return nil
}

func isTimeout(err error) bool {
	var n net.Error
	return errors.As(err, &n) && n.Timeout()
}

// endedByPeer reports whether the other end closed or reset the connection, as
// a broker does with a packet it will not take.
func endedByPeer(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) || errors.Is(err, io.ErrClosedPipe)
}
