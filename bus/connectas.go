package bus

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"
)

// target is a Config with its defaults, its context read, and its paths made
// plain: what to connect with.
type target struct {
	Config
	jwt, seed string          // of a context's user_jwt and user_seed
	from      map[string]bool // the settings that come from the context
	given     Config
}

// settle reads the context. It is done again for each connection whose secrets
// stand in one.
func (c Config) settle() (target, error) {
	s := target{Config: c, from: map[string]bool{}, given: c}
	if err := c.Validate(); err != nil {
		return s, err
	}
	if c.Context != "" {
		context, err := readContext(c.Context)
		if err != nil {
			return s, fmt.Errorf("bus.context: %w", err)
		}
		s.lieOver(context)
		both := s.Config
		both.Context = "" // it is part of the rest now
		if err := both.Validate(); err != nil {
			return s, fmt.Errorf("bus with context %q: %w", c.Context, err)
		}
	}
	for _, path := range []*string{&s.Creds, &s.NKey, &s.CA, &s.Cert, &s.Key} {
		*path = atHome(*path)
	}
	s.Config = s.withDefaults()
	return s, nil
}

// lieOver fills what is not set from a context, as [Config.Context] says.
func (s *target) lieOver(context target) {
	take := func(name string, into *string, value string) {
		if *into == "" && value != "" {
			*into, s.from[name] = value, true
		}
	}
	if s.identities() == 0 && !hasUser(s.URL) {
		take("creds", &s.Creds, context.Creds)
		take("nkey", &s.NKey, context.NKey)
		take("user", &s.User, context.User)
		take("password", &s.Password, context.Password)
		take("token", &s.Token, context.Token)
		s.jwt, s.seed = context.jwt, context.seed
	}
	if s.Cert == "" && s.Key == "" {
		take("cert", &s.Cert, context.Cert)
		take("key", &s.Key, context.Key)
	}
	if s.Domain == "" && s.APIPrefix == "" {
		take("domain", &s.Domain, context.Domain)
		take("api_prefix", &s.APIPrefix, context.APIPrefix)
	}
	take("url", &s.URL, context.URL)
	take("ca", &s.CA, context.CA)
	take("inbox_prefix", &s.InboxPrefix, context.InboxPrefix)
	if context.TLSFirst && !s.TLSFirst {
		s.TLSFirst, s.from["tls_first"] = true, true
	}
}

// setting names a setting where its reader will find it.
func (s target) setting(name string) string {
	if s.from[name] {
		return fmt.Sprintf("%s of context %q", name, s.Context)
	}
	return "bus." + name
}

// loginOptions say who we are. Whatever stands in a file is asked for again for
// each connection: a new one in its place is used without a restart.
func (s target) loginOptions(c *conn) ([]nats.Option, error) {
	switch {
	case s.Creds != "":
		if _, _, err := s.readCreds(); err != nil {
			return nil, err
		}
		return []nats.Option{nats.UserJWT(
			func() (string, error) { jwt, _, err := s.readCreds(); return jwt, err },
			func(nonce []byte) ([]byte, error) {
				_, pair, err := s.readCreds()
				return sign(pair, nonce, err)
			},
		)}, nil
	case s.NKey != "":
		pair, public, err := s.readNKey()
		if err != nil {
			return nil, err
		}
		pair.Wipe()
		return []nats.Option{nats.Nkey(public, func(nonce []byte) ([]byte, error) {
			return s.signNKey(c, nonce)
		})}, nil
	case s.jwt != "":
		return []nats.Option{nats.UserJWT(
			func() (string, error) { return s.again().jwt, nil },
			func(nonce []byte) ([]byte, error) {
				seed := strings.TrimSpace(s.again().seed)
				if seed == "" {
					return nil, nil // the JWT is a bearer's
				}
				pair, err := nkeys.FromSeed([]byte(seed))
				return sign(pair, nonce, err)
			},
		)}, nil
	case s.from["user"]:
		return []nats.Option{nats.UserInfoHandler(func() (string, string) {
			now := s.again()
			return now.User, now.Password
		})}, nil
	case s.User != "":
		return []nats.Option{nats.UserInfo(s.User, s.Password)}, nil
	case s.from["token"]:
		return []nats.Option{nats.TokenHandler(func() string { return s.again().Token })}, nil
	case s.Token != "":
		return []nats.Option{nats.Token(s.Token)}, nil
	}
	return nil, nil
}

// again is what the context says by now, or said last where it can't be read.
func (s target) again() target {
	if now, err := s.given.settle(); err == nil {
		return now
	}
	return s
}

// readCreds takes the file apart. nkeys would take a file of any other sort for
// a JWT, and send it to the server.
func (s target) readCreds() (jwt string, pair nkeys.KeyPair, err error) {
	data, err := s.read("creds", s.Creds)
	if err != nil {
		return "", nil, err
	}
	defer clear(data)
	bad := func(what string) error {
		return fmt.Errorf("%s: %q holds no %s: it is not a .creds file, as nsc makes them", s.setting("creds"), s.Creds, what)
	}
	if jwt, err = nkeys.ParseDecoratedJWT(data); err != nil || strings.Count(jwt, ".") != 2 || strings.ContainsAny(jwt, " \r\n") {
		return "", nil, bad("user JWT")
	}
	if pair, err = nkeys.ParseDecoratedUserNKey(data); err != nil {
		return "", nil, bad("nkey seed of a user")
	}
	return jwt, pair, nil
}

func (s target) readNKey() (pair nkeys.KeyPair, public string, err error) {
	data, err := s.read("nkey", s.NKey)
	if err != nil {
		return nil, "", err
	}
	defer clear(data)
	if pair, err = nkeys.ParseDecoratedUserNKey(data); err == nil {
		public, err = pair.PublicKey()
	}
	if err != nil {
		return nil, "", fmt.Errorf("%s: %q holds no nkey seed of a user, which begins with SU", s.setting("nkey"), s.NKey)
	}
	return pair, public, nil
}

// signNKey signs with the seed that is in the file now. nats.go keeps the public
// key that it was made with; it holds the connection's lock while it asks for a
// signature, so that a new key can be put there, for its next attempt.
func (s target) signNKey(c *conn, nonce []byte) ([]byte, error) {
	pair, public, err := s.readNKey()
	if err != nil {
		return nil, err
	}
	if nc := c.live.Load(); nc != nil && nc.Opts.Nkey != public {
		nc.Opts.Nkey = public
		pair.Wipe()
		return nil, errors.New("the nkey is a new one: connecting with it next")
	}
	return sign(pair, nonce, nil)
}

func sign(pair nkeys.KeyPair, nonce []byte, err error) ([]byte, error) {
	if err != nil {
		return nil, err
	}
	defer pair.Wipe()
	return pair.Sign(nonce)
}

// expiry reads from a JWT when it ends; zero is never. The server only says that
// it refuses the user.
func expiry(jwt string) time.Time {
	parts := strings.Split(jwt, ".")
	if len(parts) != 3 {
		return time.Time{}
	}
	var claims struct {
		Expires int64 `json:"exp"`
	}
	data, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil || json.Unmarshal(data, &claims) != nil || claims.Expires == 0 {
		return time.Time{}
	}
	return time.Unix(claims.Expires, 0)
}

// atHome puts the home directory in the place of a leading ~.
func atHome(path string) string {
	rest, ok := strings.CutPrefix(path, "~")
	if !ok || rest != "" && !os.IsPathSeparator(rest[0]) {
		return path
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return path // and the error of reading it shows the ~
	}
	return filepath.Join(home, rest)
}
