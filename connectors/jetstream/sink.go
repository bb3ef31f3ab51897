package jetstream

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/bus"
)

// Sink publishes transactions to one subject. Sinks may share a publisher, which
// is closed by its maker after them.
type Sink struct {
	subject string
	stream  string // that has to confirm; "" is any
	pub     *bus.Publisher
	told    func(tx ergon.Raw, duplicate bool) // nil for nobody
	closed  atomic.Bool
	failed  atomic.Pointer[failed] // the latest, nil once one has succeeded since
}

// failed is a publish that a later one may repair.
type failed struct {
	at  time.Time
	err error
}

// sickFor is for how long a publish that failed makes a sink unready, if none has
// succeeded since: without transactions nobody would ever learn that it works again.
const sickFor = time.Minute

// A SinkOption changes a Sink.
type SinkOption func(*Sink)

// InStream makes the sink hold whose confirmation it is against the name of the
// stream that is to store its subject: what another one confirms has failed.
// Default: any stream will do.
func InStream(name string) SinkOption { return func(s *Sink) { s.stream = name } }

// Telling has the sink tell of each transaction that is stored whether the stream had
// it already, from somebody else's send. It is called before Send's done, and must
// not block.
func Telling(f func(tx ergon.Raw, duplicate bool)) SinkOption { return func(s *Sink) { s.told = f } }

var (
	_ ergon.Sink           = (*Sink)(nil)
	_ ergon.AsyncSink      = (*Sink)(nil)
	_ ergon.HealthReporter = (*Sink)(nil)
)

// NewSink returns a sink for a subject that a stream stores.
func NewSink(pub *bus.Publisher, subject string, options ...SinkOption) (*Sink, error) {
	if pub == nil || subject == "" {
		return nil, errors.New("jetstream sink: it needs a publisher and a subject")
	}
	s := &Sink{subject: subject, pub: pub}
	for _, o := range options {
		o(s)
	}
	return s, nil
}

// Subject is where the sink publishes.
func (s *Sink) Subject() string { return s.subject }

// Async says that Send waits for nothing but room; see [ergon.AsyncSink].
func (s *Sink) Async() {}

// manyFields is as many headers as most transactions have.
const manyFields = 16

// Send publishes tx under its ID. A stream that says it has a message with that
// ID already has this one, from an earlier attempt or delivery: that is success.
func (s *Sink) Send(ctx context.Context, tx ergon.Raw, done func(error)) {
	if s.closed.Load() {
		done(fmt.Errorf("publish to %q: %w", s.subject, ergon.ErrClosed))
		return
	}
	answered := func(ack bus.PubAck, err error) { done(s.confirmed(ack, err)) }
	if s.told != nil { // apart, for the closure holds more, and most sinks tell nobody
		answered = func(ack bus.PubAck, err error) {
			if err = s.confirmed(ack, err); err == nil {
				s.told(tx, ack.Duplicate && !ack.Resent)
			}
			done(err)
		}
	}
	var room [manyFields]bus.Field
	s.pub.PublishFields(ctx, s.subject, appendFields(room[:0], tx), tx.Payload(), answered)
}

func (s *Sink) confirmed(ack bus.PubAck, err error) error {
	if err == nil && s.stream != "" && !ack.From(s.stream) {
		// It is stored, only not where it is looked for. Whoever sets that right
		// has the time of the retries.
		err = fmt.Errorf("publish to %q: stream %q has stored it, and not %q: the subject belongs to another stream than is configured", s.subject, ack.Stream(), s.stream)
	}
	err = s.classify(err)
	s.note(err)
	return err
}

// note keeps what the stream, or the way to it, is to blame for; a transaction that can
// be stored nowhere says nothing of it.
func (s *Sink) note(err error) {
	switch {
	case err == nil:
		if s.failed.Load() != nil { // a load is cheaper than a store that all cores see
			s.failed.Store(nil)
		}
	case errors.Is(err, ergon.ErrClosed), ergon.CategoryOf(err) == ergon.CategoryBusiness:
	default:
		s.failed.Store(&failed{time.Now(), err})
	}
}

// Health says what the latest publish failed with, for a minute, unless another one has
// succeeded since.
func (s *Sink) Health() error {
	f := s.failed.Load()
	if f == nil || time.Since(f.at) > sickFor {
		return nil
	}
	return f.err
}

// classify says what a failed publish means for the transaction. What would
// fail in the same way again is BUSINESS: retrying it would hold up the rest,
// and its dead letter says why. What is not known to be stored is sent again.
func (s *Sink) classify(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, bus.ErrClosed):
		return fmt.Errorf("%w: %w", ergon.ErrClosed, err)
	case errors.Is(err, bus.ErrUnknown):
		return ergon.Timeout("%w", err)
	case bus.Permanent(err):
		return ergon.Business("%w", err)
	}
	return ergon.System("%w", err)
}

// Close flushes what is on its way. The publisher stays open for other sinks.
func (s *Sink) Close(ctx context.Context) error {
	s.closed.Store(true)
	flushed := make(chan error, 1)
	go func() { flushed <- s.pub.Flush(ctx) }()
	select {
	case err := <-flushed:
		if err != nil && !errors.Is(err, bus.ErrClosed) {
			return fmt.Errorf("flush %q: %w", s.subject, err)
		}
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Publish stores one transaction on a subject that the caller names: what
// `ergon publish` and generators use. done is told whether the stream had it
// already.
func Publish(ctx context.Context, pub *bus.Publisher, subject string, tx ergon.Raw, done func(duplicate bool, err error)) {
	var room [manyFields]bus.Field
	pub.PublishFields(ctx, subject, appendFields(room[:0], tx), tx.Payload(), func(ack bus.PubAck, err error) {
		done(ack.Duplicate && !ack.Resent, err)
	})
}
