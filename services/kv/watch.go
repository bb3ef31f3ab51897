package kv

import (
	"cmp"
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// watch is a consumer of a bucket that brings the latest record of each key, and then what
// changes. It is used by one goroutine.
//
// It is no jetstream.KeyWatcher: that makes its consumer anew by itself where it left off,
// which in a bucket that was made anew is after everything; and it does not tell whether
// the server is there.
type watch struct {
	opened *opened
	nc     *nats.Conn
	sub    *nats.Subscription
	came   chan *nats.Msg
	closed chan struct{}
	number uint64 // of the latest message, counted by the consumer
	first  uint64 // how many there were to bring at the beginning
	filled bool   // all of these came
}

func (o *opened) watch(ctx context.Context, about string, values bool) (*watch, error) {
	nc := o.js.Conn()
	w := &watch{opened: o, nc: nc, came: make(chan *nats.Msg, 64), closed: make(chan struct{})}
	var err error
	w.sub, err = nc.Subscribe(nc.NewInbox(), func(m *nats.Msg) {
		select {
		case w.came <- m:
		case <-w.closed:
		}
	})
	if err != nil {
		return nil, err
	}
	// What waits here is bounded by the server, which asks whether it arrived, in bytes. The
	// client's own bounds are of messages too, and small ones would be dropped by them.
	if err := w.sub.SetPendingLimits(-1, -1); err != nil {
		w.close()
		return nil, err
	}
	consumer, err := o.js.CreatePushConsumer(ctx, o.name, jetstream.ConsumerConfig{
		Description: about, DeliverSubject: w.sub.Subject, DeliverPolicy: jetstream.DeliverLastPerSubjectPolicy,
		AckPolicy: jetstream.AckNonePolicy, FilterSubject: o.reads + ">", HeadersOnly: !values,
		FlowControl: true, IdleHeartbeat: heartbeat,
		InactiveThreshold: 2 * silence, MemoryStorage: true, Replicas: 1, // gone with its watch, or soon after
	})
	if err != nil {
		w.close()
		return nil, err
	}
	w.first = consumer.CachedInfo().NumPending
	w.filled = w.first == 0
	return w, nil
}

// close is called once. The server removes the consumer when nobody listens.
func (w *watch) close() {
	close(w.closed)
	_ = w.sub.Unsubscribe() // it fails where the connection is closed, and all with it
}

// next returns the next record, or nil where the server had something else to say. It waits
// no longer than silence.
func (w *watch) next(ctx context.Context) (*Record, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	var m *nats.Msg
	select {
	case m = <-w.came:
	default:
		if m = w.wait(ctx); m == nil {
			return nil, cmp.Or(context.Cause(ctx), errSilent)
		}
	}
	if status := m.Header.Get("Status"); status != "" && len(m.Data) == 0 {
		return nil, w.control(status, m)
	}
	return w.message(m)
}

func (w *watch) wait(ctx context.Context) *nats.Msg {
	end := time.NewTimer(silence)
	defer end.Stop()
	select {
	case m := <-w.came:
		return m
	case <-end.C:
	case <-ctx.Done():
	}
	return nil
}

// control is what the server has to say besides messages.
func (w *watch) control(status string, m *nats.Msg) error {
	if status != "100" {
		return fmt.Errorf("the server ended the watch: %s %s", status, m.Header.Get("Description"))
	}
	if m.Reply != "" { // it asks whether what it sent arrived, and sends no more until then
		return w.nc.Publish(m.Reply, nil)
	}
	stalled := m.Header.Get("Nats-Consumer-Stalled")
	if stalled != "" { // it asked, and the answer was lost
		return w.nc.Publish(stalled, nil)
	}
	last, err := strconv.ParseUint(m.Header.Get("Nats-Last-Consumer"), 10, 64)
	if err != nil || last != w.number {
		return errLost
	}
	w.filled = true // it is idle: what there was at the beginning came, or is gone
	return nil
}

func (w *watch) message(m *nats.Msg) (*Record, error) {
	meta, err := m.Metadata()
	if err != nil {
		return nil, fmt.Errorf("a message of the watch: %w", err)
	}
	if meta.Sequence.Consumer != w.number+1 || len(m.Subject) <= len(w.opened.reads) {
		return nil, errLost
	}
	w.number++
	// Whatever is written while it is filled comes after what there was, but takes the
	// place of it too where the key is the same. So the number at the beginning is no proof
	// that each key came; that nothing is left is. Where it is written faster than it comes
	// that would be never, and twice the number has to do.
	if meta.NumPending == 0 || w.number >= 2*w.first+1024 {
		w.filled = true
	}
	return w.opened.record(m.Subject[len(w.opened.reads):], m.Data, m.Header, meta.Sequence.Stream, meta.Timestamp), nil
}

// pageSize is how many records a page of a listing has at most.
const pageSize = 256

// listing goes through the bucket by a watch of its own, that ends once it is filled.
type listing struct {
	bucket *bucket
	values bool
	watch  *watch
	last   uint64 // the latest revision that was returned
	done   bool
}

func (b *bucket) List(values bool) Listing { return &listing{bucket: b, values: values} }

// Next returns a page. A watch that failed is made again, and passes over what came.
func (l *listing) Next(ctx context.Context) (page []*Record, err error) {
	b := l.bucket
	o := b.opened.Load()
	switch {
	case l.done:
		return nil, nil
	case o == nil:
		return nil, ErrNotStarted
	case l.watch == nil && l.last == 0:
		if c := b.cache.Load(); c != nil && c.fresh() {
			l.done = true
			return c.all(), nil
		}
	}
	if l.watch == nil {
		if l.watch, err = o.watch(ctx, "a listing of service "+b.service, l.values); err != nil {
			return nil, b.note(ctx, err)
		}
	}
	last := l.last
	for len(page) < pageSize && !l.watch.filled {
		r, err := l.watch.next(ctx)
		if err != nil {
			l.Close()
			return nil, b.note(ctx, err)
		}
		if r == nil || r.Revision <= last {
			continue
		}
		if last = r.Revision; !r.deleted {
			page = append(page, r)
		}
	}
	b.note(ctx, nil)
	l.last, l.done = last, l.watch.filled
	if l.done {
		l.Close()
	}
	return page, nil
}

// Close ends the watch.
func (l *listing) Close() {
	if l.watch != nil {
		l.watch.close()
		l.watch = nil
	}
}
