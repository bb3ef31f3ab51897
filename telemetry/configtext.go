package telemetry

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"slices"
	"strings"
)

// hidden stands in for whatever must not be printed.
const hidden = "xxxxx"

// Redacted returns a copy that may be shown: the headers' values and whatever stands
// before the @ of the endpoint are replaced.
func (c OTLPConfig) Redacted() OTLPConfig {
	c.Endpoint = redactURL(c.Endpoint)
	if c.Headers != nil {
		headers := make(map[string]string, len(c.Headers))
		for name := range c.Headers {
			headers[name] = hidden
		}
		c.Headers = headers
	}
	return c
}

// String describes the receiver without its secrets.
func (c OTLPConfig) String() string {
	r := c.Redacted()
	var b strings.Builder
	for _, f := range []struct{ name, value string }{
		{"endpoint", r.Endpoint}, {"protocol", r.Protocol}, {"ca", r.CA}, {"cert", r.Cert}, {"key", r.Key}, {"compression", r.Compression},
	} {
		if f.value != "" {
			fmt.Fprintf(&b, " %s=%s", f.name, f.value)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(r.Headers)) {
		fmt.Fprintf(&b, " headers.%s=%s", name, hidden)
	}
	if r.Insecure {
		b.WriteString(" insecure=true")
	}
	if r.Timeout != 0 {
		fmt.Fprintf(&b, " timeout=%s", r.Timeout)
	}
	return strings.TrimPrefix(b.String(), " ")
}

// GoString is String with the name of the type.
func (c OTLPConfig) GoString() string { return "telemetry.OTLPConfig{" + c.String() + "}" }

// Format keeps the secrets out of every verb of package fmt: String alone would leave
// %d to print the fields.
func (c OTLPConfig) Format(f fmt.State, verb rune) {
	text := c.String()
	if verb == 'v' && f.Flag('#') {
		text = c.GoString()
	}
	_, _ = io.WriteString(f, text)
}

// LogValue keeps the secrets out of logs.
func (c OTLPConfig) LogValue() slog.Value { return slog.StringValue(c.String()) }

// MarshalJSON writes the receiver without its secrets: what reads it back lacks them.
func (c OTLPConfig) MarshalJSON() ([]byte, error) { return json.Marshal(plain(c.Redacted())) }

// MarshalYAML is MarshalJSON for YAML.
func (c OTLPConfig) MarshalYAML() (any, error) { return plain(c.Redacted()), nil }

// plain is an OTLPConfig without methods.
type plain OTLPConfig

// redactURL replaces what stands before the @ of an address, which may be none.
func redactURL(s string) string {
	at := strings.LastIndexByte(s, '@')
	if at < 0 {
		return s
	}
	scheme, _, ok := strings.Cut(s[:at], "://")
	if !ok {
		return hidden + s[at:]
	}
	return scheme + "://" + hidden + s[at:]
}
