package jetstream

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/bus"
)

// DeadLetters stores dead letters; *bus.DeadLetters is one. done gets nil once
// the letter is stored.
type DeadLetters interface {
	Store(ctx context.Context, orig *nats.Msg, letter bus.DeadLetter, done func(error))
}

// SourceConfig is what a Source is made of.
type SourceConfig struct {
	// Bus is the connection. Required; its maker closes it after the source.
	Bus *bus.Bus
	// Consumer is the durable consumer to pull from. It is created when it is
	// missing and left alone when it exists; its stream must exist.
	Consumer bus.Consumer
	// DeadLetters takes what failed for good. Required.
	DeadLetters DeadLetters
	// Task is whose dead letters they are.
	Task string
	// Logger is told what is worth knowing about the consumer. Default: nowhere.
	Logger *slog.Logger
}

// Source pulls transactions from a durable JetStream consumer.
type Source struct {
	cfg     SourceConfig
	log     *slog.Logger
	name    string // as the source of plain messages: nats:<stream>
	puller  *bus.Puller
	ackWait time.Duration
	buf     []*nats.Msg // of the one Fetch at a time
	lease   *leases

	ctx    context.Context // of dead letters on their way
	cancel context.CancelFunc
	dying  sync.WaitGroup
	once   sync.Once
	closed error
}

var (
	_ ergon.Source  = (*Source)(nil)
	_ ergon.Readier = (*Source)(nil)
)

// NewSource makes sure of the consumer and returns a source that has asked for
// nothing yet. The error says what is wrong with the consumer and what to do.
func NewSource(ctx context.Context, cfg SourceConfig) (*Source, error) {
	if cfg.Bus == nil || cfg.DeadLetters == nil {
		return nil, errors.New("jetstream source: it needs a bus and a dead-letter store")
	}
	s := &Source{cfg: cfg, log: cfg.Logger, name: "nats:" + cfg.Consumer.Stream}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	if err := s.ensure(ctx); err != nil {
		return nil, err
	}
	puller, err := cfg.Bus.NewPuller(bus.PullConfig{Stream: cfg.Consumer.Stream, Durable: cfg.Consumer.Durable})
	if err != nil {
		return nil, fmt.Errorf("pull from %q: %w", s, err)
	}
	s.puller = puller
	s.ctx, s.cancel = context.WithCancel(context.WithoutCancel(ctx))
	s.lease = newLeases(cfg.Bus, s.ackWait)
	return s, nil
}

// String names the consumer as "<stream>/<durable>".
func (s *Source) String() string { return s.cfg.Consumer.Stream + "/" + s.cfg.Consumer.Durable }

func (s *Source) ensure(ctx context.Context) error {
	info, change, err := s.cfg.Bus.EnsureConsumer(ctx, s.cfg.Consumer)
	if err != nil {
		return fmt.Errorf("consumer %q: %w", s, err)
	}
	s.ackWait = info.AckWait // the effective one: what the server has, not what the file says
	switch {
	case change.Kind == bus.Differs:
		s.log.Warn("the consumer is not as declared, and was left as it is: what it says holds; to change it, delete it or change it with the nats tool", "change", change.String())
	case change.Kind == bus.Created, len(change.Warnings) > 0:
		s.log.Info("consumer", "change", change.String())
	}
	return nil
}

// Fetch returns what is there, up to max, and waits for at least one.
func (s *Source) Fetch(ctx context.Context, max int) ([]ergon.Delivery, error) {
	msgs, err := s.puller.Fetch(ctx, max, s.buf[:0])
	if errors.Is(err, bus.ErrConsumerGone) {
		// Deleted under us, or with its stream: a process that only looks healthy
		// would wait for ever. It is made anew; what was not acknowledged comes
		// again, for the new one begins where its policy says.
		s.log.Warn("consumer is gone: making it anew", "consumer", s.String())
		if err := s.ensure(ctx); err != nil {
			return nil, err
		}
		msgs, err = s.puller.Fetch(ctx, max, s.buf[:0])
	}
	switch {
	case errors.Is(err, bus.ErrDrained):
		return nil, ergon.ErrDrained
	case errors.Is(err, bus.ErrClosed):
		return nil, fmt.Errorf("consumer %q: %w", s, errors.Join(ergon.ErrClosed, err))
	case err != nil:
		return nil, fmt.Errorf("consumer %q: %w", s, err)
	}
	now := time.Now()
	s.buf = msgs
	deliveries := make([]ergon.Delivery, len(msgs))
	block := make([]delivery, len(msgs))
	for i, m := range msgs {
		d := &block[i]
		d.init(s, m, now)
		deliveries[i] = d
	}
	clear(msgs)
	return deliveries, nil
}

// Ready receives when a Fetch would not wait.
func (s *Source) Ready() <-chan struct{} { return s.puller.Ready() }

// Close hands back what was pulled and not fetched, and flushes the
// settlements.
func (s *Source) Close(ctx context.Context) error {
	s.once.Do(func() {
		err := s.puller.Close(ctx)
		s.lease.close()
		s.cancel() // ends dead letters that still wait for their turn; the engine has given them up
		s.dying.Wait()
		s.closed = errors.Join(err, s.cfg.Bus.ConsumeConn().FlushWithContext(ctx))
	})
	return s.closed
}

// storedName is "<stream>:<sequence>", which names a stored message and is the
// ID of one that has none.
func storedName(meta bus.Meta) string {
	b := make([]byte, 0, len(meta.Stream)+1+20)
	b = append(b, meta.Stream...)
	b = append(b, ':')
	return string(strconv.AppendUint(b, meta.StreamSeq, 10))
}
