package jetstream

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/bus"
)

// DefaultCheckEvery is how often a source looks after its consumer.
const DefaultCheckEvery = 10 * time.Second

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
	// Stream, if set, is how the consumer's stream is declared: one that is deleted
	// while the source runs is made anew.
	Stream *bus.Stream
	// DeadLetters takes what failed for good. Required.
	DeadLetters DeadLetters
	// Parking keeps what is to be tried again much later. nil means that the source
	// can't defer: such a wait is spent in place.
	Parking *bus.Parking
	// Starts records what kills its process. nil means that nothing is recorded.
	Starts *bus.Starts
	// Task is whose dead letters they are.
	Task string
	// MaxBytes bounds what one pull request brings. 0 is no bound.
	MaxBytes int
	// CheckEvery is how often the source looks at its consumer: whether it is
	// there and delivers, what its ack deadline is, how much is pending. Default 10 s.
	CheckEvery time.Duration
	// Logger is told what is worth knowing about the consumer. Default: nowhere.
	Logger *slog.Logger

	stallAfter time.Duration // default stallAfter
}

// Source pulls transactions from a durable JetStream consumer, and those that were
// parked from a second one. It holds at most as many deliveries as the latest
// Fetch asked for, an eighth of them parked ones, and at least one of each, and as
// many more as Prefetch allows.
type Source struct {
	cfg    SourceConfig
	log    *slog.Logger
	name   string // as the source of plain messages: nats:<stream>
	puller *bus.Puller
	parked *parked // nil without parking
	buf    []*nats.Msg
	behind bool // more was waiting behind what was fetched; the fetching goroutine's
	lease  *leases

	health atomic.Pointer[error]
	lag    atomic.Pointer[ergon.Lag]
	looks  atomic.Int64 // that found the consumer
	stall  [2]stall     // of the watch

	ctx    context.Context // of what goes on beside the calls
	cancel context.CancelFunc
	mu     sync.Mutex        // orders goes against Close, and guards told and gone
	told   map[string]string // what was logged of each consumer last
	shut   bool
	gone   []string // streams that were deleted
	beside sync.WaitGroup
	once   sync.Once
	closed error
}

var (
	_ ergon.Source         = (*Source)(nil)
	_ ergon.Readier        = (*Source)(nil)
	_ ergon.Prefetcher     = (*Source)(nil)
	_ ergon.Backlogger     = (*Source)(nil)
	_ ergon.HealthReporter = (*Source)(nil)
	_ ergon.LagReporter    = (*Source)(nil)
)

// NewSource makes sure of the consumer and returns a source that has asked for
// nothing yet. The error says what is wrong with the consumer and what to do.
func NewSource(ctx context.Context, cfg SourceConfig) (_ *Source, err error) {
	if cfg.Bus == nil || cfg.DeadLetters == nil {
		return nil, errors.New("jetstream source: it needs a bus and a dead-letter store")
	}
	if cfg.CheckEvery == 0 {
		cfg.CheckEvery = DefaultCheckEvery
	}
	if cfg.stallAfter == 0 {
		cfg.stallAfter = stallAfter
	}
	s := &Source{cfg: cfg, log: cfg.Logger, name: "nats:" + cfg.Consumer.Stream, told: map[string]string{}}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	info, err := s.ensure(ctx, cfg.Consumer)
	if err != nil {
		return nil, err
	}
	if s.puller, err = s.newPuller(info); err != nil {
		return nil, err
	}
	if cfg.Parking != nil {
		if s.parked, err = s.newParked(ctx); err != nil {
			return nil, errors.Join(err, s.puller.Close(ctx))
		}
	}
	s.ctx, s.cancel = context.WithCancel(context.WithoutCancel(ctx))
	s.lease = newLeases(cfg.Bus)
	s.lease.follow(fresh, info.AckWait)
	if s.parked != nil {
		s.lease.follow(due, s.parked.ackWait)
	}
	s.beside.Go(s.watch)
	return s, nil
}

