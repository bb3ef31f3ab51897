package bus

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// scanBatch is how many messages one request of a scan brings.
const scanBatch = 1000

// Scan calls each with every message that the stream holds on the subjects (none
// means all) when it begins, in the stream's order. headersOnly leaves the
// payloads at the server. It acknowledges and changes nothing. It ends with
// each's error, or when ctx ends. A stream that does not exist is ErrStreamGone.
func (b *Bus) Scan(ctx context.Context, stream string, subjects []string, headersOnly bool, each func(*nats.Msg, Meta) error) error {
	ctx, told := b.hearing(ctx, b.api("CONSUMER.CREATE", stream), b.api("CONSUMER.MSG.NEXT", stream))
	return told(b.scan(ctx, stream, subjects, headersOnly, each))
}

func (b *Bus) scan(ctx context.Context, stream string, subjects []string, headersOnly bool, each func(*nats.Msg, Meta) error) error {
	consumer, err := b.js.CreateConsumer(ctx, stream, jetstream.ConsumerConfig{
		AckPolicy: jetstream.AckNonePolicy, FilterSubjects: subjects, HeadersOnly: headersOnly,
		MemoryStorage: true, InactiveThreshold: time.Minute,
	})
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return fmt.Errorf("scan %q: %w", stream, ErrStreamGone)
	}
	if err != nil {
		return fmt.Errorf("scan %q: %w", stream, err)
	}
	info := consumer.CachedInfo()
	defer func() {
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
		defer cancel()
		_ = b.js.DeleteConsumer(closing, stream, info.Name) // it ends by itself otherwise
	}()
	for left := info.NumPending; left > 0; {
		n := uint64(0)
		batch, err := consumer.Fetch(int(min(left, scanBatch)), jetstream.FetchContext(ctx))
		if err != nil {
			return fmt.Errorf("scan %q: %w", stream, err)
		}
		for m := range batch.Messages() {
			n++
			msg := &nats.Msg{Subject: m.Subject(), Reply: m.Reply(), Header: m.Headers(), Data: m.Data()}
			meta, err := ParseReply(m.Reply())
			if err != nil {
				return fmt.Errorf("scan %q: %w", stream, err)
			}
			if err := each(msg, meta); err != nil {
				return err
			}
		}
		if err := errors.Join(batch.Error(), ctx.Err()); err != nil {
			return fmt.Errorf("scan %q with %d messages left: %w", stream, left-n, err)
		}
		if n == 0 {
			// Removed meanwhile, by a limit or a purge: they are not there to be seen.
			return nil
		}
		left -= min(n, left)
	}
	return nil
}
