package spec

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"regexp"
)

// hidden stands in for a secret.
const hidden = "xxxxx"

var (
	// userinfo is greedy: a password that was not escaped may have any sign in it.
	userinfo   = regexp.MustCompile(`://.*@`)
	secretName = regexp.MustCompile(`(?i)([?&;][^=&;]*(?:pass|pwd|secret|token|credential|key|sig|auth)[^=&;]*=)[^&;]*`)
)

func hide(secret string) string {
	if secret == "" {
		return ""
	}
	return hidden
}

func hideInURL(url string) string {
	return secretName.ReplaceAllString(userinfo.ReplaceAllString(url, "://"+hidden+"@"), "${1}"+hidden)
}

// Redacted is h without its secrets: the bearer, the password, the values of headers, and
// what a URL has of them.
func (h HTTP) Redacted() HTTP {
	h.URL, h.Proxy = hideInURL(h.URL), hideInURL(h.Proxy)
	h.Bearer, h.Password = hide(h.Bearer), hide(h.Password)
	if h.Headers != nil {
		headers := make(map[string]string, len(h.Headers))
		for name := range h.Headers {
			headers[name] = hidden
		}
		h.Headers = headers
	}
	return h
}

// Redacted is s without its password, also in the URL.
func (s SQL) Redacted() SQL {
	s.URL, s.Password = hideInURL(s.URL), hide(s.Password)
	return s
}

// Redacted is l without its API key.
func (l LLM) Redacted() LLM {
	l.URL, l.APIKey = hideInURL(l.URL), hide(l.APIKey)
	return l
}

// Redacted is a copy of s without its secrets.
func (s Service) Redacted() Service {
	if s.HTTP != nil {
		h := s.HTTP.Redacted()
		s.HTTP = &h
	}
	if s.SQL != nil {
		q := s.SQL.Redacted()
		s.SQL = &q
	}
	if s.LLM != nil {
		l := s.LLM.Redacted()
		s.LLM = &l
	}
	return s
}

// The types without methods: what prints them would call itself.
type (
	plainHTTP HTTP
	plainSQL  SQL
	plainLLM  LLM
)

func text(plain any) string { return fmt.Sprintf("%+v", plain) }

// format serves every verb of package fmt.
func format(f fmt.State, verb rune, text, goText string) {
	if verb == 'v' && f.Flag('#') {
		text = goText
	}
	_, _ = io.WriteString(f, text)
}

// String describes h without its secrets.
func (h HTTP) String() string { return text(plainHTTP(h.Redacted())) }

// GoString keeps the secrets out of %#v.
func (h HTTP) GoString() string { return "spec.HTTP" + h.String() }

// Format keeps the secrets out of every verb of package fmt.
func (h HTTP) Format(f fmt.State, verb rune) { format(f, verb, h.String(), h.GoString()) }

// LogValue keeps the secrets out of logs.
func (h HTTP) LogValue() slog.Value { return slog.StringValue(h.String()) }

// MarshalJSON writes h without its secrets.
func (h HTTP) MarshalJSON() ([]byte, error) { return json.Marshal(plainHTTP(h.Redacted())) }

// String describes s without its secrets.
func (s SQL) String() string { return text(plainSQL(s.Redacted())) }

// GoString keeps the secrets out of %#v.
func (s SQL) GoString() string { return "spec.SQL" + s.String() }

// Format keeps the secrets out of every verb of package fmt.
func (s SQL) Format(f fmt.State, verb rune) { format(f, verb, s.String(), s.GoString()) }

// LogValue keeps the secrets out of logs.
func (s SQL) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalJSON writes s without its secrets.
func (s SQL) MarshalJSON() ([]byte, error) { return json.Marshal(plainSQL(s.Redacted())) }

// String describes l without its secrets.
func (l LLM) String() string { return text(plainLLM(l.Redacted())) }

// GoString keeps the secrets out of %#v.
func (l LLM) GoString() string { return "spec.LLM" + l.String() }

// Format keeps the secrets out of every verb of package fmt.
func (l LLM) Format(f fmt.State, verb rune) { format(f, verb, l.String(), l.GoString()) }

// LogValue keeps the secrets out of logs.
func (l LLM) LogValue() slog.Value { return slog.StringValue(l.String()) }

// MarshalJSON writes l without its secrets.
func (l LLM) MarshalJSON() ([]byte, error) { return json.Marshal(plainLLM(l.Redacted())) }