// String names the consumer as "<stream>/<durable>".
func (s *Source) String() string { return s.cfg.Consumer.Stream + "/" + s.cfg.Consumer.Durable }

func (s *Source) newPuller(info bus.Info) (*bus.Puller, error) {
	p, err := s.cfg.Bus.NewPuller(bus.PullConfig{
		Stream: info.Stream, Durable: info.Durable, MaxBytes: s.cfg.MaxBytes, Lease: info.AckWait,
	})
	if err != nil {
		return nil, fmt.Errorf("pull from %s/%s: %w", info.Stream, info.Durable, err)
	}
	return p, nil
}

func (s *Source) ensure(ctx context.Context, c bus.Consumer) (bus.Info, error) {
	info, change, err := s.cfg.Bus.EnsureConsumer(ctx, c)
	if err != nil {
		return bus.Info{}, fmt.Errorf("consumer %s/%s: %w", c.Stream, c.Durable, err)
	}
	s.tell(change)
	return info, nil
}

// tell logs what is worth knowing of a consumer, once.
func (s *Source) tell(change bus.Change) {
	text, bare := change.String(), change
	bare.Warnings = nil // a look doesn't ask for them
	s.mu.Lock()
	last, again := s.told[change.Name]
	s.told[change.Name] = bare.String()
	s.mu.Unlock()
	switch {
	case change.Kind == bus.Created && again:
		s.log.Warn("the consumer was gone, and was made anew", "change", text)
	case bare.String() == last:
	case change.Kind == bus.Differs:
		s.log.Warn("the consumer is not as declared, and was left as it is: what it says holds; to change it, delete it or change it with the nats tool", "change", text)
	case change.Kind == bus.Created, len(change.Warnings) > 0:
		s.log.Info("consumer", "change", text)
	}
}

// again makes what was deleted under us anew: a process that only looks healthy
// would wait for ever. What was not acknowledged comes again, for a new consumer
// begins where its policy says.
func (s *Source) again(ctx context.Context, gone error) error {
	s.log.Debug("the consumer is gone: making it anew", "consumer", s.String(), "error", gone)
	if err := letGo(ctx); err != nil {
		return err
	}
	if err := s.streamAgain(ctx, gone); err != nil {
		return err
	}
	info, err := s.ensure(ctx, s.cfg.Consumer)
	if err == nil {
		s.follow(fresh, s.puller, info)
	}
	return err
}

// letGo waits a moment before what was deleted is made anew. A server tells of a
// deletion, and takes the name for free, before it removes the files: those of a
// successor that is there already go with them, and it is forgotten at the next
// restart.
func letGo(ctx context.Context) error {
	t := time.NewTimer(500 * time.Millisecond)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *Source) streamAgain(ctx context.Context, gone error) error {
	if !errors.Is(gone, bus.ErrStreamGone) {
		return nil
	}
	s.lostStream(s.cfg.Consumer.Stream)
	if s.cfg.Stream == nil {
		return nil
	}
	change, err := s.cfg.Bus.EnsureStream(ctx, *s.cfg.Stream)
	if err != nil {
		return fmt.Errorf("make its stream anew: %w", err)
	}
	if change.Kind == bus.Created {
		s.log.Warn("the stream was gone, and was made anew: what it held is lost", "change", change.String())
	}
	return nil
}

func (s *Source) lostStream(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !slices.Contains(s.gone, name) {
		s.gone = append(s.gone, name)
	}
}

// Lost names the streams that were deleted while the source ran, also if they were
// made anew: what they held and was not delivered is lost, and a source that is
// drained has not delivered it. nil if none was.
func (s *Source) Lost() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.gone) == 0 {
		return nil
	}
	return fmt.Errorf("consumer %q: deleted while it ran, with what was not delivered: stream %s", s, strings.Join(s.gone, ", stream "))
}

// follow goes by the ack deadline that a consumer has now.
func (s *Source) follow(which int, puller *bus.Puller, info bus.Info) {
	was := s.lease.follow(which, info.AckWait)
	if was == info.AckWait {
		return
	}
	puller.SetLease(info.AckWait)
	s.log.Warn("the consumer's ack_wait was changed: leases are renewed by the new one",
		"consumer", info.Stream+"/"+info.Durable, "was", was, "is", info.AckWait)
}

