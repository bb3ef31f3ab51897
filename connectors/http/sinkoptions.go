package http

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	nethttp "net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"
)

// How a transaction becomes a request: the values of SinkOptions.CloudEvents.
const (
	// CloudEventsBinary sends the payload as it is, the envelope in ce-* headers and
	// the metadata in Ergon-Meta-*.
	CloudEventsBinary = "binary"
	// CloudEventsStructured sends one JSON object with the envelope and the payload
	// in it, as application/cloudevents+json, and the metadata in Ergon-Meta-*.
	CloudEventsStructured = "structured"
	// CloudEventsOff sends the payload as it is, and neither envelope nor metadata.
	CloudEventsOff = "off"
)

// What SinkOptions.PrivateAddresses may be.
const (
	PrivateAllow = "allow"
	PrivateDeny  = "deny"
)

// SinkOptions say where and how a [Sink] sends. Only URL is required. Printing them
// shows no secret.
//
// The URL and the headers are templates. {field} stands for a value of the
// transaction: id, source, type, key, correlation_id, causation_id, meta.NAME for the
// first value of a name in the metadata, and payload.PATH for a string, a number or a
// boolean in a JSON payload, as in {payload.order.id} or {payload.items.0.sku}. {{ and
// }} are braces, in headers. A transaction that lacks such a value fails as BUSINESS.
// It is the transaction that is sent, a task's output: it has the metadata that the
// task gave it, and not that of the task's input.
type SinkOptions struct {
	// URL is where to send, as in
	// "https://api.example.com/orders/{payload.order.id}?from={meta.region}". Values are
	// escaped for the place in which they stand. In a path they may be neither empty
	// nor lead elsewhere, as ".." does; in a query they may be empty. Required.
	URL string `yaml:"url" json:"url"`
	// Method is POST, PUT, PATCH, or DELETE, which sends no body. Default POST.
	Method string `yaml:"method" json:"method,omitempty"`
	// Headers of each request, by name: templates. A control character in a value from
	// the data fails the transaction as BUSINESS. The headers that the sink writes
	// itself, and those that belong to the connection, can't be set.
	Headers map[string]string `yaml:"headers" json:"headers,omitempty"`
	// CloudEvents is "binary", "structured" or "off". Default "binary".
	CloudEvents string `yaml:"cloudevents" json:"cloudevents,omitempty"`

	// Bearer is a token for the Authorization header. A secret.
	Bearer string `yaml:"bearer" json:"bearer,omitempty"`
	// User and Password are those of basic authentication, instead of Bearer.
	// Password is a secret.
	User     string `yaml:"user" json:"user,omitempty"`
	Password string `yaml:"password" json:"password,omitempty"`
	// SigningSecrets sign each request as Standard Webhooks has it, in webhook-id,
	// webhook-timestamp and webhook-signature: "whsec_" and 24 to 64 bytes in base64.
	// With several there are as many signatures, so that receivers can change from one
	// to the next. Default none.
	SigningSecrets []string `yaml:"signing_secrets" json:"signing_secrets,omitempty"`

	// CA is the path of a PEM file with the authorities to trust instead of the
	// system's.
	CA string `yaml:"ca" json:"ca,omitempty"`
	// Cert and Key are the paths of the client's certificate and its key, in PEM. One
	// needs the other.
	Cert string `yaml:"cert" json:"cert,omitempty"`
	Key  string `yaml:"key" json:"key,omitempty"`
	// Proxy is the URL of a proxy, with its user and password if it wants them.
	// "environment" takes what HTTPS_PROXY, HTTP_PROXY and NO_PROXY say. Default none.
	Proxy string `yaml:"proxy" json:"proxy,omitempty"`

	// Connections is how many requests may be on their way at once, and with HTTP/1 so
	// the number of connections to a host at the most. Over HTTP/2 requests share
	// connections. Default 64.
	Connections int `yaml:"connections" json:"connections,omitempty"`
	// Timeout is for a whole request, from the dial to the end of the answer; an
	// attempt's deadline ends it earlier. Default 30 s.
	Timeout time.Duration `yaml:"timeout" json:"timeout,omitempty"`
	// ConnectTimeout is for a name to be resolved and a connection to be there, before
	// TLS. Default 5 s.
	ConnectTimeout time.Duration `yaml:"connect_timeout" json:"connect_timeout,omitempty"`
	// TLSTimeout is for the TLS handshake. Default 5 s.
	TLSTimeout time.Duration `yaml:"tls_timeout" json:"tls_timeout,omitempty"`
	// HeaderTimeout is for the answer to begin, once the request is written. Default
	// none but Timeout.
	HeaderTimeout time.Duration `yaml:"header_timeout" json:"header_timeout,omitempty"`

	// RetryStatuses are further status codes, from 400 to 499, that are tried again
	// instead of failing the transaction: 409, say, where it means that an earlier
	// request with the same Idempotency-Key is still under way. Default none.
	RetryStatuses []int `yaml:"retry_statuses" json:"retry_statuses,omitempty"`
	// HostFromData allows fields in the URL's host. Then the data says who receives it;
	// see PrivateAddresses. Where it may name any host, as in https://{meta.host}/, a
	// bearer token, a user and a client certificate are refused, for whoever writes the
	// data would get them; Headers go there all the same, so no key may stand in them.
	// Under a domain of one's own, as in https://{meta.region}.example.com/, nothing is
	// refused.
	HostFromData bool `yaml:"host_from_data" json:"host_from_data,omitempty"`
	// PrivateAddresses is "allow" or "deny": whether a connection may lead to a
	// loopback, link-local, private, shared or otherwise special address, a cloud's
	// metadata among them. The address is looked at when it is connected to, whatever
	// name led there. With a proxy, which resolves names itself, "deny" can't be held
	// and is refused. Default "deny" where the host is from data, else "allow".
	PrivateAddresses string `yaml:"private_addresses" json:"private_addresses,omitempty"`
	// ExceptAddresses are addresses that PrivateAddresses does not deny, in CIDR
	// notation: "10.20.0.0/16". Default none.
	ExceptAddresses []string `yaml:"except_addresses" json:"except_addresses,omitempty"`

	// Resolver resolves names. Default nil, the system's.
	Resolver *net.Resolver `yaml:"-" json:"-"`
}

