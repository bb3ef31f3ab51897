package connectortest_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/ergon-framework/ergon"
)

var receivingFaults = []fault{
	{"publish and receive", "drops one in seven", losing(7)},
	{"publish and receive", "does not acknowledge", changed(func(s *ergon.Settlement) { s.Kind = ergon.Release })},
	{"publish and receive", "has one name for all", telling(func(i ergon.DeliveryInfo) ergon.DeliveryInfo { i.Stored = "S"; return i })},
	{"envelope round trip", "loses the key", mapping(func(e *ergon.Envelope, p []byte) []byte { e.Key = ""; return p })},
	{"envelope round trip", "loses what caused it", mapping(func(e *ergon.Envelope, p []byte) []byte { e.CausationID = ""; return p })},
	{"envelope round trip", "rounds times", mapping(func(e *ergon.Envelope, p []byte) []byte {
		e.CreatedAt = e.CreatedAt.Truncate(time.Millisecond)
		return p
	})},
	{"envelope round trip", "takes payloads for text", mapping(func(_ *ergon.Envelope, p []byte) []byte {
		return bytes.ToValidUTF8(p, []byte("?"))
	})},
	{"trace round trip", "loses the trace", mapping(func(e *ergon.Envelope, p []byte) []byte { e.Trace = ergon.Trace{}; return p })},
	{"trace round trip", "loses the trace state", mapping(func(e *ergon.Envelope, p []byte) []byte { e.Trace.State = ""; return p })},
	{"multi-value headers", "keeps the first value", mapping(func(e *ergon.Envelope, p []byte) []byte {
		first := e.Metadata
		e.Metadata = ergon.NewMetadata(func(yield func(string, string) bool) {
			last := ""
			for name, value := range first.All() {
				if name != last && !yield(name, value) {
					return
				}
				last = name
			}
		})
		return p
	})},
	{"identity of plain messages", "makes up an ID at each delivery", func(w *wiring) {
		var n atomic.Int64
		mapping(func(e *ergon.Envelope, p []byte) []byte { e.ID = fmt.Sprint("made-up-", n.Add(1)); return p })(w)
	}},
	{"identity of plain messages", "gives none", func(w *wiring) {
		w.delivery = func(d ergon.Delivery) ergon.Delivery { return nameless{recorded{d}} }
	}},
	{"poison bytes", "drops what is not UTF-8", fetching(func(_ *wiring, src ergon.Source, ctx context.Context, max int) ([]ergon.Delivery, error) {
		for {
			ds, err := src.Fetch(ctx, max)
			ds = slices.DeleteFunc(ds, func(d ergon.Delivery) bool {
				bad := !utf8.Valid(d.Transaction().Payload())
				if bad {
					d.Settle(ergon.Settlement{Kind: ergon.Ack}, func(error) {})
				}
				return bad
			})
			if len(ds) > 0 || err != nil {
				return ds, err
			}
		}
	})},
	{"poison bytes", "fails on an empty payload", fetching(func(_ *wiring, src ergon.Source, ctx context.Context, max int) ([]ergon.Delivery, error) {
		ds, err := src.Fetch(ctx, max)
		for _, d := range ds {
			if len(d.Transaction().Payload()) == 0 {
				return nil, errors.New("unexpected end of JSON input")
			}
		}
		return ds, err
	})},
}

type nameless struct{ recorded }

func (n nameless) Transaction() ergon.Raw {
	e := n.Delivery.Transaction().Envelope()
	e.ID = ""
	return ergon.Make(e, n.Delivery.Transaction().Payload())
}

