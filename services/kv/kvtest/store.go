package kvtest

import (
	"cmp"
	"context"
	"slices"
	"testing"
	"time"

	"github.com/ergon-framework/ergon/services"
	"github.com/ergon-framework/ergon/services/kv"
	"github.com/ergon-framework/ergon/services/spec"
)

// Store is a kv.Store in memory, and what a test makes of it. All methods may be called
// concurrently. Operations are named as the seam names them, without the service: get,
// put, create, update, delete, keys, all; and start. Where none is named, all are meant
// but for start.
type Store[V any] struct {
	*kv.Store[V]
	tb     testing.TB
	memory *memory
	unseen *kv.Store[V] // over the same values, for the test's own writes
}

// New makes one that is started. Of the Setup it takes the name (default "kv"), the policy,
// the bucket's name and its ttl; the zero value is a start.
func New[V any](tb testing.TB, s services.Setup[spec.KV], opts ...kv.Option) *Store[V] {
	tb.Helper()
	made := NotStarted[V](tb, s, opts...)
	if err := made.Start(context.Background()); err != nil {
		tb.Fatalf("kvtest: %v", err)
	}
	return made
}

// NotStarted is New without the start, for a test of one that fails.
func NotStarted[V any](tb testing.TB, s services.Setup[spec.KV], opts ...kv.Option) *Store[V] {
	tb.Helper()
	s.Name = cmp.Or(s.Name, "kv")
	m := &memory{
		bucket: cmp.Or(s.Config.Bucket, "TEST"), age: s.Config.TTL.D(),
		values: map[string]value{}, written: map[string]uint64{}, calls: map[string]int{},
	}
	store, err := kv.Over[V](s, m, opts...)
	if err != nil {
		tb.Fatalf("kvtest: %v", err)
	}
	unseen, err := kv.Over[V](services.Setup[spec.KV]{Name: s.Name}, quiet{m}, opts...)
	if err != nil {
		tb.Fatalf("kvtest: %v", err)
	}
	return &Store[V]{Store: store, tb: tb, memory: m, unseen: unseen}
}

// Set stores a value as somebody else would: no fault meets it, and no call is counted.
func (s *Store[V]) Set(key string, value V) (revision uint64) {
	s.tb.Helper()
	revision, err := s.unseen.Put(context.Background(), key, value)
	if err != nil {
		s.tb.Fatalf("kvtest: %v", err)
	}
	return revision
}

// Remove removes a value as somebody else would.
func (s *Store[V]) Remove(key string) {
	s.tb.Helper()
	if err := s.unseen.Delete(context.Background(), key); err != nil {
		s.tb.Fatalf("kvtest: %v", err)
	}
}

// SetBytes stores bytes that need not be of a V.
func (s *Store[V]) SetBytes(key string, data []byte) {
	s.memory.mu.Lock()
	defer s.memory.mu.Unlock()
	s.memory.store(key, value{data: slices.Clone(data), created: time.Now()})
}

// Fail has the next n attempts end with err, before anything is done; n below 0 is all
// that follow. The category is err's, or SYSTEM: kv.ErrNotFound is one that needs no value
// to be missing.
func (s *Store[V]) Fail(n int, err error, operations ...string) {
	s.memory.add(&fault{left: n, err: err, operations: operations})
}

// LoseAnswers is Fail after everything was done: what a caller sees whose answer was lost.
func (s *Store[V]) LoseAnswers(n int, err error, operations ...string) {
	s.memory.add(&fault{left: n, err: err, late: true, operations: operations})
}

// Delay has every attempt that follows take so long, or until its context ends. A delay
// of 0 ends it.
func (s *Store[V]) Delay(d time.Duration, operations ...string) {
	s.memory.add(&fault{left: -1, delay: d, delays: true, operations: operations})
}

// Heal ends every Fail, LoseAnswers and Delay.
func (s *Store[V]) Heal() {
	s.memory.mu.Lock()
	defer s.memory.mu.Unlock()
	s.memory.faults = nil
}

// Attempts is how many attempts of these operations there were, the failed ones included.
// It is not the number of calls: the seam makes several of one that fails.
func (s *Store[V]) Attempts(operations ...string) (n int) {
	s.memory.mu.Lock()
	defer s.memory.mu.Unlock()
	for op, made := range s.memory.calls {
		if op != "start" && len(operations) == 0 || slices.Contains(operations, op) {
			n += made
		}
	}
	return n
}
