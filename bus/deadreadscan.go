package bus

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// ErrNoDeadLetter: the stream has no message with that number (any more).
var ErrNoDeadLetter = errors.New("there is no such dead letter")

const (
	// deadBatch is how many letters one request brings. Each may have 64 KiB of
	// headers.
	deadBatch = 256
	// deadPatience is how long one letter may take. A server that is there
	// answers a request that does not wait in its round trip.
	deadPatience = 10 * time.Second
)

// ScanDeadLetters calls each with every dead letter that a stream holds when it
// begins and that the filter admits, the oldest first. Payloads stay at the
// server: see [Bus.DeadPayload]. It returns how many letters it looked at. It
// acknowledges and changes nothing. It ends with each's error, or when ctx ends.
// A stream that does not exist is [ErrStreamGone].
func (b *Bus) ScanDeadLetters(ctx context.Context, stream string, f DeadFilter, each func(DeadRecord) error) (looked int, err error) {
	cfg := jetstream.ConsumerConfig{}
	if !f.Since.IsZero() {
		start := f.Since.Add(-sinceSlack)
		cfg.DeliverPolicy, cfg.OptStartTime = jetstream.DeliverByStartTimePolicy, &start
	}
	err = b.readDead(ctx, stream, cfg, func(r DeadRecord) error {
		looked++
		if !f.Match(r) {
			return nil
		}
		return each(r)
	})
	return looked, err
}

// DeadLetterAt returns the dead letter with a sequence number of its stream, or
// an [ErrNoDeadLetter] or [ErrStreamGone].
func (b *Bus) DeadLetterAt(ctx context.Context, stream string, seq uint64) (DeadRecord, error) {
	m, err := b.MessageAt(ctx, stream, seq)
	if errors.Is(err, ErrNoMessage) {
		return DeadRecord{}, fmt.Errorf("dead letter %d of %q: %w", seq, stream, ErrNoDeadLetter)
	}
	if err != nil {
		return DeadRecord{}, fmt.Errorf("dead letter %d of %q could not be read: %w", seq, stream, err)
	}
	r := ParseDeadLetter(m.Msg)
	r.Stream, r.Sequence, r.StoredAt, r.whole = stream, seq, m.StoredAt, true
	return r, nil
}

// readDead reads what a consumer of that configuration gets from what is there,
// without the payloads.
//
// It pulls by itself, for the jetstream package of nats.go takes a message
// without a payload for a status of the server, if it has a header Status, and
// ends. A dead letter keeps its original's headers, whatever they are, and has no
// payload when it lies in a bucket or is left at the server. What tells them apart
// is the reply subject, which a status does not have. A direct get, and
// Subscription.NextMsg, have the same fault.
func (b *Bus) readDead(ctx context.Context, stream string, cfg jetstream.ConsumerConfig, each func(DeadRecord) error) error {
	ctx, told := b.hearing(ctx, b.api("CONSUMER.CREATE", stream), b.api("CONSUMER.MSG.NEXT", stream))
	return told(b.pullDead(ctx, stream, cfg, each))
}

func (b *Bus) pullDead(ctx context.Context, stream string, cfg jetstream.ConsumerConfig, each func(DeadRecord) error) error {
	fail := func(err error) error { return fmt.Errorf("read dead letters of %q: %w", stream, err) }
	cfg.AckPolicy, cfg.MemoryStorage, cfg.InactiveThreshold, cfg.HeadersOnly = jetstream.AckNonePolicy, true, time.Minute, true
	consumer, err := b.js.CreateConsumer(ctx, stream, cfg)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return fail(ErrStreamGone)
	}
	if err != nil {
		return fail(err)
	}
	info := consumer.CachedInfo()
	defer func() {
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
		defer cancel()
		_ = b.js.DeleteConsumer(closing, stream, info.Name) // it ends by itself otherwise
	}()
	nc := b.consume.nc
	msgs := make(chan *nats.Msg, deadBatch+1) // all that one request brings
	sub, err := nc.ChanSubscribe(nc.NewInbox(), msgs)
	if err != nil {
		return fail(subscribeError(err))
	}
	defer func() { _ = sub.Unsubscribe() }() // it ends with the connection otherwise
	next := b.api("CONSUMER.MSG.NEXT", stream, info.Name)
	for left := info.NumPending; left > 0; {
		n := min(left, deadBatch)
		if err := nc.PublishRequest(next, sub.Subject, fmt.Appendf(nil, `{"batch":%d,"no_wait":true}`, n)); err != nil {
			return fail(err)
		}
		for ; n > 0; n-- {
			m, err := nextDead(ctx, msgs)
			if err != nil {
				return fail(err)
			}
			if m.Reply == "" {
				switch status := first(m.Header, statusHeader); status {
				case "404", "408": // removed meanwhile, by a limit or a purge: they are not there to be seen
					return nil
				default:
					return fail(fmt.Errorf("%w: %s %s", ErrPullRefused, status, first(m.Header, descriptionHeader)))
				}
			}
			meta, err := ParseReply(m.Reply)
			if err != nil {
				return fail(err)
			}
			r := ParseDeadLetter(m)
			r.Stream, r.Sequence, r.StoredAt = stream, meta.StreamSeq, time.Unix(0, meta.Timestamp).UTC()
			left--
			if err := each(r); err != nil {
				return err
			}
		}
	}
	return nil
}

func nextDead(ctx context.Context, msgs <-chan *nats.Msg) (*nats.Msg, error) {
	late := time.NewTimer(deadPatience)
	defer late.Stop()
	select {
	case m, ok := <-msgs:
		if !ok {
			return nil, ErrClosed
		}
		return m, nil
	case <-late.C:
		return nil, fmt.Errorf("the server gave no answer for %v", deadPatience)
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}