var fetchFaults = []fault{
	{"fetch returns what is there", "returns one more", fetching(func(_ *wiring, src ergon.Source, ctx context.Context, max int) ([]ergon.Delivery, error) {
		return src.Fetch(ctx, max+1)
	})},
	{"fetch returns what is there", "waits for max", fetching(func(_ *wiring, src ergon.Source, ctx context.Context, max int) ([]ergon.Delivery, error) {
		var all []ergon.Delivery
		for len(all) < max && ctx.Err() == nil {
			ds, err := src.Fetch(ctx, max-len(all))
			if err != nil {
				return nil, err
			}
			all = append(all, ds...)
		}
		return all, nil
	})},
	{"fetch returns what is there", "returns nothing", fetching(func(_ *wiring, src ergon.Source, ctx context.Context, max int) ([]ergon.Delivery, error) {
		if max == 2 {
			return nil, nil
		}
		return src.Fetch(ctx, max)
	})},
	{"fetch ends with its context", "ignores its context", fetching(func(w *wiring, src ergon.Source, _ context.Context, max int) ([]ergon.Delivery, error) {
		return src.Fetch(w.ctx, max)
	})},
	{"fetch ends with its context", "has an error of its own", fetching(func(_ *wiring, src ergon.Source, ctx context.Context, max int) ([]ergon.Delivery, error) {
		ds, err := src.Fetch(ctx, max)
		if err != nil && ctx.Err() != nil {
			err = errors.New("interrupted")
		}
		return ds, err
	})},
	{"fetch loses nothing", "drops what comes when nobody waits any more", fetching(func(w *wiring, src ergon.Source, ctx context.Context, max int) ([]ergon.Delivery, error) {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		type result struct {
			ds  []ergon.Delivery
			err error
		}
		c := make(chan result, 1)
		go func() { ds, err := src.Fetch(w.ctx, max); c <- result{ds, err} }()
		select {
		case r := <-c:
			return r.ds, r.err
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	})},
	{"ready", "is never ready", func(w *wiring) {
		w.source = func(src ergon.Source) ergon.Source { return &brokenSource{Source: src, ready: make(chan struct{})} }
	}},
	{"backlog", "never has any", func(w *wiring) {
		w.source = func(src ergon.Source) ergon.Source {
			return &brokenSource{Source: src, more: func() bool { return false }}
		}
	}},
	{"backlog", "always has some", func(w *wiring) {
		w.source = func(src ergon.Source) ergon.Source {
			return &brokenSource{Source: src, more: func() bool { return true }}
		}
	}},
	{"order", "delivers backwards", fetching(func(_ *wiring, src ergon.Source, ctx context.Context, max int) ([]ergon.Delivery, error) {
		ds, err := src.Fetch(ctx, max)
		slices.Reverse(ds)
		return ds, err
	})},
	{"concurrency", "loses what is sent at the same time", func(w *wiring) {
		var sends atomic.Int64
		sending(func(sink ergon.Sink, ctx context.Context, tx ergon.Raw, done func(error)) {
			defer sends.Add(-1)
			if sends.Add(1) > 1 {
				done(nil)
				return
			}
			pause(ctx, time.Microsecond) // which takes no time, and lets the others in
			sink.Send(ctx, tx, done)
		})(w)
	}},
	{"concurrency", "gives one message to two sources", func(w *wiring) {
		copied := make(chan ergon.Delivery, 1)
		fetching(func(_ *wiring, src ergon.Source, ctx context.Context, max int) ([]ergon.Delivery, error) {
			select {
			case d := <-copied:
				return []ergon.Delivery{d}, nil
			default:
			}
			ds, err := src.Fetch(ctx, max)
			for _, d := range ds {
				select {
				case copied <- d:
				default:
				}
			}
			return ds, err
		})(w)
	}},
	{"drain", "is drained while a delivery is held", fetching(func(_ *wiring, src ergon.Source, ctx context.Context, max int) ([]ergon.Delivery, error) {
		short, cancel := context.WithTimeout(ctx, time.Millisecond)
		defer cancel()
		ds, err := src.Fetch(short, max)
		if errors.Is(err, context.DeadlineExceeded) {
			err = ergon.ErrDrained
		}
		return ds, err
	})},
	{"drain", "is never drained", fetching(func(_ *wiring, src ergon.Source, ctx context.Context, max int) ([]ergon.Delivery, error) {
		for {
			ds, err := src.Fetch(ctx, max)
			if !errors.Is(err, ergon.ErrDrained) {
				return ds, err
			}
			pause(ctx, time.Millisecond)
		}
	})},
	{"drain", "is drained just after a send", func(w *wiring) {
		second := everyNth(5)
		fetching(func(_ *wiring, src ergon.Source, ctx context.Context, max int) ([]ergon.Delivery, error) {
			if second() {
				return nil, ergon.ErrDrained
			}
			return src.Fetch(ctx, max)
		})(w)
	}},
	{"unacked bound", "asks for a thousand", ahead(1000)},
	{"memory bound", "keeps what it delivered", func(w *wiring) {
		var mu sync.Mutex
		var kept [][]byte
		mapping(func(_ *ergon.Envelope, p []byte) []byte {
			p = bytes.Clone(p)
			mu.Lock()
			defer mu.Unlock()
			kept = append(kept, p)
			return p
		})(w)
	}},
	{"saturation", "loses one in a thousand", losing(1000)},
	{"saturation", "asks for a thousand", ahead(1000)},
	{"saturation", "answers one settlement in a thousand twice", func(w *wiring) {
		twice := everyNth(1000)
		settling(func(d ergon.Delivery, s ergon.Settlement, done func(error)) {
			d.Settle(s, done)
			if twice() {
				done(nil)
			}
		})(w)
	}},
}
