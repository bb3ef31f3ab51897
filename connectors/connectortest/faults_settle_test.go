package connectortest_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/connectors/connectortest"
)

var settleFaults = []fault{
	{"redelivery on error", "acknowledges what is released", ackInstead(ergon.Release)},
	{"redelivery on error", "counts a release as an attempt", telling(func(i ergon.DeliveryInfo) ergon.DeliveryInfo { i.Attempt = i.Deliveries; return i })},
	{"redelivery on error", "names each delivery", telling(func(i ergon.DeliveryInfo) ergon.DeliveryInfo {
		i.Stored = fmt.Sprint(i.Stored, "/", i.Deliveries)
		return i
	})},
	{"redelivery on error", "does not count", telling(func(i ergon.DeliveryInfo) ergon.DeliveryInfo { i.Deliveries = 1; return i })},
	{"redelivery on error", "gives up after five deliveries", settling(func(d ergon.Delivery, s ergon.Settlement, done func(error)) {
		if d.Info().Deliveries == 5 {
			s.Kind = ergon.Ack
		}
		d.Settle(s, done)
	})},
	{"redelivery without ack", "holds for ever", func(w *wiring) {
		lease := w.lease
		w.held = 0
		telling(func(i ergon.DeliveryInfo) ergon.DeliveryInfo { i.Lease = lease; return i })(w)
	}},
	{"redelivery without ack", "holds for half of the lease", func(w *wiring) {
		lease := w.lease
		w.held = lease / 2
		telling(func(i ergon.DeliveryInfo) ergon.DeliveryInfo { i.Lease = lease; return i })(w)
	}},
	{"redelivery without ack", "confirms an ack and loses it", settling(func(d ergon.Delivery, s ergon.Settlement, done func(error)) {
		if s.Kind == ergon.Ack && d.Info().Deliveries == 1 {
			done(nil)
			return
		}
		d.Settle(s, done)
	})},
	{"confirmed ack", "confirms before it is taken", settling(func(d ergon.Delivery, s ergon.Settlement, done func(error)) {
		done(nil)
		time.AfterFunc(time.Millisecond, func() { d.Settle(s, func(error) {}) })
	})},
	{"delays are never early", "halves delays", changed(func(s *ergon.Settlement) { s.After /= 2 })},
	{"delays are never early", "parks for no time", changed(func(s *ergon.Settlement) {
		if s.Kind == ergon.Retry {
			s.After = 0
		}
	})},
	{"retry", "forgets the attempt", changed(func(s *ergon.Settlement) { s.NextAttempt = 1 })},
	{"retry", "drops what is parked", ackInstead(ergon.Retry)},
	{"retry", "forgets when the first attempt began", telling(func(i ergon.DeliveryInfo) ergon.DeliveryInfo {
		if i.Attempt > 1 {
			i.FirstSeen = time.Now().UTC()
		}
		return i
	})},
	{"retry", "parks a copy", settling(func(d ergon.Delivery, s ergon.Settlement, done func(error)) {
		if s.Kind == ergon.Retry { // and brings the original back
			s.Kind = ergon.Release
		}
		d.Settle(s, done)
	})},
	{"dead letters", "confirms before it is stored", settling(func(d ergon.Delivery, s ergon.Settlement, done func(error)) {
		if s.Kind == ergon.Dead {
			done(nil)
			time.AfterFunc(time.Millisecond, func() { d.Settle(s, func(error) {}) })
			return
		}
		d.Settle(s, done)
	})},
	{"dead letters", "stores none", ackInstead(ergon.Dead)},
	{"dead letters", "loses the reason", func(w *wiring) {
		w.letter = func(l connectortest.DeadLetter) connectortest.DeadLetter { l.Reason = "failed"; return l }
	}},
	{"dead letters", "keeps text only", func(w *wiring) {
		w.letter = func(l connectortest.DeadLetter) connectortest.DeadLetter {
			l.Payload = bytes.ToValidUTF8(l.Payload, nil)
			return l
		}
	}},
	{"heartbeats", "does not extend", func(w *wiring) {
		w.delivery = func(d ergon.Delivery) ergon.Delivery {
			return &brokenDelivery{recorded: recorded{d}, extend: func(context.Context) error { return nil }}
		}
	}},
	{"lost lease", "never says that it lost", func(w *wiring) {
		w.delivery = func(d ergon.Delivery) ergon.Delivery {
			return &brokenDelivery{recorded: recorded{d}, extend: func(ctx context.Context) error {
				_ = d.Extend(ctx)
				return nil
			}}
		}
	}},
	{"crash counting", "counts nothing", telling(func(i ergon.DeliveryInfo) ergon.DeliveryInfo { i.Crashes = 0; return i })},
	{"crash counting", "never forgets", func(w *wiring) {
		w.delivery = func(d ergon.Delivery) ergon.Delivery {
			return &brokenDelivery{recorded: recorded{d}, forget: func() {}}
		}
	}},
	{"crash counting", "counts deliveries", telling(func(i ergon.DeliveryInfo) ergon.DeliveryInfo { i.Crashes = i.Deliveries; return i })},
	{"lease expiry under prefetch", "delivers what it lost", ahead(0)},
}

