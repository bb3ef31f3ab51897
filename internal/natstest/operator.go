package natstest

import (
	"crypto/sha256"
	"encoding/base32"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	natsserver "github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nkeys"
	"github.com/stretchr/testify/require"
)

// PublicKey is that of a pair.
func PublicKey(t *testing.T, pair nkeys.KeyPair) string {
	t.Helper()
	key, err := pair.PublicKey()
	require.NoError(t, err)
	return key
}

// SeedOf is that of a pair.
func SeedOf(t *testing.T, pair nkeys.KeyPair) string {
	t.Helper()
	seed, err := pair.Seed()
	require.NoError(t, err)
	return string(seed)
}

// Operator signs accounts and their users, as nsc does.
type Operator struct {
	t                 *testing.T
	operator, account nkeys.KeyPair
	system            nkeys.KeyPair
	resolver          *natsserver.MemAccResolver
}

// NewOperator makes one with one account.
func NewOperator(t *testing.T) *Operator {
	t.Helper()
	o := &Operator{t: t}
	var err error
	o.operator, err = nkeys.CreateOperator()
	require.NoError(t, err)
	o.account, err = nkeys.CreateAccount()
	require.NoError(t, err)
	o.system, err = nkeys.CreateAccount()
	require.NoError(t, err)
	o.resolver = &natsserver.MemAccResolver{}
	require.NoError(t, o.resolver.Store(PublicKey(t, o.account), o.accountJWT(o.account, -1)))
	require.NoError(t, o.resolver.Store(PublicKey(t, o.system), o.accountJWT(o.system, 0)))
	return o
}

// Another is an operator that no server of o's trusts, with the same keys in other roles.
func (o *Operator) Another() *Operator {
	return &Operator{t: o.t, operator: o.account, account: o.operator}
}

// Trusted makes a server trust it.
func (o *Operator) Trusted(opts *natsserver.Options) {
	opts.JetStream = true
	opts.TrustedKeys = []string{PublicKey(o.t, o.operator)}
	opts.SystemAccount = PublicKey(o.t, o.system)
	opts.AccountResolver = o.resolver
}

func (o *Operator) accountJWT(account nkeys.KeyPair, storage int) string {
	return o.sign(o.operator, PublicKey(o.t, account), 0, map[string]any{
		"type": "account", "version": 2, "default_permissions": map[string]any{},
		"limits": map[string]any{
			"subs": -1, "data": -1, "payload": -1, "imports": -1, "exports": -1, "wildcards": true, "conn": -1, "leaf": -1,
			"mem_storage": storage, "disk_storage": storage, "streams": storage, "consumer": storage,
		},
	})
}

func (o *Operator) sign(issuer nkeys.KeyPair, subject string, expires int64, nats map[string]any) string {
	o.t.Helper()
	claims := map[string]any{"iat": 1, "iss": PublicKey(o.t, issuer), "sub": subject, "nats": nats}
	if expires != 0 {
		claims["exp"] = expires
	}
	body, err := json.Marshal(claims)
	require.NoError(o.t, err)
	hash := sha256.Sum256(body)
	claims["jti"] = base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(hash[:])
	body, err = json.Marshal(claims)
	require.NoError(o.t, err)
	text := base64.RawURLEncoding.EncodeToString([]byte(`{"typ":"JWT","alg":"ed25519-nkey"}`)) + "." + base64.RawURLEncoding.EncodeToString(body)
	signature, err := issuer.Sign([]byte(text))
	require.NoError(o.t, err)
	return text + "." + base64.RawURLEncoding.EncodeToString(signature)
}

// User makes a user's JWT and seed; a zero time is for ever.
func (o *Operator) User(expires time.Time, more map[string]any) (jwt, seed string) {
	o.t.Helper()
	pair, err := nkeys.CreateUser()
	require.NoError(o.t, err)
	end := int64(0)
	if !expires.IsZero() {
		end = expires.Unix()
	}
	claims := map[string]any{"type": "user", "version": 2, "subs": -1, "data": -1, "payload": -1, "pub": map[string]any{}, "sub": map[string]any{}}
	for k, v := range more {
		claims[k] = v
	}
	return o.sign(o.account, PublicKey(o.t, pair), end, claims), SeedOf(o.t, pair)
}

// Creds makes the text of a user's .creds file.
func (o *Operator) Creds(expires time.Time, more map[string]any) string {
	jwt, seed := o.User(expires, more)
	return fmt.Sprintf("-----BEGIN NATS USER JWT-----\n%s\n------END NATS USER JWT------\n\n"+
		"-----BEGIN USER NKEY SEED-----\n%s\n------END USER NKEY SEED------\n", jwt, seed)
}
