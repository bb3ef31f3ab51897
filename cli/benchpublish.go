package cli

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync/atomic"
	"time"

	natsjs "github.com/nats-io/nats.go/jetstream"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/bus"
	"github.com/ergon-framework/ergon/connectors/jetstream"
)

// benchGiveUp is after how many failures in a row the next one would fail too.
const benchGiveUp = 100

// publish publishes until the count or the time is over, or ctx ends, and returns when
// all of it is answered.
func (r *benchRun) publish(ctx context.Context) (err error) {
	pub, err := r.conn.NewPublisher(bus.PublisherConfig{Window: r.window})
	if err != nil {
		return err
	}
	defer func() {
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*closeWithin)
		defer cancel()
		err = errors.Join(err, pub.Close(closing)) // waits for what is under way
		if err == nil && r.stored.Load() == 0 && r.failed.Load() > 0 {
			err = r.firstError()
		}
	}()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var inARow atomic.Int64
	if r.lasts > 0 {
		ctx, cancel = context.WithTimeout(ctx, r.lasts)
		defer cancel()
	}
	subject, run := r.subject, ergon.New(ergon.None{}).ID()
	if subject == "" {
		subject = r.in()
	}
	blank := r.blank()
	pace := newPacer(r.rate)
	pace.next = r.began
	for n := int64(0); (r.count == 0 || n < r.count) && pace.wait(ctx); n++ {
		r.sent = n + 1
		due := time.Since(r.began)
		if r.rate > 0 {
			due = pace.next.Add(-pace.every).Sub(r.began)
		}
		tx := ergon.Make(ergon.Envelope{
			ID: run + "-" + strconv.FormatInt(n, 10), Source: "/ergon/bench", Type: subject,
			CreatedAt: time.Now().UTC(), ContentType: ergon.JSON.ContentType(),
		}, stamped(blank, due))
		// Not ctx: what is sent is to be answered when the time is over.
		jetstream.Publish(context.WithoutCancel(ctx), pub, subject, tx, func(_ bool, err error) {
			if err == nil {
				r.toStored.record(time.Since(r.began) - due)
				r.stored.Add(1)
				inARow.Store(0)
				return
			}
			r.fail(fmt.Errorf("publish %d: %w", n+1, err))
			if inARow.Add(1) >= benchGiveUp {
				r.gaveUp.Store(true)
				cancel()
			}
		})
	}
	return nil
}

func isNoStream(err error) bool { return errors.Is(err, natsjs.ErrStreamNotFound) }
