package kv

import (
	"context"
	"crypto/rand"
	"fmt"
	"time"

	"github.com/ergon-framework/ergon/services"
)

// Put stores a value under a key, whatever was there, and returns its revision: [ErrKey]
// where it is no key, [ErrValue] where the value can't be stored.
func (s *Store[V]) Put(ctx context.Context, key string, value V) (revision uint64, err error) {
	return s.write(ctx, s.put, KindPut, Write[V]{Key: key, Value: value})
}

// PutTTL is Put of a value that is gone after ttl, or when the bucket's own time is over,
// whichever comes first. ttl is taken in whole seconds, rounded up; 0 and less is [ErrTTL].
// The bucket must allow it: those that a Store makes do. In a bucket with more history than
// one value, a ttl below the bucket's marker TTL is as long as that.
func (s *Store[V]) PutTTL(ctx context.Context, key string, value V, ttl time.Duration) (revision uint64, err error) {
	return s.write(ctx, s.put, KindPut, Write[V]{Key: key, Value: value, TTL: seconds(ttl)})
}

// Create stores a value under a key that has none, and returns its revision: [ErrExists]
// where it has one. A key that was deleted, or whose value's time is over, has none.
func (s *Store[V]) Create(ctx context.Context, key string, value V) (revision uint64, err error) {
	return s.write(ctx, s.create, KindCreate, Write[V]{Key: key, Value: value})
}

// CreateTTL is Create of a value that is gone after ttl. See PutTTL.
func (s *Store[V]) CreateTTL(ctx context.Context, key string, value V, ttl time.Duration) (revision uint64, err error) {
	return s.write(ctx, s.create, KindCreate, Write[V]{Key: key, Value: value, TTL: seconds(ttl)})
}

// Update stores a value if the key's latest revision is this one, and returns the new
// revision: [ErrConflict] where it is another, or the value is gone. A time that the value
// had is not kept.
func (s *Store[V]) Update(ctx context.Context, key string, value V, revision uint64) (uint64, error) {
	return s.write(ctx, s.update, KindUpdate, Write[V]{Key: key, Value: value, Revision: revision})
}

// Delete removes the value of a key, whatever it is. That there is none is no error.
func (s *Store[V]) Delete(ctx context.Context, key string) error {
	_, err := s.write(ctx, s.delete, KindDelete, Write[V]{Key: key})
	return err
}

// DeleteAt removes the value of a key if its latest revision is this one: [ErrConflict]
// where it is another.
func (s *Store[V]) DeleteAt(ctx context.Context, key string, revision uint64) error {
	_, err := s.write(ctx, s.delete, KindDeleteAt, Write[V]{Key: key, Revision: revision})
	return err
}

// seconds rounds a time up, which a server counts in whole seconds.
func seconds(ttl time.Duration) time.Duration {
	if ttl <= 0 {
		return -1
	}
	return (ttl + time.Second - 1).Truncate(time.Second)
}

func (s *Store[V]) write(ctx context.Context, op *services.Operation, kind Kind, w Write[V]) (uint64, error) {
	id, again := rand.Text(), false // outside: all attempts have the same
	return services.Call(ctx, op, w, func(ctx context.Context, w Write[V]) (uint64, error) {
		if err := checkKey(w.Key); err != nil {
			return 0, err
		}
		c := Change{ID: id, Again: again, Kind: kind, Key: w.Key, Revision: w.Revision, TTL: w.TTL}
		again = true
		if err := s.fill(&c, w.Value); err != nil {
			return 0, fmt.Errorf("key %q of %s: %w", w.Key, s.backend, err)
		}
		revision, err := s.backend.Write(ctx, c)
		if err != nil {
			return 0, fmt.Errorf("key %q of %s: %w", w.Key, s.backend, err)
		}
		return revision, nil
	})
}

// fill looks after what no server needs to be asked for.
func (s *Store[V]) fill(c *Change, value V) (err error) {
	switch {
	case c.TTL < 0:
		return ErrTTL
	case (c.Kind == KindUpdate || c.Kind == KindDeleteAt) && c.Revision == 0:
		return fmt.Errorf("%w: no value has revision 0", ErrConflict)
	case c.Kind == KindDelete || c.Kind == KindDeleteAt:
		return nil
	}
	if c.Value, err = s.codec.encode(value); err != nil {
		return fmt.Errorf("%w: encode %T: %w", ErrValue, value, err)
	}
	return nil
}