const (
	defaultConnections    = 64
	defaultTimeout        = 30 * time.Second
	defaultConnectTimeout = 5 * time.Second
	defaultTLSTimeout     = 5 * time.Second
)

// String names the target and shows no secret.
func (o SinkOptions) String() string {
	method := o.Method
	if method == "" {
		method = nethttp.MethodPost
	}
	shown, _, _ := strings.Cut(o.URL, "?")
	if scheme, rest, ok := strings.Cut(shown, "://"); ok { // a user is refused, but not yet
		host, path, _ := strings.Cut(rest, "/")
		shown = scheme + "://" + host[strings.LastIndexByte(host, '@')+1:] + "/" + path
	}
	return method + " " + shown
}

// GoString is String.
func (o SinkOptions) GoString() string { return o.String() }

// Format is String, whatever the verb.
func (o SinkOptions) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, o.String()) }

// LogValue is String.
func (o SinkOptions) LogValue() slog.Value { return slog.StringValue(o.String()) }

// WithDefaults returns a copy in which every default is filled in, but for that of
// PrivateAddresses, which depends on the URL.
func (o SinkOptions) WithDefaults() SinkOptions {
	if o.Method == "" {
		o.Method = nethttp.MethodPost
	}
	if o.CloudEvents == "" {
		o.CloudEvents = CloudEventsBinary
	}
	if o.Connections == 0 {
		o.Connections = defaultConnections
	}
	for d, byDefault := range map[*time.Duration]time.Duration{
		&o.Timeout: defaultTimeout, &o.ConnectTimeout: defaultConnectTimeout, &o.TLSTimeout: defaultTLSTimeout,
	} {
		if *d == 0 {
			*d = byDefault
		}
	}
	return o
}

// Validate says all that is wrong with the options, each with its key. It reads no
// files and asks nobody.
func (o SinkOptions) Validate() error {
	_, err := o.WithDefaults().compile()
	return err
}

// compiled is what of the options is used with each request.
type compiled struct {
	options SinkOptions
	target  *target
	headers []header
	signer  *signer                                  // nil for none
	proxy   func(*nethttp.Request) (*url.URL, error) // nil for none
	except  []netip.Prefix
	deny    bool
}

