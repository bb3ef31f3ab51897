package http

import (
	"crypto/sha256"
	"crypto/subtle"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	nethttp "net/http"
	"slices"
	"strings"
	"time"
)

// A Secret is a credential. It is never shown: whoever prints it gets "[secret]".
type Secret string

const hidden = "[secret]"

// String hides the secret, as the methods below do.
func (Secret) String() string { return hidden }

// GoString is for %#v.
func (Secret) GoString() string { return hidden }

// LogValue is for log/slog.
func (Secret) LogValue() slog.Value { return slog.StringValue(hidden) }

// Format is for every other verb of package fmt.
func (Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, hidden) }

// MarshalText is for encoders.
func (Secret) MarshalText() ([]byte, error) { return []byte(hidden), nil }

// Auth says who may use a route. A request that satisfies one of what is set is let in,
// as that one's principal; every other gets 401, or 403 if it is known and not allowed.
// What is missing is never said.
type Auth struct {
	// Anonymous lets everybody in, from wherever. It excludes all others.
	Anonymous bool `yaml:"anonymous" json:"anonymous,omitempty"`
	// Bearer are the tokens of "Authorization: Bearer <token>". Several of one principal
	// are for changing them without a gap.
	Bearer []Bearer `yaml:"bearer" json:"bearer,omitempty"`
	// Signature demands that the body is signed.
	Signature *Signature `yaml:"signature" json:"signature,omitempty"`
	// Certificate demands a client certificate of an authority in ServerConfig.ClientCA.
	Certificate *Certificate `yaml:"certificate" json:"certificate,omitempty"`
}

// String says what is demanded, and shows no secret.
func (a Auth) String() string {
	var kinds []string
	if a.Anonymous {
		kinds = append(kinds, "anonymous")
	}
	for _, b := range a.Bearer {
		kinds = append(kinds, "bearer of "+b.Principal)
	}
	if a.Signature != nil {
		kinds = append(kinds, "signature "+a.Signature.Kind)
	}
	if a.Certificate != nil {
		kinds = append(kinds, "certificate")
	}
	return "[" + strings.Join(kinds, ", ") + "]"
}

// Format is String for every verb of package fmt: with one that does not fit it would not
// ask the secrets below.
func (a Auth) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, a.String()) }

// A Bearer is one token and whose it is.
type Bearer struct {
	// Principal is who has the token. Required.
	Principal string `yaml:"principal" json:"principal"`
	// Token is a secret of 16 characters or more. Required.
	Token Secret `yaml:"token" json:"token"`
}

// A Certificate says whose certificates are let in.
type Certificate struct {
	// Principals are the names of which a certificate must have one: a URI or DNS name
	// that it is for, or its subject's common name if it is for none. That name is the
	// principal. Default: any, by the first of its names in that order.
	Principals []string `yaml:"principals" json:"principals,omitempty"`
}

// The kinds of a [Signature].
const (
	StandardWebhooks = "standard-webhooks"
	GitHub           = "github"
)

// DefaultTolerance is how far a signature's time may be from now.
const DefaultTolerance = 5 * time.Minute

// A Signature says how bodies are signed: by an HMAC with SHA-256.
type Signature struct {
	// Kind is standard-webhooks (webhook-id, webhook-timestamp and webhook-signature, all
	// three signed) or github (X-Hub-Signature-256, the body alone). Required.
	Kind string `yaml:"kind" json:"kind"`
	// Principal is who signs. Default: the kind.
	Principal string `yaml:"principal" json:"principal,omitempty"`
	// Secrets are those of which one must fit, so that they can be changed without a gap.
	// Those of standard-webhooks are base64, with or without "whsec_" before it. Required.
	Secrets []Secret `yaml:"secrets" json:"secrets"`
	// Tolerance is how old, or how much ahead of this machine's clock, a signature of
	// standard-webhooks may be. Default 5 min. Those of github have no time in them.
	Tolerance time.Duration `yaml:"tolerance" json:"tolerance,omitempty"`
}

