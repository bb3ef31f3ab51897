package bus

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"strings"
)

// hidden stands in for whatever must not be printed.
const hidden = "xxxxx"

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
	if c.Context == "" {
		c = c.withDefaults()
	}
	r := c.Redacted()
	var b strings.Builder
	b.WriteString(r.URL)
	for _, f := range []struct{ name, value string }{
		{"context", r.Context}, {"name", r.Name}, {"creds", r.Creds}, {"nkey", r.NKey}, {"user", r.User},
		{"password", r.Password}, {"token", r.Token}, {"ca", r.CA}, {"cert", r.Cert}, {"key", r.Key},
		{"domain", r.Domain}, {"api_prefix", r.APIPrefix}, {"inbox_prefix", r.InboxPrefix},
	} {
		if f.value != "" {
			fmt.Fprintf(&b, " %s=%s", f.name, f.value)
		}
	}
	if r.TLSFirst {
		b.WriteString(" tls_first=true")
	}
	return strings.TrimPrefix(b.String(), " ")
}

// GoString is String with the name of the type.
func (c Config) GoString() string { return "bus.Config{" + c.String() + "}" }

// Format keeps the secrets out of every verb of package fmt: String alone would
// leave %d to print the fields.
func (c Config) Format(f fmt.State, verb rune) {
	text := c.String()
	if verb == 'v' && f.Flag('#') {
		text = c.GoString()
	}
	_, _ = io.WriteString(f, text)
}

// LogValue keeps the secrets out of logs.
func (c Config) LogValue() slog.Value { return slog.StringValue(c.String()) }

// MarshalJSON writes the configuration without its secrets: what reads it back
// lacks them.
func (c Config) MarshalJSON() ([]byte, error) { return json.Marshal(plain(c.Redacted())) }

// MarshalYAML is MarshalJSON for YAML.
func (c Config) MarshalYAML() (any, error) { return plain(c.Redacted()), nil }

// plain is a Config without methods.
type plain Config

// secrets lists what must stand in no text.
func (s target) secrets() []string {
	out := []string{s.Password, s.Token, s.jwt, s.seed}
	for _, u := range splitURLs(s.URL) {
		if parsed, err := url.Parse(withScheme(u)); err == nil && parsed.User != nil {
			if password, ok := parsed.User.Password(); ok {
				out = append(out, password)
			} else {
				out = append(out, parsed.User.Username())
			}
		}
	}
	return out
}

// scrub is the error's text, without a secret that somebody below may have
// quoted.
func (s target) scrub(err error) string {
	text := err.Error()
	for _, u := range splitURLs(s.URL) {
		text = strings.ReplaceAll(text, u, redactURL(u))
	}
	for _, secret := range s.secrets() {
		if len(secret) > 3 { // a shorter one would make holes in words
			text = strings.ReplaceAll(text, secret, hidden)
		}
	}
	return text
}

// scrubbed keeps an error's chain and replaces its text.
type scrubbed struct {
	text string
	err  error
}

func (s *scrubbed) Error() string { return s.text }
func (s *scrubbed) Unwrap() error { return s.err }

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
	scheme, rest := splitScheme(s)
	if at := strings.LastIndexByte(rest, '@'); at >= 0 {
		rest = hidden + rest[at:]
	}
	return scheme + rest
}

// withoutUser is where a URL leads: nats.go's own redaction keeps the user, which
// is the token where there is no password.
func withoutUser(s string) string {
	scheme, rest := splitScheme(s)
	return scheme + rest[strings.LastIndexByte(rest, '@')+1:]
}

func hasUser(s string) bool { return strings.Contains(s, "@") }

func splitScheme(s string) (scheme, rest string) {
	if i := strings.Index(s, "://"); i >= 0 {
		return s[:i+3], s[i+3:]
	}
	return "", s
}

func withScheme(s string) string {
	if strings.Contains(s, "://") {
		return s
	}
	return "nats://" + s
}
