package bus

import (
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
)

// DefaultConnectTimeout bounds the first connection where
// [Config.ConnectTimeout] is not set.
const DefaultConnectTimeout = 5 * time.Second

// hidden stands in for whatever must not be printed.
const hidden = "xxxxx"

// Config says which NATS servers to talk to, and as whom. It prints without
// its secrets: see [Config.Redacted]. The zero value is a server on
// nats://127.0.0.1:4222 without credentials.
type Config struct {
	// URL is one server or several, separated by commas:
	// "nats://a:4222,nats://b:4222". A scheme of tls:// asks for TLS, ws:// and
	// wss:// for a websocket. Default nats://127.0.0.1:4222.
	URL string `yaml:"url" json:"url,omitempty"`
	// Name is what the server's monitoring shows for these connections; each
	// has its role added, as in "ergon (publish)". Default "ergon".
	Name string `yaml:"name" json:"name,omitempty"`
	// Creds is the path of a .creds file: a user's JWT with its nkey seed.
	Creds string `yaml:"creds" json:"creds,omitempty"`
	// NKey is the path of a file that holds an nkey seed.
	NKey string `yaml:"nkey" json:"nkey,omitempty"`
	// User and Password identify the user. Password is a secret.
	User     string `yaml:"user" json:"user,omitempty"`
	Password string `yaml:"password" json:"password,omitempty"`
	// Token is a secret that identifies the user by itself.
	Token string `yaml:"token" json:"token,omitempty"`
	// CA is the path of a PEM file with the authorities to trust instead of the
	// system's.
	CA string `yaml:"ca" json:"ca,omitempty"`
	// Cert and Key are the paths of the client's certificate and its key, in
	// PEM. One needs the other.
	Cert string `yaml:"cert" json:"cert,omitempty"`
	Key  string `yaml:"key" json:"key,omitempty"`
	// Domain is the JetStream domain to use, where leaf nodes separate several.
	Domain string `yaml:"domain" json:"domain,omitempty"`
	// InboxPrefix replaces "_INBOX" in the subjects on which answers come, for
	// users who may subscribe to no others.
	InboxPrefix string `yaml:"inbox_prefix" json:"inbox_prefix,omitempty"`
	// ConnectTimeout is how long Connect keeps trying to reach a server the
	// first time; connections lost later are sought for ever. Default 5 s.
	ConnectTimeout time.Duration `yaml:"connect_timeout" json:"connect_timeout,omitempty"`
}

// Redacted returns a copy that may be shown: the password, the token and
// whatever stands before the @ of a URL are replaced.
func (c Config) Redacted() Config {
	c.URL = redactURLs(c.URL)
	if c.Password != "" {
		c.Password = hidden
	}
	if c.Token != "" {
		c.Token = hidden
	}
	return c
}

// String describes the configuration without its secrets.
func (c Config) String() string {
	r := c.withDefaults().Redacted()
	var b strings.Builder
	b.WriteString(r.URL)
	for _, f := range []struct{ name, value string }{
		{"name", r.Name}, {"creds", r.Creds}, {"nkey", r.NKey}, {"user", r.User}, {"password", r.Password},
		{"token", r.Token}, {"ca", r.CA}, {"cert", r.Cert}, {"key", r.Key}, {"domain", r.Domain},
		{"inbox_prefix", r.InboxPrefix},
	} {
		if f.value != "" {
			fmt.Fprintf(&b, " %s=%s", f.name, f.value)
		}
	}
	return b.String()
}

// GoString keeps the secrets out of %#v.
func (c Config) GoString() string { return "bus.Config{" + c.String() + "}" }

// LogValue keeps the secrets out of logs.
func (c Config) LogValue() slog.Value { return slog.StringValue(c.String()) }

func (c Config) withDefaults() Config {
	if strings.TrimSpace(c.URL) == "" {
		c.URL = nats.DefaultURL
	}
	if c.Name == "" {
		c.Name = "ergon"
	}
	if c.ConnectTimeout <= 0 {
		c.ConnectTimeout = DefaultConnectTimeout
	}
	return c
}

// Validate reports every fault of the configuration that can be seen without a
// server, joined into one error.
func (c Config) Validate() error {
	var faults []error
	for _, u := range splitURLs(c.URL) {
		if err := validateURL(u); err != nil {
			faults = append(faults, err)
		}
	}
	identities := 0
	for _, set := range []bool{c.Creds != "", c.NKey != "", c.User != "", c.Token != ""} {
		if set {
			identities++
		}
	}
	if identities > 1 {
		faults = append(faults, errors.New("creds, nkey, user and token exclude one another: keep one"))
	}
	if c.Password != "" && c.User == "" {
		faults = append(faults, errors.New("password without user"))
	}
	if (c.Cert == "") != (c.Key == "") {
		faults = append(faults, errors.New("cert and key need each other"))
	}
	if c.ConnectTimeout < 0 {
		faults = append(faults, fmt.Errorf("connect_timeout: %s is below 0", c.ConnectTimeout))
	}
	if strings.ContainsAny(c.InboxPrefix, "*> \t\r\n") || strings.HasSuffix(c.InboxPrefix, ".") {
		faults = append(faults, fmt.Errorf("inbox_prefix: %q is not the beginning of a subject", c.InboxPrefix))
	}
	if strings.ContainsAny(c.Domain, ".*> \t\r\n") {
		faults = append(faults, fmt.Errorf("domain: %q is not one token of a subject", c.Domain))
	}
	return errors.Join(faults...)
}

// validateURL never quotes the text of url.Parse's error: it holds the whole
// URL, password and all.
func validateURL(s string) error {
	if s == "embedded" {
		return errors.New(`url: "embedded" is not an address: start an embedded server and connect in process`)
	}
	full := s
	if !strings.Contains(full, "://") {
		full = "nats://" + full
	}
	u, err := url.Parse(full)
	if err != nil || u.Hostname() == "" {
		return fmt.Errorf("url: %q is not a server's address, such as nats://host:4222", redactURL(s))
	}
	switch u.Scheme {
	case "nats", "tls", "ws", "wss":
		return nil
	}
	return fmt.Errorf("url: %q: scheme %q is unknown: use nats, tls, ws or wss", redactURL(s), u.Scheme)
}

func splitURLs(s string) []string {
	var out []string
	for part := range strings.SplitSeq(s, ",") {
		if part = strings.TrimSpace(part); part != "" {
			out = append(out, part)
		}
	}
	return out
}

func redactURLs(s string) string {
	parts := splitURLs(s)
	for i, p := range parts {
		parts[i] = redactURL(p)
	}
	return strings.Join(parts, ",")
}

// redactURL works on the text, because what has to be hidden is often what
// doesn't parse.
func redactURL(s string) string {
	scheme, rest, found := strings.Cut(s, "://")
	if !found {
		scheme, rest = "", s
	}
	if at := strings.LastIndexByte(rest, '@'); at >= 0 {
		rest = hidden + rest[at:]
	}
	if !found {
		return rest
	}
	return scheme + "://" + rest
}