// Validate says what is wrong, without a secret in it.
func (a Auth) Validate() error {
	if a.Anonymous && a.some() {
		return errors.New("auth: anonymous lets everybody in, so nothing else may be set beside it")
	}
	for i, b := range a.Bearer {
		if b.Principal == "" || !cleanText(b.Principal) || len(b.Token) < minToken {
			return fmt.Errorf("auth: bearer %d needs a principal, and a token of %d characters or more", i+1, minToken)
		}
		// One that no header carries would never fit.
		if strings.ContainsFunc(string(b.Token), func(c rune) bool { return c <= ' ' || c >= 0x7f }) {
			return fmt.Errorf("auth: the token of bearer %d has characters that no header has", i+1)
		}
	}
	if a.Signature != nil {
		_, err := newVerifier(*a.Signature)
		return err
	}
	return nil
}

// minToken is how short a token may be: what is shorter is guessed.
const minToken = 16

// some says whether anything is demanded.
func (a Auth) some() bool { return len(a.Bearer) > 0 || a.Signature != nil || a.Certificate != nil }

// authenticator is an Auth ready for use.
type authenticator struct {
	anonymous   bool // by decision, or because nothing is said
	bearer      []bearerHash
	certificate *Certificate
	verifier    *verifier
	challenge   string // of a 401
}

type bearerHash struct {
	sum       [sha256.Size]byte
	principal string
}

func newAuthenticator(a Auth) (*authenticator, error) {
	n := &authenticator{anonymous: !a.some(), certificate: a.Certificate}
	for _, b := range a.Bearer {
		n.bearer = append(n.bearer, bearerHash{sha256.Sum256([]byte(b.Token)), b.Principal})
	}
	n.challenge = "Bearer"
	if len(n.bearer) == 0 {
		n.challenge = "Ergon" // RFC 9110 wants one, and there is no name for the others
	}
	if a.Signature != nil {
		var err error
		if n.verifier, err = newVerifier(*a.Signature); err != nil {
			return nil, err
		}
	}
	return n, nil
}

// caller is who sent a request.
type caller struct {
	principal string
	signed    string // the kind of the signature that was verified, "" for none
}

// early decides what needs no body. decided is false where a signature may still let the
// request in.
func (n *authenticator) early(r *nethttp.Request) (who caller, decided bool, refused *problem) {
	if n.anonymous {
		return caller{}, true, nil
	}
	if len(n.bearer) > 0 {
		if principal, ok := n.byToken(r.Header["Authorization"]); ok {
			return caller{principal: principal}, true, nil
		}
	}
	known := false
	if n.certificate != nil && r.TLS != nil && len(r.TLS.VerifiedChains) > 0 {
		known = true
		if principal, ok := n.byCertificate(r.TLS.VerifiedChains[0][0]); ok {
			return caller{principal: principal}, true, nil
		}
	}
	if n.verifier != nil && n.verifier.present(r.Header) {
		return caller{}, false, nil
	}
	if known {
		return caller{}, true, refuse(nethttp.StatusForbidden, "")
	}
	return caller{}, true, n.unauthorized()
}

// signed decides by the body.
func (n *authenticator) signed(r *nethttp.Request, body []byte, now time.Time) (caller, *problem) {
	if !n.verifier.verify(r.Header, body, now) {
		return caller{}, n.unauthorized()
	}
	return caller{n.verifier.principal, n.verifier.kind}, nil
}

func (n *authenticator) unauthorized() *problem {
	p := refuse(nethttp.StatusUnauthorized, "")
	p.challenge = n.challenge
	return p
}

// byToken compares with all tokens, in the same time whichever fits: their hashes are
// equally long, and tell nothing of how much of a token was right.
func (n *authenticator) byToken(headers []string) (principal string, ok bool) {
	if len(headers) != 1 {
		return "", false
	}
	scheme, token, _ := strings.Cut(headers[0], " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return "", false
	}
	sum := sha256.Sum256([]byte(strings.TrimLeft(token, " ")))
	for _, b := range n.bearer {
		if subtle.ConstantTimeCompare(sum[:], b.sum[:]) == 1 {
			principal, ok = b.principal, true
		}
	}
	return principal, ok
}

func (n *authenticator) byCertificate(c *x509.Certificate) (string, bool) {
	var names []string
	for _, u := range c.URIs {
		names = append(names, u.String())
	}
	names = append(names, c.DNSNames...)
	if len(names) == 0 && c.Subject.CommonName != "" {
		names = []string{c.Subject.CommonName}
	}
	for _, name := range names {
		if cleanText(name) && (len(n.certificate.Principals) == 0 || slices.Contains(n.certificate.Principals, name)) {
			return name, true
		}
	}
	return "", false
}
