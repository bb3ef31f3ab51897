package connectortest_test

import (
	"cmp"
	"context"
	"sync"

	"github.com/ergon-framework/ergon"
)

// brokenSource, brokenSink and brokenDelivery do what their functions say, and where
// those are nil what is right.
type brokenSource struct {
	ergon.Source
	fetch func(ctx context.Context, max int) ([]ergon.Delivery, error)
	close func(ctx context.Context) error
	ready <-chan struct{}
	more  func() bool
}

func (s *brokenSource) Fetch(ctx context.Context, max int) ([]ergon.Delivery, error) {
	if s.fetch != nil {
		return s.fetch(ctx, max)
	}
	return s.Source.Fetch(ctx, max)
}

func (s *brokenSource) Close(ctx context.Context) error {
	if s.close != nil {
		return s.close(ctx)
	}
	return s.Source.Close(ctx)
}

func (s *brokenSource) Ready() <-chan struct{} {
	if s.ready != nil {
		return s.ready
	}
	return s.Source.(ergon.Readier).Ready()
}

func (s *brokenSource) Backlog() bool {
	if s.more != nil {
		return s.more()
	}
	return s.Source.(ergon.Backlogger).Backlog()
}

type brokenSink struct {
	ergon.Sink
	send  func(ctx context.Context, tx ergon.Raw, done func(error))
	close func(ctx context.Context) error
}

func (s *brokenSink) Send(ctx context.Context, tx ergon.Raw, done func(error)) {
	if s.send != nil {
		s.send(ctx, tx, done)
		return
	}
	s.Sink.Send(ctx, tx, done)
}

func (s *brokenSink) Close(ctx context.Context) error {
	if s.close != nil {
		return s.close(ctx)
	}
	return s.Sink.Close(ctx)
}

type brokenDelivery struct {
	recorded
	forget func()
	tx     ergon.Raw // if it is valid
	info   func(ergon.DeliveryInfo) ergon.DeliveryInfo
	extend func(ctx context.Context) error
	settle func(s ergon.Settlement, done func(error))
}

func (d *brokenDelivery) Transaction() ergon.Raw {
	if d.tx.Valid() {
		return d.tx
	}
	return d.Delivery.Transaction()
}

func (d *brokenDelivery) Info() ergon.DeliveryInfo {
	if d.info != nil {
		return d.info(d.Delivery.Info())
	}
	return d.Delivery.Info()
}

func (d *brokenDelivery) ForgetStart() {
	if d.forget != nil {
		d.forget()
		return
	}
	d.recorded.ForgetStart()
}

func (d *brokenDelivery) Extend(ctx context.Context) error {
	if d.extend != nil {
		return d.extend(ctx)
	}
	return d.Delivery.Extend(ctx)
}

func (d *brokenDelivery) Settle(s ergon.Settlement, done func(error)) {
	if d.settle != nil {
		d.settle(s, done)
		return
	}
	d.Delivery.Settle(s, done)
}

// eager is a source that is given what its caller asked for as soon as it is sent,
// and believes that what waits in it is its own for ever.
type eager struct {
	ergon.Source
	// least is how much it asks for at least.
	least int

	mu   sync.Mutex
	want int // what was asked for and has not come
	buf  []ergon.Delivery
}

func (e *eager) Fetch(ctx context.Context, max int) ([]ergon.Delivery, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.want = 0
	if len(e.buf) == 0 {
		ds, err := e.Source.Fetch(ctx, cmp.Or(e.least, max))
		if err != nil {
			return nil, err
		}
		e.buf = ds
	}
	n := min(max, len(e.buf))
	ds := e.buf[:n:n]
	e.buf = e.buf[n:]
	e.want = max - n
	return ds, nil
}

// sent brings one message that was just sent, if it was asked for.
func (e *eager) sent() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.want < 1 {
		return
	}
	if ds, err := e.Source.Fetch(context.Background(), 1); err == nil {
		e.want--
		e.buf = append(e.buf, ds...)
	}
}
