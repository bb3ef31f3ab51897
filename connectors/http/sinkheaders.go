package http

import (
	"errors"
	"fmt"
	nethttp "net/http"
	"slices"
	"strings"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/internal/semconv"
)

// header is one header of the user's.
type header struct {
	name  string // in its canonical form
	parts []part
	fixed []string // of a template without fields, shared by all requests
}

// compileHeaders reads and checks the headers that the user sets, sorted by name.
func compileHeaders(headers map[string]string) ([]header, error) {
	var compiled []header
	var faults []error
	for name, template := range headers {
		h := header{name: nethttp.CanonicalHeaderKey(name)}
		var err error
		switch h.parts, err = parseTemplate(template); {
		case !validName(name):
			err = fmt.Errorf("%.80q is no name of a header", name)
		case err != nil:
			err = fmt.Errorf("%s: %w", name, err)
		case slices.ContainsFunc(h.parts, func(p part) bool { return !validValue(p.text) }):
			err = fmt.Errorf("%s: a control character stands in it, perhaps the end of a line", name)
		case reserved(h.name) != "":
			err = fmt.Errorf("%s: %s", name, reserved(h.name))
		case slices.ContainsFunc(compiled, func(o header) bool { return o.name == h.name }):
			err = fmt.Errorf("%s: it is there twice", name)
		}
		if err != nil {
			faults = append(faults, fmt.Errorf("headers: %w", err))
			continue
		}
		if text, ok := static(h.parts); ok {
			h.fixed = []string{text}
		}
		compiled = append(compiled, h)
	}
	slices.SortFunc(compiled, func(a, b header) int { return strings.Compare(a.name, b.name) })
	slices.SortFunc(faults, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	return compiled, errors.Join(faults...)
}

// reserved says why a header can't be set, "" if it can.
func reserved(name string) string {
	switch name {
	case "Connection", "Content-Length", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authorization", "Proxy-Connection",
		"Te", "Trailer", "Transfer-Encoding", "Upgrade", "Expect":
		return "it belongs to the connection"
	case "Host":
		return "it is the URL's host"
	case "Content-Type":
		return "it is the transaction's content type"
	case "Authorization":
		return "use bearer, or user and password, which are kept out of logs"
	case idempotencyKey, webhookID, webhookTimestamp, webhookSignature, "Traceparent", "Tracestate":
		return "the sink writes it"
	}
	if lower := strings.ToLower(name); strings.HasPrefix(lower, semconv.CEPrefix) || strings.HasPrefix(name, semconv.ErgonPrefix) {
		return "the sink writes it"
	}
	return ""
}

// values are the header's for one transaction.
func (h *header) values(s *fields) ([]string, error) {
	if h.fixed != nil {
		return h.fixed, nil
	}
	var b strings.Builder
	for _, p := range h.parts {
		if p.field == nil {
			b.WriteString(p.text)
			continue
		}
		v, err := s.value(p.field, "header "+h.name)
		if err != nil {
			return nil, err
		}
		if !validValue(v) {
			return nil, ergon.Business("header %s: a control character stands in %s", h.name, p.field.name)
		}
		b.WriteString(v)
	}
	return []string{b.String()}, nil
}

// validName reports whether s may be a header's name (RFC 9110 §5.6.2).
func validName(s string) bool {
	for i := range len(s) {
		c := s[i]
		if c <= ' ' || c >= 0x7f || strings.IndexByte(`"(),/:;<=>?@[\]{}`, c) >= 0 {
			return false
		}
	}
	return s != ""
}

// validValue reports whether s may be a header's value. A tab may, other control
// characters would end it or more.
func validValue(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}
