package kv

import (
	"context"
	"errors"
	"fmt"

	"github.com/ergon-framework/ergon/services"
	"github.com/ergon-framework/ergon/services/spec"
)

// Store keeps values of one type by key. All its methods may be called concurrently, but
// for Start and Stop, which one caller calls in turn. Errors have a category, see
// [ErrNotFound] and what stands with it.
//
// What it returns belongs to the caller, from the cache too: values that hold pointers,
// slices or maps are decoded anew for each.
type Store[V any] struct {
	seam    *services.Seam
	backend Backend
	codec   codec[V]
	read    func(context.Context, string) (Entry[V], error)

	get, put, create, update, delete, keys, all *services.Operation
}

// New makes a Store over a bucket of JetStream. It asks nothing of the bus: that is
// Start's. The error names every fault of the Setup. Zero of a number in its Config is the
// default that is written there.
func New[V any](s services.Setup[spec.KV], bus Bus, opts ...Option) (*Store[V], error) {
	if bus == nil {
		return nil, fmt.Errorf("service %q: kv.New needs a bus: kv.Conn makes one of a connection", s.Name)
	}
	cfg, err := complete(s.Config)
	if err != nil {
		return nil, fmt.Errorf("service %q: %w", s.Name, err)
	}
	s.Config = cfg
	return Over[V](s, newBucket(s, bus), opts...)
}

// Over makes a Store over a Backend, which is its own from then on. Of the Setup it takes
// the name and the policy.
func Over[V any](s services.Setup[spec.KV], b Backend, opts ...Option) (*Store[V], error) {
	seam, err := s.Seam(services.Classify(classify))
	if err != nil {
		return nil, err
	}
	var o options
	for _, opt := range opts {
		opt(&o)
	}
	// All of them may be made twice. Reads may by nature, and the attempts of a write share
	// an ID by which the backend sees that it made it already: a create whose answer was
	// lost returns its revision at the next attempt, and not ErrExists.
	op := func(name string) *services.Operation { return seam.Operation(name, services.Idempotent) }
	made := &Store[V]{
		seam: seam, backend: b, codec: newCodec[V](o.codec),
		get: op("get"), put: op("put"), create: op("create"), update: op("update"), delete: op("delete"),
		keys: op("keys"), all: op("all"),
	}
	made.read = made.entry
	return made, nil
}

// Start opens the bucket, or makes it where Config.Create says so, and fills the cache if
// there is one. A bucket that is missing is an error that says how to make it. One that
// differs from the Config is used as it is, and a line of the log says what differs. ctx
// bounds it all.
func (s *Store[V]) Start(ctx context.Context) error {
	if err := s.backend.Start(ctx); err != nil {
		return fmt.Errorf("service %q: %w", s.seam.Name(), err)
	}
	return nil
}

// Stop ends the watch and waits until it has ended, no longer than ctx. It may be called
// twice, and without Start. Calls still work after it, without the cache. The connection
// is not the Store's and stays.
func (s *Store[V]) Stop(ctx context.Context) error {
	if err := s.backend.Stop(ctx); err != nil {
		return fmt.Errorf("service %q: %w", s.seam.Name(), err)
	}
	return nil
}

// Health is nil where calls are expected to do well. It says that the Store was not
// started, that its circuit breaker is open, that the bucket did not answer the latest call
// within the last 30 seconds, or that the cache is not in use and why. It asks nobody.
func (s *Store[V]) Health() error {
	err := s.backend.Health()
	if err != nil {
		err = fmt.Errorf("service %q: %w", s.seam.Name(), err)
	}
	return errors.Join(s.seam.Health(), err)
}

// Seam is what its calls go through: its metrics, for package app.
func (s *Store[V]) Seam() *services.Seam { return s.seam }
