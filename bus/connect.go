package bus

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	dialTimeout   = 2 * time.Second
	dialAgain     = 250 * time.Millisecond
	bootTime      = time.Second      // a server that boots answers like one without JetStream
	pingInterval  = 10 * time.Second // with two unanswered ones a dead peer is noticed within 30 s
	consumeBuffer = 8 << 20          // acknowledgements kept while there is no connection
)

// Connect opens both connections, makes sure that JetStream answers, and
// returns. Until [Config.ConnectTimeout] or ctx ends it tries again where
// nobody answers; what would not change by waiting (credentials, permissions, a
// certificate, a file that is missing, JetStream disabled for the account) fails at
// once. The error says what, where and what to do, without secrets.
//
// ctx bounds connecting only. Connections that are lost later are sought for
// ever, with growing and random delays, also where the server refuses the user:
// credentials may be renewed. Files of credentials, certificates and NATS contexts
// are read again for each attempt; a password that was given as such is not.
func Connect(ctx context.Context, cfg Config, opts ...Option) (*Bus, error) {
	o := options{log: slog.New(slog.DiscardHandler), ping: pingInterval}
	for _, opt := range opts {
		opt(&o)
	}
	if o.inProcess != nil {
		cfg.URL = nats.DefaultURL // never dialled
	}
	s, err := cfg.settle()
	if err != nil {
		return nil, fmt.Errorf("connect to NATS: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, s.ConnectTimeout)
	defer cancel()

	// The Bus keeps no secret, so that printing one shows none.
	b := &Bus{cfg: s.Redacted(), log: o.log, closed: make(chan struct{}), apiPrefix: s.apiPrefix()}
	if b.consume, err = b.dial(ctx, s, "consume", o.inProcess, nats.PingInterval(o.ping), nats.ReconnectBufSize(consumeBuffer)); err != nil {
		return nil, err
	}
	// Without a buffer a publish fails at once while there is no connection, so
	// that the Publisher knows what was not sent.
	if b.publish, err = b.dial(ctx, s, "publish", o.inProcess, nats.PingInterval(o.ping), nats.ReconnectBufSize(-1)); err != nil {
		b.shut()
		return nil, err
	}
	if err := b.openJetStream(ctx); err != nil {
		b.shut()
		return nil, err
	}
	return b, nil
}

// apiPrefix begins the subjects of JetStream's API, with its trailing dot.
func (s target) apiPrefix() string {
	switch {
	case s.Domain != "":
		return "$JS." + s.Domain + ".API."
	case s.APIPrefix != "":
		return strings.TrimSuffix(s.APIPrefix, ".") + "."
	}
	return "$JS.API."
}

// dial tries to connect until ctx ends.
func (b *Bus) dial(ctx context.Context, s target, role string, inProcess nats.InProcessConnProvider, more ...nats.Option) (*conn, error) {
	url := s.URL
	if inProcess != nil {
		more, url = append(more, nats.InProcessServer(inProcess)), ""
	}
	for waiting := false; ; waiting = true {
		c := newConn(role, b.log)
		c.explain, c.local = s.explain, inProcess != nil
		opts, err := s.natsOptions(c)
		if err != nil {
			return nil, fmt.Errorf("connect to NATS: %w", err)
		}
		deadline, _ := ctx.Deadline()
		timeout := max(min(dialTimeout, time.Until(deadline)), time.Millisecond)
		opts = append(append(append(c.handlers(), opts...), more...), nats.Name(s.Name+" ("+role+")"), nats.Timeout(timeout))
		if c.nc, err = nats.Connect(url, opts...); err == nil {
			c.connected(c.nc)
			return c, nil
		}
		if s.hopeless(err) {
			return nil, s.connectError(err)
		}
		if !waiting {
			b.log.Info("NATS does not answer yet", "server", redactURLs(s.URL), "error", s.scrub(err))
		}
		select {
		case <-ctx.Done():
			return nil, s.connectError(err)
		case <-time.After(dialAgain):
		}
	}
}

// natsOptions turns the configuration into options. Files are read here, so that
// a missing one is named.
func (s target) natsOptions(c *conn) ([]nats.Option, error) {
	opts := []nats.Option{
		nats.MaxReconnects(-1),
		nats.IgnoreAuthErrorAbort(), // else two refusals in a row end the connection for good
		nats.MaxPingsOutstanding(2),
		nats.FlusherTimeout(flushTimeout),
	}
	if s.CA != "" {
		if _, err := s.authorities(); err != nil {
			return nil, err
		}
	}
	if s.Cert != "" {
		if _, err := s.certificate(); err != nil {
			return nil, err
		}
	}
	login, err := s.loginOptions(c)
	if err != nil {
		return nil, err
	}
	if s.InboxPrefix != "" {
		opts = append(opts, nats.CustomInboxPrefix(s.InboxPrefix))
	}
	return slices.Concat(opts, login, s.tlsOptions()), nil
}

// openJetStream asks for the account's information, which only an account with
// JetStream has. A cluster that has just started answers that it is busy, or
// not at all; that is waited for.
func (b *Bus) openJetStream(ctx context.Context) error {
	var err error
	switch {
	case b.cfg.Domain != "":
		b.js, err = jetstream.NewWithDomain(b.consume.nc, b.cfg.Domain)
	case b.cfg.APIPrefix != "":
		b.js, err = jetstream.NewWithAPIPrefix(b.consume.nc, b.apiPrefix)
	default:
		b.js, err = jetstream.New(b.consume.nc)
	}
	if err != nil {
		return fmt.Errorf("use JetStream: %w", err)
	}
	for start := time.Now(); ; {
		try, cancel := context.WithTimeout(ctx, dialTimeout)
		_, err = bounded(try, b, b.api("INFO"), b.js.AccountInfo) // a cluster without a leader says nothing at all
		cancel()
		if err == nil {
			return nil
		}
		if errors.Is(err, jetstream.ErrJetStreamNotEnabledForAccount) || errors.Is(err, ErrDenied) ||
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
		} else if b.cfg.APIPrefix != "" {
			advice = fmt.Sprintf("is %q what JetStream's API is imported under in this user's account?", b.cfg.APIPrefix)
		}
		return fmt.Errorf("use JetStream at %s: %w: %s", where, err, advice)
	}
	if _, last := b.consume.lastError(); last != nil && !errors.Is(err, ErrDenied) {
		return fmt.Errorf("use JetStream at %s: %w: %w", where, err, last)
	}
	if errors.Is(err, ErrDenied) {
		return fmt.Errorf("use JetStream at %s: %w", where, err)
	}
	return fmt.Errorf("use JetStream at %s: %w: it does not answer: has its cluster a leader?", where, err)
}