var endFaults = []fault{
	{"close hands back", "keeps what it was given", ahead(0)},
	{"close is idempotent", "fails when it is closed again", func(w *wiring) {
		w.source = func(src ergon.Source) ergon.Source {
			var closed atomic.Bool
			return &brokenSource{Source: src, close: func(ctx context.Context) error {
				if closed.Swap(true) {
					return errors.New("close of closed channel")
				}
				return src.Close(ctx)
			}}
		}
	}},
	{"close is idempotent", "sends after Close", func(w *wiring) {
		w.sink = func(sink ergon.Sink) ergon.Sink {
			return &brokenSink{Sink: sink, close: func(context.Context) error { return nil }}
		}
	}},
	{"close is idempotent", "fetches after Close", func(w *wiring) {
		w.source = func(src ergon.Source) ergon.Source {
			return &brokenSource{Source: src, close: func(context.Context) error { return nil }}
		}
	}},
	{"close is idempotent", "does not wait for what is on its way", sending(func(sink ergon.Sink, ctx context.Context, tx ergon.Raw, done func(error)) {
		sink.Send(ctx, tx, func(err error) { time.AfterFunc(time.Second, func() { done(err) }) })
	})},
	{"close is idempotent", "does not give up", func(w *wiring) {
		w.source = func(src ergon.Source) ergon.Source {
			return &brokenSource{Source: src, close: func(ctx context.Context) error {
				if ctx.Err() != nil {
					<-w.ctx.Done()
				}
				return src.Close(ctx)
			}}
		}
	}},
	{"send answers once", "answers twice", sending(func(sink ergon.Sink, ctx context.Context, tx ergon.Raw, done func(error)) {
		sink.Send(ctx, tx, func(err error) { done(err); done(err) })
	})},
	{"send answers once", "answers a second time later", sending(func(sink ergon.Sink, ctx context.Context, tx ergon.Raw, done func(error)) {
		sink.Send(ctx, tx, func(err error) {
			done(err)
			time.AfterFunc(time.Millisecond, func() { done(err) })
		})
	})},
	{"send answers once", "does not answer who has given up", sending(func(sink ergon.Sink, ctx context.Context, tx ergon.Raw, done func(error)) {
		if ctx.Err() == nil {
			sink.Send(ctx, tx, done)
		}
	})},
	{"send answers once", "confirms and drops one in ten", losing(10)},
	{"send with an ended context", "ignores its context", sending(func(sink ergon.Sink, ctx context.Context, tx ergon.Raw, done func(error)) {
		sink.Send(context.WithoutCancel(ctx), tx, done)
	})},
	{"duplicates", "stores each copy", func(w *wiring) {
		sending(func(_ ergon.Sink, _ context.Context, tx ergon.Raw, done func(error)) {
			w.q.Push(tx)
			done(nil)
		})(w)
	}},
	{"duplicates", "fails a copy", func(w *wiring) {
		var seen sync.Map
		sending(func(sink ergon.Sink, ctx context.Context, tx ergon.Raw, done func(error)) {
			if _, again := seen.LoadOrStore(tx.ID(), true); again {
				done(errors.New("duplicate"))
				return
			}
			sink.Send(ctx, tx, done)
		})(w)
	}},
	{"reconnect", "never hears of it again", fetching(func(w *wiring, src ergon.Source, ctx context.Context, max int) ([]ergon.Delivery, error) {
		if w.wasDown() {
			<-ctx.Done()
			return nil, ctx.Err()
		}
		return src.Fetch(ctx, max)
	})},
	{"reconnect", "confirms what it could not send", func(w *wiring) {
		sending(func(sink ergon.Sink, ctx context.Context, tx ergon.Raw, done func(error)) {
			sink.Send(ctx, tx, func(error) { done(nil) })
		})(w)
	}},
	{"reconnect", "fails for ever", func(w *wiring) {
		sending(func(sink ergon.Sink, ctx context.Context, tx ergon.Raw, done func(error)) {
			if w.wasDown() {
				done(errDown)
				return
			}
			sink.Send(ctx, tx, done)
		})(w)
	}},
	{"reconnect", "hangs without a connection", fetching(func(w *wiring, src ergon.Source, ctx context.Context, max int) ([]ergon.Delivery, error) {
		if w.wasDown() {
			<-w.ctx.Done()
		}
		return src.Fetch(ctx, max)
	})},
}
