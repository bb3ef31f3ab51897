package bus

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
)

// DefaultConnectTimeout bounds the first connection where
// [Config.ConnectTimeout] is not set.
const DefaultConnectTimeout = 5 * time.Second

// Config says which NATS servers to talk to, and as whom. However it is
// printed, it prints without its secrets: see [Config.Redacted]. The zero value
// is a server on nats://127.0.0.1:4222 without credentials.
//
// A server that is reached by TLS is always verified: its certificate must be
// signed by an authority that is trusted, and be for the host in the URL. No
// setting changes that.
//
// Paths of files may begin with ~/, the home directory. The files are read again
// for each connection, so that what is put in their place counts from the next
// one on.
type Config struct {
	// URL is one server or several, separated by commas:
	// "nats://a:4222,nats://b:4222". A scheme of tls:// insists on TLS; with
	// nats:// there is TLS if the server wants it, or a setting for TLS is made
	// here. ws:// and wss:// are websockets. A user and a password, or a token, may
	// stand before the host. Default: that of Context, else nats://127.0.0.1:4222.
	URL string `yaml:"url" json:"url,omitempty"`
	// Context is the name of a context of the nats CLI, as in "nats context ls",
	// or the absolute path of such a .json file. What it says of the server and
	// the user counts where nothing is said here: a setting beside it wins. Who
	// to be is one thing then: with creds, nkey, user, token or a user in the URL
	// here, what the context says of these is left aside; a password alone goes
	// with the context's user. So are cert and key one thing, and domain and
	// api_prefix. Default none.
	Context string `yaml:"context" json:"context,omitempty"`
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
	// system's. It insists on TLS.
	CA string `yaml:"ca" json:"ca,omitempty"`
	// Cert and Key are the paths of the client's certificate and its key, in
	// PEM. One needs the other. They insist on TLS.
	Cert string `yaml:"cert" json:"cert,omitempty"`
	Key  string `yaml:"key" json:"key,omitempty"`
	// TLSFirst begins with the TLS handshake, for a server that has
	// handshake_first set and says nothing before it. It insists on TLS.
	TLSFirst bool `yaml:"tls_first" json:"tls_first,omitempty"`
	// Domain is the JetStream domain to use, where leaf nodes separate several.
	Domain string `yaml:"domain" json:"domain,omitempty"`
	// APIPrefix replaces "$JS.API" in the subjects of JetStream's requests, where
	// another account's JetStream is imported under one. It excludes Domain.
	APIPrefix string `yaml:"api_prefix" json:"api_prefix,omitempty"`
	// InboxPrefix replaces "_INBOX" in the subjects on which answers come, for
	// users who may subscribe to no others.
	InboxPrefix string `yaml:"inbox_prefix" json:"inbox_prefix,omitempty"`
	// ConnectTimeout is how long Connect keeps trying to reach a server the
	// first time; connections lost later are sought for ever. Default 5 s.
	ConnectTimeout time.Duration `yaml:"connect_timeout" json:"connect_timeout,omitempty"`
}

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
// server and without reading a file, joined into one error.
func (c Config) Validate() error {
	var faults []error
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	urls := splitURLs(c.URL)
	for _, u := range urls {
		if err := validateURL(u); err != nil {
			faults = append(faults, err)
		}
	}
	if c.Context != "" && !isPath(c.Context) && !validContext(c.Context) {
		fault("context: %q is neither the name of a context nor the absolute path of its file", c.Context)
	}
	identities := c.identities()
	if identities > 1 {
		fault("creds, nkey, user and token exclude one another: keep one")
	}
	if identities > 0 && slices.ContainsFunc(urls, hasUser) {
		fault("url: it names a user or a token, and so does another setting: keep one")
	}
	if c.Password != "" && c.User == "" && c.Context == "" {
		fault("password without user")
	}
	if (c.Cert == "") != (c.Key == "") {
		fault("cert and key need each other")
	}
	faults = append(faults, c.validateWebsockets(urls)...)
	if c.ConnectTimeout < 0 {
		fault("connect_timeout: %s is below 0", c.ConnectTimeout)
	}
	if !startsSubject(c.InboxPrefix) {
		fault("inbox_prefix: %q is not the beginning of a subject", c.InboxPrefix)
	}
	if strings.ContainsAny(c.Domain, ".*> \t\r\n") {
		fault("domain: %q is not one token of a subject", c.Domain)
	}
	if !startsSubject(strings.TrimSuffix(c.APIPrefix, ".")) {
		fault("api_prefix: %q is not the beginning of a subject", c.APIPrefix)
	}
	if c.Domain != "" && c.APIPrefix != "" {
		fault("domain and api_prefix exclude one another: a domain is the prefix $JS.<domain>.API")
	}
	return errors.Join(faults...)
}

// validateWebsockets: on ws:// nothing would be encrypted, and nobody would say
// so; wss:// begins with TLS in its own way.
func (c Config) validateWebsockets(urls []string) (faults []error) {
	for _, u := range urls {
		switch scheme, _, _ := strings.Cut(strings.ToLower(u), "://"); {
		case scheme == "ws" && c.wantsTLS():
			faults = append(faults, fmt.Errorf("url: %q has no TLS, and ca, cert and tls_first ask for it: use wss://", redactURL(u)))
		case scheme == "wss" && c.TLSFirst:
			faults = append(faults, fmt.Errorf("url: %q begins with TLS by itself: remove tls_first", redactURL(u)))
		}
	}
	return faults
}

// wantsTLS reports whether a setting insists on TLS; a URL may as well.
func (c Config) wantsTLS() bool { return c.CA != "" || c.Cert != "" || c.TLSFirst }

// identities counts the ways in which the settings beside the URL say who we are.
func (c Config) identities() int {
	n := 0
	for _, set := range []bool{c.Creds != "", c.NKey != "", c.User != "", c.Token != ""} {
		if set {
			n++
		}
	}
	return n
}

func startsSubject(s string) bool {
	return !strings.ContainsAny(s, "*> \t\r\n") && !strings.HasPrefix(s, ".") && !strings.HasSuffix(s, ".")
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
