package kv

import (
	"context"
	"fmt"
	"iter"

	"github.com/ergon-framework/ergon/services"
)

var (
	_ Getter[int]  = (*Store[int])(nil)
	_ Putter[int]  = (*Store[int])(nil)
	_ Swapper[int] = (*Store[int])(nil)
	_ Lister[int]  = (*Store[int])(nil)
)

// Get returns the value of a key: [ErrNotFound] where there is none, [ErrKey] where it is
// no key, [ErrDecode] where something else is stored. With a cache it asks nobody.
func (s *Store[V]) Get(ctx context.Context, key string) (V, error) {
	e, err := services.Call(ctx, s.get, key, s.read)
	return e.Value, err
}

// Entry is Get with the revision that Update and DeleteAt take.
func (s *Store[V]) Entry(ctx context.Context, key string) (Entry[V], error) {
	return services.Call(ctx, s.get, key, s.read)
}

func (s *Store[V]) entry(ctx context.Context, key string) (Entry[V], error) {
	if err := checkKey(key); err != nil {
		return Entry[V]{}, err
	}
	r, err := s.backend.Get(ctx, key)
	if err != nil {
		return Entry[V]{}, fmt.Errorf("key %q of %s: %w", key, s.backend, err)
	}
	return s.decoded(r)
}

func (s *Store[V]) decoded(r *Record) (Entry[V], error) {
	v, err := s.value(r)
	if err != nil {
		return Entry[V]{}, err
	}
	return Entry[V]{Key: r.Key, Value: v, Revision: r.Revision, Created: r.Created}, nil
}

// Keys goes through all keys, in no order that is promised. It holds a page of them at a
// time; each page is a call, with the page's number as its request. An error ends it. A
// key that is written meanwhile may come twice, and one that is deleted meanwhile may
// come. It ends where it caught up with the bucket, and does not follow it for ever. ctx
// ends it early, and so does leaving the loop.
func (s *Store[V]) Keys(ctx context.Context) iter.Seq2[string, error] {
	return list(ctx, s, s.keys, false, func(r *Record) (string, error) { return r.Key, nil })
}

// All is Keys with the values. One that does not decode ends it: its error names the key.
func (s *Store[V]) All(ctx context.Context) iter.Seq2[Entry[V], error] {
	return list(ctx, s, s.all, true, s.decoded)
}

// list goes through a listing, page by page. What it holds open between two pages is
// closed however the loop is left.
func list[V, T any](ctx context.Context, s *Store[V], op *services.Operation, values bool, of func(*Record) (T, error)) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		listing := s.backend.List(values)
		defer listing.Close()
		var records []*Record // kept for the attempt that follows one which could not decode them
		next := func(ctx context.Context, _ int) (_ []T, err error) {
			if err := ctx.Err(); err != nil {
				return nil, err // a cache would not notice
			}
			if len(records) == 0 {
				if records, err = listing.Next(ctx); err != nil {
					return nil, fmt.Errorf("list %s: %w", s.backend, err)
				}
			}
			page := make([]T, len(records))
			for i, r := range records {
				if page[i], err = of(r); err != nil {
					return nil, err
				}
			}
			records = nil
			return page, nil
		}
		for n := 1; ; n++ {
			page, err := services.Call(ctx, op, n, next)
			if err != nil {
				var none T
				yield(none, err)
				return
			}
			if len(page) == 0 {
				return
			}
			for _, item := range page {
				if !yield(item, nil) {
					return
				}
			}
		}
	}
}