func (o SinkOptions) compile() (c compiled, err error) {
	var faults []error
	fault := func(key, format string, a ...any) {
		faults = append(faults, fmt.Errorf(key+": "+format, a...))
	}
	c.options = o
	if !slices.Contains([]string{nethttp.MethodPost, nethttp.MethodPut, nethttp.MethodPatch, nethttp.MethodDelete}, o.Method) {
		fault("method", "%.40q is unknown: use POST, PUT, PATCH or DELETE", o.Method)
	}
	switch o.CloudEvents {
	case CloudEventsBinary, CloudEventsOff:
	case CloudEventsStructured:
		if o.Method == nethttp.MethodDelete {
			fault("cloudevents", "DELETE sends no body, so there is nowhere to put the event: use binary or off")
		}
	default:
		fault("cloudevents", "%.40q is unknown: use binary, structured or off", o.CloudEvents)
	}
	if c.target, err = compileTarget(o.URL, o.HostFromData); err != nil {
		fault("url", "%w", err)
	}
	if c.headers, err = compileHeaders(o.Headers); err != nil {
		faults = append(faults, err)
	}
	if len(o.SigningSecrets) > 0 {
		if c.signer, err = newSigner(o.SigningSecrets); err != nil {
			fault("signing_secrets", "%w", err)
		}
	}
	if o.Connections < 1 {
		fault("connections", "%d is not positive", o.Connections)
	}
	for _, d := range []struct {
		key string
		d   time.Duration
	}{{"timeout", o.Timeout}, {"connect_timeout", o.ConnectTimeout}, {"tls_timeout", o.TLSTimeout}, {"header_timeout", o.HeaderTimeout}} {
		if d.d < 0 {
			fault(d.key, "%v is negative", d.d)
		}
	}
	for _, status := range o.RetryStatuses {
		if status < 400 || status > 499 {
			fault("retry_statuses", "%d is not from 400 to 499", status)
		}
	}
	if (o.Cert == "") != (o.Key == "") {
		fault("cert", "cert and key go together: one of them is missing")
	}
	faults = append(faults, o.checkAuth(c.target), c.compileProxy(), c.compileAddresses())
	return c, errors.Join(faults...)
}

func (o SinkOptions) checkAuth(t *target) error {
	switch {
	case o.Bearer != "" && (o.User != "" || o.Password != ""):
		return errors.New("bearer: there is a user or a password beside it, and one request has one Authorization: remove one")
	case o.Password != "" && o.User == "":
		return errors.New("password: it has no user")
	case strings.Contains(o.User, ":"):
		return errors.New("user: basic authentication can't carry a colon in it")
	case !validValue(o.Bearer):
		return errors.New("bearer: a control character stands in it, perhaps the end of a line")
	case t != nil && t.openHost && (o.Bearer != "" || o.User != "" || o.Cert != ""):
		return errors.New("url: the data may name any host in it, and would be sent the credentials: " +
			"fix the host's domain, or remove bearer, user and cert and sign with signing_secrets")
	}
	return nil
}

func (c *compiled) compileProxy() error {
	switch c.options.Proxy {
	case "":
		return nil
	case "environment":
		c.proxy = nethttp.ProxyFromEnvironment
		return nil
	}
	proxy, err := url.Parse(c.options.Proxy)
	if err != nil || proxy.Hostname() == "" || !slices.Contains([]string{"http", "https", "socks5"}, proxy.Scheme) {
		return errors.New("proxy: it is no URL of http, https or socks5") // not shown: a password may stand in it
	}
	c.proxy = nethttp.ProxyURL(proxy)
	return nil
}

func (c *compiled) compileAddresses() error {
	o := c.options
	var faults []error
	switch o.PrivateAddresses {
	case PrivateDeny:
		c.deny = true
	case "":
		c.deny = c.target != nil && c.target.hostFromData
	case PrivateAllow:
	default:
		faults = append(faults, fmt.Errorf("private_addresses: %.40q is unknown: use allow or deny", o.PrivateAddresses))
	}
	if c.deny && o.Proxy != "" {
		faults = append(faults, errors.New("proxy: it resolves names itself, so private addresses can't be denied behind it: "+
			"have the proxy deny them and set private_addresses to allow, or remove the proxy"))
	}
	for _, text := range o.ExceptAddresses {
		p, err := netip.ParsePrefix(text)
		if err != nil {
			faults = append(faults, fmt.Errorf("except_addresses: %.60q is no address in CIDR notation, as 10.20.0.0/16 is", text))
		}
		c.except = append(c.except, p.Masked())
	}
	if len(o.ExceptAddresses) > 0 && !c.deny {
		faults = append(faults, errors.New("except_addresses: nothing is denied that they could be an exception of: set private_addresses to deny"))
	}
	return errors.Join(faults...)
}
