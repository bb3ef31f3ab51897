package httpapi

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/ergon-framework/ergon/internal/httpclient"
	"github.com/ergon-framework/ergon/services"
	"github.com/ergon-framework/ergon/services/spec"
)

// What is so where the configuration says nothing.
const (
	DefaultConnections       = 64
	DefaultMaxResponse int64 = 4 << 20
)

// Client speaks to one API. It is safe for concurrent use. How its calls fail:
//
//   - 408, 425, 429, 5xx, and all that goes wrong with a connection is SYSTEM or TIMEOUT
//     and tried again, where the operation is services.Idempotent.
//   - 401, 403 and 407 are SYSTEM, but not tried again in place: the service's credentials
//     are to blame, which no transaction is. So is a redirect that is not followed.
//   - So is an answer that is too long, or is not what was asked for.
//   - Every other status that is not 2xx is BUSINESS: asked again, it answers the same.
//
// A status is a [*StatusError] in the error's chain.
type Client struct {
	seam *services.Seam
	http *http.Client
	base *url.URL
	max  int64
	// These hold the credentials: what a function holds, nobody prints.
	sign func(http.Header)
	hide func(string) string
}

// New returns a client. It asks nobody: whether the API is there is found out by the first
// call. The error names the service and the setting.
func New(s services.Setup[spec.HTTP]) (*Client, error) {
	seam, err := s.Seam(services.Classify(httpclient.Classify))
	if err != nil {
		return nil, err
	}
	c := &Client{seam: seam}
	if err := c.configure(s.Config); err != nil {
		return nil, fmt.Errorf("service %q: %w", s.Name, err)
	}
	return c, nil
}

func (c *Client) configure(h spec.HTTP) (err error) {
	if c.base, err = httpclient.Base(h.URL); err != nil {
		return err
	}
	if h.Connections < 0 || h.MaxResponse < 0 {
		return errors.New("connections and max_response: they are not negative; 0 is the default")
	}
	c.max = cmp.Or(h.MaxResponse, DefaultMaxResponse)
	if err := c.credentials(h); err != nil {
		return err
	}
	transport, err := httpclient.Transport(httpclient.Config{
		Connections: cmp.Or(h.Connections, DefaultConnections), CA: h.CA, Cert: h.Cert, Key: h.Key, Proxy: h.Proxy,
	})
	if err != nil {
		return err
	}
	c.http = &http.Client{Transport: transport, CheckRedirect: redirect}
	return nil
}

var (
	// secretHeader finds headers that hold credentials by their names.
	secretHeader = regexp.MustCompile(`(?i)auth|cookie|key|pass|secret|token|signature`)
	headerName   = regexp.MustCompile("^[!#$%&'*+.^_`|~0-9A-Za-z-]+$")
	headerValue  = regexp.MustCompile(`^[^\x00-\x08\x0a-\x1f\x7f]*$`)
	// framing headers are the transport's to say: net/http would leave them out, or stop
	// decompressing.
	framing = []string{"Host", "Connection", "Content-Length", "Transfer-Encoding", "Accept-Encoding"}
)

// credentials puts what each request begins with where nothing prints it.
func (c *Client) credentials(h spec.HTTP) error {
	header := http.Header{"Accept": {"application/json"}, "User-Agent": {"ergon"}}
	secrets := []string{h.Bearer, h.Password}
	for name, value := range h.Headers {
		if !headerName.MatchString(name) || !headerValue.MatchString(value) {
			return fmt.Errorf("headers: %q can't be one's name, or its value has a line break or the like in it", name)
		}
		if slices.Contains(framing, http.CanonicalHeaderKey(name)) {
			return fmt.Errorf("headers: %q can't be set: it is the connection's to say", name)
		}
		header.Set(name, value)
		if secretHeader.MatchString(name) {
			_, bare, _ := strings.Cut(value, " ") // of "Token abc"
			secrets = append(secrets, value, bare)
		}
	}
	given := 0
	for _, is := range []bool{h.Bearer != "", h.User != "" || h.Password != "", header.Get("Authorization") != ""} {
		if is {
			given++
		}
	}
	if given > 1 {
		return errors.New("bearer, user and headers: more than one says who asks: keep one")
	}
	if h.User != "" || h.Password != "" {
		r := http.Request{Header: http.Header{}}
		r.SetBasicAuth(h.User, h.Password)
		basic := r.Header.Get("Authorization")
		header.Set("Authorization", basic)
		secrets = append(secrets, strings.TrimPrefix(basic, "Basic "))
	}
	if h.Bearer != "" {
		if !headerValue.MatchString(h.Bearer) {
			return errors.New("bearer: it can't stand in a header: is there a line break in it?")
		}
		header.Set("Authorization", "Bearer "+h.Bearer)
	}
	c.sign = func(to http.Header) { maps.Copy(to, header) }
	c.hide = httpclient.Hide(secrets...)
	return nil
}

// redirect follows within the origin, and where the method stays: a POST that becomes a
// GET would look as if it had been done. What is not followed is the answer.
func redirect(to *http.Request, via []*http.Request) error {
	from := via[0]
	if to.URL.Scheme != from.URL.Scheme || !strings.EqualFold(to.URL.Host, from.URL.Host) || to.Method != from.Method || len(via) > 5 {
		return http.ErrUseLastResponse
	}
	return nil
}

// Operation names something that the API does, for spans, metrics and errors; see
// [services.Seam.Operation], which it calls. An operation that is services.Once carries an
// Idempotency-Key.
func (c *Client) Operation(name string, kind services.Kind) *Operation {
	return &Operation{client: c, call: c.seam.Operation(name, kind), once: kind == services.Once}
}

// Operation is one thing that an API does.
type Operation struct {
	client *Client
	call   *services.Operation
	once   bool
}

// Seam is what all calls go through.
func (c *Client) Seam() *services.Seam { return c.seam }

// Health is that of the seam: nil unless its circuit breaker is open. It asks nobody.
func (c *Client) Health() error { return c.seam.Health() }

// Stop closes the connections that nobody uses. Calls that run go on, and a call that
// follows makes connections anew.
func (c *Client) Stop(context.Context) error {
	c.http.CloseIdleConnections()
	return nil
}
