package uplink

import (
	"crypto/tls"
	"errors"
	"fmt"
	"time"
)

// advised is an error whose hint knows more than that of its reason.
type advised struct {
	error
	hint string
}

func (a *advised) Unwrap() error { return a.error }

// explain adds to why a session did not start what only the unit knows: which
// user name it gave, and which certificate.
func (c *SessionConfig) explain(err error, e endpoint, tc *tls.Config) error {
	switch {
	case errors.Is(err, ErrNotAuthorised), errors.Is(err, ErrBadCredentials):
		return &advised{err, c.loginHint(e)}
	case errors.Is(err, ErrClientCert):
		return c.ownCertificate(err, tc)
	}
	return err
}

// loginHint names what a broker looks at first.
func (c *SessionConfig) loginHint(e endpoint) string {
	const acl = "the broker's ACL for this unit"
	user, password := c.credentials(e)
	cert := c.TLS.CertFile != "" && e.tls
	switch {
	case user == "" && cert:
		return "no username is set: set uplink.username and uplink.password if the broker wants them; else check " + acl + " and the name in uplink.tls.cert"
	case user == "":
		return "no username is set: set uplink.username and uplink.password; then check " + acl
	case password == "":
		return fmt.Sprintf("no password is set for uplink.username %q: set uplink.password; then check %s", user, acl)
	case cert:
		return fmt.Sprintf("check uplink.username %q and uplink.password, then %s and the name in uplink.tls.cert", user, acl)
	}
	return fmt.Sprintf("check uplink.username %q and uplink.password, then %s", user, acl)
}

// ownCertificate says what is wrong with this unit's certificate as far as it
// shows. It is looked at after the broker objected, not before: the unit's date
// may be wrong where the broker's is right.
func (c *SessionConfig) ownCertificate(err error, tc *tls.Config) error {
	if tc == nil {
		return err
	}
	cause := err
	var b *because
	if errors.As(err, &b) && b.reason == ErrClientCert {
		cause = b.cause
	}
	if len(tc.Certificates) == 0 {
		return why(ErrNoClientCert, cause)
	}
	leaf, now := tc.Certificates[0].Leaf, c.Now()
	switch {
	case leaf == nil:
	case now.After(leaf.NotAfter):
		return why(ErrOwnCertExpired, fmt.Errorf("%s expired on %s; %w", c.TLS.CertFile, leaf.NotAfter.UTC().Format(time.RFC3339), cause))
	case now.Before(leaf.NotBefore):
		return why(ErrOwnCertNotYetValid, fmt.Errorf("%s is valid from %s; %w", c.TLS.CertFile, leaf.NotBefore.UTC().Format(time.RFC3339), cause))
	}
	return err
}
