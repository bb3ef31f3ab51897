package bus

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	dialTimeout   = 2 * time.Second
	dialAgain     = 250 * time.Millisecond
	bootTime      = time.Second      // a server that boots answers like one without JetStream
	pingInterval  = 20 * time.Second // with two unanswered ones a dead peer is noticed within a minute
	consumeBuffer = 8 << 20          // acknowledgements kept while there is no connection
)

// Connect opens both connections, makes sure that JetStream answers, and
// returns. Until [Config.ConnectTimeout] or ctx ends it tries again where
// nobody answers; what would not change by waiting (credentials, a file that is
// missing, JetStream disabled for the account) fails at once. The error says
// what, where and what to do, without secrets.
//
// ctx bounds connecting only. Connections that are lost later are sought for
// ever, with growing and random delays.
func Connect(ctx context.Context, cfg Config, opts ...Option) (*Bus, error) {
	o := options{log: slog.New(slog.DiscardHandler)}
	for _, opt := range opts {
		opt(&o)
	}
	cfg = cfg.withDefaults()
	if o.inProcess != nil {
		cfg.URL = nats.DefaultURL // never dialled
	}
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("connect to NATS: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, cfg.ConnectTimeout)
	defer cancel()

	b := &Bus{cfg: cfg, log: o.log, closed: make(chan struct{}), apiPrefix: "$JS.API."}
	if cfg.Domain != "" {
		b.apiPrefix = "$JS." + cfg.Domain + ".API."
	}
	var err error
	if b.consume, err = b.dial(ctx, "consume", o.inProcess, nats.ReconnectBufSize(consumeBuffer)); err != nil {
		return nil, err
	}
	// Without a buffer a publish fails at once while there is no connection, so
	// that the Publisher knows what was not sent.
	if b.publish, err = b.dial(ctx, "publish", o.inProcess, nats.ReconnectBufSize(-1)); err != nil {
		b.shut()
		return nil, err
	}
	if err := b.openJetStream(ctx); err != nil {
		b.shut()
		return nil, err
	}
	return b, nil
}

// dial tries to connect until ctx ends.
func (b *Bus) dial(ctx context.Context, role string, inProcess nats.InProcessConnProvider, more ...nats.Option) (*conn, error) {
	opts, err := b.cfg.natsOptions()
	if err != nil {
		return nil, fmt.Errorf("connect to NATS: %w", err)
	}
	url := b.cfg.URL
	if inProcess != nil {
		opts, url = append(opts, nats.InProcessServer(inProcess)), ""
	}
	opts = append(opts, more...)
	for waiting := false; ; waiting = true {
		c := newConn(role, b.log)
		deadline, _ := ctx.Deadline()
		timeout := max(min(dialTimeout, time.Until(deadline)), time.Millisecond)
		all := append(c.handlers(), opts...)
		all = append(all, nats.Name(b.cfg.Name+" ("+role+")"), nats.Timeout(timeout))
		if c.nc, err = nats.Connect(url, all...); err == nil {
			c.connected(c.nc)
			return c, nil
		}
		if hopeless(err) {
			return nil, b.connectError(err)
		}
		if !waiting {
			b.log.Info("NATS does not answer yet", "server", redactURLs(b.cfg.URL), "error", b.cfg.scrub(err))
		}
		select {
		case <-ctx.Done():
			return nil, b.connectError(err)
		case <-time.After(dialAgain):
		}
	}
}

// hopeless reports what another try would meet again.
func hopeless(err error) bool {
	return errors.Is(err, nats.ErrAuthorization) || errors.Is(err, nats.ErrAuthExpired) ||
		errors.Is(err, nats.ErrAuthRevoked) || errors.Is(err, nats.ErrAccountAuthExpired) ||
		errors.Is(err, nats.ErrNkeysNotSupported) || errors.Is(err, nats.ErrSecureConnRequired) ||
		errors.Is(err, nats.ErrSecureConnWanted)
}

func (b *Bus) connectError(err error) error {
	advice := "is a NATS server running there? Start one (nats-server -js), or correct bus.url"
	switch {
	case errors.Is(err, nats.ErrAuthorization):
		advice = "the server refused the credentials: check user, password, token, nkey or creds"
	case errors.Is(err, nats.ErrAuthExpired), errors.Is(err, nats.ErrAccountAuthExpired), errors.Is(err, nats.ErrAuthRevoked):
		advice = "the credentials are expired or revoked: get new ones"
	case errors.Is(err, nats.ErrSecureConnRequired):
		advice = "the server wants TLS: use a tls:// URL"
	case errors.Is(err, nats.ErrSecureConnWanted):
		advice = "the server offers no TLS: use a nats:// URL, or enable TLS there"
	case strings.Contains(err.Error(), "x509:"), strings.Contains(err.Error(), "tls:"):
		advice = "TLS failed: check bus.ca, bus.cert and bus.key, and the host name in the URL"
	}
	return fmt.Errorf("connect to NATS at %s: %w: %s", redactURLs(b.cfg.URL), &scrubbed{b.cfg.scrub(err), err}, advice)
}

// scrubbed keeps an error's chain and replaces its text, where a dialler may
// have quoted a URL.
type scrubbed struct {
	text string
	err  error
}

func (s *scrubbed) Error() string { return s.text }
func (s *scrubbed) Unwrap() error { return s.err }

func (c Config) scrub(err error) string {
	text := err.Error()
	for _, u := range splitURLs(c.URL) {
		text = strings.ReplaceAll(text, u, redactURL(u))
	}
	for _, secret := range []string{c.Password, c.Token} {
		if len(secret) > 3 {
			text = strings.ReplaceAll(text, secret, hidden)
		}
	}
	return text
}

// natsOptions turns the configuration into options. Files are read here, so
// that a missing one is named.
func (c Config) natsOptions() ([]nats.Option, error) {
	opts := []nats.Option{
		nats.MaxReconnects(-1),
		nats.IgnoreAuthErrorAbort(), // else two refusals in a row end the connection for good
		nats.CustomReconnectDelay(reconnectDelay),
		nats.PingInterval(pingInterval),
		nats.MaxPingsOutstanding(2),
		nats.FlusherTimeout(flushTimeout),
	}
	for _, f := range []struct{ name, path string }{{"creds", c.Creds}, {"nkey", c.NKey}, {"ca", c.CA}, {"cert", c.Cert}, {"key", c.Key}} {
		if f.path == "" {
			continue
		}
		file, err := os.Open(f.path)
		if err != nil {
			return nil, fmt.Errorf("bus.%s: %w", f.name, err)
		}
		_ = file.Close()
	}
	switch {
	case c.Creds != "":
		opts = append(opts, nats.UserCredentials(c.Creds))
	case c.NKey != "":
		o, err := nats.NkeyOptionFromSeed(c.NKey)
		if err != nil {
			return nil, fmt.Errorf("bus.nkey: %q holds no nkey seed: %w", c.NKey, err)
		}
		opts = append(opts, o)
	case c.User != "":
		opts = append(opts, nats.UserInfo(c.User, c.Password))
	case c.Token != "":
		opts = append(opts, nats.Token(c.Token))
	}
	if c.InboxPrefix != "" {
		opts = append(opts, nats.CustomInboxPrefix(c.InboxPrefix))
	}
	if c.CA != "" {
		opts = append(opts, nats.RootCAs(c.CA))
	}
	if c.Cert != "" {
		opts = append(opts, nats.ClientCert(c.Cert, c.Key))
	}
	return opts, nil
}

// openJetStream asks for the account's information, which only an account with
// JetStream has. A cluster that has just started answers that it is busy, or
// not at all; that is waited for.
func (b *Bus) openJetStream(ctx context.Context) error {
	var err error
	if b.cfg.Domain == "" {
		b.js, err = jetstream.New(b.consume.nc)
	} else {
		b.js, err = jetstream.NewWithDomain(b.consume.nc, b.cfg.Domain)
	}
	if err != nil {
		return fmt.Errorf("use JetStream: %w", err)
	}
	for start := time.Now(); ; {
		try, cancel := context.WithTimeout(ctx, dialTimeout)
		_, err = b.js.AccountInfo(try) // a cluster without a leader says nothing at all
		cancel()
		if err == nil {
			return nil
		}
		if errors.Is(err, jetstream.ErrJetStreamNotEnabledForAccount) ||
			errors.Is(err, jetstream.ErrJetStreamNotEnabled) && time.Since(start) >= bootTime {
			break
		}
		select {
		case <-ctx.Done():
		case <-time.After(dialAgain):
			continue
		}
		break
	}
	where := b.consume.server()
	switch {
	case errors.Is(err, jetstream.ErrJetStreamNotEnabledForAccount):
		return fmt.Errorf("use JetStream at %s: %w: enable it for this user's account", where, err)
	case errors.Is(err, jetstream.ErrJetStreamNotEnabled):
		advice := "start the server with -js, or with a jetstream block in its configuration"
		if b.cfg.Domain != "" {
			advice = fmt.Sprintf("is %q the name of a JetStream domain that this server can reach?", b.cfg.Domain)
		}
		return fmt.Errorf("use JetStream at %s: %w: %s", where, err, advice)
	}
	if _, last := b.consume.lastError(); last != nil {
		return fmt.Errorf("use JetStream at %s: %w: %w", where, err, last)
	}
	return fmt.Errorf("use JetStream at %s: %w: is the user allowed to publish on %sINFO?", where, err, b.apiPrefix)
}
