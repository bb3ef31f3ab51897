package bus

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
)

// connectError is what the first connection ends with: what, where, and what to
// do.
func (s target) connectError(err error) error {
	advice := s.advice(err)
	if advice == "" {
		advice = "is a NATS server running there? Start one (nats-server -js), or correct " + s.setting("url")
		if !s.TLSFirst && silent(err) {
			advice += "; one that begins with TLS (handshake_first) says nothing without bus.tls_first"
		}
	}
	return fmt.Errorf("connect to NATS at %s: %w: %s", redactURLs(s.URL), &scrubbed{s.scrub(err), err}, advice)
}

// explain adds the advice to an error that comes later, and takes the secrets
// out. What is left alone is the same error.
func (s target) explain(err error) error {
	if err == nil {
		return nil
	}
	text := s.scrub(err)
	if advice := s.advice(err); advice != "" {
		text += ": " + advice
	}
	if text == err.Error() {
		return err
	}
	return &scrubbed{text, err}
}

// hopeless reports what another try would meet again. It is asked for the first
// connection only: later the same may be repaired.
func (s target) hopeless(err error) bool {
	if refused(err) || errors.Is(err, nats.ErrNkeysNotSupported) {
		return true
	}
	_, hopeless := s.tlsAdvice(err)
	return hopeless
}

// refused reports that the server does not take us for who we say we are.
func refused(err error) bool {
	for _, kind := range []error{nats.ErrAuthorization, nats.ErrAuthExpired, nats.ErrAuthRevoked, nats.ErrAccountAuthExpired} {
		if errors.Is(err, kind) {
			return true
		}
	}
	// What nats.go returns from connecting compares by its whole text, which
	// differs from that of its own errors in these two.
	text := strings.ToLower(err.Error())
	return strings.Contains(text, nats.AUTHENTICATION_EXPIRED_ERR) || strings.Contains(text, nats.AUTHENTICATION_REVOKED_ERR)
}

// advice says what to do about an error of connecting, "" if nothing better is
// known than to look at it.
func (s target) advice(err error) string {
	if errors.Is(err, nats.ErrNkeysNotSupported) {
		return "the server asks for no nkey: use the credentials that it is set up for"
	}
	if refused(err) {
		return s.authAdvice(err)
	}
	advice, _ := s.tlsAdvice(err)
	return advice
}

// authAdvice names the setting whose user was refused. The server says as little
// as it can, so that what can be seen from here is looked up: when a JWT ended.
func (s target) authAdvice(err error) string {
	if errors.Is(err, nats.ErrAccountAuthExpired) {
		return "the account's JWT is expired: its operator has to renew it"
	}
	switch {
	case s.Creds != "":
		jwt, pair, readErr := s.readCreds()
		if readErr != nil {
			return readErr.Error()
		}
		pair.Wipe()
		if end := expiry(jwt); !end.IsZero() && !time.Now().Before(end) {
			return fmt.Sprintf("the user in %s %q is expired since %s: put a new file there", s.setting("creds"), s.Creds, end.UTC().Format(time.RFC3339))
		}
		return fmt.Sprintf("the server refused the user in %s %q: is the user of this server's operator, and not revoked?", s.setting("creds"), s.Creds)
	case s.NKey != "":
		pair, public, readErr := s.readNKey()
		if readErr != nil {
			return readErr.Error()
		}
		pair.Wipe()
		return fmt.Sprintf("the server does not know %s, the user in %s %q: add it there, or use another seed", public, s.setting("nkey"), s.NKey)
	case s.jwt != "":
		if end := expiry(s.again().jwt); !end.IsZero() && !time.Now().Before(end) {
			return fmt.Sprintf("user_jwt of context %q is expired since %s: put a new one there", s.Context, end.UTC().Format(time.RFC3339))
		}
		return fmt.Sprintf("the server refused user_jwt of context %q", s.Context)
	case s.User != "":
		return fmt.Sprintf("the server refused user %q: check %s and %s", s.User, s.setting("user"), s.setting("password"))
	case s.Token != "":
		return "the server refused the token: check " + s.setting("token")
	}
	if hasUser(s.URL) {
		return fmt.Sprintf("the server refused the user or the token in %s: check it", s.setting("url"))
	}
	return "the server wants to know who connects: set bus.creds, bus.nkey, bus.user with bus.password, or bus.token"
}

// silent reports that somebody took the call and said nothing.
func silent(err error) bool {
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout() || errors.Is(err, nats.ErrTimeout) || strings.HasSuffix(err.Error(), "EOF")
}

// errorKind is an error's text without what differs from one attempt to the next:
// our own port.
func errorKind(err error) string {
	if op, ok := errors.AsType[*net.OpError](err); ok {
		return op.Op + op.Err.Error()
	}
	return err.Error()
}
