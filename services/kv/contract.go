package kv

import (
	"context"
	"iter"
	"time"
)

// Getter is all that a task needs which looks values up.
type Getter[V any] interface {
	Get(ctx context.Context, key string) (V, error)
}

// Putter is all that a task needs which stores values, whatever was there.
type Putter[V any] interface {
	Put(ctx context.Context, key string, value V) (revision uint64, err error)
}

// Swapper is what a task needs which changes a value that others change too: it reads an
// entry, and writes only if nobody else did meanwhile.
type Swapper[V any] interface {
	Entry(ctx context.Context, key string) (Entry[V], error)
	Create(ctx context.Context, key string, value V) (revision uint64, err error)
	Update(ctx context.Context, key string, value V, revision uint64) (uint64, error)
	DeleteAt(ctx context.Context, key string, revision uint64) error
}

// Lister goes through what is stored.
type Lister[V any] interface {
	Keys(ctx context.Context) iter.Seq2[string, error]
	All(ctx context.Context) iter.Seq2[Entry[V], error]
}

// Entry is a stored value, and the response of a get to whoever observes calls.
type Entry[V any] struct {
	Key   string
	Value V
	// Revision grows with each write to the bucket. It is what Update and DeleteAt take.
	Revision uint64
	// Created is when this value was stored, by the server's clock.
	Created time.Time
}

// Write is the request of put, create, update and delete to whoever observes calls.
type Write[V any] struct {
	Key   string
	Value V // of a delete: the zero value
	// Revision is the one that an update or a delete expects; 0 of Delete: any.
	Revision uint64
	TTL      time.Duration // 0: as long as the bucket keeps it
}
