package bus

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// What putting dead letters back can end with, besides [ErrNoDeadLetter] and what
// [Publisher.Publish] can.
var (
	// ErrNotRequeuable: this letter can't be put back, and stays; others may.
	ErrNotRequeuable = errors.New("it stays a dead letter")
	// ErrNotRemoved: the message is stored, and its letter is still there. Putting it
	// back again removes it, and within the duplicate window stores no copy.
	ErrNotRemoved = errors.New("it was put back, but the dead letter was not removed")
)

// maxRoutes bounds what a Requeuer remembers.
const maxRoutes = 10_000

// A Requeuer puts dead letters back where they came from. One goroutine at a time may
// use it.
type Requeuer struct {
	bus    *Bus
	pub    *Publisher
	to     string
	routes map[string]route // by subject
}

// route is the stream that takes a subject, or why none does.
type route struct {
	stream string
	err    error
}

// A PutBack is a dead letter that was put back, or would be.
type PutBack struct {
	// Subject is where to, and Stream the stream that takes it.
	Subject, Stream string
	// Duplicate reports that the stream had the message already: an earlier try that
	// did not come to remove the letter, or another task's letter of the same message.
	Duplicate bool
}

// NewRequeuer returns one that publishes with pub, which stays its owner's, to the
// subject to, or if that is empty to the one that each message had.
func (b *Bus) NewRequeuer(pub *Publisher, to string) *Requeuer {
	return &Requeuer{bus: b, pub: pub, to: to, routes: map[string]route{}}
}

// Plan says where a letter would be put, without reading its payload and without
// changing anything. What can't be put back is an [ErrNotRequeuable].
func (q *Requeuer) Plan(ctx context.Context, r DeadRecord) (PutBack, error) {
	back := PutBack{Subject: cmp.Or(q.to, r.Letter.Subject)}
	fail := func(format string, a ...any) (PutBack, error) {
		return back, fmt.Errorf("dead letter %d of %q: %w: "+format, append([]any{r.Sequence, r.Stream, ErrNotRequeuable}, a...)...)
	}
	if back.Subject == "" {
		return fail("it does not say to which subject it was published")
	}
	if err := CheckSubject(back.Subject); err != nil {
		return fail("%w", err)
	}
	if len(r.Dropped) > 0 {
		return fail("it had no room for the headers %s, and without them it is another message", cut(strings.Join(r.Dropped, ", "), 200))
	}
	way, err := q.route(ctx, back.Subject)
	back.Stream = way.stream
	switch {
	case err != nil:
		return back, fmt.Errorf("dead letter %d of %q: look up the stream of %q: %w", r.Sequence, r.Stream, back.Subject, err)
	case way.err != nil:
		return fail("%w", way.err)
	case way.stream == r.Stream:
		return fail("its subject %q is one of dead letters", back.Subject)
	}
	return back, nil
}

// route finds the stream first, and publishes only to what one stores: whoever can
// store a letter could name any subject, one of JetStream's own API too, and have
// somebody with more rights publish there.
func (q *Requeuer) route(ctx context.Context, subject string) (route, error) {
	if way, ok := q.routes[subject]; ok {
		return way, nil
	}
	way, err := bounded(ctx, q.bus, q.bus.api("STREAM"), func(ctx context.Context) (way route, err error) {
		way.stream, err = q.bus.js.StreamNameBySubject(ctx, subject)
		if errors.Is(err, jetstream.ErrStreamNotFound) {
			return route{err: fmt.Errorf("no stream takes %q (any more): make one, or send it elsewhere", subject)}, nil
		}
		if err != nil {
			return way, err
		}
		s, err := q.bus.js.Stream(ctx, way.stream)
		if err != nil {
			return way, err
		}
		if info := s.CachedInfo(); info.Config.Retention == jetstream.InterestPolicy && info.State.Consumers == 0 {
			way.err = fmt.Errorf("stream %q keeps only what a consumer waits for, and has none: start the task first", way.stream)
		}
		return way, nil
	})
	if err != nil {
		return way, err
	}
	if len(q.routes) >= maxRoutes {
		clear(q.routes)
	}
	q.routes[subject] = way
	return way, nil
}

// Requeue publishes the message of the dead letter with that number as it was, waits
// until a stream has stored it, and only then removes the letter. A crash between the
// two leaves both; done again, the stream drops the copy within its duplicate window.
//
// The bytes are the original's, wherever the letter keeps them. Headers of NATS come
// back under other names, for they would act on the stream; a source of Ergon sees
// them as they were, and sees the transaction that failed: its ID, its source, its
// Now, so its outputs get the IDs that they had. The object of a large payload stays;
// see [Bus.RemoveDeadObjects].
//
// An [ErrNotRequeuable] or [ErrNoDeadLetter] is of this letter alone; other errors
// would come for the next one too.
func (q *Requeuer) Requeue(ctx context.Context, stream string, seq uint64) (PutBack, error) {
	r, err := q.bus.DeadLetterAt(ctx, stream, seq)
	if err != nil {
		return PutBack{}, err
	}
	back, err := q.Plan(ctx, r)
	if err != nil {
		return back, err
	}
	// stays is for errors of this letter; the connection's are the next one's too.
	stays := func(err error) (PutBack, error) {
		return back, fmt.Errorf("dead letter %d of %q: %w: %w", seq, stream, ErrNotRequeuable, err)
	}
	payload, err := q.bus.DeadPayload(ctx, r)
	if errors.Is(err, ErrDeadPayload) && ctx.Err() == nil {
		return stays(err)
	}
	if err != nil {
		return back, err
	}
	m := requeueMessage(r, payload, back.Subject)
	if n := headerSize(m.Header); n > maxHeader {
		return stays(fmt.Errorf("%w: %d bytes of headers, with what is noted of it", ErrTooLarge, n))
	}
	ack, err := q.publish(ctx, m)
	switch {
	case errors.Is(err, ErrNoStream):
		delete(q.routes, back.Subject)
		return stays(err)
	case Permanent(err):
		return stays(err)
	case err != nil:
		return back, fmt.Errorf("dead letter %d of %q stays, and may be put back again: %w", seq, stream, err)
	}
	back.Stream, back.Duplicate = ack.Stream(), ack.Duplicate && !ack.Resent
	if err := q.bus.RemoveDeadLetter(ctx, stream, seq); err != nil && !errors.Is(err, ErrNoDeadLetter) {
		return back, fmt.Errorf("dead letter %d of %q: %w: put it back again to have it removed, without a copy within the duplicate window of stream %q: %w",
			seq, stream, ErrNotRemoved, back.Stream, err)
	}
	return back, nil
}

func (q *Requeuer) publish(ctx context.Context, m *nats.Msg) (PubAck, error) {
	type answer struct {
		ack PubAck
		err error
	}
	answers := make(chan answer, 1)
	q.pub.Publish(ctx, m, func(ack PubAck, err error) { answers <- answer{ack, err} })
	a := <-answers // it always comes, within the publisher's time
	return a.ack, a.err
}
