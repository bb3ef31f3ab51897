package connectortest_test

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/ergon-framework/ergon"
)

// A fault is one thing that a connector does wrong. Parts are those that have to
// find it; others may too.
type fault struct {
	part, name string
	in         func(*wiring)
}

// settling is a fault in how deliveries are settled.
func settling(how func(d ergon.Delivery, s ergon.Settlement, done func(error))) func(*wiring) {
	return func(w *wiring) {
		w.delivery = func(d ergon.Delivery) ergon.Delivery {
			return &brokenDelivery{recorded: recorded{d}, settle: func(s ergon.Settlement, done func(error)) { how(d, s, done) }}
		}
	}
}

// changed is a fault in what a settlement says.
func changed(change func(*ergon.Settlement)) func(*wiring) {
	return settling(func(d ergon.Delivery, s ergon.Settlement, done func(error)) {
		change(&s)
		d.Settle(s, done)
	})
}

// telling is a fault in what a delivery says of itself.
func telling(info func(ergon.DeliveryInfo) ergon.DeliveryInfo) func(*wiring) {
	return func(w *wiring) {
		w.delivery = func(d ergon.Delivery) ergon.Delivery { return &brokenDelivery{recorded: recorded{d}, info: info} }
	}
}

// mapping is a fault in how envelopes and payloads come out of the transport.
func mapping(change func(e *ergon.Envelope, payload []byte) []byte) func(*wiring) {
	return func(w *wiring) {
		w.delivery = func(d ergon.Delivery) ergon.Delivery {
			e := d.Transaction().Envelope()
			payload := change(&e, d.Transaction().Payload())
			return &brokenDelivery{recorded: recorded{d}, tx: ergon.Make(e, payload)}
		}
	}
}

// sending is a fault in how transactions are sent.
func sending(how func(sink ergon.Sink, ctx context.Context, tx ergon.Raw, done func(error))) func(*wiring) {
	return func(w *wiring) {
		w.sink = func(sink ergon.Sink) ergon.Sink {
			return &brokenSink{Sink: sink, send: func(ctx context.Context, tx ergon.Raw, done func(error)) { how(sink, ctx, tx, done) }}
		}
	}
}

// fetching is a fault in how a source fetches.
func fetching(how func(w *wiring, src ergon.Source, ctx context.Context, max int) ([]ergon.Delivery, error)) func(*wiring) {
	return func(w *wiring) {
		w.source = func(src ergon.Source) ergon.Source {
			return &brokenSource{Source: src, fetch: func(ctx context.Context, max int) ([]ergon.Delivery, error) {
				return how(w, src, ctx, max)
			}}
		}
	}
}

func everyNth(n int64) func() bool {
	var count atomic.Int64
	return func() bool { return count.Add(1)%n == 0 }
}

// losing is a sink that confirms and drops one send in n.
func losing(n int64) func(*wiring) {
	drop := everyNth(n)
	return sending(func(sink ergon.Sink, ctx context.Context, tx ergon.Raw, done func(error)) {
		if drop() {
			done(nil)
			return
		}
		sink.Send(ctx, tx, done)
	})
}

// ahead makes the first source an eager one, which gives nothing back.
func ahead(least int) func(*wiring) {
	return func(w *wiring) {
		var first *eager
		w.source = func(src ergon.Source) ergon.Source {
			if first != nil {
				return src
			}
			first = &eager{Source: src, least: least}
			return first
		}
		w.sink = func(sink ergon.Sink) ergon.Sink {
			return &brokenSink{Sink: sink, send: func(ctx context.Context, tx ergon.Raw, done func(error)) {
				sink.Send(ctx, tx, func(err error) {
					if first != nil {
						first.sent()
					}
					done(err)
				})
			}}
		}
	}
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

func ackInstead(kind ergon.SettleKind) func(*wiring) {
	return changed(func(s *ergon.Settlement) {
		if s.Kind == kind {
			s.Kind = ergon.Ack
		}
	})
}