// Fetch returns what is there, up to max, and waits for at least one.
func (s *Source) Fetch(ctx context.Context, max int) ([]ergon.Delivery, error) {
	if s.parked != nil {
		return s.fetchBoth(ctx, max)
	}
	msgs, err := s.fetch(ctx, max, nil)
	if err != nil {
		return nil, s.fetchError(err)
	}
	return s.deliveries(nil, msgs), nil
}

// fetch is the puller's, with one more try after what is gone was made anew.
func (s *Source) fetch(ctx context.Context, max int, other <-chan struct{}) ([]*nats.Msg, error) {
	msgs, err := s.puller.FetchOr(ctx, max, s.buf[:0], other)
	if errors.Is(err, bus.ErrConsumerGone) || errors.Is(err, bus.ErrStreamGone) {
		if err := s.again(ctx, err); err != nil {
			return nil, err
		}
		msgs, err = s.puller.FetchOr(ctx, max, s.buf[:0], other)
	}
	s.buf, s.behind = msgs, false
	if n := len(msgs); n > 0 {
		meta, _ := bus.ParseReply(msgs[n-1].Reply)
		s.behind = meta.Pending > 0
	}
	return msgs, err
}

// drained notes that nothing is left anywhere: the last look may be older.
func (s *Source) drained() error {
	s.lag.Store(&ergon.Lag{At: time.Now()})
	return ergon.ErrDrained
}

func (s *Source) fetchError(err error) error {
	switch {
	case errors.Is(err, bus.ErrDrained):
		return s.drained()
	case errors.Is(err, bus.ErrClosed):
		return fmt.Errorf("consumer %q: %w: %w", s, ergon.ErrClosed, err)
	}
	return fmt.Errorf("consumer %q: %w", s, err)
}

// deliveries appends one for each message, and lets the messages go.
func (s *Source) deliveries(to []ergon.Delivery, msgs []*nats.Msg) []ergon.Delivery {
	now := time.Now()
	if to == nil {
		to = make([]ergon.Delivery, 0, len(msgs))
	}
	room, n := s.room(), len(to)
	for _, m := range msgs {
		// Each by itself: in one piece of memory the last of them, which may take
		// hours, would keep all that came with it.
		to = append(to, s.delivery(m, room, now))
	}
	clear(msgs)
	s.countCrashes(to[n:])
	return to
}

// goes runs f in a goroutine that Close waits for, unless the source is closed.
func (s *Source) goes(f func()) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.shut {
		return false
	}
	s.beside.Go(f)
	return true
}

// Ready receives when a Fetch would not wait for a message that was never parked.
func (s *Source) Ready() <-chan struct{} { return s.puller.Ready() }

// Backlog reports whether the consumer had more behind the messages of the latest Fetch.
func (s *Source) Backlog() bool { return s.behind }

// Prefetch allows n more to be pulled than a Fetch has room for.
func (s *Source) Prefetch(n int) { s.puller.SetAhead(n) }

// Close hands back what was pulled and not fetched, and flushes the
// settlements. That the connection is away is no error of it: what could not be sent by
// the end is told by who closes the bus, once for all that use it.
func (s *Source) Close(ctx context.Context) error {
	s.once.Do(func() {
		err := away(s.puller.Close(ctx))
		if s.parked != nil {
			err = errors.Join(err, away(s.parked.puller.Close(ctx)))
		}
		s.lease.close()
		s.cancel() // ends dead letters that still wait for their turn; the engine has given them up
		s.mu.Lock()
		s.shut = true
		s.mu.Unlock()
		s.beside.Wait()
		s.closed = errors.Join(err, away(s.cfg.Bus.Flush(ctx)))
	})
	return s.closed
}

// away is err, but for the news that there is no connection.
func away(err error) error {
	if errors.Is(err, bus.ErrDisconnected) {
		return nil
	}
	return err
}
