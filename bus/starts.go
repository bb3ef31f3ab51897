package bus

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// DefaultStartsBucket is where starts are recorded.
const DefaultStartsBucket = "ERGON_STARTS"

// startsTTL is for how long a start that was not taken back is remembered: a
// message that killed its process comes back within its ack deadline, but the
// process may stay down for days.
const startsTTL = 7 * 24 * time.Hour

// Starts records, in a key-value bucket, which messages were begun with and not
// ended. Nobody else can tell a message that killed its process from one that was
// given back: the server counts deliveries alone. The bucket is made when the
// first start is recorded. All methods may be called concurrently.
type Starts struct {
	bus      *Bus
	replicas int

	mu sync.Mutex
	kv jetstream.KeyValue
}

// A Start is one recorded start.
type Start struct {
	key      string
	revision uint64
	before   int
}

// NewStarts returns the record, whose bucket has that many replicas (at least 1)
// where it has to be made. It asks nothing of the server yet.
func (b *Bus) NewStarts(replicas int) *Starts { return &Starts{bus: b, replicas: max(replicas, 1)} }

// asking is Bus.asking for whatever is asked of the bucket.
func (s *Starts) asking(ctx context.Context) (context.Context, func(error) error) {
	stream, b := "KV_"+DefaultStartsBucket, s.bus
	return b.asking(ctx, b.api("STREAM.INFO", stream), b.api("STREAM.CREATE", stream), b.api("DIRECT.GET", stream),
		b.api("STREAM.MSG.GET", stream), "$KV."+DefaultStartsBucket)
}

func (s *Starts) bucket(ctx context.Context, create bool) (jetstream.KeyValue, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.kv != nil {
		return s.kv, nil
	}
	kv, err := s.bus.js.KeyValue(ctx, DefaultStartsBucket)
	if create && errors.Is(err, jetstream.ErrBucketNotFound) {
		kv, err = s.bus.js.CreateKeyValue(ctx, jetstream.KeyValueConfig{
			Bucket: DefaultStartsBucket, Description: "messages that were begun with and not ended", TTL: startsTTL,
			Replicas: s.replicas,
		})
		if errors.Is(err, jetstream.ErrBucketExists) { // another process was faster
			kv, err = s.bus.js.KeyValue(ctx, DefaultStartsBucket)
		}
	}
	if err != nil {
		return nil, err
	}
	s.kv = kv
	return kv, nil
}

// Count is how many starts of a message were recorded and not taken back. id is
// anything that names the stored message and its consumer.
func (s *Starts) Count(ctx context.Context, id string) (int, error) {
	ctx, told := s.asking(ctx)
	n, err := s.count(ctx, id)
	return n, startsError("look up starts", told(err))
}

func (s *Starts) count(ctx context.Context, id string) (int, error) {
	kv, err := s.bucket(ctx, false)
	if errors.Is(err, jetstream.ErrBucketNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	n, _, err := s.get(ctx, kv, hash(id))
	return n, err
}

func (s *Starts) get(ctx context.Context, kv jetstream.KeyValue, key string) (n int, revision uint64, err error) {
	entry, err := kv.Get(ctx, key)
	switch {
	case errors.Is(err, jetstream.ErrKeyNotFound):
		return 0, 0, nil
	case err != nil:
		s.forgetBucket()
		return 0, 0, err
	}
	n, _ = strconv.Atoi(string(entry.Value())) // what is no number was not written by us
	return n, entry.Revision(), nil
}

// forgetBucket looks the bucket up again the next time: it may have been deleted.
func (s *Starts) forgetBucket() {
	s.mu.Lock()
	s.kv = nil
	s.mu.Unlock()
}

// Record notes one start more, and returns once that is stored.
func (s *Starts) Record(ctx context.Context, id string) (Start, error) {
	ctx, told := s.asking(ctx)
	start, err := s.record(ctx, id)
	return start, startsError("record start", told(err))
}

func (s *Starts) record(ctx context.Context, id string) (Start, error) {
	kv, err := s.bucket(ctx, true)
	if err != nil {
		return Start{}, err
	}
	key := hash(id)
	n, _, err := s.get(ctx, kv, key)
	if err != nil {
		return Start{}, err
	}
	revision, err := kv.Put(ctx, key, []byte(strconv.Itoa(n+1)))
	if err != nil {
		s.forgetBucket()
		return Start{}, err
	}
	return Start{key: key, revision: revision, before: n}, nil
}

// Forget takes one start back, for it ended. Where somebody else has recorded one
// since, nothing changes.
func (s *Starts) Forget(ctx context.Context, start Start) error {
	ctx, told := s.asking(ctx)
	return startsError("forget start", told(s.forget(ctx, start)))
}

func (s *Starts) forget(ctx context.Context, start Start) error {
	kv, err := s.bucket(ctx, false)
	if err != nil {
		return err
	}
	if start.before > 0 {
		_, err = kv.Update(ctx, start.key, []byte(strconv.Itoa(start.before)), start.revision)
	} else {
		err = kv.Delete(ctx, start.key, jetstream.LastRevision(start.revision))
	}
	var api *jetstream.APIError
	if errors.As(err, &api) && api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence {
		return nil
	}
	return err
}

func startsError(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s in bucket %q: %w", what, DefaultStartsBucket, err)
}
